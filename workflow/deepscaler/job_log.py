"""The one line of a failed job's log that names the cause, and what can be said of how it ended."""

import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deepscaler.text import printable

TAIL_BYTES = 4 << 20
LONGEST = 400
"""Characters of a log's line."""
ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
LINE_BREAKS = re.compile(r"[\r\n]+")
DRAWING = re.compile(r"[\u2500-\u257f]+")
"""Lines, corners and crossings of boxes; not the blocks that bars are made of."""
WORKER = re.compile(r"^(?:\([^()]*pid=\d+[^()]*\)\s?)+")
NOISE = re.compile(
    r"^(\[?\d{4}-\d\d-\d\d .*(INFO|DEBUG)|\S+:\s+\d+%\||Fatal Python error|Extension modules:|File \""
    r"|Usage: |Try '.* --help')"
)
EXCEPTION = re.compile(r"^(?:[\w.]+\.)?(\w*(?:Error|Exception|Interrupt|Exit|Killed|Timeout))(?::\s|\s*$)")
CONSEQUENCES = (
    "RayTaskError",
    "ActorDiedError",
    "RayActorError",
    "ActorUnavailableError",
    "WorkerCrashedError",
    "OwnerDiedError",
    "ObjectLostError",
    "EngineDeadError",
    "CancelledError",
    "KeyboardInterrupt",
    "SystemExit",
)
"""Exceptions that report another one, raised elsewhere."""
STEP = "✨ Global step"
"""OpenRLHF's line for a finished step: exceptions before it did not end the run."""
OWN_ERROR = "deepscaler: "
"""How an error line of this package's own commands begins."""
TOLD_TO_END = "told to end by "
"""How such an error begins where nothing failed: who told it follows, and what is saved."""


def told_to_end(line: str) -> str | None:
    """What a job says that was told to end, in its log's last useful line; None where that line is another."""
    said = line.removeprefix(OWN_ERROR)
    return said.partition(" Hint: ")[0] if line != said and said.startswith(TOLD_TO_END) else None


def last_useful_line(log: Path) -> str:
    """The line of a log that names the cause of the failure.

    An error of this package's own commands, where the log ends with one; else the first exception after the last
    finished step that is not the consequence of another; else the last line that is neither a progress bar nor an
    engine's chatter.
    """
    everything = tail(log)
    if not everything:
        return "its log is empty"
    lines = [line for line in everything if not NOISE.match(line)] or everything
    if lines[-1].startswith(OWN_ERROR):
        return lines[-1][:LONGEST]
    last_step = max((number for number, line in enumerate(lines) if STEP in line), default=-1)
    consequence = None
    for line in lines[last_step + 1 :]:
        found = EXCEPTION.match(line)
        if not found:
            continue
        if found[1] not in CONSEQUENCES and "See root cause above" not in line:
            return line[:LONGEST]
        consequence = consequence or line[:LONGEST]
    return consequence or lines[-1][:LONGEST]


def tail(log: Path) -> list[str]:
    """The log's last lines as plain text."""
    try:
        with log.open("rb") as handle:
            handle.seek(max(0, log.stat().st_size - TAIL_BYTES))
            return plain_lines(handle.read().decode("utf-8", "replace"))
    except OSError:
        return []


def plain_lines(text: str) -> list[str]:
    """The lines of a log without what is there for the eye: colours, redrawn bars, boxes, names of Ray's workers."""
    lines = (printable(CONTROL.sub("", ESCAPE.sub("", line))).strip() for line in LINE_BREAKS.split(text))
    return [line for line in (WORKER.sub("", line).strip() for line in unboxed(lines)) if line]


def unboxed(lines: Iterator[str]) -> Iterator[str]:
    """Lines as they come; of a box that is drawn round a text, the text alone, as one line behind the box's title."""
    words: list[str] | None = None
    for line in lines:
        if line.startswith(("╭", "┌", "┏", "╔")):
            title = DRAWING.sub(" ", line).strip()
            words = [f"{title}:"] if title else []
        elif words is not None and line.startswith(("│", "┃", "║")):
            words.append(DRAWING.sub(" ", line).strip())
        else:
            if words is not None:
                yield " ".join(words)
                words = None
            if DRAWING.sub("", line).strip():
                yield DRAWING.sub(" ", line).strip() if line[0] in "│┃║╰└┗╚" else line
    if words is not None:
        yield " ".join(words)


@dataclass(frozen=True)
class Ending:
    """How a job ended, and what to do about it."""

    cause: str
    """`killed by signal 9 (SIGKILL): out of memory?`"""
    advice: str


