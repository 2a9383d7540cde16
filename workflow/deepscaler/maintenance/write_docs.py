"""Numbers in README.md and docs/, filled in from their sources, between markers that a reader does not see:

    <!-- begin mini-table --> … <!-- end mini-table -->

`--check` names the files that are out of date; a test and `make lint` run it.
"""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from deepscaler import settings
from deepscaler.errors import JobError, UserError, refuse_unknown
from deepscaler.files import write_text
from deepscaler.reporting.claims.check_claims import Finding, expectation, value_text
from deepscaler.reporting.claims.claim_values import claim_value
from deepscaler.reporting.claims.results import Results, number
from deepscaler.reporting.compute.plan import plan
from deepscaler.reporting.figures.size_figure import parameters, size_text
from deepscaler.settings.claims import Claim, Constant, claims

BLOCK = re.compile(r"(<!-- begin (?P<name>[a-z-]+) -->\n).*?(<!-- end (?P=name) -->)", re.DOTALL)
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
    return [path for path in (root / "README.md", *sorted((root / "docs").glob("*.md"))) if path.is_file()]


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


def reference(scale: str) -> Results:
    """The run of a scale that is kept for comparison."""
    return Results(scale, settings.project_root() / "results" / "reference" / scale)


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


def scales() -> str:
    """Scale by scale: who, hardware, time and cost as planned, command, results."""
    rows = []
    for scale, effort in claims().effort.items():
        planned: dict[str, Any] = json.loads(plan(scale=scale, changes=[], from_run=None, as_json=True))
        hours = planned["hours"] if "hours" in planned else planned["gpu_hours"]
        time = f"{60 * hours['expected']:.0f} minutes ({60 * hours['low']:.0f}–{60 * hours['high']:.0f})"
        if planned["device"] == "gpu":
            time = f"{hours['expected']:,.0f} A100-hours ({hours['low']:,.0f}–{hours['high']:,.0f})"
        cost = f"${planned['dollars']['expected']:,.0f}"
        if scale == "paper":
            stated = {claim.id: claim.expected for claim in claims().claims}
            time += f"; the paper's took {stated['gpu-hours']:,.0f}"
            cost += f"; the paper's ${stated['dollars']:,.0f}"
        who, hardware, results = ABOUT[scale]
        rows.append([f"`{scale}`", who, hardware, time, cost, f"`{effort.command}`", results])
    return markdown(["scale", "what is real, for whom", "hardware", "time", "cost", "command", "results"], rows)


ABOUT = {
    "mini": (
        "everything, with a tiny model and synthetic problems; for anyone",
        "2 CPU cores, 10 GB of memory",
        "`results/mini/`",
    ),
    "released": (
        "the published weights of the paper's table, evaluated; for a reviewer",
        "one GPU of 24 GB or more with bf16 (compute capability 8.0), or SLURM",
        "`results/released/`",
    ),
    "paper": ("everything; for a group", "8, then 32 A100-80GB, SLURM", "`results/paper/`, `results/table.csv`"),
}
"""Scale → what it is, and where."""


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


def effort() -> str:
    """Scale by scale: the command, and what it takes."""
    efforts = {"the paper's arithmetic": claims().arithmetic}
    efforts |= {f"scale `{scale}`": effort for scale, effort in claims().effort.items()}
    rows = [
        [what, str(count_of(what)), f"`{e.command}`", f"{e.human_minutes:g}", f"{e.machine_hours:g} ({e.machine})"]
        for what, e in efforts.items()
    ]
    return markdown(["checked by", "claims", "command", "human minutes", "machine hours"], rows)


def count_of(what: str) -> int:
    """Claims that are checked at a scale, or by arithmetic alone."""
    arithmetic = [claim for claim in claims().claims if is_arithmetic(claim)]
    if not what.startswith("scale"):
        return len(arithmetic)
    return sum(what.split("`")[1] in claim.scales for claim in claims().claims) - len(arithmetic)


def claims_of(belongs: Callable[[Claim], bool]) -> Callable[[], str]:
    """A table of some claims, with what the reference runs measured."""

    def block() -> str:
        rows = [claim_row(claim) for claim in claims().claims if belongs(claim)]
        return markdown(["claim", "where", "scales", "expected", "why this tolerance", "measured", "verdict"], rows)

    return block


def unmeasured() -> str:
    """A table of what the paper states and nothing here measures."""
    rows = [
        [f"**{claim.id}** {claim.statement}", claim.section, claim.note or ""]
        for claim in claims().claims
        if is_unmeasured(claim)
    ]
    return markdown(["statement", "where", "why it is not measured"], rows)


def claim_row(claim: Claim) -> list[str]:
    note = f"<br>{claim.note}" if claim.note else ""
    scales = "any" if is_arithmetic(claim) else " ".join(f"`{scale}`" for scale in claim.scales) or "none"
    first = [f"**{claim.id}** {claim.statement}{note}", claim.section, scales]
    return [*first, expectation(claim), claim.reason, *found_in_reference(claim)]


def found_in_reference(claim: Claim) -> tuple[str, str]:
    """(measured, verdict) of the reference run of the first scale that has one; arithmetic needs none."""
    if is_arithmetic(claim):
        finding = Finding(claim, claim_value(reference(claim.scales[0]), claim.measure))
        return value_text(finding), finding.verdict
    rows = [row for scale in claim.scales for row in reference(scale).claims if row["id"] == claim.id]
    return next(((row["measured"], row["verdict"]) for row in rows if row["measured"]), ("–", "not run"))


def markdown(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def is_arithmetic(claim: Claim) -> bool:
    return isinstance(claim.measure, Constant)


def is_mini(claim: Claim) -> bool:
    return "mini" in claim.scales and not is_arithmetic(claim)


def is_released(claim: Claim) -> bool:
    return "released" in claim.scales and "mini" not in claim.scales


def is_paper(claim: Claim) -> bool:
    return claim.scales == ["paper"]


def is_unmeasured(claim: Claim) -> bool:
    return not claim.scales


BLOCKS: dict[str, Callable[[], str]] = {
    "mini-table": mini_table,
    "mini-results": mini_results,
    "mini-cost": mini_cost,
    "mini-size": mini_size,
    "scales": scales,
    "mini-compute": mini_compute,
    "effort": effort,
    "claims-mini": claims_of(is_mini),
    "claims-released": claims_of(is_released),
    "claims-paper": claims_of(is_paper),
    "claims-arithmetic": claims_of(is_arithmetic),
    "claims-unmeasured": unmeasured,
}
"""What can be filled in; a claim is in exactly one of the five tables."""
