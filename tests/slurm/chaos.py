"""Real training at toy size on the test cluster, while at random moments something goes wrong; a seed says what.

    python tests/slurm/chaos.py --minutes 10 SEED [SEED …]

Signals, lost nodes, full disks, preemptions, a restarted controller, a killed Snakemake, a second writer. When the time
is over the same command is given until it is done. Then the chain must be whole, and its checkpoints equal to the byte
to those of a run that nothing disturbed. Exit code 1 where they are not.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM

import yaml
from checkout import Checkout, Running
from cluster import Cluster, Shape
from conftest import NOT_COPIED, ROOT
from deepscaler.files import sha256
from deepscaler.training.run.checkpoint import MANIFEST
from deepscaler.training.watch.measured import MEASURED
from deepscaler.training.watch.metrics import TIMES
from pair_run import SCALE, add_scale

SEGMENTS = ("8k-1", "8k-2")
STEPS = 6
TARGET = f"results/{SCALE}/training.csv"
VERB = "deepscaler\0train_segment"
DISK_MB = 4000
"""More than preflight asks for; it takes as much memory as is written to it."""
DONE = ("runs", "checkpoints", "preflight", "alerts")
"""What a run leaves in its work folder that the next one must not find; the base and the prompts stay."""
LONGEST = 3600
"""Seconds in which a run is to end once nothing disturbs it."""


@dataclass
class Chaos:
    """A run that is disturbed."""

    checkout: Checkout
    cluster: Cluster
    dice: random.Random
    partition: str
    running: Running
    happened: Counter[str] = field(default_factory=Counter)

    @property
    def work(self) -> Path:
        return self.checkout.folder / "work" / SCALE

    def job(self) -> dict[str, str] | None:
        """The job of training that runs, if there is one."""
        jobs = [job for job in self.cluster.jobs() if "rule_train_segment" in job.get("Comment", "")]
        return next((job for job in jobs if job["JobState"] == "RUNNING"), None)

    def disturb(self) -> None:
        job = self.job()
        if job is None:
            return
        name = self.dice.choice(list(FAULTS))
        if FAULTS[name](self, job):
            self.happened[name] += 1
            print(f"    {time.strftime('%H:%M:%S')} {name}: job {job['JobId']} on {job['NodeList']}", flush=True)

    def go_on(self) -> bool:
        """Whether the run is done; one that has failed is started again, as a person would."""
        code = self.running.process.poll()
        if code is None or code == 0:
            return code == 0
        self.happened["the command was given again"] += 1
        self.running = start(self.checkout, self.partition)
        return False


def signalled(word: str, *numbers: int) -> Callable[[Chaos, dict[str, str]], bool]:
    """One of these signals to one process of training with this word in its command line."""

    def fault(chaos: Chaos, job: dict[str, str]) -> bool:
        found = sorted(chaos.cluster.processes(word))
        number = chaos.dice.choice(numbers)
        return bool(found) and send(chaos.dice.choice(found), number)

    return fault


def send(pid: int, number: int) -> bool:
    return subprocess.run(["kill", f"-{number}", str(pid)], capture_output=True, check=False).returncode == 0


def scancel(chaos: Chaos, job: dict[str, str]) -> bool:
    return chaos.cluster.ask("scancel", job["JobId"]).returncode == 0


def preempted(chaos: Chaos, job: dict[str, str]) -> bool:
    chaos.cluster.preempt(job["NodeList"], seconds=chaos.dice.randint(1, 10))
    return True


def node_lost(chaos: Chaos, job: dict[str, str]) -> bool:
    chaos.cluster.power_off(job["NodeList"])
    time.sleep(chaos.dice.uniform(1, 10))
    with suppress(TimeoutError):  # it is not idle where a job was waiting for it
        chaos.cluster.power_on(job["NodeList"])
    return True


def disk_full(chaos: Chaos, job: dict[str, str]) -> bool:
    """It shrinks to what is on it."""
    disk = chaos.checkout.folder.parent
    resize(disk, f"{shutil.disk_usage(disk).used // 1024}k")
    time.sleep(chaos.dice.uniform(1, 30))
    resize(disk, f"{DISK_MB}m")
    return True


def resize(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


def controller_restarted(chaos: Chaos, job: dict[str, str]) -> bool:
    chaos.cluster.restart_controller()
    return True


def snakemake_killed(chaos: Chaos, job: dict[str, str]) -> bool:
    chaos.running.kill()
    chaos.running = start(chaos.checkout, chaos.partition)
    return True


def second_writer(chaos: Chaos, job: dict[str, str]) -> bool:
    """It must be refused; between two jobs it may be the only writer, and is killed."""
    segment = job["Comment"].rsplit("_", 1)[-1]
    parent = chaos.work / f"checkpoints/{SEGMENTS[0]}/{MANIFEST}"
    if segment == SEGMENTS[0]:
        parent = chaos.work / "models/pair-base/model.json"
    arguments = ["--scale", SCALE, "--segment", segment, "--parent", str(parent)]
    arguments += ["--prompts", str(chaos.work / f"prompts/{segment}.jsonl"), "--runs", str(chaos.work / "runs")]
    arguments += ["--output", str(chaos.work / f"checkpoints/{segment}/{MANIFEST}")]
    done = chaos.checkout.deepscaler("train_segment", *arguments, seconds=90, DEEPSCALER_LOCK_WAIT="0")
    return "another job is training this segment" in done.stdout


FAULTS: dict[str, Callable[[Chaos, dict[str, str]], bool]] = {
    "the job was told to end by a signal": signalled(VERB, SIGTERM, SIGINT, SIGHUP),
    "the job was killed": signalled(VERB, SIGKILL),
    "OpenRLHF was killed": signalled("deepscaler.training.launch.driver", SIGKILL),
    "a process of Ray was killed": signalled("ray::", SIGKILL),
    "scancel": scancel,
    "preempted": preempted,
    "its node lost power": node_lost,
    "the disk was full": disk_full,
    "the controller restarted": controller_restarted,
    "Snakemake was killed": snakemake_killed,
    "a second writer was refused": second_writer,
}


def start(checkout: Checkout, partition: str = "gpu") -> Running:
    return checkout.start(TARGET, "--jobs", "4", seconds=LONGEST, DEEPSCALER_GPU_PARTITION=partition)


@contextmanager
def small_disk() -> Iterator[Path]:
    """A folder on a disk of its own, to be filled."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir="/tmp"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=755", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=False)
        folder.rmdir()


