"""Train one segment of the chain: from its parent's checkpoint to its own, from wherever a killed job left off.

The result is put in place once, whole. What is half done stays in the run folder (run_folder.py), where the same
command given again goes on from the last saved state.
"""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepscaler import dag, reward
from deepscaler.dag.chain import Segment
from deepscaler.errors import JobError, UserError
from deepscaler.files import read_jsonl, remove, sha256, write_jsonl
from deepscaler.records import Checkpoint, ModelManifest
from deepscaler.settings import load_recipe, load_scale
from deepscaler.settings.recipe import Recipe
from deepscaler.training.launch.launch import Launch, run
from deepscaler.training.openrlhf.bounds import Bounds
from deepscaler.training.openrlhf.flags import Places, segment_flags
from deepscaler.training.openrlhf.parser import resolve
from deepscaler.training.run import checkpoint, deepspeed_states, run_folder
from deepscaler.training.run.run_folder import RunFolder
from deepscaler.training.run.writer_lock import only_writer
from deepscaler.training.watch.metrics import Follower, Row, read_rows, steps_of
from deepscaler.training.watch.progress_line import StepLines

REWARD_FILE = Path(reward.__file__).parent / "openrlhf.py"
Watch = Callable[[Row], None]
"""Sees every step's row as it comes, and stops the training by raising a DeepscalerError."""


def train_segment(
    scale_name: str, segment_id: str, parent: Path, prompts: Path, runs: Path, output: Path, watch: Watch | None = None
) -> None:
    """Make the checkpoint `output` (its `checkpoint.json`) of a segment; costs seconds where it is finished already."""
    segment = dag.segment(scale_name, segment_id)
    parent_manifest = checkpoint.read_manifest(parent)
    check_parent(segment, load_scale(scale_name).base, parent_manifest, parent)
    settings_digest = dag.training_digest(scale_name, segment_id)
    folder, facts = run_folder.identify(runs, segment, settings_digest, parent_manifest, prompts)
    raise_on_signals()
    with only_writer(folder.path, say):
        if folder.finished():
            say(f"segment {segment.id} is finished already; its checkpoint is put in place")
        else:
            for line in run_folder.differences(folder, facts, segment):
                say(line)
            run_folder.prepare(folder, facts, segment, parent, prompts)
            if not folder.hf.exists():
                train(scale_name, segment, folder, watch)
            export(scale_name, segment, folder, parent, settings_digest)
        freed = run_folder.tidy(folder, segment.last)  # a kill may have left some of it
        say(f"finished; {freed / 1e6:,.0f} MB of older states removed")
        checkpoint.publish(folder.export, output.parent)


def train(scale_name: str, segment: Segment, folder: RunFolder, watch: Watch | None) -> None:
    """Run OpenRLHF from the newest whole state to the segment's last step."""
    settings, place = load_scale(scale_name), dag.layout(scale_name, segment.stage)
    assert settings.training is not None
    chosen = load_recipe(settings.training.recipe)
    check_prompts(folder, segment, chosen)
    state, dropped = deepspeed_states.settle(folder.states, segment.first, segment.last)
    for line in dropped:
        say(line)
    wanted = (place.nodes * place.gpus_per_node, place.zero_stage)
    if state and state.layout() != wanted:
        raise UserError(
            "the saved state is of {} GPUs at ZeRO {}, the layout has {} at ZeRO {}".format(*state.layout(), *wanted),
            state.folder,
            f"set training.layout.{segment.stage} back, or delete {folder.path} to start the segment anew",
        )
    weights = folder.path / ".hf.part"
    remove(weights)
    logs = folder.new_attempt()
    places = Places(folder.start, folder.prompts, folder.states, weights, REWARD_FILE, logs)
    launch = launch_of(scale_name, segment, folder, places)
    resolve(launch.flags)  # what upstream would refuse is refused before anything starts
    start = state.step if state else 0
    say(f"{'going on' if start > segment.first else 'starting'} at step {start} of {segment.last}; log: {logs}")
    report = StepLines(segment, start)
    follower = Follower(folder.metrics)

    def meanwhile() -> None:
        for row in follower.new_rows():
            say(report.line(row))
            if watch:
                watch(row)

    try:
        run(launch, meanwhile)
        if not (weights / "model.safetensors").exists():
            raise JobError("OpenRLHF ended without writing the weights", launch.driver_log)
        weights.rename(folder.hf)
    finally:
        for broken in deepspeed_states.settle(folder.states, segment.first, segment.last)[1]:
            say(broken)  # a full disk gets its room back at once


