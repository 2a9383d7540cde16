"""Train one segment of the chain, from its parent's checkpoint to its own; a killed job resumes.

The result is put in place once, whole. Unfinished work stays in the run folder (run/run_folder.py), where the same
command, run again, goes on from the last saved state.
"""

import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from deepscaler import dag, reward
from deepscaler.dag.chain import Segment
from deepscaler.errors import JobError, UserError
from deepscaler.files import current_umask, link, nobody_else_writes, read_jsonl, remove, sha256, write_jsonl
from deepscaler.records import Checkpoint, ModelManifest
from deepscaler.settings import load_recipe, load_scale
from deepscaler.settings.recipe import Recipe
from deepscaler.training.launch.launch import run
from deepscaler.training.launch.spec import Launch
from deepscaler.training.openrlhf.bounds import Bounds
from deepscaler.training.openrlhf.flags import SegmentPaths, segment_flags
from deepscaler.training.openrlhf.parser import parse_as_openrlhf
from deepscaler.training.run import checkpoint, deepspeed_states, kept_rollouts, run_folder, stop_request
from deepscaler.training.run.deepspeed_states import State
from deepscaler.training.run.rehearsed_kill import rehearsed_kill
from deepscaler.training.run.run_folder import RunFolder
from deepscaler.training.run.stop_request import StopRequest
from deepscaler.training.run.writer_lock import only_writer
from deepscaler.training.watch import measured
from deepscaler.training.watch.alert import SegmentAlerts, stage_done
from deepscaler.training.watch.metrics import (
    SECONDS,
    TIMES,
    Follower,
    Row,
    read_rows,
    steps_of,
    times_of,
    without_times,
)
from deepscaler.training.watch.progress_line import ProgressLines
from deepscaler.versions import TRAINING, processor, versions

REWARD_FILE = Path(reward.__file__).parent / "openrlhf.py"
OnStep = Callable[[Row], None]
"""Called with the row of every step as it comes; stops the training by raising a DeepscalerError."""


def train_segment(
    *,
    scale_name: str,
    segment_id: str,
    parent: Path,
    prompts: Path,
    runs: Path,
    output: Path,
    on_step: OnStep | None = None,
) -> None:
    """Make the checkpoint `output` (its `checkpoint.json`) of a segment; costs seconds where it is finished already."""
    segment = dag.segment(scale_name, segment_id)
    parent_manifest = checkpoint.read_manifest(parent)
    check_parent(segment, load_scale(scale_name).base, parent_manifest, parent)
    settings_digest = dag.training_digest(scale_name, segment_id)
    folder, inputs = run_folder.identify(runs, segment, settings_digest, parent_manifest, prompts)
    stop = StopRequest(folder.stop, runs, lambda: run_folder.saved_step(folder, segment), report)
    with stop.listening(), only_writer(folder.path, report), nobody_else_writes():
        if folder.finished():
            report(f"segment {segment.id} is finished already; its checkpoint is put in place")
        else:
            for line in run_folder.differences(folder, inputs, segment):
                report(line)
            run_folder.prepare(folder, inputs, segment, parent, prompts)
            if not folder.hf.exists():
                train(scale_name, segment, folder, on_step, stop)
            export(scale_name, segment, folder, parent, settings_digest)
        freed = run_folder.remove_unneeded(folder, segment.last)  # a kill may have left some of it
        report(f"finished; {freed / 1e6:,.0f} MB of older states removed")
        checkpoint.publish(folder.export, output.parent)
        stage_done(scale_name, segment)


