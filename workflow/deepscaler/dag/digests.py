"""Digests of the settings that decide a file: a rule runs again when its digest changes."""

from typing import Any

from deepscaler.dag.chain import segment
from deepscaler.dag.systems import model_names, prompting_entry
from deepscaler.settings import benchmarks, load_recipe, load_scale, settings_digest, sources, systems
from deepscaler.settings.models import Distilled


def resolved(scale_name: str) -> dict[str, Any]:
    """All that decides a scale's results, as plain data: the scale, its recipe, and the entries that it names."""
    chosen = load_scale(scale_name)
    tests = dict.fromkeys(name for suite in chosen.evaluation.suites.values() for name in suite)
    origins = chosen.curation.sources if chosen.curation else []
    return {
        "scale": chosen.model_dump(mode="json"),
        "recipe": load_recipe(chosen.training.recipe).model_dump(mode="json") if chosen.training else None,
        "systems": {name: systems()[name].model_dump(mode="json") for name in model_names(scale_name)},
        "benchmarks": {name: benchmarks()[name].model_dump(mode="json") for name in tests},
        "sources": {name: sources()[name].model_dump(mode="json") for name in origins},
    }


def training_digest(scale_name: str, identifier: str) -> str:
    """Changes when anything that decides a segment's result does: the recipe, its stage, the seed, the reward's rule of
    form. Not the machines."""
    settings, piece = load_scale(scale_name), segment(scale_name, identifier)
    training = settings.training
    assert training is not None
    chosen = load_recipe(training.recipe)
    mathematics = chosen.model_dump(mode="json", exclude={"stages", "name", "description"})
    # a stage may grow at its end, unless its learning rate depends on where that is
    rate_is_constant = chosen.optimizer.schedule == "constant" and not chosen.optimizer.warmup_ratio
    stage = chosen.stage(piece.stage).model_dump(mode="json", exclude={"steps"} if rate_is_constant else set())
    think = prompting_entry(scale_name, settings.base or "").prompting.think
    return settings_digest(mathematics, stage, [piece.first, piece.last], settings.seed, think)


def weights_digest(system: str) -> str:
    """Changes when a base or published model does, and not when it is called otherwise or the paper's numbers are."""
    entry = systems()[system]
    if isinstance(entry, Distilled):  # it learns from prompts
        return settings_digest(entry.distillation, entry.prompting)
    return settings_digest(entry.model_dump(mode="json", include={"repository", "revision", "files", "chat_template"}))


def source_digest(source: str) -> str:
    """Changes when a source's rows do."""
    keep = {"kind", "repository", "revision", "files", "fields", "only", "between"}
    return settings_digest(sources()[source].model_dump(mode="json", include=keep))


def problems_digest(benchmark: str) -> str:
    """Changes when a benchmark's problems do, and not when they are marked or called otherwise."""
    keep = {"kind", "size", "repository", "revision", "files", "fields"}
    return settings_digest(benchmarks()[benchmark].model_dump(mode="json", include=keep))


def sampling_digest(scale_name: str, system: str) -> str:
    """Changes when anything that decides a sample does."""
    settings = load_scale(scale_name)
    keep = {"samples", "temperature", "top_p", "max_new_tokens", "context"}
    return settings_digest(
        settings.evaluation.model_dump(mode="json", include=keep),
        prompting_entry(scale_name, system).model_dump(mode="json", include={"prompting", "sampling"}),
        settings.seed,
    )


def score_digest(scale_name: str, suite: str) -> str:
    """Changes when anything that decides a suite's scores does, beside the grades: titles and marks of its sets."""
    settings = load_scale(scale_name)
    entries = [benchmarks()[name] for name in settings.evaluation.suites[suite]]
    return settings_digest(settings.seed, settings.evaluation.grader, *entries)


def table_digest(scale_name: str) -> str:
    """Changes when anything that a table prints does, beside the scores: the rows and what their entries say."""
    settings = load_scale(scale_name)
    rows = [systems()[name] for name in settings.evaluation.systems]
    return settings_digest(settings.evaluation, settings.base, settings.seed, *rows)


def prompting_digest(scale_name: str, system: str) -> str:
    """Changes when a problem becomes another prompt, or a response is to be read otherwise."""
    return settings_digest(prompting_entry(scale_name, system).prompting)
