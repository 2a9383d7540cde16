"""Which systems a scale fetches, makes, samples and scores, and how each is prompted."""

from dataclasses import dataclass

from deepscaler.dag.chain import last_segment, segments
from deepscaler.errors import UserError
from deepscaler.settings import load_scale, systems
from deepscaler.settings.models import Distilled, Published, Reported, Trained


def fetched(scale_name: str) -> list[str]:
    """Systems whose weights `fetch_model` brings."""
    return [name for name in model_names(scale_name) if isinstance(systems()[name], Published)]


def distilled(scale_name: str) -> list[str]:
    """Systems that `distill_base` makes."""
    return [name for name in model_names(scale_name) if isinstance(systems()[name], Distilled)]


def model_names(scale_name: str) -> list[str]:
    settings = load_scale(scale_name)
    return list(dict.fromkeys([*([settings.base] if settings.base else []), *settings.evaluation.systems]))


def evaluated(scale_name: str) -> list[str]:
    """Systems that are sampled: all but the reported ones."""
    return [name for name in load_scale(scale_name).evaluation.systems if not isinstance(systems()[name], Reported)]


def held_against(scale_name: str) -> list[str]:
    """Benchmarks whose problems must not be trained on, suite by suite."""
    scale = load_scale(scale_name)
    chosen = scale.curation.decontaminate.suites if scale.curation else []
    found = (scale.evaluation.suites[suite] for suite in chosen if suite in scale.evaluation.suites)
    return list(dict.fromkeys(name for names in found for name in names))


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
    settings = load_scale(scale_name)
    every = settings.evaluation.curve_every
    in_table = {checkpoint_of(scale_name, name): name for name in evaluated(scale_name)}
    points = [CurvePoint(0, settings.base, "table")] if settings.base in settings.evaluation.systems else []
    for step in segments(scale_name):
        if step.id in in_table:
            points.append(CurvePoint(step.total_last, in_table[step.id], "table"))
        elif every and step.number % every == 0 and "curve" in settings.evaluation.suites:
            points.append(CurvePoint(step.total_last, step.id, "curve"))
    return points


def scored(scale_name: str) -> list[tuple[str, str]]:
    """Every (system, suite) that is sampled and scored."""
    table = [(name, "table") for name in evaluated(scale_name)]
    return table + [(p.system, p.suite) for p in curve(scale_name) if (p.system, p.suite) not in table]


def prompting_entry(scale_name: str, system: str) -> Published | Distilled:
    """The entry whose prompting and sampling hold for a system: for a checkpoint, those of the scale's base."""
    name = load_scale(scale_name).base if checkpoint_of(scale_name, system) else system
    entry = systems().get(name or "")
    if not isinstance(entry, Published | Distilled):
        raise UserError(f"{system!r} is no system that can be sampled")
    return entry