def copy_checkout(disk: Path, cluster: Cluster) -> Checkout:
    folder = disk / "checkout"
    shutil.copytree(ROOT, folder, symlinks=True, ignore=shutil.ignore_patterns(*NOT_COPIED))
    (folder / "results").mkdir()
    checkout = Checkout(folder, cluster)
    add_scale(checkout)
    change(folder / f"config/recipes/{SCALE}.yaml", ["stages", 0, "steps"], STEPS)
    layout = {"nodes": 1, "segment_steps": STEPS // 2, "save_steps": 2, "zero_stage": 2}
    for key, value in layout.items():
        change(folder / f"config/scales/{SCALE}.yaml", ["training", "layout", "8k", key], value)
    return checkout


def change(path: Path, keys: list[str | int], value: object) -> None:
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    place = settings
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")


def digests(checkout: Checkout) -> dict[str, str]:
    """Of all that two equal runs have in common: the checkpoints, but for times."""
    folder = checkout.folder / "work" / SCALE / "checkpoints"
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in (TIMES, MEASURED))
    return {str(path.relative_to(folder)): sha256(path) for path in files}


def clear(checkout: Checkout) -> None:
    for name in DONE:
        shutil.rmtree(checkout.folder / "work" / SCALE / name, ignore_errors=True)
    shutil.rmtree(checkout.folder / f"results/{SCALE}", ignore_errors=True)


def undisturbed(checkout: Checkout) -> dict[str, str]:
    with start(checkout) as running:
        if running.wait(LONGEST) != 0:
            sys.exit(f"the undisturbed run failed:\n{running.text()}")
    return digests(checkout)


def disturbed(checkout: Checkout, seed: int, seconds: float) -> Chaos:
    """A run under faults for so long, then without until it is done."""
    dice = random.Random(seed)
    partition = dice.choice(("spare", "scratch"))
    chaos = Chaos(checkout, checkout.cluster, dice, partition, start(checkout, partition))
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end and not chaos.go_on():
            time.sleep(chaos.dice.uniform(2, 40))
            chaos.disturb()
        end = time.monotonic() + LONGEST
        while time.monotonic() < end and not chaos.go_on():
            time.sleep(1)
    finally:
        if chaos.running.process.poll() is None:
            chaos.running.kill()
    return chaos


def problems(chaos: Chaos, wanted: dict[str, str]) -> Iterator[str]:
    if chaos.running.process.returncode != 0:
        yield f"it is not done:\n{chaos.running.text()[-4000:]}"
        return
    found = digests(chaos.checkout)
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            yield f"{name} differs" if name in wanted and name in found else f"{name} is in one of the two"
    rows = (chaos.checkout.folder / TARGET).read_text(encoding="utf-8").splitlines()
    if len(rows) != 1 + STEPS:
        yield f"training.csv has {len(rows) - 1} steps of {STEPS}"
    if left := chaos.cluster.processes("ray::"):
        yield f"processes of Ray are left: {left}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", type=int, nargs="+")
    parser.add_argument("--minutes", type=float, default=10, help="for how long each run is disturbed")
    options = parser.parse_args()
    lost = 0
    with small_disk() as disk, Cluster(Shape(gpus=1), shared=(disk, ROOT)) as cluster:
        checkout = copy_checkout(disk, cluster)
        wanted = undisturbed(checkout)
        print(f"undisturbed: {len(wanted)} files of {len(SEGMENTS)} checkpoints", flush=True)
        for seed in options.seeds:
            clear(checkout)
            print(f"seed {seed}", flush=True)
            chaos = disturbed(checkout, seed, options.minutes * 60)
            found = list(problems(chaos, wanted))
            lost += bool(found)
            told = ", ".join(f"{count} × {name}" for name, count in sorted(chaos.happened.items())) or "nothing"
            print(f"seed {seed}: {'; '.join(found) or 'whole and equal'} after {told}", flush=True)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
