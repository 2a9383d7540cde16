"""What can be run on a machine: every scale on GPUs laid out for it, and what of a schedule fits, best first."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from deepscaler import dag, settings
from deepscaler.cost.estimate import price_sampling
from deepscaler.cost.hardware import GIB, shape_of
from deepscaler.cost.memory import ENGINE_BYTES
from deepscaler.cost.ranges import Range, total
from deepscaler.cost.workload import Case, Sampling, case_of
from deepscaler.reporting.compute.within.decides import AVERAGE, Decision, Reach, decisions
from deepscaler.reporting.compute.within.machine import Machine
from deepscaler.reporting.compute.within.one_claim import verifications
from deepscaler.reporting.compute.within.schedule import Schedule, laid_out, shortened

SURE = 0.8
"""Power from which a claim counts as decided."""
VERIFY = "verify "
VERIFIED = 3
"""Claims that are proposed one by one, at most."""


@dataclass(frozen=True)
class Choice:
    """Something that can be run."""

    title: str
    scale: str
    """Which it is, or extends."""
    schedule: Schedule | None
    """Of training, laid out for the machine; None where nothing is trained, or just as the scale says."""
    gpus: int
    gpu_hours: Range
    wall_hours: Range
    memory: float
    """Bytes that the fullest GPU needs."""
    decides: tuple[Decision, ...]
    lacks: tuple[str, ...]
    """What does not fit, and by how much; nothing where it does."""
    tight: tuple[str, ...]
    """What fits as expected, and not at its worst."""

    @property
    def sure(self) -> int:
        """Claims that are decided with enough power."""
        return sum((one.power or 0) >= SURE for one in self.decides)

    @property
    def is_scale(self) -> bool:
        """Whether it can be written as one; `verify` is a command."""
        return not self.title.startswith(VERIFY)

    @property
    def verdict(self) -> str:
        return "no" if self.lacks else "tight" if self.tight else "yes"


def choices(machine: Machine) -> list[Choice]:
    """All of them, those that fit first, by what they decide; then the others, by price."""
    found = [choice for name in gpu_scales() for choice in of_scale(name, machine)]
    found += one_claim_each(machine)
    return sorted(found, key=lambda one: (bool(one.lacks), 0 if one.lacks else -one.sure, one.gpu_hours.expected))


def gpu_scales() -> list[str]:
    scales = {name: settings.load_scale(name) for name in settings.scale_names()}
    return [name for name, scale in scales.items() if scale.device == "gpu" and not scale.rehearsal]


def of_scale(name: str, machine: Machine) -> Iterator[Choice]:
    """The scale, and what of its schedule fits where it does not fit whole."""
    case = case_of(name)
    if not case.stages:
        yield evaluation_alone(case, machine)
        return
    schedule = laid_out(case, machine)
    whole = whole_training(case, schedule, machine)
    yield whole
    if whole.lacks and (cut := shortened(schedule, machine)):
        yield first_steps(cut, machine)


def one_claim_each(machine: Machine) -> Iterator[Choice]:
    """The claims that are decided soonest, by scales that train nothing."""
    scales = [name for name in gpu_scales() if settings.load_scale(name).training is None]
    sure = [one for one in verifications(scales, machine) if (one.decision.power or 0) >= SURE]
    for found in sure[:VERIFIED]:
        gpus = min(machine.gpus, max(work.gpus for work in found.samplings))
        memory = max(engine_memory(found.scale, work) for work in found.samplings)
        yield chosen(
            f"{VERIFY}{found.decision.claim.id} --scale {found.scale}",
            found.scale,
            None,
            gpus,
            found.gpu_hours,
            found.gpu_hours.times(1 / gpus),
            memory,
            (found.decision,),
            room_lacks("an engine", memory, machine),
            machine,
        )


def evaluation_alone(case: Case, machine: Machine) -> Choice:
    jobs = sum(work.jobs for work in case.evaluations)
    widest = max(work.gpus for work in case.evaluations)
    gpus = min(machine.gpus, jobs * widest)
    hours = total(price_sampling(work, case, machine.card).gpu_hours for work in case.evaluations)
    suites = frozenset(work.suite for work in case.evaluations)
    memory = max(engine_memory(case.scale, work) for work in case.evaluations)
    lacks = [f"an engine spans {widest} GPUs"] if widest > machine.gpus else []
    lacks += room_lacks("an engine", memory, machine)
    return chosen(
        case.scale,
        case.scale,
        None,
        gpus,
        hours,
        hours.times(1 / gpus),
        memory,
        decisions(reach(case.scale, dag.evaluated(case.scale), suites, stages=(), own_layout=True)),
        lacks,
        machine,
    )


def whole_training(case: Case, schedule: Schedule, machine: Machine) -> Choice:
    """All stages, and the scale's evaluations on the same GPUs after them."""
    name, stages = case.scale, tuple(schedule.steps)
    own = schedule.scale == settings.load_scale(name)
    suites = frozenset(work.suite for work in case.evaluations)
    evaluated = total(price_sampling(work, case, machine.card).gpu_hours for work in case.evaluations)
    return chosen(
        name,
        name,
        None if own else schedule,
        schedule.gpus,
        schedule.gpu_hours.plus(evaluated),
        schedule.wall_hours.plus(evaluated.times(1 / schedule.gpus)),
        schedule.memory,
        decisions(reach(name, dag.evaluated(name), suites, stages=stages, own_layout=own)),
        schedule.lacks(machine),
        machine,
    )


