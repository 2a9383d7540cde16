"""The systems of the table, each published, distilled here, trained here, or reported by others: config/models.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from deepscaler.reward.verdicts import ThinkRule
from deepscaler.settings.base import Name, Strict, Word, check_repository
from deepscaler.settings.distillation import Distillation


class Prompting(Strict):
    """How a problem becomes a prompt."""

    suffix: str
    """What follows the problem."""
    separator: str
    """Between the problem and the suffix."""
    system: str | None = None
    """The system message, if any."""
    think: ThinkRule
    """Whether the template opens a <think> block, and how answers without one count."""


class Sampling(Strict):
    """Sampling that a system was meant for, where it differs from the scale's."""

    temperature: float | None = None
    """Of sampling."""
    top_p: float | None = None
    """Of sampling: the likeliest tokens up to this share of the probability."""
    max_new_tokens: int | None = None
    """Longest answer."""
    context: int | None = None
    """Tokens of prompt and answer together."""


class Published(Strict):
    """Weights on the hub."""

    kind: Literal["published"]
    """What the entry is."""
    title: str
    """As tables and figures show it."""
    parameters: float = Field(gt=0)
    """Billions."""
    repository: str
    """`owner/name` on the Hugging Face hub, or a folder in its format: `file:///…`."""
    revision: str | None
    """The commit; its first digits: the newest must be that one; null where none is known: the newest is taken."""
    files: dict[str, str] = {}
    """File → SHA-256, for those that someone checked."""
    chat_template: str | None = None
    """SHA-256 of the chat template's text: it decides a score as much as the weights do."""
    prompting: Prompting
    sampling: Sampling = Sampling()
    paper: dict[Name, float] = {}
    """What the paper's table says of it, by column, in percent."""
    licence: str | None = None
    """As its owners state it."""
    redistribution: Literal["yes", "no", "unclear"] | None = None
    """Whether an archive may pass on what was trained from these weights; None: as unclear."""
    note: str | None = None
    """For readers."""

    @model_validator(mode="after")
    def stays_within_its_repository(self) -> Self:
        check_repository(self.repository, self.revision, self.files)
        return self


class Distilled(Strict):
    """A small base model distilled on the spot; `distill_base` makes it."""

    kind: Literal["distilled"]
    """What the entry is."""
    title: str
    """As tables and figures show it."""
    parameters: float = Field(gt=0)
    """Billions."""
    distillation: Distillation
    prompting: Prompting
    sampling: Sampling = Sampling()


class Trained(Strict):
    """The last checkpoint of a training stage of the same scale; prompting is the base model's."""

    kind: Literal["trained"]
    """What the entry is."""
    title: str
    """As tables and figures show it."""
    stage: Word
    """The stage of the recipe."""
    paper: dict[Name, float] = {}
    """What the paper's table says of it, by column, in percent."""


class Reported(Strict):
    """Numbers that others published for a system that cannot be run."""

    kind: Literal["reported"]
    """What the entry is."""
    title: str
    """As tables and figures show it."""
    parameters: float | None = None
    """Billions."""
    scores: dict[Name, float]
    """By column, in percent."""
    source: str
    """Where the numbers were published."""


System = Annotated[Published | Distilled | Trained | Reported, Field(discriminator="kind")]


class SystemFile(Strict):
    systems: dict[Name, System]
