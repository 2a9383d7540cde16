"""What is graded again: a scale's kept completions, with their golds and this project's own verdicts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deepscaler import dag, records, settings
from deepscaler.errors import UserError
from deepscaler.evaluation.grade_samples import complete
from deepscaler.evaluation.requests import protocol_of, read_problems
from deepscaler.files import digest_of
from deepscaler.reward.response import CLOSING, MAX_RESPONSE
from deepscaler.reward.verdicts import MODES

SUITE = "table"


@dataclass(frozen=True)
class Completion:
    """One answer to one problem."""

    system: str
    benchmark: str
    problem_id: str
    sample: int
    problem: str
    golds: tuple[str, ...]
    response: str
    answer: str | None
    """What this project's graders found in the box."""
    own: dict[str, bool]
    """The verdicts of `paper` and `strict`."""

    @property
    def cell(self) -> tuple[str, str]:
        return self.system, self.benchmark

    @property
    def text(self) -> str:
        """What harnesses are shown: what follows the thinking, as they are run on models that think."""
        return self.response[-MAX_RESPONSE:].rpartition(CLOSING)[2]

    def key(self, gold: str) -> str:
        """Of a question, whoever asks it: equal ones are asked once."""
        return digest_of([gold, self.text])[:24]


def completions(scale: str, work: Path, samples: int | None) -> list[Completion]:
    """All of the suite `table`; of each problem the first `samples`, if so many are asked for.

    Raises:
        UserError: there are none, or what there is does not fit together.
    """
    found = [row for system in dag.evaluated(scale) for row in of_system(scale, system, work, samples)]
    if not found:
        raise UserError(f"no graded samples of scale {scale!r}", work / "grades", f"make them with: snakemake {scale}")
    return found


def of_system(scale: str, system: str, work: Path, samples: int | None) -> Iterator[Completion]:
    """Nothing of a system that is not graded yet."""
    grades = work / "grades" / system / f"{SUITE}.parquet"
    if not grades.is_file():
        return
    names = settings.load_scale(scale).evaluation.suites[SUITE]
    problems = {row["id"]: row for row in read_problems([work / "benchmarks" / f"{name}.parquet" for name in names])}
    shards = sorted((work / "samples" / system).glob(f"{SUITE}-*of*.parquet"))
    verdicts = {(row["problem_id"], row["sample"]): row for row in records.read(grades, records.GRADE).to_pylist()}
    for row in complete(shards, problems, protocol_of(scale, system).samples):
        if samples is not None and row["sample"] >= samples:
            continue
        grade = verdicts.get((row["problem_id"], row["sample"]))
        if grade is None:
            raise UserError(f"no grade of sample {row['sample']} of {row['problem_id']}", grades, "grade again")
        problem = problems[row["problem_id"]]
        yield Completion(
            system=system,
            benchmark=row["benchmark"],
            problem_id=row["problem_id"],
            sample=row["sample"],
            problem=problem["problem"],
            golds=tuple(problem["answers"]),
            response=row["response"],
            answer=grade["answer"],
            own={mode: grade[mode] for mode in MODES},
        )
