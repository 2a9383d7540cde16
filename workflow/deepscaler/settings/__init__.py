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

__all__ = [
    "approve",
    "approved_gpu_hours",
    "benchmarks",
    "corrections",
    "load_recipe",
    "load_scale",
    "project_root",
    "scale_names",
    "settings_digest",
    "site",
    "sources",
    "systems",
]
