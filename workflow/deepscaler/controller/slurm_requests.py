"""What SLURM is asked before the first job: would it accept the jobs, and does it still have some of an earlier run?"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from deepscaler import dag
from deepscaler.dag import resources
from deepscaler.errors import UserError, nearest
from deepscaler.settings.load import load_scale, project_root, site

SECONDS = 60
"""A controller that does not answer within this time is down."""
SETTINGS_FILES = "config/site.yaml, config/site.local.yaml or DEEPSCALER_*"

UNREACHABLE = ("configuration source", "unable to contact slurm")
ELSEWHERE = "run it on a login node of the cluster; `deepscaler preflight --scale paper` lists all else that is missing"


def check(requests: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Try each distinct request by `sbatch --test-only`, which starts nothing; yields a line for each that is accepted.

    A request has the keys of resources.request, `cpus`, and `rule` for the message. Raises UserError for the first
    that SLURM refuses, with the setting that it is likely to be about.
    """
    if not shutil.which("sbatch"):
        raise UserError("no sbatch here", hint=ELSEWHERE)
    tried: set[tuple[str, ...]] = set()
    for request in requests:
        flags = sbatch_flags(request)
        if tuple(flags) not in tried:
            tried.add(tuple(flags))
            try_request(request["rule"], flags)
            yield f"{request['rule']}: {' '.join(flags)}"


def check_work() -> Path:
    """The folder of all that is large, made where it is missing; UserError where nothing can be written there."""
    folder = project_root() / site().work
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        hint = "`work` must be a folder that this login node and all nodes can write, such as a scratch file system"
        raise UserError(f"can't write to {folder}: {error.strerror}", SETTINGS_FILES, hint) from None


def sbatch_flags(request: Mapping[str, Any]) -> list[str]:
    """A request as sbatch's options."""
    options = {
        "account": request.get("slurm_account"),
        "partition": request.get("slurm_partition"),
        "qos": request.get("qos"),
        "constraint": request.get("constraint"),
        "time": request.get("runtime"),
        "mem": request.get("mem_mb"),
        "cpus-per-task": request.get("cpus"),
        "nodes": request.get("nodes"),
        "ntasks": request.get("tasks"),
        "gres": request.get("gres"),
    }
    extra = [request["slurm_extra"]] if request.get("slurm_extra") else []
    return [f"--{key}={value}" for key, value in options.items() if value is not None] + extra


def try_request(rule: str, flags: list[str]) -> None:
    answer = client("sbatch", "--test-only", *flags, "--wrap=true")
    if answer.returncode != 0:
        lines = [line for line in answer.stderr.splitlines() if line.strip()] or ["no reason given"]
        reason = lines[-1].removeprefix("sbatch: error:").removeprefix("allocation failure:").strip()
        if any(word in answer.stderr.lower() for word in UNREACHABLE):
            raise UserError(f"no SLURM controller answers: {reason}", hint=ELSEWHERE)
        raise UserError(
            f"SLURM would refuse {rule} ({' '.join(flags)}): {reason}", SETTINGS_FILES, hint_for(reason, flags)
        )


def hint_for(reason: str, flags: list[str]) -> str | None:
    """Which setting to look at, derived from SLURM's own reason."""
    given = dict(flag.removeprefix("--").split("=", 1) for flag in flags if "=" in flag)
    word = reason.lower()
    if "policy" in word:
        return "a limit of your account or QOS on jobs, GPUs or wall time: `sacctmgr show qos` and `… associations`"
    if "account" in word:
        return f"account is {given.get('account', 'not set')}; `sacctmgr show associations user=$USER` lists yours"
    if "partition" in word and "time limit" not in word:
        known = client("sinfo", "-h", "-o", "%R").stdout.split()
        guess = nearest(given.get("partition", ""), known)
        return f"did you mean {guess!r}?" if guess else f"partitions here: {', '.join(known)}"
    if "qos" in word:
        return f"qos is {given.get('qos', 'not set')}; `sacctmgr show associations user=$USER format=qos` lists yours"
    if "feature" in word:
        return "gpu_constraint must be a feature that `sinfo -o %f` prints"
    if "configuration" in word or "time limit" in word or "cpu" in word or "memory" in word:
        return (
            "no node there is so large: compare `sinfo -o '%P %l %c %m %G'` (partition, wall time, cores, MB, GPUs)"
            " with gpu_model, and with training.layout and resources of the scale"
        )
    return None


def comment_of(rule: str, wildcards: Iterable[str]) -> str:
    """The comment that the plugin gives a job in SLURM."""
    values = "_".join(wildcards).replace("/", "_")
    return f"rule_{rule}_wildcards_{values}" if values else f"rule_{rule}"


def wait_for_orphans(
    comments: Collection[str], groups: Collection[str], folder: Path, report: Callable[[str], None], pause: float = 10
) -> bool:
    """Wait until no job that an earlier, killed Snakemake submitted from `folder` can still write; whether any ran.

    Snakemake does not resume such jobs but submits a second one of each, and the two would write the same files. The
    caller holds Snakemake's lock on these jobs' outputs, so each of them that SLURM still has is an orphan: pending
    ones are cancelled, running ones are waited for, since a segment of training is worth keeping. A group's comment
    does not name its scale, so a group of another run, which is alive, may be waited for too.
    """
    reported: set[str] = set()
    ran = False
    while found := orphans(comments, groups, folder):
        for job, (state, comment) in found.items():
            cancel = state == "PENDING" and comment in comments
            ran = ran or not cancel
            if cancel:
                client("scancel", "--state=PENDING", job)
            if job not in reported:
                reported.add(job)
                verb = "cancelled" if cancel else "waiting for it (or `scancel` it)"
                report(f"SLURM still has job {job} ({comment}) of an earlier run of this workflow: {verb}")
        time.sleep(pause)
    return ran


def orphans(comments: Collection[str], groups: Collection[str], folder: Path) -> dict[str, tuple[str, str]]:
    """Job id → (state, comment) of the jobs that SLURM has of these kinds and groups, submitted from `folder`."""
    answer = client("squeue", "--user", str(os.getuid()), "--noheader", "--format", "%i|%T|%Z|%k")
    of_groups = tuple(f"rule_{group}_" for group in groups)
    found = {}
    for line in answer.stdout.splitlines():
        job, state, workdir, comment = line.split("|", 3)
        if Path(workdir) == folder and (comment in comments or comment.startswith(of_groups)):
            found[job] = (state, comment)
    return found


def client(*command: str) -> subprocess.CompletedProcess[str]:
    """A SLURM client's answer; UserError where the controller gives none."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise UserError(f"SLURM gave no answer to {command[0]} in {SECONDS} s", hint="`scontrol ping`") from None


def requests_of(scale_name: str) -> Iterator[dict[str, Any]]:
    """What each kind of job of a scale asks for."""
    rules = {"default", "sample", *load_scale(scale_name).resources} - {"train_segment"}
    for rule in sorted(rules):
        yield with_cpus(scale_name, rule, resources.request(scale_name, rule))
    for segment in dag.segments(scale_name):
        yield with_cpus(scale_name, "train_segment", resources.request(scale_name, "train_segment", segment.id))


def with_cpus(scale_name: str, rule: str, request: Mapping[str, Any]) -> dict[str, Any]:
    return {**request, "rule": rule, "cpus": resources.cpus(scale_name, rule)}
