"""The blocks that say what has been run, and how far known runs lie apart."""

from collections.abc import Callable

import yaml

from deepscaler import settings
from deepscaler.maintenance.kept import reference
from deepscaler.reporting import kept_run
from deepscaler.reporting.claims.results import number
from deepscaler.settings.claims import claims
from deepscaler.text import markdown

TRIED = {
    "mini": "end to end: `make test`, and under faults: `make test-engines`",
    "mini-lora": "run whole once, not kept (docs/miniature.md); `tests/mini/test_lora.py`",
    "mini-async": "run whole once, not kept (docs/miniature.md); `tests/mini/test_asynchronous.py`",
    "headline": "its jobs, by dry runs; two scales that share answers, with tiny models: "
    "`tests/mini/test_shared_samples.py`",
    "eight-gpus": "its jobs, by dry runs; a step by each recipe, with a tiny model: `tests/mini/test_other_recipes.py`",
    "laptop": "its jobs, by dry runs; its model, fetched and evaluated on a few problems: "
    "`tests/mini/test_small_model.py`",
    "rehearsal": "its jobs, by dry runs; all of it at a toy's size on two nodes, go, and no go by each check: "
    "`tests/slurm/test_rehearsal.py`",
    "released": "its jobs, by dry runs; its path on CPUs, with a tiny model in the place of the weights: "
    "`tests/mini/test_released_path.py`",
    "paper": "its jobs, by dry runs; its requests on a real SLURM with simulated GPUs, and all of it at a small size "
    "with training on two nodes: `make test-slurm`",
}
"""Scale → what is tested of it."""
UNTRIED = (
    ("the environment for GPUs", "resolved and locked; tested by nothing: it needs nvcc and a GPU"),
    (
        "the pins of weights and data",
        "seen in public files; a fetch that finds anything else stops. `deepscaler pin` looks",
    ),
)
"""What no scale that was run needs."""


def status() -> str:
    """Scale by scale: the last run that is kept, and what is tested where there is none."""
    names = [*claims().effort, *(name for name in settings.scale_names() if name not in claims().effort)]
    rows = [[f"`{name}`", *last_run(name), TRIED.get(name, "its jobs, by dry runs")] for name in names]
    rows += [[what, "**never**", "–", "–", tested] for what, tested in UNTRIED]
    return markdown(["what", "last run", "on", "commit", "tested by"], rows)


def last_run(scale: str) -> list[str]:
    """When, where, and of which commit the kept run is."""
    results = reference(scale)
    recorded = results.folder / "settings.yaml"
    if not recorded.is_file():
        return ["**never**", "–", "–"]
    kept = kept_run.read(results.folder)
    commit = yaml.safe_load(recorded.read_text(encoding="utf-8")).get("commit") or "unknown"
    total = next((row for row in results.compute if row["rule"] == "total"), {})
    hours = number(total, "elapsed_hours", results.folder / "compute.csv")
    took = f", {60 * hours:.0f} minutes" if hours else ""
    return [(kept.date if kept else "unknown") + took, kept.machine if kept else "unknown", f"`{commit[:7]}`"]


def known_runs() -> str:
    """Averages of all runs of the miniature that are known, a row a run, and the range of each column."""
    runs = claims().varies.runs
    systems = [name for name in settings.load_scale("mini").evaluation.systems if name in settings.systems()]
    titles = [settings.systems()[name].title for name in systems]
    rows = [[run.of, *(text(run.averages.get(name)) for name in systems)] for run in runs]
    ranges = [[run.averages[name] for run in runs if name in run.averages] for name in systems]
    rows.append(["**range**", *(f"**{min(found):.1f}–{max(found):.1f}**" if found else "–" for found in ranges)])
    return markdown(["run", *titles], rows)


def text(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


STATUS_BLOCKS: dict[str, Callable[[], str]] = {"status": status, "known-runs": known_runs}