def launch_of(scale_name: str, segment: Segment, folder: RunFolder, places: Places) -> Launch:
    """OpenRLHF's command for a segment, its environment and its machines."""
    settings, layout = load_scale(scale_name), dag.layout(scale_name, segment.stage)
    assert settings.training is not None
    return Launch(
        flags=segment_flags(scale_name, segment, places),
        environment=segment_environment(scale_name, segment, load_recipe(settings.training.recipe), folder),
        device=settings.device,
        nodes=layout.nodes,
        gpus_per_node=layout.gpus_per_node,
        cpus=dag.needs(scale_name, "train_segment").cpus or 1,
        logs=places.logs,
    )


def segment_environment(scale_name: str, segment: Segment, chosen: Recipe, folder: RunFolder) -> dict[str, str]:
    stage = chosen.stage(segment.stage)
    bounds = Bounds(
        stage=segment.stage,
        segment=segment.id,
        first=segment.first,
        last=segment.last,
        total_before=segment.total_last - segment.last,
        scheduler_steps=stage.steps * chosen.updates_per_step,
        cycle_prompts=chosen.filtering.enabled,
        metrics=str(folder.metrics.resolve()),
    )
    think = dag.prompting_entry(scale_name, load_scale(scale_name).base or "").prompting.think
    return {
        **bounds.to_environment(),
        "DEEPSCALER_REWARD_MODE": chosen.reward.mode,
        "DEEPSCALER_THINK_RULE": think,
    }


def export(scale_name: str, segment: Segment, folder: RunFolder, parent: Path, settings_digest: str) -> None:
    """Gather the finished checkpoint in `export/`, whole or not at all."""
    aside = folder.path / ".export.part"
    remove(aside)
    aside.mkdir()
    for path in checkpoint.model_files(folder.hf):
        path.chmod(0o644)  # upstream leaves the weights readable to their owner alone
        deepspeed_states.link(str(path), str(aside / path.name))
    rows = steps_of(read_rows(folder.metrics), segment.first, segment.last)
    write_jsonl(aside / checkpoint.METRICS, rows)
    files = {path.name: sha256(path) for path in sorted(aside.iterdir())}
    manifest = Checkpoint(
        scale=scale_name,
        stage=segment.stage,
        segment=segment.number,
        step=segment.last,
        total_step=segment.total_last,
        parent=sha256(parent),
        recipe_digest=settings_digest,
        prompts_sha256=sha256(folder.prompts),
        seed=load_scale(scale_name).seed,
        files=files,
        versions=checkpoint.versions(),
        created=checkpoint.now(),
    )
    checkpoint.write_manifest(aside, manifest)
    remove(folder.export)
    aside.replace(folder.export)


def check_parent(segment: Segment, base: str | None, manifest: Checkpoint | ModelManifest, path: Path) -> None:
    """The parent must be the one that the chain says."""
    if isinstance(manifest, Checkpoint):
        found = f"checkpoint {manifest.stage}-{manifest.segment}"
    else:
        found = f"model {manifest.system}"
    wanted = f"checkpoint {segment.parent}" if segment.parent else f"model {base}"
    if found != wanted:
        raise UserError(f"segment {segment.id} starts from {wanted}, not from {found}", path)


def check_prompts(folder: RunFolder, segment: Segment, chosen: Recipe) -> None:
    """The file must hold a prompt for every place of every step."""
    wanted = (segment.last - segment.first) * chosen.rollout.prompts_per_step
    found = sum(1 for _ in read_jsonl(folder.prompts))
    if found < wanted:
        raise UserError(
            f"{found} prompts for {segment.last - segment.first} steps of {chosen.rollout.prompts_per_step}",
            folder.prompts,
            "schedule_prompts makes the file",
        )


def raise_on_signals() -> None:
    """Let a scheduler's SIGTERM (wall time, scancel) end this process as an error does, so that all is stopped."""

    def stop(number: int, frame: Any) -> None:
        raise JobError(
            f"stopped by {signal.Signals(number).name}; run the same command again to go on from the last saved state"
        )

    signal.signal(signal.SIGTERM, stop)


def say(line: str) -> None:
    print(line, flush=True)