def train(scale_name: str, segment: Segment, folder: RunFolder, on_step: OnStep | None, stop: StopRequest) -> None:
    """Run OpenRLHF from the newest whole state to the segment's last step."""
    check_prompts(folder, segment, recipe_of(scale_name))
    deepspeed_states.refuse_others(folder.states)
    drop_broken_states(folder, segment, read=True)
    state = deepspeed_states.choose_state(folder.states)
    check_layout(scale_name, state, segment.stage, folder)
    weights = folder.path / ".hf.part"
    remove(weights)
    paths = SegmentPaths(folder.start, folder.prompts, folder.states, weights, REWARD_FILE, folder.new_attempt())
    launch = launch_of(scale_name, segment, folder, paths)
    parse_as_openrlhf(launch.flags)  # what upstream would refuse is refused before anything starts
    start = state.step if state else 0
    verb = "going on" if start > segment.first else "starting"
    report(f"{verb} at step {start} of {segment.last}; log: {launch.logs}")
    progress = ProgressLines(segment)
    follower = Follower(folder.metrics)
    kill_once = rehearsed_kill(scale_name, segment, folder)
    alerts = SegmentAlerts(scale_name, segment, folder, paths.logs.name)
    alerts.begun()
    launched, first = time.time(), True

    def report_steps() -> None:
        nonlocal first
        for row in follower.new_rows():
            if first:
                note_start(folder, time.time() - launched - float(row.get(SECONDS) or 0.0))
            first = False
            report(progress.line(row))
            alerts.on_step(int(row["step"]), time.monotonic())
            if on_step:
                on_step(row)
        alerts.look(time.monotonic())
        kill_once()
        stop.look()

    try:
        with stop.while_training():
            run(launch, report_steps)
        if not (weights / "model.safetensors").exists():
            raise JobError("OpenRLHF ended without writing the weights", launch.driver_log)
        weights.rename(folder.hf)
    finally:
        drop_broken_states(folder, segment)  # a full disk gets its room back at once


def note_start(folder: RunFolder, seconds: float) -> None:
    phase = measured.Phase(measured.START, measured.LAUNCH, socket.gethostname(), time.time(), round(seconds, 2), None)
    measured.append_phase(folder.measured, phase)


def launch_of(scale_name: str, segment: Segment, folder: RunFolder, paths: SegmentPaths) -> Launch:
    """OpenRLHF's command for a segment, its environment and its machines."""
    layout = dag.layout(scale_name, segment.stage)
    return Launch(
        flags=segment_flags(scale_name, segment, paths),
        environment=segment_environment(scale_name, segment, folder) | stop_request.environment(folder.path.parent),
        device=load_scale(scale_name).device,
        nodes=layout.nodes,
        gpus_per_node=layout.gpus_per_node,
        cpus=dag.needs(scale_name, "train_segment").cpus or 1,
        logs=paths.logs,
    )


def drop_broken_states(folder: RunFolder, segment: Segment, *, read: bool = False) -> None:
    for line in deepspeed_states.drop_broken(folder.states, segment.first, segment.last, read=read):
        report(line)


def segment_environment(scale_name: str, segment: Segment, folder: RunFolder) -> dict[str, str]:
    """What the hooks and the reward need to know of a segment."""
    recipe = recipe_of(scale_name)
    stage = recipe.stage(segment.stage)
    bounds = Bounds(
        stage=segment.stage,
        segment=segment.id,
        first=segment.first,
        last=segment.last,
        total_before=segment.total_last - segment.last,
        scheduler_steps=stage.steps * recipe.updates_per_step,
        cycle_prompts=recipe.filtering.enabled,
        metrics=str(folder.metrics.resolve()),
        rollouts=str(folder.rollouts.resolve()) if keeps_rollouts(scale_name) else None,
        measured=str(folder.measured.resolve()),
        weights=str(folder.weights.resolve()),
        asynchronous=recipe.rollout.asynchronous.enabled,
        cache=recipe.rollout.cache,
        max_sequences=dag.layout(scale_name, segment.stage).max_sequences,
        log_probs_every=recipe.rollout.log_probs_every,
        stop=str(folder.stop.resolve()),
    )
    think = dag.prompting_entry(scale_name, load_scale(scale_name).base or "").prompting.think
    return {
        **bounds.to_environment(),
        "DEEPSCALER_REWARD_MODE": recipe.reward.mode,
        "DEEPSCALER_THINK_RULE": think,
        "DEEPSCALER_REWARD_SECONDS": str(recipe.reward.grading.seconds),
        "DEEPSCALER_REWARD_MEMORY_MB": str(recipe.reward.grading.memory_mb),
    }


