"""A job that is told to end saves at the end of its step, and the same command goes on from there.

Whoever ends a job tells it some time before, each in a way of its own:

    a file           SLURM, before the wall time is over: the job's shell leaves it (controller/warned_jobs.py); and a
                     node that was sent SIGTERM, as SLURM does where a preemption leaves some time (launch/ray_node.py)
    SIGTERM          SLURM at scancel and at a preemption, to all processes at once; a computer that is shut down
    SIGINT, SIGHUP   Ctrl-C, a terminal that is closed; neither where it is ignored, as under nohup

The trainer is asked by a file in the run folder, at which it looks after each step (openrlhf/hooks.py). It answers by
another one when the state is saved, and waits to be ended. Where there is less time than the step takes, SIGKILL comes
first, and the state before it stands.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deepscaler.errors import GoOn, JobError, UserError
from deepscaler.files import read_json, write_json

ANSWER = ".saved"
"""Suffix of the trainer's answer, beside the file that asks."""
WARNED = "warned-"
"""How the file begins that is left for a job, among the run folders; its number in SLURM follows."""
VARIABLE = "DEEPSCALER_WARNED"
"""In which the processes of a launch find that file."""
HINT = "the same command goes on from the last saved state"


class StopRequest:
    """Whether this process has been told to end, and what follows from it."""

    def __init__(self, stop: Path, runs: Path, report: Callable[[str], None]) -> None:
        """`stop` is the file that the trainer looks for, `runs` the folder of all run folders."""
        self.stop, self.warned, self.report = stop, warned_file(runs), report
        self.reason: str | None = None
        """Who told; None where nobody has."""
        self.training = False
        self.interrupts = 0

    def listen(self) -> None:
        """Take the signals, from now on. A warning that is there already was of this job before it was requeued."""
        if self.warned:
            self.warned.unlink(missing_ok=True)
        for number in (signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self.on_signal)
        signal.signal(signal.SIGTERM, self.on_signal)  # the job's shell ignores it, for our sake

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
            raise GoOn(f"told to end by {self.reason}, before this step was done ({error.what})", None, HINT) from None
        finally:
            self.training = False
            self.forget()
            if self.warned:
                self.warned.unlink(missing_ok=True)

    def on_signal(self, number: int, frame: Any) -> None:
        """Does no more than note it: a signal comes in the middle of anything."""
        self.interrupts += number == signal.SIGINT
        self.reason = self.reason or signal.Signals(number).name
        if not self.training or self.interrupts > 1:
            raise GoOn(f"stopped by {signal.Signals(number).name}", None, HINT)

    def look(self) -> None:
        """Pass the request on, once; raise GoOn when the trainer has saved. To be called again and again."""
        if self.reason is None and self.warned and self.warned.exists():
            self.reason = "SLURM"
        if self.reason and not self.stop.exists():
            write_json(self.stop, {"reason": self.reason, "time": time.time()})
            again = "; Ctrl-C again to stop at once" if self.reason == "SIGINT" else ""
            self.report(f"told to end by {self.reason}: saving at the end of this step{again}")
        if self.reason and (step := answered(self.stop)) is not None:
            raise GoOn(f"told to end by {self.reason}: step {step} is saved", None, HINT)

    def forget(self) -> None:
        """Remove the trainer's files, which may be those of a job before."""
        for path in (self.stop, answer_of(self.stop)):
            path.unlink(missing_ok=True)


def warned_file(runs: Path) -> Path | None:
    """The file that is left for this job when it is to end soon; None outside of SLURM."""
    job = os.environ.get("SLURM_JOB_ID")
    return runs / f"{WARNED}{job}" if job else None


def environment(runs: Path) -> dict[str, str]:
    """What the processes of a launch need to warn it."""
    warned = warned_file(runs)
    return {VARIABLE: str(warned.resolve())} if warned else {}


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
