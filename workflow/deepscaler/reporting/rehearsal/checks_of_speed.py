"""What the steps took in time and memory, whether weights arrive, and how fast disk and network are."""

from collections.abc import Iterable, Iterator

from deepscaler import dag
from deepscaler.reporting.rehearsal.evidence import Evidence
from deepscaler.reporting.rehearsal.finding import Finding, at_least, at_most, figure, missing
from deepscaler.reporting.rehearsal.plan_of import Planned, planned
from deepscaler.training.watch.measured import LOAD, LOG_PROBABILITIES, PHASES, ROLLOUTS, SAVE, START, SYNC, UPDATE
from deepscaler.training.watch.metrics import LENGTH, SAMPLES, SECONDS, VLLM_KL, Row

GENERATION, EXPERIENCE, TRAINING = "timing/generation", "timing/make_experience", "timing/ppo_train"
BROADCAST, KILLED = "timing/broadcast", "grading_killed"


def speed(run: Evidence) -> Iterator[Finding]:
    """A stage's faster step of two: the first one after a start compiles and warms up."""
    for stage in run.stages:
        rows = [row for row in run.rows_of(stage) if SECONDS in row and GENERATION in row]
        if not rows:
            yield missing("step time", stage)
            continue
        plan, factor = planned(run.scale_name, stage, rows), run.rehearsal.bounds.times_planned
        rollouts, training = fastest(rows, GENERATION), fastest(rows, EXPERIENCE, TRAINING)
        yield timed("step time", stage, fastest(rows, SECONDS), plan.step, factor)
        yield timed("rollouts", stage, rollouts, plan.rollouts, factor)
        yield timed("log-probabilities and update", stage, training, plan.training, factor)
        yield at_most("weight sync", stage, fastest(rows, BROADCAST), None, "s")
        rates = [row[LENGTH] * row[SAMPLES] / row[GENERATION] for row in rows if row[GENERATION]]
        planned_rate = figure(max(rates) * rollouts / plan.rollouts) if plan.rollouts else ""
        yield at_least("tokens/s", stage, max(rates), None, "tokens/s", planned_rate)
        yield from starts_and_saves(run, stage, plan)


def fastest(rows: list[Row], *keys: str) -> float:
    return min(sum(float(row.get(key) or 0.0) for key in keys) for row in rows)


def timed(check: str, stage: str, seconds: float, plan: float | None, factor: float) -> Finding:
    bound = plan * factor if plan else None
    advice = f"see {stage} in the price below; a slow part names what to look at: cards, network or host"
    return at_most(check, stage, seconds, bound, "s", f"{figure(plan)} s" if plan else "", advice)


def starts_and_saves(run: Evidence, stage: str, plan: Planned) -> Iterator[Finding]:
    """Also the rates that follow: of the disk by the state's bytes, of the network by the weights'."""
    bounds, phases = run.rehearsal.bounds, run.phases(stage)
    seconds = {name: max((p.seconds for p in phases if p.phase == name), default=None) for name in PHASES}
    for name, number in ((START, plan.start), (SAVE, plan.save), (LOAD, plan.start)):
        took = seconds[name]
        if took is not None:
            yield timed(name, stage, took, number, bounds.times_planned)
    state, save = run.last_state(stage), seconds[SAVE]
    if state is None or not save:
        yield missing("disk", stage, "no state was saved")
    else:
        advice = "set `work` in config/site.local.yaml to a faster file system, or raise save_steps"
        yield at_least("disk", stage, state.bytes() / 1e6 / save, bounds.disk_mb_per_second, "MB/s", "", advice)
    syncs = [p.seconds for p in phases if p.phase == SYNC]
    weights = run.manifest(next(piece for piece in run.segments if piece.stage == stage)).parent / "model.safetensors"
    if not syncs or not weights.exists():
        yield missing("network", stage, "no weights were sent")
    else:
        advice = "see NCCL_SOCKET_IFNAME and NCCL_IB_HCA in docs/cluster.md"
        rate = weights.stat().st_size / 1e6 / max(min(syncs), 1e-6)
        yield at_least("network", stage, rate, bounds.network_mb_per_second, "MB/s", "", advice)


