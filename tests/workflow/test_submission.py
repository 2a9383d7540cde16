"""What is put to SLURM before the first job, beside what is then submitted; the clients are stand-ins that refuse.

A cluster that takes jobs is in tests/slurm.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CLIENTS = {
    "sbatch": """#!/bin/sh
cat > /dev/null
case "$*" in *--test-only*) kind=tested;; *) kind=submitted;; esac
echo "$*" >> "$CLUSTER/$kind"
case "$REFUSES" in $kind*) case "$*" in *" ${REFUSES#*:} "*)
    echo "sbatch: error: This cluster does not know what to do with ${REFUSES#*:}, use --mem-per-cpu" >&2
    echo "sbatch: error: Batch job submission failed: Unspecified error" >&2
    exit 1;;
esac;; esac
[ $kind = tested ] || exit 1
""",
    "scontrol": "#!/bin/sh\necho 'MinJobAge = 300 sec'\n",
    "sinfo": "#!/bin/sh\necho 'PARTITION batch*'\n",
    **dict.fromkeys(("squeue", "scancel", "sacct", "sacctmgr", "sshare"), "#!/bin/sh\nexit 0\n"),
}
TARGETS = ("pair/mini/second.txt", "slow/mini/alone.txt", "faults/paper/8k-1.txt", "faults/paper/gpu.txt")
FAST = ("--latency-wait", "5", "--max-jobs-per-timespan", "100/1s")
NAMED = ("--job-name", "--output", "--comment")
"""A job's own name, log and comment: options of which the test has others, with a value each."""


class Site:
    """A cluster that refuses, and Snakemake on it."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder
        (folder / "bin").mkdir()
        for name, text in CLIENTS.items():
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)

    def snakemake(self, *options: str, refuses: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        impatient = str(self.root / "tests/slurm/impatient.py")
        command = [sys.executable, impatient, *TARGETS, "--profile", str(self.root / "profiles/slurm")]
        command += ["--snakefile", str(self.root / "tests/slurm/faults.smk"), "--directory", str(self.folder)]
        command += ["--groups", "first=pair", "second=pair", "--retries", "0", *FAST, *options]
        settings = {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.root / "workflow"),
            "DEEPSCALER_ROOT": str(self.root),
            "DEEPSCALER_WORK": str(self.folder / "work"),
            "CLUSTER": str(self.folder),
            "REFUSES": refuses,
        }
        return subprocess.run(
            command, env=os.environ | settings | environment, capture_output=True, text=True, timeout=120, check=False
        )

    def asked(self, kind: str) -> set[str]:
        """What sbatch was called with, but for names."""
        path = self.folder / kind
        return {without_names(line) for line in path.read_text().splitlines()} if path.exists() else set()


def without_names(call: str) -> str:
    words, kept = iter(call.split()), []
    for word in words:
        if word in NAMED:
            next(words)
        elif word not in ("--test-only", "/dev/stdin"):
            kept.append(word)
    return " ".join(kept)


@pytest.fixture
def slurm(root: Path, tmp_path: Path) -> Site:
    return Site(root, tmp_path)


OPTIONS = ("--slurm-reservation", "spring", "--default-resources", "clusters='other'", "mem_mb=3000", "runtime=5")
OTHER_GPUS = ("--set-resources", "one_gpu:gpu=2", "one_gpu:gres=")
SITE = {
    "ACCOUNT": "me",
    "GPU_PARTITION": "gpus",
    "QOS": "long",
    "GPU_CONSTRAINT": "big&fast",
    "MEMORY_PER_CPU": "true",
    "SLURM_EXTRA": "--exclusive --mail-user=a@b",
}
OF_SITE = (
    *("-A me", "-p gpus", "-p batch", "--qos=long", "-C big&fast", "--mem-per-cpu 2000"),
    "--exclusive --mail-user=a@b",
)


@pytest.mark.parametrize(
    ("options", "site", "expected"),
    [
        ((), {}, ("--mem 2000", "-t 20", "--gres=gpu:a100:8")),  # of the group: the sum of two times
        ((*OPTIONS, *OTHER_GPUS), {}, ("--reservation=spring", "--clusters other", "--gpus=2")),
        ((), SITE, OF_SITE),
    ],
    ids=["as it is", "Snakemake's options", "the site's settings"],
)
def test_what_is_tested_is_what_is_submitted(
    slurm: Site, options: tuple[str, ...], site: dict[str, str], expected: tuple[str, ...]
) -> None:
    done = slurm.snakemake(*options, **{f"DEEPSCALER_{key}": value for key, value in site.items()})
    tested, submitted = slurm.asked("tested"), slurm.asked("submitted")
    assert tested == submitted, done.stderr
    assert tested
    for words in expected:
        assert any(f" {words} " in f" {call} " for call in tested), (words, tested)


def test_a_cluster_that_refuses_memory_of_a_node_says_so_before_the_first_job(slurm: Site) -> None:
    done = slurm.snakemake(refuses="tested:--mem")
    assert done.returncode == 1
    assert "does not know what to do with --mem, use --mem-per-cpu; Unspecified error" in done.stderr
    assert "`memory_per_cpu: true`" in done.stderr
    assert not slurm.asked("submitted")


def test_why_a_job_and_a_group_were_refused_stands_in_the_last_lines(slurm: Site) -> None:
    done = slurm.snakemake(refuses="submitted:--mem")
    last = done.stderr.splitlines()[-12:]
    for name in ("no_gpu", "group pair", "whole_node"):
        assert any(f"{name} failed: sbatch refused it: This cluster does not know" in line for line in last), last


def test_the_rest_of_a_group_is_put_to_slurm_where_a_job_of_it_is_done(slurm: Site) -> None:
    """As when the same command is given again."""
    made = slurm.folder / "pair/mini/first.txt"
    made.parent.mkdir(parents=True)
    made.write_text("done")
    done = slurm.snakemake()
    assert "KeyError" not in done.stderr
    assert slurm.asked("tested") == slurm.asked("submitted"), done.stderr
    assert slurm.asked("tested")
