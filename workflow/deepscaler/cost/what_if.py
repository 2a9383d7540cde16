"""The same scale on other machines, with other settings: `deepscaler plan --what-if gpus=16 card=h200`."""

from collections.abc import Callable
from dataclasses import replace

from deepscaler.cost.hardware import CARDS
from deepscaler.cost.hardware import card as known_card
from deepscaler.cost.lengths import expected_lengths
from deepscaler.cost.workload import Case, Stacks
from deepscaler.errors import UserError, refuse_unknown

NODE = 8
"""GPUs that a what-if puts into one node."""


def on_card(case: Case, value: str, stage: str | None) -> Case:
    """card=h200: another GPU for everything."""
    known_card(value)
    return replace(case, card=value)


def on_gpus(case: Case, value: str, stage: str | None) -> Case:
    """gpus=16: for the stages after the first, or for one: gpus.8k=16."""
    number = positive("gpus", value)
    later = {work.name for work in case.stages[1:]}
    names = {case.stage(stage).name} if stage else later
    changed = {
        work.name: replace(work, gpus=number, nodes=-(-number // NODE), rollout_gpus=None)
        for work in case.stages
        if work.name in names
    }
    return replace(case, stages=tuple(changed.get(work.name, work) for work in case.stages))


def with_samples(case: Case, value: str, stage: str | None) -> Case:
    """samples=8: for each prompt, in all stages or in one. Changes the recipe."""
    number = positive("samples", value)
    names = {case.stage(stage).name} if stage else {work.name for work in case.stages}
    return replace(case, stages=tuple(replace(w, samples=number) if w.name in names else w for w in case.stages))


def with_sequences(case: Case, value: str, stage: str | None) -> Case:
    """sequences=256: answers that an engine draws at once, in all stages or in one."""
    number = positive("sequences", value)
    names = {case.stage(stage).name} if stage else {work.name for work in case.stages}
    return replace(case, stages=tuple(replace(w, max_sequences=number) if w.name in names else w for w in case.stages))


def with_steps(case: Case, value: str, stage: str | None) -> Case:
    """steps.24k=200: another number of steps in a stage."""
    if stage is None:
        raise UserError("`steps` needs its stage", f"steps={value}", f"e.g. steps.{case.stages[-1].name}=200")
    number, old = positive("steps", value), case.stage(stage)
    jobs = max(1, round(old.jobs * number / old.steps))
    return replace(
        case, stages=tuple(replace(w, steps=number, jobs=jobs) if w.name == stage else w for w in case.stages)
    )


def with_context(case: Case, value: str, stage: str | None) -> Case:
    """context.8k=16384: another context for a stage, with the lengths that go with it."""
    if stage is None:
        raise UserError("`context` needs its stage", f"context={value}", f"e.g. context.{case.stages[0].name}=16384")
    lengths = expected_lengths(positive("context", value), from_base=case.stages[0].name == case.stage(stage).name)
    return replace(case, stages=tuple(replace(w, lengths=lengths) if w.name == stage else w for w in case.stages))


def with_host(case: Case, value: str, stage: str | None) -> Case:
    """host=3.5: milliseconds of host time in a decode step."""
    try:
        seconds = float(value) / 1000
    except ValueError:
        raise UserError(f"`host` is a number of milliseconds, not {value!r}", "--what-if") from None
    return replace(case, stacks=case.stacks.changed(host_seconds=seconds))


def with_kills(case: Case, value: str, stage: str | None) -> Case:
    """kills=24: node-hours between two hard kills, as where a preemption leaves no time to save."""
    return replace(case, stacks=case.stacks.changed(kill_hours=float(positive("kills", value))))


def asynchronous(case: Case) -> Case:
    """async: rollouts while the policy trains, on the number of GPUs that is fastest; off-policy."""
    works = (replace(work, asynchronous=True, rollout_gpus=None) for work in case.stages)
    return replace(case, stages=tuple(works))


def eager(case: Case) -> Case:
    """eager: no CUDA graphs."""
    times = zip(case.stacks.all, (10e-3, 12e-3, 15e-3), strict=True)  # vLLM on A800s, eager: 19–23 ms in all
    return replace(case, stacks=Stacks(*(replace(stack, host_seconds=seconds) for stack, seconds in times)))


def small_cache(case: Case) -> Case:
    """fp8-cache: keys and values of rollouts in 8 bits."""
    return replace(case, stages=tuple(replace(work, small_cache=True) for work in case.stages))


def filtering(case: Case) -> Case:
    """filtering: groups of one reward are drawn again, about half of them."""
    return replace(case, stages=tuple(replace(work, filtered=True) for work in case.stages))


VALUES: dict[str, Callable[[Case, str, str | None], Case]] = {
    "card": on_card,
    "gpus": on_gpus,
    "samples": with_samples,
    "sequences": with_sequences,
    "steps": with_steps,
    "context": with_context,
    "host": with_host,
    "kills": with_kills,
}
FLAGS: dict[str, Callable[[Case], Case]] = {
    "async": asynchronous,
    "eager": eager,
    "fp8-cache": small_cache,
    "filtering": filtering,
}
STANDARD: tuple[tuple[str, ...], ...] = (
    ("gpus=16",),
    ("gpus=8",),
    ("gpus=8", "sequences=256"),
    ("gpus=8", "gpus.8k=4", "sequences=256"),
    ("gpus=8", "gpus.8k=4", "sequences=256", "fp8-cache"),
    ("samples=8",),
    ("samples=8", "gpus=8"),
    ("async",),
    ("fp8-cache",),
    ("eager",),
    ("filtering",),
    ("card=h100",),
    ("card=h200",),
    ("card=h200", "gpus=8"),
)
"""The table of `--what-if standard`."""


def changed(case: Case, changes: list[str] | tuple[str, ...]) -> Case:
    """The case with every word applied: `card=h200`, `gpus.16k=16`, `async`, …"""
    for word in changes:
        key, equals, value = word.partition("=")
        key, _, stage = key.partition(".")
        if not case.stages and key != "card":
            raise UserError(f"scale {case.scale!r} does not train, so only `card` can be changed", word)
        if key in VALUES and equals:
            case = VALUES[key](case, value, stage or None)
        elif word in FLAGS:
            case = FLAGS[word](case)
        elif key in VALUES:
            raise UserError(f"`{key}` needs a value", word, (VALUES[key].__doc__ or "").split(":")[0])
        else:
            raise refuse_unknown("what-if", word, [*VALUES, *FLAGS], "--what-if")
    return case


def described() -> str:
    """Every word with its meaning, for --help."""
    lines = [function.__doc__ or "" for function in (*VALUES.values(), *FLAGS.values())]
    return " · ".join(line.rstrip(".") for line in lines) + f" · cards: {', '.join(CARDS)}"


def positive(key: str, value: str) -> int:
    if not value.isdigit() or int(value) == 0:
        raise UserError(f"`{key}` is a whole number above 0, not {value!r}", "--what-if")
    return int(value)
