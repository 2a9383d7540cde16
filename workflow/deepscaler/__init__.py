"""DeepScaleR as a reproducible workflow: curation, reward, GRPO training, evaluation and evidence.

Modules may import only what stands above them in this list:
errors, files, failures, progress, records, settings, hub, bfloat16, miniature, reward, curation, models, training,
alive, evaluation, reporting, cli.
"""

__version__ = "0.1.0"