MORE_MEMORY = "give it more memory (resources.{rule}.mem_mb of the scale), or run fewer jobs beside it"
RESUMES = "type the same command again: it goes on from what is kept"
SAID: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        re.compile(r"DUE TO TIME LIMIT|\bTIMEOUT\b|DEADLINE"),
        "its wall time ran out",
        f"{RESUMES}; resources.{{rule}}.minutes sets it",
    ),
    (re.compile(r"DUE TO PREEMPTION|\bPREEMPTED\b"), "preempted by another job", RESUMES),
    (re.compile(r"DUE TO NODE FAILURE|\bNODE_FAIL\b|\bBOOT_FAIL\b"), "its node failed", RESUMES),
    (
        re.compile(r"oom[-_]kill|\bOUT_OF_MEMORY\b|[Oo]ut of memory: Killed|OutOfMemory handler"),
        "out of memory",
        MORE_MEMORY,
    ),
    (
        re.compile(r"CUDA out of memory|torch\.(cuda\.)?OutOfMemoryError"),
        "the GPU's memory is full",
        "see that nothing else holds it; lower max_tokens_per_gpu of the stage, or the engine's share of it",
    ),
    (
        re.compile(r"^(\w*MemoryError\b|.*(Cannot allocate memory|DefaultCPUAllocator: can't allocate))"),
        "out of memory",
        MORE_MEMORY,
    ),
    (
        re.compile(r"No space left on device|ENOSPC"),
        "a disk is full",
        f"make room (`df -h`, also /dev/shm and /tmp), then {RESUMES}",
    ),
    (
        re.compile(r"Disk quota exceeded|EDQUOT"),
        "your disk quota is used up",
        f"make room (`quota -s`), then {RESUMES}",
    ),
    (re.compile(r"Input/output error|Stale file handle|Transport endpoint"), "its file system failed", RESUMES),
    (re.compile(r"CANCELLED AT|\bCANCELLED\b"), "cancelled in SLURM", RESUMES),
)
"""What SLURM, the kernel or a library writes → (cause, advice). SLURM's own words come first: they say why."""
SIGNALS = {
    signal.SIGKILL: ("out of memory?", MORE_MEMORY),
    signal.SIGTERM: ("asked to stop", RESUMES),
    signal.SIGINT: ("interrupted", RESUMES),
    signal.SIGHUP: ("its terminal was closed", RESUMES),
    signal.SIGXCPU: ("a limit on processor time (`ulimit -t`)", "raise the limit, or run it on another node"),
    signal.SIGXFSZ: ("a limit on the size of files (`ulimit -f`)", "raise the limit"),
    signal.SIGBUS: ("/dev/shm or a disk is full?", f"make room (`df -h /dev/shm`), then {RESUMES}"),
    signal.SIGILL: ("an instruction that this processor lacks", "see docs/environments.md for what the builds need"),
    signal.SIGSEGV: ("a crash in compiled code", f"{RESUMES}; if it does not pass, the log's end is for its authors"),
    signal.SIGABRT: ("a crash in compiled code", f"{RESUMES}; if it does not pass, the log's end is for its authors"),
}
STATUS = re.compile(r"(?:died with <Signals\.(SIG\w+)|non-zero exit status (\d+)|exit code:? (\d+))")
OF_SHELL = re.compile(
    r"^\S*bash: line \d+:\s+\d+ (Killed|Terminated|Segmentation fault|Bus error|Illegal instruction|Aborted)"
)
LAST = 40
"""Lines at a log's end in which its ending is looked for."""


def ending(log: Path | None, rule: str, said: str = "", scheduler_log: Path | None = None) -> Ending | None:
    """How a job ended, from what Snakemake `said` of it, the end of its log and of SLURM's; None where nothing tells.

    A signal that names its reason somewhere (`No space left on device`) is that reason.
    """
    lines = [line for path in (log, scheduler_log) if path for line in tail(path)[-LAST:]]
    killed = signal_in(said) or next((found for line in lines if (found := signal_of_shell(line))), None)
    for pattern, cause, advice in SAID:
        if pattern.search(said) or any(pattern.search(line) for line in lines if not NOISE.match(line)):
            how = f"{named(killed)}: {cause}" if killed else cause
            return Ending(how, advice.format(rule=rule))
    if killed:
        reason, advice = SIGNALS.get(killed, ("", RESUMES))
        return Ending(f"{named(killed)}{': ' if reason else ''}{reason}", advice.format(rule=rule))
    return None


def named(killed: signal.Signals) -> str:
    return f"killed by signal {int(killed)} ({killed.name})"


def signal_in(said: str) -> signal.Signals | None:
    """The signal in Snakemake's words on a command: by name, or as the shell's exit status, 128 and its number."""
    found = STATUS.search(said)
    if not found:
        return None
    if found[1]:
        return signal.Signals[found[1]] if found[1] in signal.Signals.__members__ else None
    return signal_numbered(int(found[2] or found[3]) - 128)


def signal_of_shell(line: str) -> signal.Signals | None:
    """The signal in bash's own line on a child: `bash: line 1: 14221 Killed    deepscaler sample …`."""
    found = OF_SHELL.match(line)
    names = {
        "Killed": 9,
        "Terminated": 15,
        "Segmentation fault": 11,
        "Bus error": 7,
        "Illegal instruction": 4,
        "Aborted": 6,
    }
    return signal_numbered(names[found[1]]) if found else None


def signal_numbered(number: int) -> signal.Signals | None:
    try:
        return signal.Signals(number)
    except ValueError:
        return None
