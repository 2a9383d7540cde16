"""The one loader of settings: YAML with `extends`, validated, cached.

load_scale("mini").training     a scale, config/scales/mini.yaml
systems()["deepscaler"]         config/models.yaml, and so on
"""

import os
from functools import cache
from pathlib import Path
from typing import Any

from deepscaler.errors import UserError, nearest, refuse_unknown
from deepscaler.files import digest_of
from deepscaler.settings.base import validate
from deepscaler.settings.benchmarks import Benchmark, BenchmarkFile
from deepscaler.settings.corrections import Correction, CorrectionFile
from deepscaler.settings.curation import PinFile, Source, SourceFile, with_pins
from deepscaler.settings.defaults import beneath
from deepscaler.settings.models import System, SystemFile, Trained
from deepscaler.settings.recipe import Recipe
from deepscaler.settings.rehearsal import Rehearsal
from deepscaler.settings.rules import RULES
from deepscaler.settings.scale import Scale, Training
from deepscaler.settings.site import Site
from deepscaler.settings.yaml_files import file_of, merge, names_in, project_root, read_extending, read_yaml


def scale_names() -> list[str]:
    return names_in("scales")


@cache
def load_scale(name: str) -> Scale:
    """config/scales/{name}.yaml, what it names checked to exist, without what its recipe does not train."""
    written = scale_as_written(name)
    return without(written, untrained(written))


def scale_as_written(name: str) -> Scale:
    path = file_of("scales", name)
    loaded = validate(Scale, with_defaults(Scale, written_values(name)), path)
    check_names(loaded, path)
    return loaded


def left_out(name: str) -> str | None:
    """One line on what a scale says of stages that its recipe does not have, and what becomes of it, or None.

    Another recipe is one line of a scale that extends another: what is there for the other recipe's stages may stay.
    """
    layouts, rows = untrained(scale_as_written(name))
    parts = [f"its layout of {', '.join(layouts)} is not used"] if layouts else []
    parts += [f"{', '.join(rows)} left out of its table"] if rows else []
    if not parts:
        return None
    training = load_scale(name).training
    what = f"trains by recipe {training.recipe!r}" if training else "does not train"
    return f"scale {name!r} {what}: {'; '.join(parts)} [{file_of('scales', name)}]"


def untrained(written: Scale) -> tuple[list[str], list[str]]:
    """The layouts of stages that a scale's recipe lacks, and the systems that would be checkpoints of such."""
    stages = stages_of(written.training.recipe) if written.training else []
    layouts = [stage for stage in written.training.layout if stage not in stages] if written.training else []
    entries = ((name, systems()[name]) for name in written.evaluation.systems)
    return layouts, [name for name, entry in entries if isinstance(entry, Trained) and entry.stage not in stages]


def without(written: Scale, unused: tuple[list[str], list[str]]) -> Scale:
    layouts, rows = unused
    changes: dict[str, Any] = {}
    if written.training and layouts:
        kept = {stage: layout for stage, layout in written.training.layout.items() if stage not in layouts}
        changes["training"] = written.training.model_copy(update={"layout": kept})
    if rows:
        kept_rows = [name for name in written.evaluation.systems if name not in rows]
        changes["evaluation"] = written.evaluation.model_copy(update={"systems": kept_rows})
    return written.model_copy(update=changes)


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
def corrections() -> dict[str, list[Correction]]:
    """config/corrections.yaml: a benchmark's golds that are wrong, and what is right."""
    path = project_root() / "config" / "corrections.yaml"
    return validate(CorrectionFile, {"corrections": read_yaml(path)}, path).corrections


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
    files = validate(Site, values, local if local.exists() else path)
    given = from_environment([key for key in Site.model_fields if key not in ("language_models", "alerts", "tracking")])
    names = ", ".join(f"${PREFIX}{key.upper()}" for key in given)
    return validate(Site, {**values, **given}, names) if given else files


PREFIX = "DEEPSCALER_"


def from_environment(keys: list[str]) -> dict[str, str | None]:
    """Keys that variables set, in priority to files; one that is nearly a key's is a slip, and refused."""
    known = [f"{PREFIX}{key.upper()}" for key in keys]
    for name in os.environ:
        unknown = name.startswith(PREFIX) and name not in (*known, *OTHER_VARIABLES)
        if unknown and (guess := nearest(name, [*known, *OTHER_VARIABLES])):
            raise UserError(f"unknown variable ${name}", "the environment", f"did you mean ${guess}?")
    # set and empty: left open
    return {key: os.environ[name] or None for key, name in zip(keys, known, strict=True) if name in os.environ}


