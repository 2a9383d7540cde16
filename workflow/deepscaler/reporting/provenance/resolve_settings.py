"""A scale's settings with every default filled in, beside its results, with versions and seeds."""

from pathlib import Path

import yaml

from deepscaler import dag, settings
from deepscaler.files import write_text
from deepscaler.versions import commit, processor, versions


def resolve_settings(*, scale: str, output: Path) -> None:
    """Write settings.yaml: the settings in full (with their digest), the versions that ran, the processor's class."""
    resolved = dag.resolved(scale)
    record = {
        "digest": settings.settings_digest(resolved),
        "seed": settings.load_scale(scale).seed,
        "commit": commit(),
        "processor": processor(),
        "versions": versions(),
        "settings": resolved,
    }
    write_text(output, yaml.safe_dump(record, sort_keys=False, allow_unicode=True, width=120))
