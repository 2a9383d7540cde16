"""Numbers in README.md, CITATIONS.md, config/ and docs/, filled in from their sources, between hidden markers:

    <!-- begin mini-table --> … <!-- end mini-table -->

`--check` names the files that are out of date; a test and `make lint` run it.
"""

import re
from collections.abc import Callable
from pathlib import Path

from deepscaler import settings
from deepscaler.errors import JobError, UserError, refuse_unknown
from deepscaler.files import write_text
from deepscaler.maintenance.citation_blocks import CITATION_BLOCKS
from deepscaler.maintenance.claim_blocks import CLAIM_BLOCKS
from deepscaler.maintenance.kept import reference
from deepscaler.maintenance.key_blocks import KEY_BLOCKS
from deepscaler.maintenance.ladder_blocks import LADDER_BLOCKS
from deepscaler.maintenance.miniature_blocks import MINIATURE_BLOCKS
from deepscaler.maintenance.status_blocks import STATUS_BLOCKS
from deepscaler.maintenance.training_blocks import TRAINING_BLOCKS
from deepscaler.reporting.claims.results import number
from deepscaler.reporting.figures.size_figure import parameters, size_text
from deepscaler.text import markdown

BLOCK = re.compile(r"(<!-- begin (?P<name>[a-z-]+) -->\n)(?:(?!<!-- begin ).)*?(<!-- end (?P=name) -->)", re.DOTALL)
PENDING = "*Not run yet.*\n"


def write_docs(*, check: bool) -> None:
    """Fill in all blocks of README.md and docs/.

    Raises:
        JobError: with `check`, where a file differs from what its sources say.
    """
    root = settings.project_root()
    stale = [path for path in documents(root) if filled(path) != path.read_text(encoding="utf-8")]
    if check and stale:
        names = ", ".join(str(path.relative_to(root)) for path in stale)
        raise JobError(f"behind their sources: {names}", hint="deepscaler write_docs")
    for path in [] if check else stale:
        write_text(path, filled(path))
        print(f"wrote {path.relative_to(root)}")


def documents(root: Path) -> list[Path]:
    places = ("README.md", "CITATIONS.md", "config/README.md", "docs/*.md")
    return sorted(path for place in places for path in root.glob(place))


def filled(path: Path) -> str:
    """A document with its blocks as their sources have them now."""

    def fill(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in BLOCKS:
            raise refuse_unknown("block", name, list(BLOCKS), path)
        return match[1] + BLOCKS[name]() + match[3]

    text = path.read_text(encoding="utf-8")
    if text.count("<!-- begin ") != len(BLOCK.findall(text)):
        raise UserError("a block is not closed", path, "<!-- begin NAME --> needs its <!-- end NAME -->")
    return BLOCK.sub(fill, text)


def mini_table() -> str:
    """Pass@1 of the reference run."""
    path = reference("mini").folder / "table.md"
    return path.read_text(encoding="utf-8").rstrip() + "\n" if path.is_file() else PENDING


def mini_results() -> str:
    """Pass@1 of the reference run, without its standard errors."""
    first = mini_table().split("\n## ")[0]
    rows = [line for line in first.splitlines() if line.startswith("|")]
    return "\n".join(rows) + "\n" if rows else PENDING


def mini_cost() -> str:
    """What the reference run took, in a sentence."""
    results = reference("mini")
    total = next((row for row in results.compute if row["rule"] == "total"), None)
    if total is None:
        return PENDING
    where = results.folder / "compute.csv"
    elapsed, cpu, peak = (number(total, c, where) for c in ("elapsed_hours", "cpu_hours", "peak_memory_gb"))
    took = f"{60 * elapsed:.0f} minutes from its first job to its last, with\n" if elapsed else ""
    used = "unmeasured" if cpu is None else f"{60 * cpu:.0f} minutes of"
    memory = "unmeasured" if peak is None else f"{peak:.1f} GB of"
    return f"The stored reference run took {took}{used} processor time; its largest job had {memory} memory.\n"


def mini_size() -> str:
    """How small the miniature's model and its stages are."""
    size = size_text(parameters("mini", str(settings.load_scale("mini").base)) or 0.0)
    training = settings.load_scale("mini").training
    assert training is not None
    stages = settings.load_recipe(training.recipe).stages
    return (
        "The real OpenRLHF, vLLM, DeepSpeed and Ray run, in their CPU builds; docs/training.md says what replaces\n"
        f"code that needs a GPU. Small are the model ({size.replace(' ', '&nbsp;')} parameters,\n"
        "distilled by the run itself), its problems, and the stages: "
        f"{listed([stage.name.upper() for stage in stages])} keep their names, but are\n"
        f"{listed([str(stage.max_new_tokens) for stage in stages])} tokens, {stages[0].steps} steps each.\n"
    )


def listed(items: list[str]) -> str:
    return f"{', '.join(items[:-1])} and {items[-1]}"


def mini_compute() -> str:
    """What the reference run took, a line a rule that mattered."""
    results = reference("mini")
    where = results.folder / "compute.csv"
    if not results.compute:
        return PENDING
    rows = [
        [
            row["rule"],
            row["stage"],
            row["jobs"],
            f"{60 * (number(row, 'wall_hours', where) or 0):.1f}",
            row["peak_memory_gb"],
        ]
        for row in results.compute
        if (number(row, "wall_hours", where) or 0) * 3600 >= 10
    ]
    return markdown(["rule", "stage", "jobs", "minutes", "peak memory (GB)"], rows)


BLOCKS: dict[str, Callable[[], str]] = {
    "mini-table": mini_table,
    "mini-results": mini_results,
    "mini-cost": mini_cost,
    "mini-size": mini_size,
    "mini-compute": mini_compute,
    **CITATION_BLOCKS,
    **CLAIM_BLOCKS,
    **KEY_BLOCKS,
    **LADDER_BLOCKS,
    **MINIATURE_BLOCKS,
    **STATUS_BLOCKS,
    **TRAINING_BLOCKS,
}
"""What can be filled in."""
