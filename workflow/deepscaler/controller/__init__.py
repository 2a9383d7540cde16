"""What the Snakefile calls where Snakemake itself runs: targets, SLURM requests, stale locks, orphans, failed jobs."""
