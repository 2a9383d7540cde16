"""A claim's number out of a scale's results."""

from dataclasses import replace
from pathlib import Path

from deepscaler import dag, settings
from deepscaler.reporting.claims.errors import difference, estimate_of, quotient
from deepscaler.reporting.claims.from_samples import (
    ANSWERS,
    lengths,
    malformed_right_count,
    unwanted_problem_count,
    with_token_limit,
)
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


def claim_value(results: Results, measure: Measure) -> Estimate | None:
    """The number with its standard error, or None where the results do not hold it yet."""
    estimate = single_value(results, measure)
    for other, combine in ((measure.minus, difference), (measure.over, quotient)):
        if other is not None:
            second = claim_value(results, other)
            estimate = combine(estimate, second) if estimate and second else None
    return estimate


def single_value(results: Results, measure: Measure) -> Estimate | None:
    match measure:
        case Constant():
            return Estimate(measure.value)
        case TableCell():
            return table_value(results, measure)
        case TokenCell():
            return token_value(results, measure)
        case TrainingValue():
            return training_value(results, measure)
        case CurveValue():
            return curve_value(results, measure)
        case StepCount():
            made = [step for step in results.training if measure.stage in (None, step.stage)]
            return Estimate(len(made)) if made else None
        case ProblemCount():
            return problem_count(results, measure)
        case ComputeValue():
            return compute_value(results, measure)
        case Completeness():
            return completeness(results)
        case Significance():
            return significance(results, measure)
        case MalformedRight():
            return malformed_right_count(results)
        case Unmeasured():
            return None


def table_value(results: Results, measure: TableCell) -> Estimate | None:
    cell = cell_value(results, measure) if measure.limit is None else with_token_limit(results, measure)
    if measure.against is None or cell is None:
        return cell
    other = table_value(results, measure.model_copy(update={"system": measure.against, "against": None}))
    return difference(cell, other) if other else None


def cell_value(results: Results, measure: TableCell) -> Estimate | None:
    """A cell of table.csv, with the influences of problems where the system was scored here."""
    cell, score = results.cell(measure.system, measure.column), results.scores(measure.system)
    if cell is None or score is None:
        return cell
    counted = {
        name: {
            problem: [100 * right / entry["samples"]]
            for problem, right in zip(entry["per_problem"]["id"], entry["per_problem"]["correct"], strict=True)
        }
        for name, entry in score["benchmarks"].items()
        if measure.column in (entry["column"], "average")
    }
    found = estimate_of(counted, percent=True)
    return replace(cell, influences=found.influences, ends=found.ends) if found else cell


def token_value(results: Results, measure: TokenCell) -> Estimate | None:
    """Mean tokens, or the share of answers that were cut off; `average` is the mean over benchmarks."""
    if measure.limit is not None:
        return with_token_limit(results, measure)
    score = results.scores(measure.system)
    if score is None:
        return None
    values = [
        entry["truncated"] if measure.answers == "truncated" else entry["tokens"][ANSWERS[measure.answers]]
        for entry in score["benchmarks"].values()
        if measure.column in (entry["column"], "average")
    ]
    if not values or None in values:
        return None
    value, found = sum(values) / len(values), lengths(results, measure)
    return replace(found, value=value) if found else Estimate(value)


def training_value(results: Results, measure: TrainingValue) -> Estimate | None:
    """The mean of the first, last, lowest or highest run of steps in a stage."""
    values = [
        value
        for step in results.training
        if step.stage == measure.stage and (value := step.value(measure.series)) is not None
    ]
    if not values:
        return None
    width = min(measure.steps, len(values))
    means = [sum(values[i : i + width]) / width for i in range(len(values) - width + 1)]
    value = {"start": means[0], "end": means[-1], "minimum": min(means), "maximum": max(means)}[measure.at]
    return Estimate(value * (100 if measure.series == "truncated" else 1))


def curve_value(results: Results, measure: CurveValue) -> Estimate | None:
    segments = {segment.total_last: segment for segment in dag.segments(results.scale)}
    found = []
    for point, estimate in results.curve():
        segment = segments.get(point.total_step)
        early = segment is None or measure.by is None or segment.last <= measure.by
        if (segment.stage if segment else None) == measure.stage and early:
            found.append(estimate)
    if not found:
        return None
    return found[-1] if measure.at == "end" else max(found, key=lambda estimate: estimate.value)


def problem_count(results: Results, measure: ProblemCount) -> Estimate | None:
    if measure.which != "all":
        return unwanted_problem_count(results, measure.which)
    total = next((row for row in results.curation if row["source"] == "total"), None)
    kept = number(total, "kept", results.folder / "curation.csv") if total else None
    return None if kept is None else Estimate(kept)


def compute_value(results: Results, measure: ComputeValue) -> Estimate | None:
    where = results.folder / "compute.csv"
    everything = "all" if measure.rule == "train_segment" else ""
    key = (measure.rule or "total", measure.stage or everything)
    row = next((row for row in results.compute if (row["rule"], row["stage"]) == key), None)
    value = number(row, measure.quantity, where) if row else None
    return None if value is None else Estimate(value)


def completeness(results: Results) -> Estimate:
    declared = declared_results(results)
    return Estimate(100 * sum(path.exists() for path in declared) / len(declared))


def declared_results(results: Results) -> list[Path]:
    """The files of results/{scale} that must be there before its claims are checked."""
    names = ["table.csv", "table.md", "tokens.csv", "agreement.csv", "comparisons.csv", "curve.csv"]
    names += ["compute.csv", "settings.yaml"]
    names += [f"scores/{system}-{suite}.json" for system, suite in dag.scored(results.scale)]
    figures = [5]
    if settings.load_scale(results.scale).training:
        names += ["curation.csv", "training.csv", "contamination.csv"]
        figures = [1, 2, 3, 4, 5]
    names += [f"figures/figure-{n}.{kind}" for n in figures for kind in ("png", "pdf")]
    names += [f"notebooks/figure-{n}.ipynb" for n in figures]
    return [results.folder / name for name in names]


def significance(results: Results, measure: Significance) -> Estimate | None:
    """The p-value where the system is better, else 1."""
    for row in results.comparisons:
        if (row["system"], row["against"], row["benchmark"]) == (measure.system, measure.against, measure.column):
            where = results.folder / "comparisons.csv"
            gain, p_value = number(row, "difference", where), number(row, "p_bootstrap", where)
            return None if gain is None or p_value is None else Estimate(p_value if gain > 0 else 1.0)
    return None
