"""From what the chances of config/claims.yaml are computed: what varies between runs, and what claims rule out."""

from typing import Literal, Self

from pydantic import Field, model_validator

from deepscaler.settings.base import Name, Strict


class Null(Strict):
    """What must not meet the claim: training that gives nothing, weights that are another's, no effect at all."""

    what: str
    """In words."""
    system: Name | None = None
    """The system that stands in the place of the measured one: its numbers in the paper are the truth then."""
    value: float | None = None
    """The truth itself, where no system of the paper has it."""

    @model_validator(mode="after")
    def is_one_of_both(self) -> Self:
        if (self.system is None) == (self.value is None):
            raise ValueError("a null is a system or a value")
        return self


class Run(Strict):
    """A finished run of the miniature: what one training gave."""

    of: str
    """Seed, processor, and what else tells it from the others."""
    averages: dict[Name, float]
    """System → its average Pass@1 in percent, as far as it is known."""
    values: dict[Name, float]
    """Claim → what was measured, of claims that are not of averages alone."""


class TrainingVaries(Strict):
    """Standard deviations between trainings of the paper's recipe that differ in nothing but chance."""

    reason: str
    columns: dict[str, float]
    """Column of table.csv → percentage points; `other` for those that are not named."""
    series: dict[Literal["reward", "response_length", "truncated"], float]
    """Column of training.csv, in the claims' units."""
    tokens: float
    """Mean tokens of a trained system's answers."""


class Varies(Strict):
    """What differs from run to run: of the miniature as measured, of the larger scales as these values make it."""

    within_share: float = Field(gt=0, le=1)
    """Of the variance of an answer, right or wrong: the share between the samples of a problem."""
    correlation: float = Field(ge=0, le=1)
    """Between two systems' chances of a right answer, over problems."""
    answer_tokens: dict[Literal["right", "wrong", "all"], float]
    """Standard deviations of the lengths of answers to AIME 2024."""
    single_answers: list[Name]
    """Systems whose numbers in the paper are of one answer a problem; those of the others are of as many as ours."""
    training: TrainingVaries
    runs: list[Run]
    """Of the miniature."""
