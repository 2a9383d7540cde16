"""Where problems come from, and how they become training data: config/sources.yaml and a scale's `curation`."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from deepscaler.reward.verdicts import Mode
from deepscaler.settings.base import Name, Strict, Word, check_origin, check_repository
from deepscaler.settings.grading import Grading


class SourceFields(Strict):
    """Which of a data file's columns hold what we call …; None where the source has no such column."""

    problem: str
    """Column with the problem's text."""
    solution: str | None = None
    """Column with the solution."""
    answer: str | None = None
    """Column with the answer."""


class Made(Strict):
    """What the miniature writes into its sources: one table for all, in each entry, since no two share a problem."""

    seed: int
    """Every other seed follows from it."""
    good: int = Field(gt=0)
    """Flawless problems of a source."""
    planted: dict[Name, dict[str, int]]
    """Source → kind of flaw → rows. The kinds are in miniature/sources.py."""


class Source(Strict):
    """One origin of problems."""

    title: str
    """As tables and figures show it."""
    kind: Literal["hub", "github", "synthetic"]
    """What the entry is."""
    repository: str | None = None
    """`owner/name` on the hub or on GitHub, or a folder: `file:///…`."""
    revision: str | None = None
    """The commit."""
    files: dict[str, str | None] = {}
    """Data file, or pattern, in the repository → its SHA-256, null where no one could check it. Read in this order."""
    fields: SourceFields
    only: dict[str, list[str | int]] = {}
    """Column → the values with which a row belongs to the source; others are another source's, and not read."""
    between: dict[str, tuple[int, int]] = {}
    """Column → the first and last value with which a row belongs to the source."""
    wrong: dict[str, str] = {}
    """Row, by its id without the source's name → in what way it is wrong. It leaves, for that reason."""
    made: Made | None = None
    """Of a synthetic source."""
    licence: str
    """As its owners state it."""
    redistribution: Literal["yes", "no", "unclear"]
    """Whether problems and solutions may be passed on, as far as the licence says."""
    citation: str
    """What to cite."""
    note: str | None = None
    """For readers."""

    @model_validator(mode="after")
    def has_an_origin(self) -> Self:
        check_origin(self.kind, self.repository, self.revision, self.files)
        if (self.kind == "synthetic") != (self.made is not None):
            raise ValueError("`made` is for a synthetic source, and each has it")
        return self


class SourceFile(Strict):
    sources: dict[Name, Source]
    """Entries of config/sources.yaml, the best first: of two duplicates the one of the earlier source stays."""


class PinnedSource(Strict):
    """What `deepscaler pin` found of a source: its part of config/sources.lock.yaml."""

    repository: str
    """`owner/name` on the hub or on GitHub, or a folder: `file:///…`."""
    revision: str | None
    """The commit."""
    files: dict[str, str]
    """Data file → SHA-256."""

    @model_validator(mode="after")
    def stays_within_its_repository(self) -> Self:
        check_repository(self.repository, self.revision, self.files)
        return self


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
    """A chat model behind an API, what it may cost, and how hard it is driven. Where it is asked is the site's."""

    api: Literal["openai", "gemini"]
    """`openai` is any endpoint that speaks OpenAI's chat completions, vLLM's too."""
    model: str
    """Its name, as whoever serves it knows it."""
    temperature: float = Field(ge=0)
    """Of sampling."""
    max_output_tokens: int = Field(gt=0)
    """Of one reply."""
    votes: int = Field(ge=1)
    """Replies of which the majority counts; more than one only makes sense with a temperature above 0."""
    requests_per_minute: float = Field(gt=0)
    """At most; further ones wait."""
    concurrency: int = Field(gt=0)
    """Requests at a time."""
    timeout_seconds: float = Field(gt=0)
    """Of one request."""
    attempts: int = Field(gt=0)
    """Tries of one request; between them the wait doubles, or is what the server asks for."""
    longest_wait_seconds: float = Field(gt=0)
    """Between two tries of a request."""
    max_requests: int = Field(ge=0)
    """Requests of one job, tries and reruns included."""
    max_dollars: float = Field(ge=0)
    """Of one job, reruns included. Before a request its highest possible price is held back."""
    dollars_per_million_input: float = Field(ge=0)
    """Price of a million tokens that are sent."""
    dollars_per_million_output: float = Field(ge=0)
    """Price of a million tokens that come back."""

    @model_validator(mode="before")
    @classmethod
    def asks_where_the_site_says(cls, values: Any) -> Any:
        """A scale that someone hands over must not say whom a key of its reader's is sent to."""
        for key in ("base_url", "key_variable"):
            if isinstance(values, dict) and key in values:
                api = values.get("api", "openai")
                raise ValueError(f"`{key}` is the site's: set language_models.{api}.{key} in config/site.local.yaml")
        return values


