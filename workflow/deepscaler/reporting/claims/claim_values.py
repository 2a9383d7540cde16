"""A claim's number out of a scale's results."""

from pathlib import Path

from deepscaler import dag, settings
from deepscaler.reporting.claims.from_samples import ANSWERS, length_error, limited, malformed_right, unwanted_problems
from deepscaler.reporting.claims.results import Estimate, Results, number
from deepscaler.settings.claims import (
    Completeness,
    ComputeValue,
    Constant,
    CurveValue,
    MalformedRight,
    Measure,
    ProblemCount,
    Significance,
    StepCount,
    TableCell,
    TokenCell,
    TrainingValue,
    Unmeasured,
)


def measure(results: Results, wanted: Measure) -> Estimate | None:
    """The number with its standard error, or None where the results do not hold it yet."""
    estimate = single(results, wanted)
    for other, combine in ((wanted.minus, difference), (wanted.over, quotient)):
        if other is not None:
            second = measure(results, other)
            estimate = combine(estimate, second) if estimate and second else None
    return estimate


def difference(first: Estimate, second: Estimate) -> Estimate:
    return Estimate(first.value - second.value, root_of_squares(first.standard_error, second.standard_error))


def quotient(first: Estimate, second: Estimate) -> Estimate | None:
    if not second.value:
        return None
    value = first.value / second.value
    parts = [
        None if part.standard_error is None or not part.value else value * part.standard_error / part.value
        for part in (first, second)
    ]
    return Estimate(value, root_of_squares(*parts))


def root_of_squares(*errors: float | None) -> float | None:
    """The standard error of a sum or difference of independent estimates; None where none is known."""
    known = [error for error in errors if error is not None]
    return sum(error**2 for error in known) ** 0.5 if known else None


def single(results: Results, wanted: Measure) -> Estimate | None:
    match wanted:
        case Constant():
            return Estimate(wanted.value)
        case TableCell():
            return table_cell(results, wanted)
        case TokenCell():
            return tokens(results, wanted)
        case TrainingValue():
            return training_value(results, wanted)
        case CurveValue():
            return curve_value(results, wanted)
        case StepCount():
            made = [step for step in results.training if wanted.stage in (None, step.stage)]
            return Estimate(len(made)) if made else None
        case ProblemCount():
            return problems(results, wanted)
        case ComputeValue():
            return compute_value(results, wanted)
        case Completeness():
            return completeness(results)
        case Significance():
            return significance(results, wanted)
        case MalformedRight():
            return malformed_right(results)
        case Unmeasured():
            return None


def table_cell(results: Results, wanted: TableCell) -> Estimate | None:
    cell = results.cell(wanted.system, wanted.column) if wanted.limit is None else limited(results, wanted)
    if wanted.against is None or cell is None:
        return cell
    other = table_cell(results, wanted.model_copy(update={"system": wanted.against, "against": None}))
    return difference(cell, other) if other else None


def tokens(results: Results, wanted: TokenCell) -> Estimate | None:
    """Mean tokens, or the share of answers that were cut off; `average` is the mean over benchmarks."""
    if wanted.limit is not None:
        return limited(results, wanted)
    score = results.scores(wanted.system)
    if score is None:
        return None
    values = [
        entry["truncated"] if wanted.answers == "truncated" else entry["tokens"][ANSWERS[wanted.answers]]
        for entry in score["benchmarks"].values()
        if wanted.column in (entry["column"], "average")
    ]
    if not values or None in values:
        return None
    return Estimate(sum(values) / len(values), length_error(results, wanted))


def training_value(results: Results, wanted: TrainingValue) -> Estimate | None:
    """The mean of the first, last, lowest or highest run of steps in a stage."""
    values = [
        value
        for step in results.training
        if step.stage == wanted.stage and (value := step.value(wanted.series)) is not None
    ]
    if not values:
        return None
    width = min(wanted.steps, len(values))
    means = [sum(values[i : i + width]) / width for i in range(len(values) - width + 1)]
    chosen = {"start": means[0], "end": means[-1], "minimum": min(means), "maximum": max(means)}[wanted.at]
    return Estimate(chosen * (100 if wanted.series == "truncated" else 1))


def curve_value(results: Results, wanted: CurveValue) -> Estimate | None:
    segments = {segment.total_last: segment for segment in dag.segments(results.scale)}
    found = []
    for point, estimate in results.curve():
        segment = segments.get(point.total_step)
        early = segment is None or wanted.by is None or segment.last <= wanted.by
        if (segment.stage if segment else None) == wanted.stage and early:
            found.append(estimate)
    if not found:
        return None
    return found[-1] if wanted.at == "end" else max(found, key=lambda estimate: estimate.value)


def problems(results: Results, wanted: ProblemCount) -> Estimate | None:
    if wanted.which != "all":
        return unwanted_problems(results, wanted.which)
    total = next((row for row in results.curation if row["source"] == "total"), None)
    kept = number(total, "kept", results.folder / "curation.csv") if total else None
    return None if kept is None else Estimate(kept)


def compute_value(results: Results, wanted: ComputeValue) -> Estimate | None:
    where = results.folder / "compute.csv"
    everything = "all" if wanted.rule == "train_segment" else ""
    key = (wanted.rule or "total", wanted.stage or everything)
    row = next((row for row in results.compute if (row["rule"], row["stage"]) == key), None)
    value = number(row, wanted.quantity, where) if row else None
    return None if value is None else Estimate(value)


def completeness(results: Results) -> Estimate:
    declared = declared_results(results)
    return Estimate(100 * sum(path.exists() for path in declared) / len(declared))


def declared_results(results: Results) -> list[Path]:
    """The files of results/{scale} that must be there before its claims are checked."""
    names = ["table.csv", "table.md", "tokens.csv", "agreement.csv", "comparisons.csv", "compute.csv", "settings.yaml"]
    names += [f"scores/{system}-{suite}.json" for system, suite in dag.scored(results.scale)]
    figures = [5]
    if settings.load_scale(results.scale).training:
        names += ["curation.csv", "training.csv", "contamination.csv"]
        figures = [1, 2, 3, 4, 5]
    names += [f"figures/figure-{n}.{kind}" for n in figures for kind in ("png", "pdf")]
    names += [f"notebooks/figure-{n}.ipynb" for n in figures]
    return [results.folder / name for name in names]


def significance(results: Results, wanted: Significance) -> Estimate | None:
    """The p-value where the system is better, else 1."""
    for row in results.comparisons:
        if (row["system"], row["against"], row["benchmark"]) == (wanted.system, wanted.against, wanted.column):
            where = results.folder / "comparisons.csv"
            gain, p_value = number(row, "difference", where), number(row, "p_bootstrap", where)
            return None if gain is None or p_value is None else Estimate(p_value if gain > 0 else 1.0)
    return None
