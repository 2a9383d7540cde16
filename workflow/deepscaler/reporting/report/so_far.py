"""`deepscaler report --so-far`: the report of what there is while a run goes on, in results/{scale}/so-far.html.

Tables, figures and the ledger are made from the checkpoints' metrics, the scores and the logs that are there, in a
folder of their own that is removed at the end. Nothing of the workflow's is written, and Snakemake is not asked, so it
may run meanwhile. Its jobs rename their files into place, so that none is read half-written; one that goes away, since
it is made again, starts the page anew.
"""

import contextlib
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from deepscaler import dag, settings
from deepscaler.errors import JobError, UserError
from deepscaler.evaluation.curve import current
from deepscaler.evaluation.tabulate import tabulate
from deepscaler.files import link, write_text, writing
from deepscaler.reporting.claims.check_claims import FIELDS, Finding, as_row
from deepscaler.reporting.claims.claim_values import claim_value
from deepscaler.reporting.claims.counts import NOT_YET
from deepscaler.reporting.claims.results import Results
from deepscaler.reporting.compute.account_compute import account_compute
from deepscaler.reporting.compute.run_status import read_status
from deepscaler.reporting.compute.status_screen import headline, ledger_lines
from deepscaler.reporting.figures import figures, style
from deepscaler.reporting.provenance.resolve_settings import resolve_settings
from deepscaler.reporting.report.write_report import page_of
from deepscaler.settings.claims import claims, holds_at
from deepscaler.training.collect_metrics import write_steps
from deepscaler.training.watch.timeline import timeline

NAME = "so-far.html"
TRIES = 3
"""A file that is read may be removed meanwhile: its job is making it again."""
COPIED = ("curation.csv", "contamination.csv")
FEWEST_STEPS = 2
"""Of a line in a figure."""


def report(*, scale: str, so_far: bool, output: Path | None) -> Path:
    """Write the page and return where."""
    if not so_far:
        whole = f"results/{scale}/report.html"
        raise UserError("the whole report is a rule's", "report", f"`snakemake {whole}`; of what there is: --so-far")
    root = settings.run_root()
    results, work = root / "results" / scale, root / settings.site().work / scale
    settings.load_scale(scale)  # a scale that is none is refused before anything is made
    for attempt in range(1, TRIES + 1):
        try:
            with TemporaryDirectory(prefix="deepscaler-so-far-") as folder:
                gather(scale, results, work, root / "logs" / scale, Path(folder))
                page = page_of(Results(scale, Path(folder)), work, so_far=how_far(scale, Path(folder)))
            break
        except (UserError, JobError, OSError):
            if attempt == TRIES:
                raise
    output = output or results / NAME
    write_text(output, page)
    return output


def how_far(scale: str, folder: Path) -> str:
    """What the page begins with: the lines of `deepscaler status`, or how many systems are scored."""
    if settings.load_scale(scale).training is None:
        scored = len(list(folder.glob("scores/*-table.json")))
        return f"{scored} of {len(dag.evaluated(scale))} systems are scored."
    found = read_status(scale)
    return ". ".join([headline(found), *ledger_lines(found)]) + "."


def gather(scale: str, results: Path, work: Path, logs: Path, folder: Path) -> None:
    """Lay into a folder of results what a run has so far, by the rules' own functions."""
    for name in COPIED:
        bring(results / name, folder / name)
    resolve_settings(scale=scale, output=folder / "settings.yaml")
    scores = {(point.system, point.suite): point for point in dag.curve(scale)}
    scores |= {(name, "table"): dag.CurvePoint(0, name, "table") for name in dag.evaluated(scale)}
    for (system, suite), point in scores.items():
        if path := current(scale, point, results, work):
            bring(path, folder / "scores" / path.name)
            bring(work / "grades" / system / f"{suite}.parquet", folder / "grades" / system / f"{suite}.parquet")
    tables(scale, folder)
    rows = timeline(scale, work)
    if rows:
        write_steps(rows, folder / "training.csv")
    if any(logs.glob("*/*.tsv")):
        account_compute(scale=scale, benchmarks=logs, output=folder / "compute.csv")
    draw(scale, folder, [str(row["stage"]) for row in rows])
    list_claims(scale, folder)


def bring(source: Path, target: Path) -> None:
    """A file that is there, as it is now: what is renamed over it later does not change the link."""
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        link(str(source), str(target))


def tables(scale: str, folder: Path) -> None:
    """Those of the systems that are scored."""
    systems = [name for name in dag.evaluated(scale) if (folder / "scores" / f"{name}-table.json").is_file()]
    grades = [folder / "grades" / name / "table.parquet" for name in systems]
    if not systems or not all(path.is_file() for path in grades):
        return
    with contextlib.redirect_stdout(io.StringIO()):
        tabulate(
            scale=scale,
            scores=[folder / "scores" / f"{name}-table.json" for name in systems],
            grades=grades,
            curve_scores=curve_files(scale, folder),
            table=folder / "table.csv",
            markdown=folder / "table.md",
            tokens=folder / "tokens.csv",
            agreement=folder / "agreement.csv",
            comparisons=folder / "comparisons.csv",
            curve=folder / "curve.csv",
            so_far=True,
        )


def curve_files(scale: str, folder: Path) -> list[Path]:
    paths = (folder / "scores" / f"{point.system}-{point.suite}.json" for point in dag.curve(scale))
    return [path for path in paths if path.is_file()]


def draw(scale: str, folder: Path, stages: Sequence[str]) -> None:
    """The figures that there is something for; `stages`: of each step that was made.

    Figure 3, of the end of the first stage, waits for it.
    """
    data: dict[int, list[Path]] = {}
    if dag.segments(scale) and (points := curve_files(scale, folder)):
        data[1] = points
    if len(stages) >= FEWEST_STEPS:
        first = dag.segments(scale)[0].stage
        numbers = (2, 3, 4) if stages.count(first) == dag.last_segment(scale, first).last else (2, 4)
        data |= {number: [folder / "training.csv"] for number in numbers}
    if (folder / "table.csv").is_file():
        data[5] = [folder / "table.csv"]
    for number, files in data.items():
        place = folder / "figures" / f"figure-{number}.png"
        style.save(figures.draw(number, scale, files), place, place.with_suffix(".pdf"))


def list_claims(scale: str, folder: Path) -> None:
    """claims.csv, in which nothing is judged that the rest of the run may still change."""
    file = claims(settings.project_root() / "config" / "claims.yaml")
    results = Results(scale, folder)
    rows = []
    for claim in file.claims:
        here = holds_at(claim, scale)
        measured = claim_value(results, claim.measure) if here and claim.kind == "arithmetic" else None
        row = as_row(scale, file, Finding(claim, measured))
        rows.append(row | {"verdict": NOT_YET} if here and row["verdict"] == "not run" else row)
    with writing(folder / "claims.csv") as aside, aside.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
