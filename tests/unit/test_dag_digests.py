"""What decides a file: a setting that is added tomorrow counts, and what is named as harmless does not."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import own_settings
import pytest
import yaml
from deepscaler import dag, settings
from deepscaler.dag import chain, digests, harmless
from deepscaler.dag import systems as systems_module
from deepscaler.settings import load
from deepscaler.settings.base import Strict, inner_model
from deepscaler.settings.benchmarks import Benchmark
from deepscaler.settings.curation import Curation, Source
from deepscaler.settings.models import Distilled, Published
from deepscaler.settings.recipe import Recipe
from deepscaler.settings.scale import Scale
from pydantic import create_model

SYSTEM, SEGMENT, BENCHMARK, SOURCE = "mini-base", "8k-1", "mini-aime-2024", "mini-aime"
PUBLISHED = "still-1.5b"
FETCH = {"fetch_source", "fetch_benchmark", "fetch_model"}
OWN = {*FETCH, "distill_base", "collect_metrics"}
"""Rules that read nothing of a scale but its seed and its chain."""
STEPS = {"extract_answers", "deduplicate", "decontaminate", "select_gradable", "summarise_curation"}
ALL = set(digests.RULES)
TRAINING, EVALUATION = (
    {"schedule_prompts", "train_segment"},
    {"sample", "grade_samples", "score", "tabulate", "draw_figure"},
)
RECORDED = {"account_compute", "resolve_settings"}
JUDGED = {"deduplicate", "resolve_settings"}
TABLES = {"tabulate", "draw_figure", "resolve_settings"}

EXPECTED: dict[tuple[str, ...], set[str]] = {
    ("scale",): ALL - OWN,
    ("scale", "curation"): STEPS | RECORDED,
    ("scale", "curation", "embedding"): {"deduplicate", "decontaminate", "resolve_settings"},
    ("scale", "curation", "wording"): {"deduplicate", "decontaminate", "resolve_settings"},
    ("scale", "curation", "extract_answers"): {"extract_answers", "resolve_settings"},
    ("scale", "curation", "extract_answers", "grading"): {"extract_answers", "resolve_settings"},
    ("scale", "curation", "extract_answers", "language_model"): {"extract_answers", "resolve_settings"},
    ("scale", "curation", "deduplicate"): JUDGED,
    ("scale", "curation", "deduplicate", "judge"): JUDGED,
    ("scale", "curation", "deduplicate", "grading"): JUDGED,
    ("scale", "curation", "decontaminate"): {"decontaminate", "resolve_settings"},
    ("scale", "curation", "decontaminate", "grading"): {"decontaminate", "resolve_settings"},
    ("scale", "curation", "select_gradable"): {"select_gradable", "summarise_curation", "resolve_settings"},
    ("scale", "training"): TRAINING | RECORDED,
    ("scale", "training", "layout", "8k"): RECORDED,
    ("scale", "training", "health"): RECORDED,
    ("scale", "evaluation"): EVALUATION | RECORDED,
    ("scale", "evaluation", "engine"): {"sample", *RECORDED},
    ("scale", "evaluation", "engine", "cpu"): {"sample", *RECORDED},
    ("scale", "evaluation", "engine", "gpu"): RECORDED,
    ("scale", "evaluation", "grading"): {"grade_samples", *RECORDED},
    ("scale", "resources", "default"): RECORDED,
    ("scale", "budget"): RECORDED,
    ("scale", "rehearsal"): {"resolve_settings"},
    ("scale", "rehearsal", "kill"): {"resolve_settings"},
    ("scale", "rehearsal", "bounds"): {"resolve_settings"},
    ("recipe",): TRAINING | RECORDED,
    ("recipe", "rollout"): TRAINING | RECORDED,
    ("recipe", "filtering"): TRAINING | RECORDED,
    ("recipe", "stages", "0"): TRAINING | RECORDED,
    **{
        ("recipe", part): {"train_segment", *RECORDED}
        for part in ("optimizer", "advantage", "kl", "reward", "lora", "precision")
    },
    ("recipe", "rollout", "asynchronous"): {"train_segment", *RECORDED},
    ("recipe", "reward", "grading"): {"train_segment", *RECORDED},
    ("base",): {"distill_base", "select_gradable", *TRAINING, "sample", "grade_samples", *TABLES, *RECORDED},
    ("base", "prompting"): {
        "distill_base",
        "select_gradable",
        *TRAINING,
        "sample",
        "grade_samples",
        *RECORDED,
    },
    ("base", "sampling"): {"sample", *RECORDED},
    **{
        ("base", "distillation", *inner): {"distill_base", *RECORDED}
        for inner in ((), ("architecture",), ("clean",), ("mixed",))
    },
    ("published",): {"fetch_model"},
    ("published", "prompting"): set(),
    ("published", "sampling"): set(),
    ("benchmark",): {"fetch_benchmark", "score", *TABLES},
    ("benchmark", "fields"): {"fetch_benchmark", "resolve_settings"},
    ("source",): {"fetch_source", "summarise_curation", "resolve_settings"},
    ("source", "made"): {"fetch_source", "summarise_curation", "resolve_settings"},
    ("source", "fields"): {"fetch_source", "summarise_curation", "resolve_settings"},
}
"""A section of the settings → the rules that a new setting in it makes run again."""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, root: Path) -> dict[str, Strict]:
    """A scale in which no section is empty, its recipe, and an entry of each kind."""
    values = load.scale_as_written("mini").model_dump()
    model = {**own_settings.LANGUAGE_MODEL, "api": "openai", "model": "m"}
    values["curation"]["extract_answers"]["language_model"] = model
    values["curation"]["deduplicate"]["judge"] = model
    values["rehearsal"] = {**load.read_yaml(load.file_of("defaults", "scale"))["rehearsal"], "of": "paper"}
    values["rehearsal"]["kill"] = {"segment": SEGMENT, "after_step": 1}
    return {
        "scale": Scale.model_validate(values),
        "recipe": settings.load_recipe("mini-lora"),
        "base": settings.systems()[SYSTEM],
        "published": settings.systems()[PUBLISHED],
        "benchmark": settings.benchmarks()[BENCHMARK],
        "source": settings.sources()[SOURCE],
    }


def sections(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], type[Strict]]]:
    """Every model below a value, with its path; of a list or a dictionary the first element."""
    if isinstance(value, Strict):
        yield path, type(value)
        for name, inner in value:
            yield from sections(inner, (*path, name))
    elif isinstance(value, dict) and value:
        key = next(iter(value))
        yield from sections(value[key], (*path, key))
    elif isinstance(value, list) and value:
        yield from sections(value[0], (*path, "0"))


def grown(value: Any, path: tuple[str, ...]) -> Any:
    """A copy of settings with one setting more in the section at `path`."""
    if isinstance(value, dict):
        return value | {path[0]: grown(value[path[0]], path[1:])}
    if isinstance(value, list):
        return [grown(value[0], path[1:]), *value[1:]]
    fields = dict(value)
    if not path:
        model = create_model("Grown", __base__=type(value), added_tomorrow=(int, ...))
        return model.model_construct(**fields, added_tomorrow=7)
    model = create_model("Holder", __base__=type(value), **{path[0]: (Any, ...)})
    return model.model_construct(**{**fields, path[0]: grown(fields[path[0]], path[1:])})


def install(monkeypatch: pytest.MonkeyPatch, found: dict[str, Any]) -> None:
    """Have the digests find these settings as if they had been loaded."""
    entries = settings.systems() | {SYSTEM: found["base"], PUBLISHED: found["published"]}
    tests = settings.benchmarks() | {BENCHMARK: found["benchmark"]}
    origins = settings.sources() | {SOURCE: found["source"]}
    for module in (digests, chain, systems_module):
        for name, value in (
            ("load_scale", lambda _: found["scale"]),
            ("load_recipe", lambda _: found["recipe"]),
            ("systems", lambda: entries),
            ("benchmarks", lambda: tests),
            ("sources", lambda: origins),
        ):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)


def decided(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, Any], rules: Iterable[str] = digests.RULES
) -> dict[str, list[str]]:
    with monkeypatch.context() as patch:
        install(patch, found)
        wildcards = {"segment": SEGMENT, "suite": "table", "benchmark": BENCHMARK, "source": SOURCE}
        return {
            rule: dag.in_words(
                dag.deciding(rule, "mini", **wildcards, system=PUBLISHED if rule == "fetch_model" else SYSTEM)
            )
            for rule in rules
        }


def test_a_setting_added_tomorrow_moves_all_that_it_may_decide(
    monkeypatch: pytest.MonkeyPatch, loaded: dict[str, Strict]
) -> None:
    before = decided(monkeypatch, loaded)
    tried = set()
    for name, value in loaded.items():
        for path, model in sections(value, (name,)):
            tried.add(model)
            after = decided(monkeypatch, loaded | {name: grown(value, path[1:])})
            moved = {rule for rule in before if after[rule] != before[rule]}
            assert path in EXPECTED, f"say which rules a new setting of {'.'.join(path)} makes run again"
            assert moved == EXPECTED[path], ".".join(path)
    every = {model for root in (Scale, Recipe, Published, Distilled, Benchmark, Source) for model in models_in(root)}
    assert tried == every, "a settings model that was not tried"


RENAMED = {"scale.base", "recipe.stages.0.name"}
"""Names by which other settings are found: another one finds nothing here."""


def settings_below(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The path of every single setting: what holds sections is none."""
    for section, model in sections(value, path):
        held = {inner[: len(section) + 1] for inner, _ in sections(value, path) if len(inner) > len(section)}
        yield from ((*section, name) for name in model.model_fields if (*section, name) not in held)