def export(scale_name: str, segment: Segment, folder: RunFolder, parent: Path, settings_digest: str) -> None:
    """Gather the finished checkpoint in `export/`, whole or not at all."""
    aside = folder.path / ".export.part"
    remove(aside)
    aside.mkdir()
    readable = 0o666 & ~current_umask()  # upstream leaves the weights to their owner alone, whatever the umask
    for path in checkpoint.export_files(folder.hf):
        target = aside / path.relative_to(folder.hf)
        target.parent.mkdir(exist_ok=True)
        path.chmod(readable)
        link(str(path), str(target))
    rows = steps_of(read_rows(folder.metrics), segment.first, segment.last)
    write_jsonl(aside / checkpoint.METRICS, map(without_times, rows))
    written = sorted(path for path in aside.rglob("*") if path.is_file())
    files = {path.relative_to(aside).as_posix(): sha256(path) for path in written}
    rollouts = kept_rollouts.link_all(folder.rollouts, aside / kept_rollouts.FOLDER, segment.first, segment.last)
    write_jsonl(aside / measured.MEASURED, map(asdict, measured.read_phases(folder.measured)))  # as little as the times
    write_jsonl(aside / TIMES, map(times_of, rows))  # of this run, not of what the checkpoint is: no digest
    manifest = Checkpoint(
        scale=scale_name,
        stage=segment.stage,
        segment=segment.number,
        step=segment.last,
        total_step=segment.total_last,
        parent=checkpoint.digest(parent),
        recipe_digest=settings_digest,
        prompts_sha256=sha256(folder.prompts),
        seed=load_scale(scale_name).seed,
        files=files,
        rollouts=rollouts,
        versions=versions(TRAINING),
        processor=processor(),
    )
    checkpoint.write_manifest(aside, manifest)
    remove(folder.export)
    aside.replace(folder.export)


def check_parent(segment: Segment, base: str | None, manifest: Checkpoint | ModelManifest, path: Path) -> None:
    """The parent must be the one that precedes the segment in the chain."""
    if isinstance(manifest, Checkpoint):
        found = f"checkpoint {manifest.stage}-{manifest.segment}"
    else:
        found = f"model {manifest.system}"
    wanted = f"checkpoint {segment.parent}" if segment.parent else f"model {base}"
    if found != wanted:
        raise UserError(f"segment {segment.id} starts from {wanted}, not from {found}", path)


def check_layout(scale_name: str, state: State | None, stage: str, folder: RunFolder) -> None:
    """DeepSpeed's states can be loaded only by as many GPUs, at the same ZeRO stage, as wrote them."""
    layout = dag.layout(scale_name, stage)
    wanted = (layout.nodes * dag.gpus(scale_name, stage).training, layout.zero_stage)
    if state and state.layout() != wanted:
        raise UserError(
            "the saved state is of {} GPUs at ZeRO {}, the layout trains on {} at ZeRO {}".format(
                *state.layout(), *wanted
            ),
            state.folder,
            f"set training.layout.{stage} back, or delete {folder.path} to start the segment anew",
        )


def check_prompts(folder: RunFolder, segment: Segment, recipe: Recipe) -> None:
    """The file must hold all prompts of all steps."""
    wanted = (segment.last - segment.first) * recipe.rollout.prompts_per_step
    found = sum(1 for _ in read_jsonl(folder.prompts))
    if found < wanted:
        raise UserError(
            f"{found} prompts for {segment.last - segment.first} steps of {recipe.rollout.prompts_per_step}",
            folder.prompts,
            "schedule_prompts makes the file",
        )


def recipe_of(scale_name: str) -> Recipe:
    training = load_scale(scale_name).training
    assert training is not None
    return load_recipe(training.recipe)


def keeps_rollouts(scale_name: str) -> bool:
    training = load_scale(scale_name).training
    assert training is not None
    return training.keep_rollouts


def report(line: str) -> None:
    """Print it; where nobody reads any more, since a terminal was closed, go on in silence."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.dup2(nowhere, sys.stderr.fileno())
