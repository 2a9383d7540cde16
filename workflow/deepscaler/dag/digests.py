"""Which settings decide a rule's files: a rule runs again when one of them changes, and Snakemake says which.

Everything that a rule's verb reads counts, but for what dag/harmless.py names.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from inspect import signature
from typing import Any

from pydantic import BaseModel

from deepscaler.dag import harmless
from deepscaler.dag.chain import segment, segments
from deepscaler.dag.harmless import Harmless
from deepscaler.dag.systems import held_against, model_names, prompting_entry
from deepscaler.settings import benchmarks, corrections, load_recipe, load_scale, settings_digest, sources, systems
from deepscaler.settings.models import Distilled
from deepscaler.settings.recipe import Recipe

Decided = dict[str, Any]
"""Dotted key → value, as plain data."""
LONGEST = 120
"""Characters of a value that are shown; what is longer ends in its digest."""
TABLES = {"planted"}
"""Keys of tables within tables, each counted as one value."""


def deciding(rule: str, scale: str, **wildcards: str) -> Decided:
    """The settings that decide a rule's files; a wildcard that they do not depend on is passed over.

    Empty for a rule whose inputs say it all: what reads the recorded settings.yaml, and `preflight`, which looks at a
    node that is about to be used.
    """
    function = RULES.get(rule)
    if function is None:
        return {}
    _, *taken = signature(function).parameters
    return function(scale, **{name: wildcards[name] for name in taken})


def in_words(decided: Decided) -> list[str]:
    """`kl.coefficient=0.001` and so on: what Snakemake keeps with a file, compares and prints."""
    return [f"{key}={shown(value)}" for key, value in decided.items()]


def shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}… ({settings_digest(value)})"


def training_digest(scale_name: str, identifier: str) -> str:
    """Changes when anything that decides a segment's result does: what its run folder is known by."""
    return settings_digest(deciding("train_segment", scale_name, segment=identifier))


def resolved(scale_name: str) -> dict[str, Any]:
    """All that decides a scale's results, as plain data: the scale, its recipe, and the entries that it names."""
    scale = load_scale(scale_name)
    tests = dict.fromkeys(name for suite in scale.evaluation.suites.values() for name in suite)
    origins = scale.curation.sources if scale.curation else []
    return {
        "scale": scale.model_dump(mode="json", exclude=None if scale.rehearsal else {"rehearsal"}),
        "recipe": load_recipe(scale.training.recipe).model_dump(mode="json") if scale.training else None,
        "systems": {name: systems()[name].model_dump(mode="json") for name in model_names(scale_name)},
        "benchmarks": {name: benchmarks()[name].model_dump(mode="json") for name in tests},
        "sources": {name: sources()[name].model_dump(mode="json") for name in origins},
        **corrections_of(tests),
    }


def counted(model: BaseModel, without: Harmless, prefix: str = "") -> Decided:
    """The settings of a section or an entry, but for the harmless ones; `prefix` goes before every key."""
    return {f"{prefix}{key}": value for key, value in leaves(model.model_dump(mode="json"), without)}