def memory(run: Evidence) -> Iterator[Finding]:
    """The peak of each phase over all processes, against the smallest card, or what the job asked for."""
    for stage in run.stages:
        rows, phases = run.rows_of(stage), run.phases(stage)
        room = room_gb(run)
        if not phases or not rows or room is None:
            yield missing("peak memory", stage)
            continue
        plan = planned(run.scale_name, stage, rows).memory_gb
        for name in (ROLLOUTS, LOG_PROBABILITIES, UPDATE, SYNC, SAVE):
            peak = highest(p.peak_gb for p in phases if p.phase == name)
            if peak is None:
                yield missing(f"peak memory, {name}", stage)
                continue
            bound = run.rehearsal.bounds.memory_share * room
            advice = fitting(run, stage, name, peak, bound)
            words = f"{figure(plan)} GB" if plan and name == UPDATE else ""
            yield at_most(f"peak memory, {name}", stage, peak, bound, "GB", words, advice)


def room_gb(run: Evidence) -> float | None:
    if run.scale.device == "cpu":
        return (dag.needs(run.scale_name, "train_segment").mem_mb or 0) / 1e3
    return min((node["memory_gb"] for node in run.all_nodes), default=None)


def highest(peaks: Iterable[float | None]) -> float | None:
    return max((peak for peak in peaks if peak is not None), default=None)


def fitting(run: Evidence, stage: str, phase: str, peak: float, bound: float) -> str:
    """The setting that brings a phase's peak below the bound, and to which value."""
    layout = dag.layout(run.scale_name, stage)
    if phase == ROLLOUTS:
        value = layout.gpu_memory_utilisation * bound / peak
        return f"lower training.layout.{stage}.gpu_memory_utilisation to {value:.2f}"
    tokens = int(layout.max_tokens_per_gpu * bound / peak) // 256 * 256
    return f"lower training.layout.{stage}.max_tokens_per_gpu to {tokens:,}"


def agreement(run: Evidence) -> Iterator[Finding]:
    """Do the sampler's weights follow the trainer's?"""
    for stage in run.stages:
        values = [abs(row[VLLM_KL]) for row in run.rows_of(stage) if isinstance(row.get(VLLM_KL), int | float)]
        if not values:
            yield missing("vllm_kl", stage, "no step logged it")
            continue
        advice = "the weights don't reach the sampler, or its kernels differ: see logs of train_segment"
        yield at_most("vllm_kl", stage, max(values), run.rehearsal.bounds.vllm_kl, "nats a token", "0.001", advice)


def weights(run: Evidence) -> Iterator[Finding]:
    """Did every engine hold the trainer's weights after the first sync of each segment's newest launch?"""
    check = "weight checksum"
    for stage in run.stages:
        records = [run.weights(segment) for segment in run.segments if segment.stage == stage]
        if not all(records):
            yield missing(check, stage, "a segment's first sync was not reached")
            continue
        tensors, engines = (min(record[key] for record in records) for key in ("tensors", "engines"))
        wrong = list(dict.fromkeys(name for record in records for name in record["differing"]))
        seen = f"{len(wrong)} differ: {', '.join(wrong[:3])}" if wrong else f"equal on {engines}"
        advice = "the engine does not load what it is sent: see logs of train_segment"
        go = not wrong and tensors > 0 and engines > 0
        yield Finding(check, stage, f"{tensors} tensors, {seen}", go, "all equal", "", "" if go else advice)


def reward(run: Evidence) -> Iterator[Finding]:
    for stage in run.stages:
        shares = [float(row[KILLED]) for row in run.rows_of(stage) if isinstance(row.get(KILLED), int | float)]
        if not shares:
            yield missing("reward killed", stage, "no step logged it")
            continue
        advice = "raise reward.grading.seconds or memory_mb of the recipe, or ask for more cores"
        bound = run.rehearsal.bounds.grading_killed
        yield at_most("reward killed", stage, max(shares), bound, "of answers", "0", advice)
