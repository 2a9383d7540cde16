"""What a person sees while Snakemake runs: the jobs at work with their progress, what is done, the time left, failures.

Snakemake loads it as the logger plugin `deepscaler` (workflow/snakemake_logger_plugin_deepscaler), which the profiles
name. A terminal shows lines that stay and, below them, a region that is redrawn; anything else gets plain lines, few.
Modules may import only what stands above them in this list:
jobs, log_progress, time_left, job_watch, results, failure, capture, region, view, display, handler.
"""
