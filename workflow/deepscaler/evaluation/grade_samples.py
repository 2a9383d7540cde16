"""Verdicts of both graders on every sample of a suite; minutes on CPUs, so that a better grader costs no GPU."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from deepscaler import records, settings
from deepscaler.errors import UserError
from deepscaler.evaluation.requests import protocol_of, read_problems
from deepscaler.progress import progress
from deepscaler.reward.pool import GradingPool
from deepscaler.reward.verdicts import MODES, STRICT, ResponseVerdict, ThinkRule
from deepscaler.settings import load_scale
from deepscaler.settings.corrections import corrected_answers
from deepscaler.versions import SAMPLING, versions


def grade_samples(
    *, scale: str, system: str, samples: list[Path], benchmarks: list[Path], output: Path, threads: int
) -> None:
    """Write the grades of all shards of a suite, ordered by problem and sample."""
    protocol = protocol_of(scale, system)
    problems = {row["id"]: row for row in read_problems(benchmarks)}
    completions = complete(samples, problems, protocol.samples)
    limits = load_scale(scale).evaluation.grading  # an answer beyond them counts as wrong and is reported
    with GradingPool(threads, limits.seconds, limits.memory_mb) as pool:
        rows = list(graded(pool, completions, problems, protocol.prompting.think))
        corrected = corrected_verdicts(pool, completions, problems, protocol.prompting.think)
        killed = pool.killed
    metadata = {
        **origin(samples),
        "think": protocol.prompting.think,
        "stopped": str(killed),
        "grading": json.dumps(versions(SAMPLING)),
        **({"corrected": json.dumps(corrected)} if corrected else {}),
    }
    records.write(output, rows, records.GRADE, metadata)
    right = {mode: sum(row[mode] for row in rows) / len(rows) for mode in MODES}
    print(
        f"{system}: {len(rows)} samples, right: "
        + ", ".join(f"{100 * share:.1f} % ({mode})" for mode, share in right.items())
        + (f"; grading stopped at {killed} answers, which count as wrong" if killed else "")
    )


def origin(shards: list[Path]) -> dict[str, str]:
    """Model, protocol and versions that the shards record; a UserError where two shards differ."""
    metadata: dict[str, str] = {}
    for path in shards:
        stored = records.metadata(path)
        found: dict[str, str] = {key: stored[key] for key in ("model", "protocol", "versions") if key in stored}
        if metadata and found != metadata:
            raise UserError("shards of different models, settings or versions", path, "delete the older ones")
        metadata = found
    return metadata


def complete(shards: list[Path], problems: dict[str, dict[str, Any]], samples: int) -> list[dict[str, Any]]:
    """The completions of all shards in order of problem and sample, or a UserError that names what is missing."""
    rows = [row for path in shards for row in records.read(path, records.COMPLETION).to_pylist()]
    order = {identifier: position for position, identifier in enumerate(problems)}
    for row in rows:
        if row["problem_id"] not in order:
            raise UserError(f"a sample of {row['problem_id']}, which is in none of the benchmarks", shards[0].parent)
    rows.sort(key=lambda row: (order[row["problem_id"]], row["sample"]))
    found = [(row["problem_id"], row["sample"]) for row in rows]
    expected = [(identifier, sample) for identifier in problems for sample in range(samples)]
    if found != expected:
        missing = sorted(set(expected) - set(found))
        what = f"{len(missing)} samples missing, first {missing[0]}" if missing else "samples occur twice"
        raise UserError(what, shards[0].parent, "sample again")
    return rows


def graded(
    pool: GradingPool, completions: list[dict[str, Any]], problems: dict[str, dict[str, Any]], think: ThinkRule
) -> Iterator[dict[str, Any]]:
    """Grades in the order of the completions."""
    questions = (
        (problems[row["problem_id"]]["answers"], row["response"], mode, think) for row in completions for mode in MODES
    )
    verdicts = pool.grade_responses(questions)
    for row in progress(completions, what="grading", unit="sample"):
        yield grade(row, dict(zip(MODES, islice(verdicts, len(MODES)), strict=True)))


def corrected_verdicts(
    pool: GradingPool, completions: list[dict[str, Any]], problems: dict[str, dict[str, Any]], think: ThinkRule
) -> dict[str, list[int]]:
    """Of each problem whose gold is corrected: how `strict` grades its samples, in their order, by what is right.

    `paper` grades by the benchmark's own golds alone, so that its numbers are the paper's.
    """
    known = settings.corrections()
    accepted = {
        name: answers
        for name, row in problems.items()
        if (answers := corrected_answers(known.get(row["benchmark"], ()), row["problem"], row["answers"]))
    }
    asked = [row for row in completions if row["problem_id"] in accepted]
    questions = ((accepted[row["problem_id"]], row["response"], STRICT, think) for row in asked)
    found: dict[str, list[int]] = {}
    for row, verdict in zip(asked, pool.grade_responses(questions), strict=True):
        found.setdefault(row["problem_id"], []).append(int(verdict.correct))
    return found


def grade(row: dict[str, Any], verdicts: dict[str, ResponseVerdict]) -> dict[str, Any]:
    """A completion's verdicts as a row; the answer is the paper's reading, else the strict one, which finds more."""
    answers = (verdicts[mode].answer for mode in MODES)
    return {
        **{key: row[key] for key in ("system", "benchmark", "problem_id", "sample", "tokens", "finish_reason")},
        "answer": next((answer for answer in answers if answer is not None), None),
        "well_formed": verdicts["paper"].well_formed,
        **{mode: verdict.correct for mode, verdict in verdicts.items()},
        **{f"{mode}_reason": verdict.reason for mode, verdict in verdicts.items()},
    }