def leaves(values: Mapping[str, Any], without: Harmless, above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        key = f"{above}{name}"
        if key in without:
            continue
        if isinstance(value, dict) and value and name not in TABLES:
            yield from leaves(value, without, f"{key}.")
        else:
            yield key, value


def scale_settings(scale_name: str, without: Harmless) -> Decided:
    return counted(load_scale(scale_name), without)


def recipe_of(scale_name: str) -> Recipe:
    training = load_scale(scale_name).training
    assert training is not None  # a scale without it has no segments
    return load_recipe(training.recipe)


def suite_settings(scale_name: str, suite: str) -> Decided:
    return {f"evaluation.suites.{suite}": load_scale(scale_name).evaluation.suites[suite]}


def corrections_of(tests: Iterable[str]) -> Decided:
    """The corrected golds of those test sets that have some, a set a value."""
    found = {name: corrections()[name] for name in tests if name in corrections()}
    return {f"corrections.{name}": [entry.model_dump(mode="json") for entry in own] for name, own in found.items()}


def asking(scale_name: str, system: str, without: Harmless) -> Decided:
    """How a system is asked: for a checkpoint, as the scale's base is."""
    name = prompting_entry(scale_name, system)
    return counted(name, without, "model.")


def base_asking(scale_name: str, without: Harmless) -> Decided:
    return asking(scale_name, load_scale(scale_name).base or "", without)


def position(scale_name: str, identifier: str, without_in_stage: Harmless) -> Decided:
    """The segment's stage, and its steps within."""
    found = segment(scale_name, identifier)
    stage = counted(recipe_of(scale_name).stage(found.stage), without_in_stage, f"stages.{found.stage}.")
    return {**stage, "segment.first": found.first, "segment.last": found.last}


def fetch_source(_: str, source: str) -> Decided:
    return counted(sources()[source], harmless.SOURCE, f"sources.{source}.")


def fetch_benchmark(_: str, benchmark: str) -> Decided:
    return counted(benchmarks()[benchmark], harmless.BENCHMARK, f"benchmarks.{benchmark}.")


def fetch_model(_: str, system: str) -> Decided:
    return counted(systems()[system], harmless.WEIGHTS, f"models.{system}.")


def distill_base(scale_name: str, system: str) -> Decided:
    entry = systems()[system]
    assert isinstance(entry, Distilled)
    return {**counted(entry, harmless.DISTILLED, f"models.{system}."), "seed": load_scale(scale_name).seed}


def extract_answers(scale_name: str) -> Decided:
    return scale_settings(scale_name, harmless.curation("extract_answers"))


def deduplicate(scale_name: str) -> Decided:
    """The order of the sources too: of two duplicates the one of the earlier source stays."""
    return scale_settings(scale_name, harmless.curation("deduplicate", "embedding", "wording", "sources"))


def decontaminate(scale_name: str) -> Decided:
    own = scale_settings(scale_name, harmless.curation("decontaminate", "embedding", "wording"))
    return {**own, "benchmarks": held_against(scale_name)}


def select_gradable(scale_name: str) -> Decided:
    own = scale_settings(scale_name, harmless.curation("select_gradable"))
    return {**own, **base_asking(scale_name, harmless.PROMPTS)}


def summarise_curation(scale_name: str) -> Decided:
    """The card prints all that the sources' entries say."""
    own = scale_settings(scale_name, harmless.curation("select_gradable", "sources"))
    curation = load_scale(scale_name).curation
    for name in curation.sources if curation else []:
        own |= counted(sources()[name], {}, f"sources.{name}.")
    return own


def schedule_prompts(scale_name: str, segment: str) -> Decided:
    return {
        **scale_settings(scale_name, harmless.SCHEDULE),
        **counted(recipe_of(scale_name), harmless.SCHEDULE_RECIPE),
        **position(scale_name, segment, harmless.SCHEDULE_STAGE),
        **base_asking(scale_name, harmless.PROMPTS),
    }


def train_segment(scale_name: str, segment: str) -> Decided:
    recipe = recipe_of(scale_name)
    rate_is_constant = recipe.optimizer.schedule == "constant" and not recipe.optimizer.warmup_ratio
    return {
        **scale_settings(scale_name, harmless.TRAINING),
        **counted(recipe, harmless.RECIPE),
        **position(scale_name, segment, harmless.STAGE_END if rate_is_constant else {}),
        **base_asking(scale_name, harmless.UPDATES),
    }


def collect_metrics(scale_name: str) -> Decided:
    return {"segments": [[piece.id, piece.first, piece.last] for piece in segments(scale_name)]}


def sample(scale_name: str, system: str, suite: str) -> Decided:
    """Of the engine's two parts, the one of the scale's device."""
    other = "gpu" if load_scale(scale_name).device == "cpu" else "cpu"
    return {
        **scale_settings(scale_name, harmless.SAMPLING | {f"evaluation.engine.{other}": harmless.ELSEWHERE}),
        **suite_settings(scale_name, suite),
        **asking(scale_name, system, harmless.SAMPLES),
    }


def grade_samples(scale_name: str, system: str, suite: str) -> Decided:
    return {
        **scale_settings(scale_name, harmless.GRADING),
        **suite_settings(scale_name, suite),
        **corrections_of(load_scale(scale_name).evaluation.suites[suite]),
        **asking(scale_name, system, harmless.PROMPTS),
    }


def score(scale_name: str, suite: str) -> Decided:
    """Titles and marks of the suite's sets too: they are written beside the scores."""
    own = {**scale_settings(scale_name, harmless.SCORING), **suite_settings(scale_name, suite)}
    for name in load_scale(scale_name).evaluation.suites[suite]:
        own |= counted(benchmarks()[name], harmless.SCORED_BENCHMARK, f"benchmarks.{name}.")
    return own


def tabulate(scale_name: str) -> Decided:
    """The rows, and all of their entries and of the sets' that is printed."""
    entries = table_entries(scale_name).items()
    return {
        **table_settings(scale_name),
        **{f"{entry}.{key}": value for entry, own in entries for key, value in own.items()},
    }


def draw_figure(scale_name: str) -> Decided:
    """What the tables print, an entry a value: there are five figures."""
    return {**table_settings(scale_name), **table_entries(scale_name)}


def table_settings(scale_name: str) -> Decided:
    own = scale_settings(scale_name, harmless.TABLE)
    return {**own, **suite_settings(scale_name, "table"), **collect_metrics(scale_name)}


def table_entries(scale_name: str) -> dict[str, Decided]:
    evaluation = load_scale(scale_name).evaluation
    tests = {f"benchmarks.{n}": counted(benchmarks()[n], harmless.TABLE_BENCHMARK) for n in evaluation.suites["table"]}
    return tests | {f"models.{n}": counted(systems()[n], harmless.ROWS) for n in evaluation.systems}


def check_claims(scale_name: str) -> Decided:
    """Which of other scales are checked, too; the claims' own file is an input."""
    return scale_settings(scale_name, harmless.CLAIMS)


def account_compute(scale_name: str) -> Decided:
    """What the plan's hours follow from, too: sizes of sets and models, and how long their answers may be."""
    recipe = counted(recipe_of(scale_name), harmless.NAMES) if load_scale(scale_name).training else {}
    suites = load_scale(scale_name).evaluation.suites.values()
    sizes = {f"benchmarks.{name}.size": benchmarks()[name].size for suite in suites for name in suite}
    models = {f"models.{name}": counted(systems()[name], harmless.PLANNED) for name in model_names(scale_name)}
    return {**scale_settings(scale_name, harmless.LEDGER), **recipe, **sizes, **models}


def resolve_settings(scale_name: str) -> Decided:
    """Everything; an entry counts as one value, since the rules that read it name its settings one by one."""
    found = resolved(scale_name)
    scale_and_recipe = leaves({**found["scale"], "recipe": found["recipe"]}, {})
    entries = {
        f"{kind}.{name}": entry for kind in ("systems", "benchmarks", "sources") for name, entry in found[kind].items()
    }
    corrected = {key: value for key, value in found.items() if key.startswith("corrections.")}
    return {**dict(scale_and_recipe), **entries, **corrected}


RULES: dict[str, Callable[..., Decided]] = {
    function.__name__: function
    for function in (
        fetch_source,
        fetch_benchmark,
        fetch_model,
        distill_base,
        extract_answers,
        deduplicate,
        decontaminate,
        select_gradable,
        summarise_curation,
        schedule_prompts,
        train_segment,
        collect_metrics,
        sample,
        grade_samples,
        score,
        tabulate,
        draw_figure,
        check_claims,
        account_compute,
        resolve_settings,
    )
}