def another(value: Any) -> Any:
    """Another value of the same kind; a list, which may hold names, is a shorter one."""
    if isinstance(value, dict) and value:
        key = next(iter(value))
        return value | {key: another(value[key])}
    if isinstance(value, list | tuple) and value:
        return value[:-1]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return {"added": 1} if value == {} else f"{value} and more"


def with_another(value: Any, path: tuple[str, ...]) -> Any:
    """A copy of settings with another value at `path`."""
    if not path:
        return another(value)
    if isinstance(value, dict):
        return value | {path[0]: with_another(value[path[0]], path[1:])}
    if isinstance(value, list):
        return [with_another(value[0], path[1:]), *value[1:]]
    return value.model_copy(update={path[0]: with_another(getattr(value, path[0]), path[1:])})


def reasons(monkeypatch: pytest.MonkeyPatch, found: dict[str, Any]) -> dict[tuple[str, str], dict[str, str]]:
    """Rule and section → the settings that its digest passes over, each with the reason."""
    named: dict[tuple[str, str], dict[str, str]] = {}
    known = {id(value): name for name, value in found.items()}
    plain = digests.counted
    with monkeypatch.context() as patch:
        for rule in digests.RULES:

            def counted(model: Any, without: dict[str, str], prefix: str = "", rule: str = rule) -> Any:
                if id(model) in known:
                    named.setdefault((rule, known[id(model)]), {}).update(without)
                return plain(model, without, prefix)

            patch.setattr(digests, "counted", counted)
            decided(monkeypatch, found, [rule])
    return named