OTHER_VARIABLES = tuple(
    f"{PREFIX}{name}"
    for name in (
        *("ROOT", "DIRECTORY", "RUN", "LOCK_WAIT", "LAUNCH", "RAY", "SEGMENT", "FORK_SERVER", "THINK_RULE"),
        *("SHARED", "MINI_RUN", "KILLS"),
        *("REWARD_MODE", "REWARD_SECONDS", "REWARD_MEMORY_MB", "REWARD_WORKERS"),
    )
)
"""Variables that are no settings of the site: of launches, the reward's processes, and tests."""


def settings_digest(*values: Any) -> str:
    """Twelve hexadecimal digits that change when any of these settings does: a rule's trigger to run again."""
    plain = [value.model_dump(mode="json") if hasattr(value, "model_dump") else value for value in values]
    return digest_of(plain)[:12]


def check_names(loaded: Scale, where: Path) -> None:
    """Whatever a scale names must exist: sources, systems, benchmarks, a recipe, stages, suites and rules."""
    evaluation = loaded.evaluation
    for kind, used, known in (
        ("source", loaded.curation.sources if loaded.curation else [], sources()),
        ("model", [*evaluation.systems, *([loaded.base] if loaded.base else [])], systems()),
        ("benchmark", [name for suite in evaluation.suites.values() for name in suite], benchmarks()),
        ("suite in evaluation.shards", evaluation.shards, evaluation.suites),
        ("rule in resources", loaded.resources, ["default", *RULES]),
        ("recipe", [loaded.training.recipe] if loaded.training else [], names_in("recipes")),
    ):
        for word in used:
            if word not in known:
                raise refuse_unknown(kind, word, list(known), where)
    own = stages_of(loaded.training.recipe) if loaded.training else []
    for word in loaded.training.layout if loaded.training else []:
        if word not in own and word not in all_stages():
            raise refuse_unknown("stage", word, own, where)
    for word in own:
        if loaded.training and word not in loaded.training.layout:
            raise UserError(f"stage {word!r} of recipe {loaded.training.recipe!r} has no training.layout", where)
    if loaded.training:
        check_gpus(loaded.training, load_recipe(loaded.training.recipe), where)
    if loaded.rehearsal:
        check_rehearsal(loaded, loaded.rehearsal, where)
    for name in evaluation.systems:
        entry = systems()[name]
        if isinstance(entry, Trained) and entry.stage not in own and entry.stage not in all_stages():
            raise refuse_unknown("stage", entry.stage, all_stages(), project_root() / "config" / "models.yaml")


def check_gpus(training: Training, recipe: Recipe, where: Path) -> None:
    """Where rollouts are asynchronous, some of a node's GPUs must sample and some train."""
    if not recipe.rollout.asynchronous.enabled:
        return
    for stage in recipe.stages:
        layout = training.layout[stage.name]
        if layout.gpus_per_node < 2 or (layout.rollout_gpus or 1) >= layout.gpus_per_node:
            raise UserError(
                f"training.layout.{stage.name}: asynchronous rollouts (recipe {recipe.name!r}) have GPUs of their own, "
                f"and of {layout.gpus_per_node} a node none is left to train on",
                where,
                "raise gpus_per_node or lower rollout_gpus",
            )


def check_rehearsal(loaded: Scale, rehearsal: Rehearsal, where: Path) -> None:
    """What is rehearsed must be another scale that trains the same stages, on the same kind of device."""
    if rehearsal.of not in scale_names():
        raise refuse_unknown("scale in rehearsal.of", rehearsal.of, scale_names(), where)
    whole = validate(Scale, with_defaults(Scale, written_values(rehearsal.of)), file_of("scales", rehearsal.of))
    if whole.rehearsal or not whole.training or whole.device != loaded.device:
        hint = "name a scale that trains on the same kind of device, and is no rehearsal itself"
        raise UserError(f"rehearsal.of: {rehearsal.of!r} can't be rehearsed by {loaded.name!r}", where, hint)
    assert loaded.training is not None
    own = stages_of(loaded.training.recipe)
    if (unknown := set(own) - set(stages_of(whole.training.recipe))) or not own:
        raise UserError(f"rehearsal.of: {rehearsal.of!r} does not train stage {sorted(unknown)[0]!r}", where)


def written_values(name: str) -> dict[str, Any]:
    return {"name": name, **read_extending("scales", name, "scale")}


def stages_of(recipe: str) -> list[str]:
    return [stage.name for stage in load_recipe(recipe).stages]


def all_stages() -> list[str]:
    """The stages of all recipes; a recipe's file that can't be read counts for nothing here."""
    found: dict[str, None] = {}
    for recipe in names_in("recipes"):
        try:
            found |= dict.fromkeys(stages_of(recipe))
        except UserError:
            continue
    return list(found)
