"""DeepScaleR as a reproducible workflow: curation, reward, GRPO training, evaluation and evidence.

Modules may import only what stands above them in this list:
redaction, errors, files, folders, foreign, text, environment, caches, job_log, progress, records, croissant, reward,
settings, alerts, download_errors, hub, versions, dag, miniature, models, curation, cost, training, evaluation,
reporting, controller, maintenance, cli.
"""

__version__ = "0.1.0"
