"""After a hang-up or a kill the same command goes on, with every profile; a second living run is refused.

Real Snakemake processes and real signals, on a copy of the checkout with jobs that take as long as the test wants.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from terminal import hear_ctrl_c

PROFILES = {
    "none": ["--cores", "2"],
    "workstation": ["--profile", "profiles/workstation"],
    "laptop": ["--profile", "profiles/laptop", "--nolock"],
}
SECONDS = 90


class Checkout:
    def __init__(self, root: Path, folder: Path) -> None:
        self.folder = folder
        for name in ("config", "envs", "profiles", "workflow/rules", "workflow/notebooks", "workflow/report"):
            shutil.copytree(root / name, folder / name)
        shutil.copyfile(root / "Snakefile", folder / "Snakefile")
        shutil.copyfile(root / "tests/workflow/hang_up.smk", folder / "hang_up.smk")
        shutil.copyfile(root / "tests/slurm/told.py", folder / "told.py")
        (folder / "slow").mkdir()
        self.runs: list[subprocess.Popen[bytes]] = []

    def start(self, profile: str, name: str = "a", prefix: tuple[str, ...] = ()) -> "subprocess.Popen[bytes]":
        """The command that a user types; its output goes to a file, as a terminal's that is gone can't take any."""
        command = [*prefix, sys.executable, "-m", "snakemake", *PROFILES[profile], "-s", "hang_up.smk"]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("DEEPSCALER_")}
        with (self.folder / f"run-{len(self.runs)}.txt").open("wb") as stream:
            run = subprocess.Popen(
                [*command, f"slow/{name}.txt"], cwd=self.folder, env=environment,
                stdout=stream, stderr=stream, start_new_session=True, preexec_fn=hear_ctrl_c,
            )  # fmt: skip
        self.runs.append(run)
        return run

    def printed(self, run: "subprocess.Popen[bytes]") -> str:
        return (self.folder / f"run-{self.runs.index(run)}.txt").read_text(errors="replace")

    def moments(self, name: str = "a") -> list[str]:
        path = self.folder / f"slow/{name}.log"
        return path.read_text().split() if path.exists() else []

    def let_end(self, name: str = "a") -> None:
        (self.folder / f"slow/{name}.end").touch()

    def until(self, happened: Callable[[], object], run: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + SECONDS
        while not happened():
            assert time.monotonic() < deadline, self.printed(run)
            time.sleep(0.05)

    def finish(self, run: "subprocess.Popen[bytes]") -> None:
        self.let_end()
        assert run.wait(SECONDS) == 0, self.printed(run)
        assert (self.folder / "slow/a.txt").exists()
        assert not list((self.folder / ".snakemake/locks").glob("*"))
        assert not list((self.folder / ".snakemake/alive").glob("*"))


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Iterator[Checkout]:
    made = Checkout(root, tmp_path)
    yield made
    made.let_end()
    for run in made.runs:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL], ids=["SIGHUP", "SIGKILL"])
@pytest.mark.parametrize("profile", PROFILES)
def test_the_same_command_goes_on_when_the_job_lives_on(
    checkout: Checkout, profile: str, number: signal.Signals
) -> None:
    """It waits for the job that was left behind: never are two at work on one file."""
    first = checkout.start(profile)
    checkout.until(lambda: checkout.moments() == ["begin"], first)
    first.send_signal(number)
    first.wait(SECONDS)
    second = checkout.start(profile)
    checkout.until(lambda: "To stop them instead: kill" in checkout.printed(second), second)
    time.sleep(1)
    assert checkout.moments() == ["begin"]
    checkout.finish(second)
    assert checkout.moments() == ["begin", "end", "begin", "end"]
    assert "LockException" not in checkout.printed(second)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_same_command_goes_on_when_all_is_killed(checkout: Checkout, profile: str) -> None:
    first = checkout.start(profile)
    checkout.until(lambda: checkout.moments() == ["begin"], first)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait(SECONDS)
    second = checkout.start(profile)
    checkout.finish(second)
    assert checkout.moments() == ["begin", "begin", "end"]
    assert "To stop them instead" not in checkout.printed(second)


def test_a_second_living_run_of_the_same_files_is_refused(checkout: Checkout) -> None:
    first = checkout.start("workstation")
    checkout.until(lambda: checkout.moments() == ["begin"], first)
    second = checkout.start("workstation")
    assert second.wait(SECONDS) == 1
    assert "LockException" in checkout.printed(second)
    other = checkout.start("workstation", "b")  # of other files it is not
    checkout.until(lambda: checkout.moments("b") == ["begin"], other)
    checkout.let_end("b")
    assert other.wait(SECONDS) == 0
    assert checkout.moments() == ["begin"]
    checkout.finish(first)
    assert checkout.moments() == ["begin", "end"]


def test_a_lock_of_a_run_that_was_killed_before_it_named_it(checkout: Checkout) -> None:
    """Snakemake takes its locks, and pulls images, before it calls anything of ours."""
    locks = checkout.folder / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text("slow/a.txt\n")
    checkout.finish(checkout.start("workstation"))


def test_a_dry_run_waits_for_nothing_and_a_living_run_keeps_its_locks(checkout: Checkout) -> None:
    first = checkout.start("workstation")
    checkout.until(lambda: checkout.moments() == ["begin"], first)
    locks = sorted((checkout.folder / ".snakemake/locks").iterdir())
    PROFILES["dry"] = [*PROFILES["workstation"], "--dry-run"]
    try:
        dry = checkout.start("dry")
    finally:
        del PROFILES["dry"]
    assert dry.wait(SECONDS) == 0
    assert sorted((checkout.folder / ".snakemake/locks").iterdir()) == locks
    checkout.finish(first)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("profile", ["none", "laptop"])
def test_training_ends_with_its_step_and_no_step_is_lost(
    checkout: Checkout, profile: str, number: signal.Signals
) -> None:
    """SIGTERM to Snakemake alone, as by `kill`; Ctrl-C to all that runs in the terminal."""
    made = checkout.folder / "slow/train/steps"
    first = checkout.start(profile, "trained")
    checkout.until(made.exists, first)
    if number == signal.SIGTERM:
        first.send_signal(number)
    else:
        os.killpg(first.pid, number)
    assert first.wait(SECONDS) == 1, checkout.printed(first)
    said = checkout.printed(first)
    assert f"was told to end by {number.name}: step" in said or number == signal.SIGINT
    assert "failed" not in said or profile == "none", "Snakemake's own display has no other word for it"
    done = made.read_text().split()
    assert 0 < len(done) < 8
    second = checkout.start(profile, "trained")
    assert second.wait(SECONDS) == 0, checkout.printed(second)
    assert made.read_text().split() == [str(step) for step in range(1, 9)]