def first_steps(cut: Schedule, machine: Machine) -> Choice:
    """What of a schedule fits: its base and its checkpoints are evaluated on the table's first test set alone."""
    evaluated = total(price_sampling(work, cut.case, machine.card).gpu_hours for work in cut.evaluations)
    steps = " + ".join(f"{steps:,} steps at {stage}" for stage, steps in cut.steps.items())
    measured = Reach(
        scale=cut.scale.name,
        systems=frozenset(cut.systems),
        columns=frozenset({settings.benchmarks()[cut.test].column}),
        stages=frozenset(cut.whole_stages),
        curve=False,
        own_layout=False,
    )
    return chosen(
        f"{cut.scale.name}, {steps}",
        cut.scale.name,
        cut,
        cut.gpus,
        cut.gpu_hours.plus(evaluated),
        cut.wall_hours.plus(evaluated.times(1 / cut.gpus)),
        cut.memory,
        decisions(measured),
        cut.lacks(machine),
        machine,
    )


def reach(
    scale: str, systems: list[str], suites: frozenset[str], *, stages: tuple[str, ...], own_layout: bool
) -> Reach:
    tests, entries = settings.load_scale(scale).evaluation.suites, settings.benchmarks()
    columns = {entries[test].column for suite in suites for test in tests[suite]}
    return Reach(
        scale, frozenset(systems), frozenset({*columns, AVERAGE}), frozenset(stages), "curve" in suites, own_layout
    )


def chosen(
    title: str,
    scale: str,
    schedule: Schedule | None,
    gpus: int,
    gpu_hours: Range,
    wall_hours: Range,
    memory: float,
    decided: tuple[Decision, ...],
    lacks: list[str],
    machine: Machine,
) -> Choice:
    """A choice, held against the clock and the purse."""
    lacks, tight = list(lacks), []
    for value, limit, unit in (
        (wall_hours, machine.hours, "hours"),
        (gpu_hours.times(machine.dollars_per_gpu_hour), machine.dollars, "dollars"),
    ):
        if value.expected > limit:
            lacks.append(f"{up(value.expected - limit)} {unit} more")
        elif value.high > limit:
            tight.append(f"{up(value.high - limit)} {unit} more")
    return Choice(title, scale, schedule, gpus, gpu_hours, wall_hours, memory, decided, tuple(lacks), tuple(tight))


def up(value: float) -> str:
    return f"{ceil(value):,}"


def engine_memory(scale: str, work: Sampling) -> float:
    """Bytes a GPU must have for an engine that holds one sequence of full length."""
    share = settings.load_scale(scale).evaluation.engine.gpu.memory_utilisation
    shape = shape_of(work.billions)
    return (shape.bytes / work.gpus + work.lengths.context * shape.cache_bytes + ENGINE_BYTES) / share


def room_lacks(what: str, need: float, machine: Machine) -> list[str]:
    room = machine.card.memory
    return [f"{what} needs {(need - room) / GIB:.0f} GB more a GPU"] if need > room else []
