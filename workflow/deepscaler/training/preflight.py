"""Is this machine ready for a stage of training, or, where a scale trains nothing, to sample?

All that is missing comes in one list, before an expensive job queues.

It runs as a job of one node of the stage's kind, of all its nodes in a rehearsal, and by hand anywhere. It starts no
engine, and imports nothing heavy but to measure a rehearsal's nodes (readiness/pace.py): versions come from package
metadata, GPUs from nvidia-smi. Each check is in the module of `readiness` for its subject.
"""

import math
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deepscaler import dag, settings
from deepscaler.cost.planned import TOTAL, planned_gpu_hours
from deepscaler.errors import JobError, UserError
from deepscaler.files import read_json, write_json
from deepscaler.text import amount
from deepscaler.training.launch.ray_on_slurm import allocated_nodes
from deepscaler.training.readiness.check import Check
from deepscaler.training.readiness.gpus import check_gpus
from deepscaler.training.readiness.node import check_disk, check_node, check_writable
from deepscaler.training.readiness.pace import measured_node
from deepscaler.training.readiness.sampling import check_sampling
from deepscaler.training.readiness.software import check_compilers, check_versions
from deepscaler.training.readiness.weights import check_weights
from deepscaler.training.watch.budget import allowed, gpu_hours_used, how_to_approve, to_approve


def preflight(
    *, scale_name: str, segment_id: str | None = None, output: Path | None = None, this_node: bool = False
) -> None:
    """Print every check for the stage of a segment, or for all stages; of a scale that trains nothing, for sampling.

    `output` is written only where nothing is missing; otherwise JobError is raised. A rehearsal checks and measures
    every node that the job has, unless it is told to look at `this_node` alone.
    """
    rehearses = settings.load_scale(scale_name).rehearsal is not None
    if rehearses and segment_id and output and not this_node:
        write_json(output, on_all_nodes(scale_name, segment_id, output))
        return
    checks = checked(scale_name, segment_id)
    if not output:
        return
    if rehearses:
        write_json(output, asdict(measured_node(scale_name, checks)))
    else:
        write_json(output, {"host": socket.gethostname(), "checks": [asdict(check) for check in checks]})


def checked(scale_name: str, segment_id: str | None) -> list[Check]:
    """The checks of this machine, printed. Raises JobError where something is missing."""
    trains = settings.load_scale(scale_name).training is not None
    purpose = "training" if trains else "sampling"
    if segment_id or trains:
        found = all_checks(scale_name, stages_of(scale_name, segment_id))
    else:
        found = checks_for_sampling(scale_name)
    checks = list(found)
    for check in checks:
        print(check, flush=True)
    missing = [check for check in checks if check.level == "missing"]
    if missing:
        count = "1 thing is" if len(missing) == 1 else f"{len(missing)} things are"
        raise JobError(
            f"{count} missing on {socket.gethostname()} for {purpose} at scale {scale_name!r}",
            None,
            "the lines marked MISSING above say what; nothing was started",
        )
    return checks


def on_all_nodes(scale_name: str, segment_id: str, output: Path) -> dict[str, list[Any]]:
    """The record of each node of this job, by the same verb under srun; of this machine where it has no others."""
    stage = dag.segment(scale_name, segment_id).stage
    hosts = allocated_nodes() if dag.layout(scale_name, stage).nodes > 1 else [socket.gethostname()]
    verb = ["preflight", "--scale", scale_name, "--segment", segment_id, "--this-node", "--output"]
    records: list[Any] = []
    for host in hosts:
        part = output.with_name(f".{output.stem}.{host}.part")
        srun = ["srun", "--nodes=1", "--ntasks=1", f"--nodelist={host}", "--overlap", "--export=ALL"]
        command = [sys.executable, "-c", "from deepscaler.cli import main; main()", *verb, str(part)]
        print(f"{host}:", flush=True)
        if subprocess.run(command if len(hosts) == 1 else [*srun, *command], check=False).returncode:
            raise JobError(f"{host} is not ready for stage {stage} of {scale_name!r}", None, "the lines above say why")
        records.append(read_json(part))
        part.unlink()
    return {"nodes": records}


def stages_of(scale_name: str, segment_id: str | None) -> list[str]:
    training = settings.load_scale(scale_name).training
    if training is None:
        raise UserError(f"scale {scale_name!r} does not train", f"config/scales/{scale_name}.yaml")
    if segment_id:
        return [dag.segment(scale_name, segment_id).stage]
    return [stage.name for stage in settings.load_recipe(training.recipe).stages]


def all_checks(scale_name: str, stages: list[str]) -> Iterator[Check]:
    device = settings.load_scale(scale_name).device
    if device == "gpu":
        yield from check_gpus(scale_name, stages)
    yield from check_versions(device)
    yield from check_compilers()
    yield from check_node(scale_name, "train_segment")
    root = settings.run_root() / settings.site().work
    yield from check_writable(root)
    yield from check_disk(scale_name, root)
    base = settings.load_scale(scale_name).base
    assert base is not None  # a scale that trains has one
    yield from check_weights(scale_name, base, root)
    yield from check_budget(scale_name, root)


def checks_for_sampling(scale_name: str) -> Iterator[Check]:
    device = settings.load_scale(scale_name).device
    if device == "gpu":
        yield from check_sampling(scale_name)
    yield from check_versions(device)
    yield from check_compilers()
    yield from check_node(scale_name, "sample")
    root = settings.run_root() / settings.site().work
    yield from check_writable(root)
    yield from check_disk(scale_name, root)
    for system in dag.fetched(scale_name):
        yield from check_weights(scale_name, system, root)


def check_budget(scale_name: str, root: Path) -> Iterator[Check]:
    approved = allowed(scale_name)
    planned = planned_gpu_hours(scale_name)[TOTAL, ""].expected
    used = gpu_hours_used(scale_name, root / scale_name)
    if math.isinf(approved):
        return
    words = f"{amount(approved)} GPU-hours approved, {amount(planned)} planned"
    if approved >= planned or 0 < used < approved:
        yield Check("ok", words)
    else:
        yield Check("missing", words, how_to_approve(scale_name, to_approve(planned)))
