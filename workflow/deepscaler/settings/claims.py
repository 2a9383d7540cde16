"""The paper's checkable statements, and the miniature's own: config/claims.yaml."""

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from deepscaler.errors import UserError
from deepscaler.settings.base import Name, Strict, validate
from deepscaler.settings.chances import Null, Varies
from deepscaler.settings.load import load_scale, project_root, read_yaml, scale_names

Series = Literal["reward", "response_length", "truncated"]
"""What figures 2 to 4 draw, a value a training step: columns of training.csv."""


class Value(Strict):
    """A number out of a scale's results; `minus` or `over` another one where the claim is a gain or a ratio."""

    minus: "Measure | None" = None
    over: "Measure | None" = None


class TableCell(Value):
    """Pass@1 in percent: table.csv."""

    of: Literal["table"]
    system: Name
    column: str
    against: Name | None = None
    """Another system: then the gain over it, in points."""
    limit: int | None = None
    """As if answers had been cut off at this many tokens: counted from the grades."""


class TokenCell(Value):
    """Mean tokens of a system's answers to a benchmark, or the percentage that is cut off: the scores."""

    of: Literal["tokens"]
    system: Name
    column: str
    """The benchmark's column in table.csv, or `average`."""
    answers: Literal["right", "wrong", "all", "truncated"]
    limit: int | None = None
    """As if answers had been cut off at this many tokens: counted from the grades."""


class TrainingValue(Value):
    """A series of a stage, averaged over some steps: training.csv."""

    of: Literal["training"]
    stage: Name
    series: Series
    at: Literal["start", "end", "minimum", "maximum"]
    """The first or last `steps` steps, or the lowest or highest mean of `steps` steps in a row."""
    steps: int = Field(gt=0)


class CurveValue(Value):
    """Pass@1 in percent along figure 1: at a stage's end, or the highest of its checkpoints."""

    of: Literal["curve"]
    stage: Name | None
    """None is the base model."""
    at: Literal["end", "maximum"]
    by: int | None = None
    """Only the stage's first `by` steps."""


class StepCount(Value):
    """Training steps that were made in a stage, or in all: training.csv."""

    of: Literal["steps"]
    stage: Name | None = None


class ProblemCount(Value):
    """Problems that curation ended with: all of them (curation.csv), or those whose text should not be there."""

    of: Literal["problems"]
    which: Literal["all", "repeated", "in_benchmarks"]
    """`repeated` elsewhere among them, or word by word `in_benchmarks`, whatever its blanks and case."""


class ComputeValue(Value):
    """A column of the ledger, summed over a rule or over everything: compute.csv."""

    of: Literal["compute"]
    rule: str | None = None
    stage: Name | None = None
    """Of train_segment: one stage, or all."""
    quantity: Literal["gpu_hours", "core_hours", "wall_hours", "dollars"]


class Completeness(Value):
    """The share of the scale's declared results that are there, in percent."""

    of: Literal["completeness"]


class Significance(Value):
    """p of a paired bootstrap over problems that a system is no better than another: comparisons.csv."""

    of: Literal["significance"]
    system: Name
    against: Name
    column: str


class MalformedRight(Value):
    """Answers without the format that the reward asks for which were graded right all the same: the grades."""

    of: Literal["malformed_right"]


class Constant(Value):
    """A number that the paper states elsewhere, for claims about its own arithmetic."""

    of: Literal["paper"]
    value: float


class Unmeasured(Value):
    """What the paper states and nothing here measures; the claim's note gives the reason."""

    of: Literal["nothing"]


Measure = Annotated[
    TableCell
    | TokenCell
    | TrainingValue
    | CurveValue
    | StepCount
    | ProblemCount
    | ComputeValue
    | Completeness
    | Significance
    | MalformedRight
    | Unmeasured
    | Constant,
    Field(discriminator="of"),
]


class Line(Strict):
    """Where a figure shows the expected value as a reference line."""

    number: int = Field(ge=1, le=5)
    series: Series | None = None
    """Which panel of the figure; None for figures 1 and 5."""


Kind = Literal["measured", "arithmetic", "by construction", "illustrative", "not measurable"]
KINDS: dict[str, Kind] = {
    "as a measurement": "measured",
    "as a check": "by construction",
    "for nothing": "illustrative",
}


