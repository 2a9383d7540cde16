"""Every value that decides a result is in config/: the models have none, and the defaults files say what each is."""

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import deepscaler
import pytest
import yaml
from deepscaler import settings
from deepscaler.errors import UserError
from deepscaler.settings import load
from deepscaler.settings.base import Strict
from deepscaler.settings.benchmarks import Benchmark
from deepscaler.settings.curation import Source
from deepscaler.settings.defaults import EACH, beneath
from deepscaler.settings.models import System
from deepscaler.settings.recipe import Recipe
from deepscaler.settings.scale import Scale
from deepscaler.settings.site import Site
from pydantic import BaseModel

ROOTS = {"scale": Scale, "recipe": Recipe, "system": System, "benchmark": Benchmark, "source": Source, "site": Site}
DEFAULTS = ("scale", "recipe")


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every settings model in a type, those within them too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models_in(field.annotation)
    for argument in get_args(annotation):
        yield from models_in(argument)


def hidden_values(annotation: Any) -> list[str]:
    """Fields with a default that says something: not None, nothing empty, no section of such alone."""
    found = []
    for model in dict.fromkeys(models_in(annotation)):
        for name, field in model.model_fields.items():
            value = None if field.is_required() else field.get_default(call_default_factory=True, validated_data={})
            if isinstance(value, BaseModel):
                value = value.model_dump(exclude_none=True)
            if value is not None and value not in ({}, [], ()):
                found.append(f"{model.__name__}.{name} = {value!r}")
    return found


@pytest.mark.parametrize("name", ROOTS)
def test_no_model_hides_a_value(name: str) -> None:
    assert len(list(models_in(ROOTS[name]))) >= 1
    assert hidden_values(ROOTS[name]) == []


def test_a_hidden_value_is_found_wherever_it_is() -> None:
    class Inner(Strict):
        given: int
        absent: int | None = None
        none: dict[str, int] = {}
        foo: int = 3
        off: bool = False
        mode: Literal["a", "b"] = "a"
        empty: str = ""

    class Absent(Strict):
        nothing: int | None = None

    class Outer(Strict):
        parts: dict[str, Inner]
        other: Absent = Absent()
        hidden: list[Inner] | None = None

    expected = ["Inner.foo = 3", "Inner.off = False", "Inner.mode = 'a'", "Inner.empty = ''"]
    assert hidden_values(Outer) == expected
    assert hidden_values(Literal["a"] | Outer) == expected


def test_no_grading_has_limits_of_its_own() -> None:
    """Whoever starts a pool in the package gives it both limits, by name or in their places."""
    package = Path(deepscaler.__file__).parent
    calls = [
        (path.name, [keyword.arg for keyword in node.keywords], len(node.args))
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "GradingPool"
    ]
    assert len(calls) >= 5
    assert [name for name, names, places in calls if places < 3 and not {"seconds", "memory_mb"} <= set(names)] == []


# The files


def keys_of(value: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from keys_of(inner, (*place, key))
    else:
        yield place, value


def defaults(name: str) -> dict[str, Any]:
    return load.read_yaml(load.file_of("defaults", name))


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_models_know_every_default(name: str) -> None:
    assert len(list(keys_of(defaults(name)))) > 20
    for place, _ in keys_of(defaults(name)):
        current: Any = ROOTS[name]
        for key in place:
            if key != EACH:
                [model] = [model for model in models_in_one(current) if key in model.model_fields]
                current = model.model_fields[key].annotation


def models_in_one(annotation: Any) -> list[type[BaseModel]]:
    """The model that a field holds, whether optional, or in a list or mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in models_in_one(argument)]


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_number_has_its_unit_or_reason(name: str) -> None:
    """A comment on its line, or on the lines above it."""
    lines = load.file_of("defaults", name).read_text(encoding="utf-8").splitlines()
    numbers = [i for i, line in enumerate(lines) if re.match(r"\s*\w+: \[?-?\d", line)]
    assert len(numbers) >= sum(isinstance(value, int | float) and not isinstance(value, bool) for _, value in
                               keys_of(yaml.safe_load(re.sub(r"\*\w+", "null", "\n".join(lines)))))  # fmt: skip
    assert [lines[i] for i in numbers if " # " not in lines[i] and not lines[i - 1].lstrip().startswith("#")] == []


@pytest.fixture
def checkout(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of config/ that a test may edit."""
    shutil.copytree(root / "config", tmp_path / "config")
    monkeypatch.setenv("DEEPSCALER_ROOT", str(tmp_path))
    forget()
    yield tmp_path / "config"
    forget()


def forget() -> None:
    load.load_scale.cache_clear()
    load.load_recipe.cache_clear()


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    forget()


def test_a_default_arrives_in_every_scale_that_says_nothing_else(checkout: Path) -> None:
    replace(checkout / "defaults/scale.yaml", "threshold: 0.90", "threshold: 0.80")
    replace(checkout / "defaults/scale.yaml", "ngram: 10", "ngram: 12")
    replace(checkout / "defaults/scale.yaml", "gpu_memory_utilisation: 0.65", "gpu_memory_utilisation: 0.5")
    mini, paper = settings.load_scale("mini"), settings.load_scale("paper")
    for scale in (mini, paper):
        assert scale.curation.deduplicate.threshold == scale.curation.decontaminate.threshold == 0.80
        assert {layout.gpu_memory_utilisation for layout in scale.training.layout.values()} == {0.5}
    assert (mini.curation.decontaminate.ngram, paper.curation.decontaminate.ngram) == (16, 12)


def test_a_default_lies_beneath_what_is_extended(checkout: Path) -> None:
    replace(checkout / "defaults/recipe.yaml", "importance_range: [0.5, 5.0]", "importance_range: [0.25, 4.0]")
    (checkout / "recipes/own.yaml").write_text("{ extends: modern, description: own, clip: [0.1, 0.1] }")
    assert settings.load_recipe("deepscaler").advantage.importance_range == (0.25, 4.0)
    assert settings.load_recipe("own").advantage.importance_range == (0.0, 2.0)


def test_optional_parts_stay_away_and_are_filled_where_they_are(checkout: Path) -> None:
    released = settings.load_scale("released")
    assert (released.curation, released.training) == (None, None)
    assert settings.load_scale("paper").curation.extract_answers.language_model is None
    path = checkout / "scales/paper.yaml"
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    values["curation"]["deduplicate"] = {"judge": {"api": "openai", "model": "m", "votes": 3, "temperature": 0.5}}
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    forget()
    judge = settings.load_scale("paper").curation.deduplicate.judge
    assert (judge.votes, judge.max_output_tokens) == (3, 1024)


def test_a_value_that_no_file_has_is_refused_by_name(checkout: Path) -> None:
    replace(checkout / "defaults/scale.yaml", "ngram_share: 0.5 ", "")
    with pytest.raises(UserError, match=r"missing setting 'curation.decontaminate.ngram_share'.*paper.yaml"):
        settings.load_scale("paper")


def test_a_default_that_no_model_knows_is_refused_with_its_file(checkout: Path) -> None:
    replace(checkout / "defaults/scale.yaml", "temperature: 0.6", "temprature: 0.6")
    with pytest.raises(UserError, match=r"'temprature'.*defaults/scale.yaml.*did you mean 'temperature'"):
        settings.load_scale("mini")


@pytest.mark.parametrize("given", [None, 3, []])
def test_what_is_no_section_is_left_for_the_model_to_refuse(given: object) -> None:
    assert beneath({"evaluation": given}, defaults("scale"), Scale, Path("x"))["evaluation"] == given
