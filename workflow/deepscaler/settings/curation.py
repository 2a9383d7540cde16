"""Where problems come from, and how they become training data: config/sources.yaml and a scale's `curation`."""

from typing import Literal

from pydantic import Field

from deepscaler.settings.base import Name, Strict


class Source(Strict):
    """One origin of problems."""

    title: str
    kind: Literal["hub", "synthetic"]
    repository: str | None = None
    revision: str | None = None
    files: list[str] = []
    split: str = "train"
    fields: dict[str, str] = {}
    """Our field (problem, solution, answer) → the column of the source."""
    licence: str
    citation: str
    note: str | None = None


class SourceFile(Strict):
    sources: dict[Name, Source]


class ExtractAnswers(Strict):
    """How answers are found where a source has none."""


class Deduplicate(Strict):
    threshold: float = Field(default=0.90, gt=0, le=1)


class Decontaminate(Strict):
    threshold: float = Field(default=0.90, gt=0, le=1)
    ngram: int = Field(default=10, ge=2)


class SelectGradable(Strict):
    mode: Literal["paper", "strict"] = "paper"
    max_prompt_tokens: int = Field(default=1024, gt=0)


class Curation(Strict):
    """A scale's curation: the sources in order of preference (the first wins among duplicates), and each step."""

    sources: list[Name]
    extract_answers: ExtractAnswers = ExtractAnswers()
    deduplicate: Deduplicate = Deduplicate()
    decontaminate: Decontaminate = Decontaminate()
    select_gradable: SelectGradable = SelectGradable()
