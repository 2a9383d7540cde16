"""The one loader of settings: YAML with `extends`, validated, cached.

load_scale("mini").training     a scale, config/scales/mini.yaml
systems()["deepscaler"]         config/models.yaml, and so on
section("mini", "curation.deduplicate")   one section as plain data, for digests and records
"""

import os
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from deepscaler.errors import UserError, refuse_unknown
from deepscaler.files import digest_of
from deepscaler.settings.base import validate
from deepscaler.settings.benchmarks import Benchmark, BenchmarkFile
from deepscaler.settings.curation import PinFile, Source, SourceFile, with_pins
from deepscaler.settings.defaults import beneath
from deepscaler.settings.models import System, SystemFile
from deepscaler.settings.recipe import Recipe
from deepscaler.settings.scale import Scale
from deepscaler.settings.site import Site

MAX_EXTENDS = 8
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader; the one in C where there is one, since every job of a run reads these files."""


def project_root() -> Path:
    """The checkout: $DEEPSCALER_ROOT, else the nearest folder upwards from here that has config/scales."""
    if given := os.environ.get("DEEPSCALER_ROOT"):
        return Path(given).resolve()
    here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        if (folder / "config" / "scales").is_dir():
            return folder
    raise UserError("no config/scales folder here or above", here, "run from the project's checkout")


def scale_names() -> list[str]:
    return names_in("scales")


@cache
def load_scale(name: str) -> Scale:
    """config/scales/{name}.yaml, with the models, benchmarks and sources that it names checked to exist."""
    values = with_defaults(Scale, {"name": name, **read_extending("scales", name, "scale")})
    loaded = validate(Scale, values, file_of("scales", name))
    check_names(loaded, file_of("scales", name))
    return loaded


@cache
def load_recipe(name: str) -> Recipe:
    """config/recipes/{name}.yaml"""
    values = with_defaults(Recipe, {"name": name, **read_extending("recipes", name, "recipe")})
    return validate(Recipe, values, file_of("recipes", name))


def with_defaults(model: type[Scale] | type[Recipe], values: dict[str, Any]) -> dict[str, Any]:
    """A scale's or recipe's values over config/defaults/{scale,recipe}.yaml"""
    path = file_of("defaults", model.__name__.lower())
    return beneath(values, read_yaml(path), model, path)


@cache
def systems() -> dict[str, System]:
    """config/models.yaml: every system of the paper's table, and our own stages."""
    path = project_root() / "config" / "models.yaml"
    return validate(SystemFile, {"systems": read_yaml(path)}, path).systems


@cache
def benchmarks() -> dict[str, Benchmark]:
    """config/benchmarks.yaml"""
    path = project_root() / "config" / "benchmarks.yaml"
    return validate(BenchmarkFile, {"benchmarks": read_yaml(path)}, path).benchmarks


@cache
def sources() -> dict[str, Source]:
    """config/sources.yaml, with the pins that `deepscaler pin` left in config/sources.lock.yaml"""
    lock = project_root() / "config" / "sources.lock.yaml"
    pins = validate(PinFile, {"pins": read_yaml(lock)}, lock).pins if lock.exists() else {}
    return with_pins(sources_as_written(), pins)


def sources_as_written() -> dict[str, Source]:
    """config/sources.yaml alone"""
    path = project_root() / "config" / "sources.yaml"
    return validate(SourceFile, {"sources": read_yaml(path)}, path).sources


@cache
def site() -> Site:
    """config/site.yaml, overlaid by config/site.local.yaml (not in git) and by DEEPSCALER_* variables."""
    path = project_root() / "config" / "site.yaml"
    values = read_yaml(path)
    local = path.with_name("site.local.yaml")
    if local.exists():
        values = merge(values, read_yaml(local))
    for key in Site.model_fields:
        variable = os.environ.get(f"DEEPSCALER_{key.upper()}")
        if variable is not None:
            values[key] = variable or None  # set and empty: left open
    return validate(Site, values, local if local.exists() else path)


def section(scale_name: str, dotted: str) -> Any:
    """One section of a scale as plain data, e.g. "curation.deduplicate"; "" is the whole scale."""
    value: Any = load_scale(scale_name).model_dump(mode="json")
    for part in filter(None, dotted.split(".")):
        if not isinstance(value, dict) or part not in value:
            raise UserError(f"scale {scale_name!r} has no setting {dotted!r}")
        value = value[part]
    return value


def settings_digest(*values: Any) -> str:
    """Twelve hexadecimal digits that change when any of these settings does: a rule's trigger to run again."""
    plain = [value.model_dump(mode="json") if hasattr(value, "model_dump") else value for value in values]
    return digest_of(plain)[:12]


def read_extending(folder: str, name: str, kind: str, depth: int = 0) -> dict[str, Any]:
    """A YAML file merged over the one that its `extends` names (lists are replaced, not merged)."""
    path = file_of(folder, name)
    if not path.exists():
        raise refuse_unknown(kind, name, names_in(folder), f"config/{folder}")
    if depth > MAX_EXTENDS:
        raise UserError("`extends` goes in a circle", path)
    values = read_yaml(path)
    parent = values.pop("extends", None)
    return merge(read_extending(folder, parent, kind, depth + 1), values) if parent else values


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)
    except FileNotFoundError:
        raise UserError("missing settings file", path) from None
    except yaml.YAMLError as error:
        raise UserError(f"not valid YAML: {error}", path) from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UserError("a settings file holds keys and values", path)
    return values


def check_names(loaded: Scale, where: Path) -> None:
    """Every source, system and benchmark that a scale names must exist, and every stage be known."""
    curation_sources = loaded.curation.sources if loaded.curation else []
    for kind, used, known in (
        ("source", curation_sources, list(sources())),
        ("model", [*loaded.evaluation.systems, *([loaded.base] if loaded.base else [])], list(systems())),
        ("benchmark", [b for suite in loaded.evaluation.suites.values() for b in suite], list(benchmarks())),
    ):
        for word in used:
            if word not in known:
                raise refuse_unknown(kind, word, known, where)
    if loaded.training:
        if loaded.training.recipe not in names_in("recipes"):
            raise refuse_unknown("recipe", loaded.training.recipe, names_in("recipes"), where)
        stages = [stage.name for stage in load_recipe(loaded.training.recipe).stages]
        for word in loaded.training.layout:
            if word not in stages:
                raise refuse_unknown("stage", word, stages, where)
        for word in stages:
            if word not in loaded.training.layout:
                raise UserError(f"stage {word!r} of recipe {loaded.training.recipe!r} has no training.layout", where)


def file_of(folder: str, name: str) -> Path:
    return project_root() / "config" / folder / f"{name}.yaml"


def names_in(folder: str) -> list[str]:
    return sorted(path.stem for path in (project_root() / "config" / folder).glob("*.yaml"))
