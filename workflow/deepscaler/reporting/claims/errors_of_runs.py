"""By how much a value of the larger scales will vary from run to run: computed, since no run has measured it yet.

From the number of problems and samples, the paper's rates, and what `varies` of config/claims.yaml assumes. An error is
that of another run on the same problems, within them; `paired` alone is of other problems too. In the claim's unit.
"""

from dataclasses import dataclass
from functools import cached_property
from math import hypot, sqrt

from deepscaler import settings
from deepscaler.settings.benchmarks import Benchmark
from deepscaler.settings.chances import Varies
from deepscaler.settings.claims import (
    ClaimFile,
    CurveValue,
    Measure,
    Significance,
    TableCell,
    TokenCell,
    TrainingValue,
)
from deepscaler.settings.models import Reported, Trained

SCALE = "paper"
"""Whose test sets and samples are meant; `released` has the same."""
UNKNOWN_RATE = 50.0
"""Percent, where the paper states none: what varies most."""
AIME = "aime_2024"


@dataclass(frozen=True)
class RunErrors:
    """The errors of a file of claims."""

    file: ClaimFile

    @property
    def varies(self) -> Varies:
        return self.file.varies

    @cached_property
    def samples(self) -> int:
        return settings.load_scale(SCALE).evaluation.samples

    def of_ours(self, measure: Measure) -> float | None:
        """Of what we measure; None where nothing varies by chance, or nobody can say by how much."""
        return self.of(measure, ours=True)

    def of_papers(self, measure: Measure) -> float:
        """Of the paper's number: what it printed was one run, too."""
        return self.of(measure, ours=False) or 0.0

    def of(self, measure: Measure, *, ours: bool) -> float | None:
        match measure:
            case TableCell():
                return hypot(self.of_sampling(measure, ours=ours), self.of_training(measure))
            case Significance():
                return self.paired(measure) if ours else 0.0
            case TokenCell():
                return self.of_tokens(measure)
            case TrainingValue():
                return self.varies.training.series[measure.series]
            case CurveValue():
                return hypot(self.of_cell(f"deepscaler-{measure.stage}", AIME, ours=ours), self.training_in(AIME))
            case _:
                return None

    def of_sampling(self, measure: TableCell, *, ours: bool) -> float:
        if isinstance(measure.minus, TableCell):
            # Both are of the same answers, so that what varies is the share of those that the second leaves out
            first, second = self.stated_here(measure), self.stated_here(measure.minus)
            return self.of_rate(first - second, measure.column, self.samples)
        error = self.of_cell(measure.system, measure.column, ours=ours)
        return hypot(error, self.of_cell(measure.against, measure.column, ours=ours)) if measure.against else error

    def of_cell(self, system: str, column: str, *, ours: bool) -> float:
        """Of a cell of the table: that of a quoted number is none, since both sides quote the same."""
        if isinstance(settings.systems()[system], Reported):
            return 0.0
        samples = 1 if not ours and system in self.varies.single_answers else self.samples
        if column != "average":
            return self.of_rate(rate(system, column), column, samples)
        parts = [self.of_rate(rate(system, test.column), test.column, samples) for test in tests("average")]
        return hypot(*parts) / len(parts)

    def of_rate(self, percent: float, column: str, samples: int) -> float:
        """Of a rate over the problems of one test set, within them."""
        [test] = tests(column)
        return sqrt(self.varies.within_share * percent * (100 - percent) / (test.size * samples))

    def of_training(self, measure: TableCell) -> float:
        """Of the stage that made the system; the checkpoint that it began with is the same in both terms of a gain."""
        return self.training_in(measure.column) if isinstance(settings.systems()[measure.system], Trained) else 0.0

    def training_in(self, column: str) -> float:
        columns = self.varies.training.columns
        return columns.get(column, columns["other"])

    def of_tokens(self, measure: TokenCell) -> float:
        """Of a mean length, or of the ratio of two."""
        answers = sum(test.size for test in tests(measure.column)) * self.samples
        if measure.answers == "truncated":
            return self.of_rate(self.stated_here(measure), measure.column, self.samples)
        right = rate(measure.system, measure.column) / 100
        share = {"right": right, "wrong": 1 - right, "all": 1.0}[measure.answers]
        deviation = self.varies.answer_tokens[measure.answers]
        if measure.limit is not None:  # no wider than if every length up to the limit were as frequent
            deviation = min(deviation, measure.limit / sqrt(12))
        error = deviation / sqrt(answers * share)
        if isinstance(settings.systems()[measure.system], Trained):
            error = hypot(error, self.varies.training.tokens)
        if not isinstance(measure.over, TokenCell):
            return error
        first, second = self.stated_here(measure), self.stated_here(measure.over)
        return hypot(error / first, self.of_tokens(measure.over) / second) * first / second

    def paired(self, measure: TableCell | Significance) -> float:
        """Of a gain over another system, of other problems and samples, paired by problem."""
        parts = []
        for test in tests(measure.column):
            percent = (rate(measure.system, test.column) + rate(measure.against or measure.system, test.column)) / 2
            within, between = self.varies.within_share, 1 - self.varies.within_share
            share = 2 * (1 - self.varies.correlation) * between + 2 * within / self.samples
            parts.append(sqrt(share * percent * (100 - percent) / test.size))
        return hypot(*parts) / len(parts)

    def stated_here(self, measure: TableCell | TokenCell) -> float:
        """What the paper states of a term of a measure, by the claim that is of this term alone."""
        alone = measure.model_copy(update={"minus": None, "over": None})
        return next(claim.expected for claim in self.file.claims if claim.measure == alone)


def tests(column: str) -> list[Benchmark]:
    """The test set of a column; all of the table for `average`."""
    suites = settings.load_scale(SCALE).evaluation.suites
    chosen = [suites["table"]] if column == "average" else suites.values()
    names = dict.fromkeys(name for suite in chosen for name in suite)
    return [test for test in map(settings.benchmarks().__getitem__, names) if column in (test.column, "average")]


def rate(system: str, column: str) -> float:
    """Percent, as the paper states it of a system."""
    found = stated_cell(system, column)
    return UNKNOWN_RATE if found is None else found


def stated_cell(system: str, column: str) -> float | None:
    entry = settings.systems()[system]
    scores = entry.scores if isinstance(entry, Reported) else getattr(entry, "paper", {})
    return scores.get(column)


def stated(measure: TableCell | Significance) -> float | None:
    """What the paper's table says of a measure: a cell, or the difference of two."""
    ours = stated_cell(measure.system, measure.column)
    if measure.against is None or ours is None:
        return ours
    theirs = stated_cell(measure.against, measure.column)
    return None if theirs is None else ours - theirs