def test_every_setting_makes_again_what_it_decides_or_says_why_not(
    monkeypatch: pytest.MonkeyPatch, loaded: dict[str, Strict]
) -> None:
    """All of them, one by one: each gets another value, and each rule of its section runs again or names a reason."""
    before, named = decided(monkeypatch, loaded), reasons(monkeypatch, loaded)
    tried = 0
    for root, value in loaded.items():
        for path in settings_below(value, (root,)):
            dotted = ".".join(path)
            if dotted in RENAMED:
                continue
            rules = EXPECTED[path[:-1]]
            after = decided(monkeypatch, loaded | {root: with_another(value, path[1:])}, rules)
            for rule in sorted(rule for rule in rules if after[rule] == before[rule]):
                key = dotted.removeprefix(f"{root}.")
                why = [
                    reason for name, reason in named.get((rule, root), {}).items() if f"{key}.".startswith(f"{name}.")
                ]
                assert any(why), f"{rule} neither runs again for another {dotted} nor says why"
            tried += 1
    assert tried > 200


def models_in(model: type[Strict]) -> Iterator[type[Strict]]:
    yield model
    for field in model.model_fields.values():
        inner = inner_model(field.annotation)
        if isinstance(inner, type) and issubclass(inner, Strict):
            yield from models_in(inner)


LISTS = {
    Scale: [
        harmless.TRAINING, harmless.SCHEDULE, harmless.SAMPLING, harmless.GRADING, harmless.SCORING, harmless.TABLE,
        harmless.LEDGER, *(harmless.curation(step) for step in harmless.CURATION_STEPS),
    ],
    Recipe: [harmless.RECIPE, harmless.SCHEDULE_RECIPE],
    Benchmark: [harmless.BENCHMARK, harmless.SCORED_BENCHMARK, harmless.TABLE_BENCHMARK],
    Source: [harmless.SOURCE],
}  # fmt: skip


@pytest.mark.parametrize("model", LISTS, ids=lambda model: model.__name__)
def test_whatever_is_named_as_harmless_is_a_setting(model: type[Strict]) -> None:
    """A name that no setting has hides nothing, and would hide one that gets it later."""
    for names in LISTS[model]:
        for key, reason in names.items():
            current: Any = model
            for part in key.split("."):
                assert part in current.model_fields, key
                current = inner_model(current.model_fields[part].annotation)
            assert reason


def test_entries_harmless_settings_are_those_of_some_kind() -> None:
    known = {*Published.model_fields, *Distilled.model_fields}
    for names in (
        harmless.WEIGHTS,
        harmless.DISTILLED,
        harmless.SAMPLES,
        harmless.PROMPTS,
        harmless.UPDATES,
        harmless.ROWS,
        harmless.PLANNED,
    ):
        assert {key.split(".")[0] for key in names} <= known


def test_every_part_of_curation_is_a_step_or_named() -> None:
    assert {*harmless.CURATION_STEPS, "sources", "embedding", "wording"} == set(Curation.model_fields)


def test_a_value_too_long_to_print_is_still_told_apart() -> None:
    words = [dag.in_words({"key": ["x"] * 200 + [last]})[0] for last in "ab"]
    assert words[0] != words[1]
    assert all(len(word) < 100 for word in words)


def test_a_setting_reads_as_it_is_written_in_yaml() -> None:
    words = dag.in_words(dag.deciding("train_segment", "mini", segment="8k-1"))
    kl = yaml.safe_load((settings.project_root() / "config/recipes/deepscaler.yaml").read_text())["kl"]
    assert f"kl.coefficient={kl['coefficient']}" in words
    assert all("=" in word for word in words)
