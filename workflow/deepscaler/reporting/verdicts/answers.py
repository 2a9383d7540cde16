"""A system's graded answers to a scale's benchmarks, as far as they were drawn, and how more of them are."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from deepscaler import settings
from deepscaler.errors import UserError
from deepscaler.evaluation.requests import read_problems
from deepscaler.evaluation.sample import Sampled, sampled
from deepscaler.evaluation.sample_rounds import Wanted, draw_rounds, kept_answers, requests_of
from deepscaler.reporting.file_names import manifest_name, path_of
from deepscaler.reward.pool import GradingPool

Graded = dict[str, Any]


@dataclass
class Answers:
    """Of one system. What is drawn is kept with the scale's own samples; verdicts are made anew, in memory."""

    scale: str
    system: str
    pool: GradingPool
    found: dict[tuple[str, int], Graded] = field(default_factory=dict)
    """(problem, sample) → its verdict, tokens and finish reason."""

    @cached_property
    def manifest(self) -> Path:
        return path_of(manifest_name(self.scale, self.system))

    @cached_property
    def asked(self) -> Sampled:
        return sampled(self.scale, self.system, self.manifest)

    @property
    def output(self) -> Path:
        """A shard of the system's samples: beside it they are kept."""
        return path_of(f"work/{self.scale}/samples/{self.system}/table-1of1.parquet")

    def load(self, wanted: Wanted) -> None:
        """Find and grade what was drawn of some rounds and is not graded yet."""
        requests = [r for r in requests_of(self.asked, wanted) if (r.problem_id, r.sample) not in self.found]
        if not requests:
            return
        rows = kept_answers(self.asked, self.output, requests)
        drawn = [request for request in requests if request.id in rows]
        golds = {row["id"]: row["answers"] for row in read_problems(wanted)}
        grader, think = settings.load_scale(self.scale).evaluation.grader, self.asked.protocol.prompting.think
        questions = ((golds[one.problem_id], rows[one.id]["response"], grader, think) for one in drawn)
        for request, verdict in zip(drawn, self.pool.grade_responses(questions), strict=True):
            row = rows[request.id]
            kept = {key: row[key] for key in ("tokens", "finish_reason")}
            self.found[request.problem_id, request.sample] = {**kept, "right": verdict.correct}

    def rounds(self, problems: list[str]) -> int:
        """How many samples, from the first on, every one of some problems has."""
        number = 0
        while all((problem, number) in self.found for problem in problems):
            number += 1
        return number

    def draw(self, wanted: Wanted) -> None:
        """Draw rounds, by an engine of their own."""
        draw_rounds(self.scale, self.system, self.manifest, wanted, self.output)


def benchmark_path(scale: str, name: str) -> Path:
    return path_of(f"work/{scale}/benchmarks/{name}.parquet")


def require_inputs(scale: str, systems: list[str], benchmarks: list[str]) -> None:
    """Refuse to start without weights or problems, with the command that brings them."""
    needed = [path_of(manifest_name(scale, system)) for system in systems]
    needed += [benchmark_path(scale, name) for name in benchmarks]
    if missing := [path for path in needed if not path.is_file()]:
        root = settings.run_root()
        names = [str(path.relative_to(root) if path.is_relative_to(root) else path) for path in missing]
        raise UserError(
            f"{len(missing)} files are missing, first {names[0]}", None, f"run `snakemake {' '.join(names)}`"
        )
