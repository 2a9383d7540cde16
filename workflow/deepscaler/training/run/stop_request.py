"""A job that is told to end saves at the end of its step, and the same command goes on from there.

Whoever ends a job tells it some time before, each in a way of its own:

    SIGTERM          SLURM, some time before the wall time is over (dag/resources.py), at a preemption that leaves some
                     time, at scancel; a computer that is shut down; Snakemake, where it is told to end itself
    a file           one of the job's other nodes that was sent SIGTERM (launch/ray_node.py): of a job on several,
                     SLURM warns what runs under srun, which the first node's command does not
    SIGINT, SIGHUP   Ctrl-C, a terminal that is closed; neither where it is ignored, as under nohup

The trainer is asked by a file in the run folder, at which it looks after each step (openrlhf/hooks.py). It answers by
another one when the state is saved, and waits to be ended. Where there is less time than the step takes, SIGKILL comes
first, and the state before it stands.

A job of SLURM leaves a note of it for whoever submitted it, who submits it again (controller/told_to_end.py).
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deepscaler.errors import GoOn, JobError, UserError
from deepscaler.files import read_json, write_json
from deepscaler.job_log import TOLD_TO_END

ANSWER = ".saved"
"""Suffix of the trainer's answer, beside the file that asks."""
WARNED = "warned-"
"""How the file begins that is left for a job, among the run folders; its number in SLURM follows."""
VARIABLE = "DEEPSCALER_WARNED"
"""In which the processes of a launch find that file."""
TOLD = "told-"
"""How the note begins that a job of SLURM leaves there; its number follows."""
HINT = "the same command goes on from the last saved state"


@dataclass(frozen=True)
class Told:
    """What a job of SLURM that was told to end has left of it."""

    reason: str
    start: int
    """The step from which it went on."""
    saved: int
    """The newest step that is saved."""

    @property
    def came_further(self) -> bool:
        """Whether the next job begins later than this one did: else it might go on so for ever."""
        return self.saved > self.start


class StopRequest:
    """Whether this process has been told to end, and what follows from it."""

    def __init__(self, stop: Path, runs: Path, saved: Callable[[], int], report: Callable[[str], None]) -> None:
        """`stop` is the file that the trainer looks for, `runs` the folder of all run folders.

        `saved` gives the newest step of the segment that is saved.
        """
        self.stop, self.saved, self.report = stop, saved, report
        job = os.environ.get("SLURM_JOB_ID")
        self.warned: Path | None = warned_file(runs, job) if job else None
        self.note: Path | None = told_file(runs, job) if job else None
        self.reason: str | None = None
        """Who told; None where nobody has."""
        self.start = 0
        self.training = False
        self.interrupts = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals, from now on. What a job of this number has left was before SLURM requeued it."""
        for path in (self.warned, self.note):
            if path:
                path.unlink(missing_ok=True)
        for number in (signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self.on_signal)
        signal.signal(signal.SIGTERM, self.on_signal)  # the job's shell ignores it, for our sake
        self.start = self.saved()
        try:
            yield
        except GoOn:
            self.leave_note(self.saved())
            raise
        finally:
            if self.warned:
                self.warned.unlink(missing_ok=True)

    @contextmanager
    def while_training(self) -> Iterator[None]:
        """In the block the trainer is asked; outside of it a signal ends the job at once, since nothing is lost.

        Whatever ends the training then is no failure.
        """
        self.forget()
        self.training = True
        try:
            yield
        except JobError as error:
            if self.reason is None:
                raise
            raise GoOn(f"{TOLD_TO_END}{self.reason}, before this step was done ({error.what})", None, HINT) from None
        finally:
            self.training = False
            self.forget()

    def on_signal(self, number: int, frame: Any) -> None:
        """Does no more than note it: a signal comes in the middle of anything."""
        self.interrupts += number == signal.SIGINT
        self.reason = self.reason or signal.Signals(number).name
        if not self.training or self.interrupts > 1:
            raise GoOn(f"{TOLD_TO_END}{signal.Signals(number).name}, at once", None, HINT)

    def look(self) -> None:
        """Pass the request on, once; raise GoOn when the trainer has saved. To be called again and again."""
        if self.reason is None and self.warned and self.warned.exists():
            self.reason = "SLURM"
        if self.reason and not self.stop.exists():
            write_json(self.stop, {"reason": self.reason, "time": time.time()})
            self.leave_note(self.saved())  # SIGKILL may come before the step is done
            again = "; Ctrl-C again to stop at once" if self.reason == "SIGINT" else ""
            self.report(f"{TOLD_TO_END}{self.reason}: saving at the end of this step{again}")
        if self.reason and (step := answered(self.stop)) is not None:
            raise GoOn(f"{TOLD_TO_END}{self.reason}: step {step} is saved", None, HINT)

    def leave_note(self, saved: int) -> None:
        if self.note and self.reason:
            write_json(self.note, asdict(Told(self.reason, self.start, saved)))

    def forget(self) -> None:
        """Remove the trainer's files, which may be those of a job before."""
        for path in (self.stop, answer_of(self.stop)):
            path.unlink(missing_ok=True)


def warned_file(runs: Path, job: str) -> Path:
    """The file by which another node of a SLURM job says that it is to end soon."""
    return runs / f"{WARNED}{job}"


def told_file(runs: Path, job: str) -> Path:
    """The note of a SLURM job that was told to end."""
    return runs / f"{TOLD}{job}"


def take_note(runs: Path, job: str) -> Told | None:
    """The note of a job that has ended, which is removed; None where it left none."""
    path = told_file(runs, job)
    try:
        content = read_json(path)
        return Told(str(content["reason"]), int(content["start"]), int(content["saved"]))
    except (UserError, KeyError, TypeError, ValueError):
        return None
    finally:
        path.unlink(missing_ok=True)


def environment(runs: Path) -> dict[str, str]:
    """What the processes of a launch need to warn it."""
    job = os.environ.get("SLURM_JOB_ID")
    return {VARIABLE: str(warned_file(runs, job).resolve())} if job else {}


def warn(environment: Mapping[str, str]) -> None:
    """In a process of a launch: it has been told that the job is to end."""
    if path := environment.get(VARIABLE):
        Path(path).touch()


def is_asked(stop: str | None) -> bool:
    """In the trainer's process: whether it is to save and go no further."""
    return stop is not None and Path(stop).exists()


def answer(stop: str, step: int) -> None:
    """In the trainer's process: say that the state of this step is saved, and wait to be ended."""
    write_json(answer_of(Path(stop)), {"step": step})
    while True:
        time.sleep(60)


def answer_of(stop: Path) -> Path:
    return stop.with_name(stop.name + ANSWER)


def answered(stop: Path) -> int | None:
    """The step that the trainer has saved; None where it has not answered."""
    try:
        return int(read_json(answer_of(stop))["step"])
    except (UserError, KeyError, TypeError, ValueError):
        return None