class ExtractAnswers(Strict):
    """How answers are found where a source has none: boxes and choices in solutions, then a language model."""

    min_choices: int = Field(ge=2)
    """Marks in a row that make a list of choices."""
    max_choice_characters: int = Field(gt=0)
    """A longer text behind a letter is not taken for a choice."""
    max_answer_characters: int = Field(gt=0)
    """A longer answer is not taken for one."""
    grading: Grading
    language_model: LanguageModel | None = None
    max_solution_characters: int = Field(gt=0)
    """Of a solution that a language model reads: its end, where the answer is."""
    max_reply_characters: int = Field(gt=0)
    """Of the answer in a reply."""


class Embedding(Strict):
    """The sentence-transformers model whose cosine similarity compares problems."""

    model: str
    """Its name, as whoever serves it knows it."""
    revision: str
    """The commit."""
    package: str | None = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """A Python package that carries the same weights; used where it is installed, after its digest is checked."""
    weights_sha256: str
    """Of model.safetensors."""
    batch_tokens: int = Field(gt=0)
    """Tokens of a batch, padding included."""

    @model_validator(mode="after")
    def is_of_the_hub(self) -> Self:
        check_repository(self.model, self.revision, ())
        return self


class Wording(Strict):
    """How problems are compared by their letters, without figures, names and variables (curation/wording.py)."""

    ngram: int = Field(ge=2, le=8)
    """Letters of a run."""
    common: float = Field(gt=0, le=1)
    """Share of the texts that may have a run by which pairs are found."""
    candidate: float = Field(ge=0, le=1)
    """Share of the sought overlap that such runs alone must make."""


class Deduplicate(Strict):
    threshold: float = Field(gt=0, le=1)
    """Cosine similarity from which two problems are taken for one."""
    margin: float = Field(ge=0, lt=1)
    """Pairs this near to the threshold, on either side, go to the review file (and to the judge)."""
    threshold_same_answer: float = Field(gt=0, le=1)
    """Cosine similarity from which two problems with the same answer are taken for one."""
    wording_same_answer: float = Field(gt=0, le=1)
    """Share of a text's letters that another must have for the two to be one, where their answers are the same."""
    neighbours: int = Field(gt=0)
    """Pairs kept of a problem, the most similar."""
    same_numbers: bool
    """Whether two problems must hold the same numerals in the same order to be taken for one."""
    within_source: Literal["same answer", "always", "never"]
    """Whether a problem may be a near duplicate of one of its own source; exact duplicates always go. `same answer`
    asks for the same numerals too, those of figures included."""
    review_pairs: int = Field(ge=0)
    """Pairs nearest to the threshold that are written down for people to look at."""
    grading: Grading
    judge: LanguageModel | None = None


class Decontaminate(Strict):
    suites: list[Word]
    """Whose problems must not be trained on; one that a scale does not have says nothing there."""
    threshold: float = Field(gt=0, le=1)
    """Cosine similarity from which a pair counts, where its answers or its numbers agree."""
    threshold_same_answer: float = Field(gt=0, le=1)
    """The same, where its answers agree."""
    same_numbers: bool
    """Whether two problems must hold the same numbers to count as one."""
    ngram: int = Field(ge=2)
    """Words of a run that both problems have."""
    ngram_share: float = Field(gt=0, le=1)
    """Share of the benchmark problem's runs that must be found in the training problem."""
    wording: float = Field(gt=0, le=1)
    """Share of a text's letters that the other must have, where both answers and numbers agree."""
    wording_alone: float = Field(gt=0, le=1)
    """The same, where only the answers do, or only the formulas."""
    fewest_signs: int = Field(gt=0)
    """Numerals, signs, commands and variables of a problem whose formulas say something of it."""
    siblings: Literal["keep", "remove"]
    """What happens to a training problem whose numbers and answer both differ from the benchmark problem's that it is
    near to: one of the same template, which a training split may hold. Reported in any case."""
    report_from: float = Field(gt=0, le=1)
    """Pairs from this similarity on are reported, though only those above the threshold are removed."""
    report_ngram_share: float = Field(gt=0, le=1)
    """As `report_from`, for the share of runs."""
    neighbours: int = Field(gt=0)
    """Pairs kept of a problem, the most similar."""
    grading: Grading


class SelectGradable(Strict):
    mode: Mode
    """Which grader decides."""
    max_prompt_tokens: int = Field(gt=0)
    """A longer prompt leaves."""


class Curation(Strict):
    """A scale's curation: the sources in order of preference (the first wins among duplicates), and each step."""

    sources: list[Name]
    """Entries of config/sources.yaml, the best first: of two duplicates the one of the earlier source stays."""
    embedding: Embedding
    wording: Wording
    extract_answers: ExtractAnswers
    deduplicate: Deduplicate
    decontaminate: Decontaminate
    select_gradable: SelectGradable
