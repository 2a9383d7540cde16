"""A scale's settings with every default filled in, beside its results, with versions and seeds."""

from pathlib import Path
from typing import Any

import yaml

from deepscaler import settings
from deepscaler.files import write_text
from deepscaler.reporting.versions import commit, versions


def resolved(scale: str) -> dict[str, Any]:
    """All that decides a scale's results, as plain data: the scale, its recipe, and the entries that it names."""
    chosen = settings.scale(scale)
    names = dict.fromkeys([*([chosen.base] if chosen.base else []), *chosen.evaluation.systems])
    tests = dict.fromkeys(name for suite in chosen.evaluation.suites.values() for name in suite)
    origins = chosen.curation.sources if chosen.curation else []
    return {
        "scale": chosen.model_dump(mode="json"),
        "recipe": settings.recipe(chosen.training.recipe).model_dump(mode="json") if chosen.training else None,
        "systems": {name: settings.systems()[name].model_dump(mode="json") for name in names},
        "benchmarks": {name: settings.benchmarks()[name].model_dump(mode="json") for name in tests},
        "sources": {name: settings.sources()[name].model_dump(mode="json") for name in origins},
    }


def resolve_settings(scale: str, output: Path) -> None:
    """Write settings.yaml: what was asked for (`settings`, with a digest), and what ran it."""
    asked = resolved(scale)
    record = {
        "digest": settings.settings_digest(asked),
        "seed": settings.scale(scale).seed,
        "commit": commit(),
        "versions": versions(),
        "settings": asked,
    }
    write_text(output, yaml.safe_dump(record, sort_keys=False, allow_unicode=True, width=120))
