"""Every YAML file of config/ as a typed model: what is not known is refused, with its file and the nearest name."""

from deepscaler.settings.approvals import approve, approved_gpu_hours
from deepscaler.settings.load import (
    benchmarks,
    corrections,
    load_recipe,
    load_scale,
    project_root,
    scale_names,
    settings_digest,
    site,
    sources,
    systems,
)
from deepscaler.settings.yaml_files import run_root

__all__ = [
    "approve",
    "approved_gpu_hours",
    "benchmarks",
    "corrections",
    "load_recipe",
    "load_scale",
    "project_root",
    "run_root",
    "scale_names",
    "settings_digest",
    "site",
    "sources",
    "systems",
]
