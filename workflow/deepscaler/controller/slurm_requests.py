"""What SLURM is asked before the first job: would it accept the jobs, and does it still have some of an earlier run?"""

import math
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepscaler import dag
from deepscaler.cost.longest_step import longest_step_seconds
from deepscaler.dag import resources
from deepscaler.errors import UserError, nearest
from deepscaler.settings.load import load_scale, site
from deepscaler.settings.yaml_files import run_root

SECONDS = 60
"""A controller that does not answer within this time is down."""
SETTINGS_FILES = "config/site.yaml, config/site.local.yaml or DEEPSCALER_*"

GROUP = "group "
"""How the name of a submitted group begins."""
BEFORE_REASON = re.compile(r"^(\s*(sbatch|error|Batch job submission failed|allocation failure):)*")
UNREACHABLE = ("configuration source", "unable to contact slurm")
ELSEWHERE = "run it on a login node of the cluster; `deepscaler preflight --scale paper` lists all else that is missing"


NAMES = {"run_uuid": "deepscaler-test", "slurm_logfile": "/dev/null", "comment_str": "deepscaler-test"}
"""What a test submission has in place of a job's own name, log and comment, as the plugin calls them."""
SHOWN_FROM = f"--comment {NAMES['comment_str']}"
"""What comes before in a call is the same for all jobs."""


@dataclass(frozen=True)
class Submission:
    """A job or a group, as the plugin would submit it."""

    name: str
    call: str
    """`sbatch …`, for a shell; the job's script is to come on standard input."""
    asked: Mapping[str, Any]
    """Its resources, as Snakemake knows them."""

    @property
    def flags(self) -> str:
        """The call without what all jobs have, for people."""
        return " ".join(self.call.partition(SHOWN_FROM)[2].split())


def check(submissions: Iterable[Submission]) -> Iterator[str]:
    """Try each distinct call by `sbatch --test-only`, which starts nothing; yields a line for each that is accepted.

    Raises UserError for the first that SLURM refuses, with its whole reason and the setting that it is likely about.
    """
    if not shutil.which("sbatch"):
        raise UserError("no sbatch here", hint=ELSEWHERE)
    tried: set[str] = set()
    for submission in submissions:
        if submission.call not in tried:
            tried.add(submission.call)
            try_submission(submission)
            yield f"{submission.name}: {submission.flags}"


def check_folder(folder: Path) -> None:
    """SLURM takes `%` in the path of a log for a pattern, and the plugin's logs are below the checkout."""
    if "%" in str(folder):
        raise UserError("SLURM can't write logs below a folder with % in its name", folder, "move the checkout")


def check_work() -> Path:
    """The folder of all that is large, made where it is missing; UserError where nothing can be written there."""
    folder = run_root() / site().work
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        hint = "`work` must be a folder that this login node and all nodes can write, such as a scratch file system"
        raise UserError(f"can't write to {folder}: {error.strerror}", SETTINGS_FILES, hint) from None


def try_submission(submission: Submission) -> None:
    answer = client("sh", "-c", f"{submission.call} --test-only /dev/stdin", script="#!/bin/sh\ntrue\n")
    if answer.returncode != 0:
        reason = reason_in(answer.stderr)
        if any(word in answer.stderr.lower() for word in UNREACHABLE):
            raise UserError(f"no SLURM controller answers: {reason}", hint=ELSEWHERE)
        raise UserError(
            f"SLURM would refuse {submission.name} ({submission.flags}): {reason}",
            SETTINGS_FILES,
            hint_for(reason, submission),
        )


def reason_in(text: str) -> str:
    """All that sbatch said, in one line: a site's own submission filter explains itself before SLURM's last line."""
    lines = (BEFORE_REASON.sub("", line).strip() for line in text.splitlines())
    return "; ".join(dict.fromkeys(line for line in lines if line)) or "no reason given"


def hint_for(reason: str, submission: Submission) -> str | None:
    """Which setting to look at, derived from SLURM's own reason."""
    asked, word = submission.asked, reason.lower()
    if "mem-per-cpu" in word or "mem_per_cpu" in word:
        return "`memory_per_cpu: true` asks for the same memory as a share of each core"
    if "policy" in word:
        return "a limit of your account or QOS on jobs, GPUs or wall time: `sacctmgr show qos` and `… associations`"
    if "account" in word:
        return (
            f"account is {asked.get('slurm_account', 'not set')}; `sacctmgr show associations user=$USER` lists yours"
        )
    if "partition" in word and "time limit" not in word:
        known = client("sinfo", "-h", "-o", "%R").stdout.split()
        guess = nearest(str(asked.get("slurm_partition", "")), known)
        return f"did you mean {guess!r}?" if guess else f"partitions here: {', '.join(known)}"
    if "qos" in word:
        return f"qos is {asked.get('qos', 'not set')}; `sacctmgr show associations user=$USER format=qos` lists yours"
    if "feature" in word:
        return "gpu_constraint must be a feature that `sinfo -o %f` prints"
    if submission.name.startswith(GROUP):
        return (
            "a group asks for the sum of its jobs' `minutes`, and for the cores and memory that they need side by side:"
            " leave rules out of `groups` in profiles/slurm/config.yaml, or lower their `resources` in the scale"
        )
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


def client(*command: str, script: str = "") -> subprocess.CompletedProcess[str]:
    """A SLURM client's answer; UserError where the controller gives none."""
    try:
        return subprocess.run(command, input=script, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        name = "sbatch" if script else command[0]
        raise UserError(f"SLURM gave no answer to {name} in {SECONDS} s", hint="`scontrol ping`") from None


def request(scale_name: str, rule: str, segment: str | None = None, suite: str | None = None) -> dict[str, Any]:
    """All that a job asks for (dag/resources.py); one that trains also asks to be warned before its wall time is over.

    By SIGTERM, as at a preemption, which leaves it the time to save (training/run/stop_request.py).
    """
    asked = resources.request(scale_name, rule, segment, suite)
    seconds = warning_seconds(scale_name, segment) if rule == "train_segment" and segment else 0
    if not seconds:
        return asked
    return asked | {"slurm_extra": " ".join(filter(None, (asked.get("slurm_extra"), f"--signal=TERM@{seconds}")))}


def warning_seconds(scale_name: str, segment: str) -> int:
    """How long before: the site's setting, else the longest step of the stage by the plan, in whole minutes.

    At the most half of the wall time: SLURM warns at once where there is less of it.
    """
    known = site().warning_seconds
    longest = longest_step_seconds(scale_name, dag.segment(scale_name, segment).stage) if known is None else known
    return min(60 * math.ceil(longest / 60), 30 * (resources.needs(scale_name, "train_segment").minutes or 0))


def requests_of(scale_name: str) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Rule, cores and all else that each kind of job of a scale asks for."""
    rules = {"default", "sample", *load_scale(scale_name).resources} - {"train_segment"}
    for rule in sorted(rules):
        yield rule, resources.cpus(scale_name, rule), request(scale_name, rule)
    if any(point.suite == resources.CURVE for point in dag.curve(scale_name)):
        asked = request(scale_name, "sample", suite=resources.CURVE)
        yield "sample, curve", resources.cpus(scale_name, "sample"), asked
    for segment in dag.segments(scale_name):
        asked = request(scale_name, "train_segment", segment.id)
        yield "train_segment", resources.cpus(scale_name, "train_segment"), asked
