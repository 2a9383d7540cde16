"""One harness's verdicts, by its own function in its own environment; kept as they come, so that none is asked twice.

{work}/opinions/{harness}.jsonl     {"key", "version", "correct", "reason"}: a line a question
                {harness}.log       what the harness said meanwhile
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deepscaler.errors import JobError
from deepscaler.evaluation.partial import Partial
from deepscaler.progress import progress
from deepscaler.reporting.opinions.completions import Completion
from deepscaler.reporting.opinions.harnesses import SCRIPTS, Harness
from deepscaler.reward.pool import GradingPool
from deepscaler.reward.verdicts import Mode, ThinkRule, Verdict

PAPER: Mode = "paper"
WHOLE: ThinkRule = "none"
"""What is given to a harness is looked at whole."""
WITHHELD = "withheld: what the paper's whitelist refuses is not given to a function that would run it"
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
"""Of the environment's variables; keys and tokens stay here."""


@dataclass(frozen=True)
class Limits:
    """Of one verdict. A harness's own limits of time are shorter; beyond these its process is killed."""

    seconds: float = 60.0
    memory_mb: int = 2048


def opinion_of(harness: Harness, asked: list[Completion], folder: Path, limits: Limits) -> list[Verdict]:
    """The harness's verdict on each completion: right where any accepted answer makes it so."""
    questions = {row.key(gold): {"gold": gold, "completion": row.text} for row in asked for gold in row.golds}
    with Partial(folder / f"{harness.name}.jsonl") as kept:
        known = {row["key"]: row for row in kept.rows() if row["version"] == version_of(harness)}
        new = {key: question for key, question in questions.items() if key not in known}
        for key, verdict in verdicts(harness, new, folder, limits):
            known[key] = {"key": key, "version": version_of(harness), **verdict}
            kept.keep(known[key])
    return [any_of(known[row.key(gold)] for gold in row.golds) for row in asked]


def any_of(found: Iterable[dict[str, object]]) -> Verdict:
    rows = list(found)
    best = next((row for row in rows if row["correct"]), rows[0])
    return Verdict(bool(best["correct"]), str(best["reason"]))


def version_of(harness: Harness) -> str:
    """Of the package in the harness's environment, by its metadata: nothing of it runs."""
    if harness.name not in VERSIONS:
        VERSIONS[harness.name] = asked_version(harness)
    return VERSIONS[harness.name]


VERSIONS: dict[str, str] = {}


def asked_version(harness: Harness) -> str:
    script = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
    done = subprocess.run(
        [harness.python, "-I", "-c", script, harness.package], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise JobError(
            f"{harness.name}: its environment lacks {harness.package}", harness.python, "make setup-harnesses"
        )
    return done.stdout.strip()


def verdicts(
    harness: Harness, questions: dict[str, dict[str, str]], folder: Path, limits: Limits
) -> Iterator[tuple[str, dict[str, object]]]:
    """Key and verdict of each question, as they come."""
    refused = withheld(questions, limits) if harness.evaluates else set()
    for key in refused:
        yield key, {"correct": False, "reason": WITHHELD}
    left = [key for key in questions if key not in refused]
    if not left:
        return
    lines = answers(harness, [questions[key] for key in left], folder, limits)
    for key, line in zip(left, progress(lines, what=harness.name, unit="verdict", total=len(left)), strict=False):
        yield key, line


def withheld(questions: dict[str, dict[str, str]], limits: Limits) -> set[str]:
    """The questions whose boxed answer the paper's grader, which has the same steps, refuses to parse."""
    with GradingPool(1, limits.seconds, limits.memory_mb) as pool:
        asked = ((question["gold"], question["completion"], PAPER, WHOLE) for question in questions.values())
        found = pool.grade_responses(asked)
        return {
            key for key, verdict in zip(questions, found, strict=True) if verdict.reason.startswith(("refused", "stop"))
        }


def answers(
    harness: Harness, questions: list[dict[str, str]], folder: Path, limits: Limits
) -> Iterator[dict[str, object]]:
    """The lines of scripts/grade.py, run by the harness's own Python.

    Raises:
        JobError: it ended before the last answer.
    """
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryFile() as asked:
        asked.write(b"".join(json.dumps(question).encode() + b"\n" for question in questions))
        asked.seek(0)
        log = folder / f"{harness.name}.log"
        script, bounds = str(SCRIPTS / "grade.py"), (str(limits.seconds), str(limits.memory_mb))
        command = [str(harness.python), "-I", script, harness.name, *bounds]
        with (
            log.open("wb") as said,
            subprocess.Popen(
                command, stdin=asked, stdout=subprocess.PIPE, stderr=said, env=environment(home), text=True
            ) as process,
        ):
            try:
                assert process.stdout is not None
                count = 0
                for line in process.stdout:
                    yield json.loads(line)
                    count += 1
            finally:
                process.kill()
        if count < len(questions):
            raise JobError(f"{harness.name} ended after {count} of {len(questions)} verdicts", log)


def environment(home: str) -> dict[str, str]:
    """Offline, with a home of its own."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {**passed, "HOME": home, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