class Claim(Strict):
    id: Name
    statement: str
    section: str
    """Where the paper, or this repository, states it."""
    scales: list[Name]
    """Where it can be checked; none of what is not measured."""
    measure: Measure
    counts: Literal["as a measurement", "as a check", "for nothing"]
    """A check is met by construction, by whatever finishes; `for nothing`: an illustration, met by chance too often."""
    expected: float
    comparison: Literal["within", "at_least", "at_most"]
    tolerance: float = Field(ge=0)
    errors: float = Field(ge=0)
    """Of `at_least`, `at_most`: the measured value must differ from `expected` by this many of its standard errors."""
    honest: float | None = None
    """What an honest re-run would measure, where neither `expected` nor the paper's table says it."""
    rules_out: Null | None = None
    """What must not meet the claim; None where a model five points worse is all that could."""
    unit: str
    reason: str
    """Why the tolerance is what it is."""
    note: str | None = None
    """Where the paper disagrees with itself, or later measurements with the paper."""
    figure: Line | None = None

    @model_validator(mode="after")
    def is_measured_or_explained(self) -> "Claim":
        if isinstance(self.measure, Unmeasured) != (not self.scales):
            raise ValueError(f"claim {self.id!r}: scales say where it is measured, and are empty where nothing is")
        if self.errors and self.comparison == "within":
            raise ValueError(f"claim {self.id!r}: `errors` are of at_least and at_most")
        if isinstance(self.measure, Unmeasured) and not self.note:
            raise ValueError(f"claim {self.id!r}: the note must say why nothing is measured")
        return self

    @property
    def kind(self) -> "Kind":
        """How it counts: a claim is of exactly one kind."""
        if isinstance(self.measure, Unmeasured):
            return "not measurable"
        if isinstance(self.measure, Constant):
            return "arithmetic"
        return KINDS[self.counts]

    @property
    def needs_error(self) -> bool:
        """Whether the claim can't be judged without a standard error."""
        return self.errors > 0

    def holds(self, value: float, standard_error: float | None = None) -> bool:
        """Whether a measured value meets the claim.

        Raises:
            ValueError: the claim counts in standard errors, and none is known; it has no verdict then.
        """
        if self.needs_error and standard_error is None:
            raise ValueError(f"claim {self.id!r}: a standard error is needed")
        slack = self.tolerance - self.errors * (standard_error or 0.0) + 1e-9
        if self.comparison == "at_least":
            return value >= self.expected - slack
        if self.comparison == "at_most":
            return value <= self.expected + slack
        return abs(value - self.expected) <= slack


class Effort(Strict):
    """What it takes to check all claims of a scale."""

    command: str
    human_minutes: float
    machine_hours: float
    machine: str


class Verification(Strict):
    """How `deepscaler verify` samples until a claim is met or outside."""

    error: float = Field(gt=0, lt=1)
    """The chance that a verdict is wrong, or one of several, whatever the time of looking."""
    batch: int = Field(gt=0)
    """Answers to each problem that the first batch draws, and every other one at least."""
    samples: int = Field(gt=0)
    """Answers to each problem at most."""


class ClaimFile(Strict):
    verify: Verification
    effort: dict[Name, Effort]
    """Scale → its effort."""
    arithmetic: Effort
    """What it takes to check the paper's own arithmetic."""
    varies: Varies
    every_claim: dict[str, str | float]
    """What holds of each claim that does not say otherwise."""
    claims: list[Claim]

    @model_validator(mode="before")
    @classmethod
    def claims_say_what_every_claim_does(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("every_claim"), dict):
            return data
        claims = [data["every_claim"] | one if isinstance(one, dict) else one for one in data.get("claims") or []]
        return data | {"claims": claims}

    @model_validator(mode="after")
    def names_are_known_and_unique(self) -> "ClaimFile":
        seen: set[str] = set()
        for claim in self.claims:
            if claim.id in seen:
                raise ValueError(f"two claims are called {claim.id!r}")
            seen.add(claim.id)
            for scale in claim.scales:
                if scale not in self.effort:
                    raise ValueError(f"claim {claim.id!r}: no effort is given for scale {scale!r}")
        return self


def effort_of(file: ClaimFile, claim: Claim, scale: str) -> Effort | None:
    """What checking a claim takes: at `scale` where it can be checked there, else at the cheapest; None for never."""
    if isinstance(claim.measure, Constant):
        return file.arithmetic
    if not claim.scales:
        return None
    return file.effort[scale if scale in claim.scales else claim.scales[0]]


def claims_path() -> Path:
    return project_root() / "config" / "claims.yaml"


def claims(path: Path | None = None) -> ClaimFile:
    """config/claims.yaml, or another file of its shape."""
    return load(path or claims_path())


@cache
def load(path: Path) -> ClaimFile:
    loaded = validate(ClaimFile, read_yaml(path), path)
    if unknown := sorted(set(loaded.effort) - set(scale_names())):
        raise UserError(f"effort is given for an unknown scale {unknown[0]!r}", path)
    return loaded


def holds_at(claim: Claim, scale: str) -> bool:
    """Whether a claim is checked at a scale: it says so, or the scale says so of it."""
    return scale in claim.scales or (scale in scale_names() and claim.id in load_scale(scale).claims)
