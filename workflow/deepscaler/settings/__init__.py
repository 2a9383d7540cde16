"""Every YAML file of config/ as a typed model: what is not known is refused, with its place and the nearest name."""

from deepscaler.settings.load import (
    benchmarks,
    project_root,
    recipe,
    scale,
    scale_names,
    section,
    settings_digest,
    site,
    sources,
    systems,
)

__all__ = [
    "benchmarks",
    "project_root",
    "recipe",
    "scale",
    "scale_names",
    "section",
    "settings_digest",
    "site",
    "sources",
    "systems",
]
