"""What the workflow's rules ask of the settings: segments, parents, systems, shards, and what a job needs.

Pure functions of the settings: they start nothing and read no result, so a dry run of any scale takes seconds.
"""

from dataclasses import dataclass
from typing import Any

from deepscaler.errors import UserError
from deepscaler.settings.load import benchmarks, recipe, scale, settings_digest, sources, systems
from deepscaler.settings.models import Distilled, Published, Reported, Trained
from deepscaler.settings.scale import Layout, Need


@dataclass(frozen=True)
class Segment:
    """One training job: steps first+1 … last of a stage."""

    stage: str
    number: int
    """From 1, within the stage."""
    first: int
    last: int
    parent: str | None
    """Id of the checkpoint that it starts from; None for the base model."""
    starts_stage: bool
    total_last: int
    """`last`, counted from the base model over all stages."""

    @property
    def id(self) -> str:
        return f"{self.stage}-{self.number}"


def segments(scale_name: str) -> list[Segment]:
    """The chain of a scale's training jobs, in order."""
    training = scale(scale_name).training
    if training is None:
        return []
    chain: list[Segment] = []
    before = 0
    for stage in recipe(training.recipe).stages:
        size = training.layout[stage.name].segment_steps
        for number, first in enumerate(range(0, stage.steps, size), start=1):
            last = min(first + size, stage.steps)
            parent = chain[-1].id if chain else None
            chain.append(Segment(stage.name, number, first, last, parent, first == 0, before + last))
        before += stage.steps
    return chain


def segment(scale_name: str, identifier: str) -> Segment:
    for candidate in segments(scale_name):
        if candidate.id == identifier:
            return candidate
    raise UserError(f"scale {scale_name!r} has no segment {identifier!r}")


def last_segment(scale_name: str, stage: str) -> Segment:
    found = [candidate for candidate in segments(scale_name) if candidate.stage == stage]
    if not found:
        raise UserError(f"scale {scale_name!r} does not train a stage {stage!r}")
    return found[-1]


def layout(scale_name: str, stage: str) -> Layout:
    training = scale(scale_name).training
    if training is None:
        raise UserError(f"scale {scale_name!r} does not train")
    return training.layout[stage]


def fetched(scale_name: str) -> list[str]:
    """Systems whose weights `fetch_model` brings."""
    return [name for name in model_names(scale_name) if isinstance(systems()[name], Published)]


def distilled(scale_name: str) -> list[str]:
    """Systems that `distill_base` makes."""
    return [name for name in model_names(scale_name) if isinstance(systems()[name], Distilled)]


def model_names(scale_name: str) -> list[str]:
    settings = scale(scale_name)
    return list(dict.fromkeys([*([settings.base] if settings.base else []), *settings.evaluation.systems]))


def evaluated(scale_name: str) -> list[str]:
    """Systems that are sampled: all but the reported ones."""
    return [name for name in scale(scale_name).evaluation.systems if not isinstance(systems()[name], Reported)]


def checkpoint_of(scale_name: str, system: str) -> str | None:
    """The segment whose checkpoint a sampled system is, or None when it is a model of models/."""
    if system in {candidate.id for candidate in segments(scale_name)}:
        return system
    entry = systems().get(system)
    return last_segment(scale_name, entry.stage).id if isinstance(entry, Trained) else None


@dataclass(frozen=True)
class CurvePoint:
    """One point of Pass@1 over steps: a system, and the suite in which its samples are."""

    total_step: int
    system: str
    suite: str


def curve(scale_name: str) -> list[CurvePoint]:
    """The points of figure 1; a checkpoint that the table already evaluates is not sampled twice."""
    settings = scale(scale_name)
    in_table = {checkpoint_of(scale_name, name): name for name in evaluated(scale_name)}
    points = [CurvePoint(0, settings.base, "table")] if settings.base in settings.evaluation.systems else []
    for step in segments(scale_name):
        if step.id in in_table:
            points.append(CurvePoint(step.total_last, in_table[step.id], "table"))
        elif settings.evaluation.curve_segments and "curve" in settings.evaluation.suites:
            points.append(CurvePoint(step.total_last, step.id, "curve"))
    return points


def scored(scale_name: str) -> list[tuple[str, str]]:
    """Every (system, suite) that is sampled and scored."""
    table = [(name, "table") for name in evaluated(scale_name)]
    return table + [(p.system, p.suite) for p in curve(scale_name) if (p.system, p.suite) not in table]


def needs(scale_name: str, rule: str) -> Need:
    """What a job of a rule asks for, defaults filled in."""
    table = scale(scale_name).resources
    given = table.get(rule, Need())
    return table["default"].model_copy(update=given.model_dump(exclude_none=True))


def resolved(scale_name: str) -> dict[str, Any]:
    """All that decides a scale's results, as plain data: the scale, its recipe, and the entries that it names."""
    chosen = scale(scale_name)
    tests = dict.fromkeys(name for suite in chosen.evaluation.suites.values() for name in suite)
    origins = chosen.curation.sources if chosen.curation else []
    return {
        "scale": chosen.model_dump(mode="json"),
        "recipe": recipe(chosen.training.recipe).model_dump(mode="json") if chosen.training else None,
        "systems": {name: systems()[name].model_dump(mode="json") for name in model_names(scale_name)},
        "benchmarks": {name: benchmarks()[name].model_dump(mode="json") for name in tests},
        "sources": {name: sources()[name].model_dump(mode="json") for name in origins},
    }


def training_digest(scale_name: str, identifier: str) -> str:
    """Changes when anything that decides a segment's result does: the recipe, its stage, the seed, the reward's rule of
    form. Not the machines."""
    settings, piece = scale(scale_name), segment(scale_name, identifier)
    training = settings.training
    assert training is not None
    chosen = recipe(training.recipe)
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
    settings = scale(scale_name)
    keep = {"samples", "temperature", "top_p", "max_new_tokens", "context"}
    return settings_digest(
        settings.evaluation.model_dump(mode="json", include=keep),
        prompting_entry(scale_name, system).model_dump(mode="json", include={"prompting", "sampling"}),
        settings.seed,
    )


def score_digest(scale_name: str, suite: str) -> str:
    """Changes when anything that decides a suite's scores does, beside the grades: titles and marks of its sets."""
    settings = scale(scale_name)
    entries = [benchmarks()[name] for name in settings.evaluation.suites[suite]]
    return settings_digest(settings.seed, settings.evaluation.grader, *entries)


def table_digest(scale_name: str) -> str:
    """Changes when anything that a table prints does, beside the scores: the rows and what their entries say."""
    settings = scale(scale_name)
    rows = [systems()[name] for name in settings.evaluation.systems]
    return settings_digest(settings.evaluation, settings.base, settings.seed, *rows)


def prompting_digest(scale_name: str, system: str) -> str:
    """Changes when a problem becomes another prompt, or a response is to be read otherwise."""
    return settings_digest(prompting_entry(scale_name, system).prompting)


def prompting_entry(scale_name: str, system: str) -> Published | Distilled:
    """The entry whose prompting and sampling hold for a system: for a checkpoint, those of the scale's base."""
    name = scale(scale_name).base if checkpoint_of(scale_name, system) else system
    entry = systems().get(name or "")
    if not isinstance(entry, Published | Distilled):
        raise UserError(f"{system!r} is no system that can be sampled")
    return entry
