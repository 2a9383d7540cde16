"""The completions with all opinions as others' logs: for Inspect's viewer, and as lm-eval's samples.

Each format is written by its own library, in the harness's environment (scripts/), and read back by it.
"""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deepscaler import settings
from deepscaler.errors import JobError
from deepscaler.evaluation.requests import protocol_of
from deepscaler.files import writing
from deepscaler.reporting.opinions.ask import environment
from deepscaler.reporting.opinions.completions import Completion
from deepscaler.reporting.opinions.harnesses import HARNESSES, SCRIPTS, TITLES
from deepscaler.reporting.opinions.table import Opinions


def inspect_logs(scale: str, opinions: Opinions, folder: Path) -> None:
    """A log a cell: {folder}/{system}-{benchmark}.eval, to be opened with `inspect view --log-dir {folder}`."""
    written(scale, opinions, "inspect-ai", "inspect_log.py", folder)


def lm_eval_samples(scale: str, opinions: Opinions, folder: Path) -> None:
    """{folder}/{system}/samples_{benchmark}_{time}.jsonl and results_{time}.json, as by `lm_eval --log_samples`."""
    written(scale, opinions, "lm-eval", "lm_eval_samples.py", folder)


def written(scale: str, opinions: Opinions, name: str, script: str, folder: Path) -> None:
    """Run a script of the harness's environment, which writes into a folder that replaces an older one."""
    harness = next(harness for harness in HARNESSES if harness.name == name)
    if not harness.ready:
        print(f"no export for {name}: it has no environment here (make setup-harnesses)")
        return
    with writing(folder) as aside, tempfile.TemporaryFile() as lines, tempfile.TemporaryDirectory() as home:
        aside.mkdir()
        for line in cells(scale, opinions):
            lines.write(json.dumps(line).encode() + b"\n")
        lines.seek(0)
        command = [str(harness.python), "-I", str(SCRIPTS / script), str(aside)]
        done = subprocess.run(command, stdin=lines, capture_output=True, text=True, env=environment(home), check=False)
        if done.returncode:
            raise JobError(f"{script} failed: {(done.stderr.strip() or 'it said nothing').splitlines()[-1]}", folder)
    print(f"{folder}: {done.stdout.strip()}")


def cells(scale: str, opinions: Opinions) -> Iterator[dict[str, Any]]:
    """What the scripts read: a line that opens a cell, then one for each of its samples."""
    for (system, benchmark), places in opinions.by_cell():
        protocol = protocol_of(scale, system)
        yield {
            "system": system,
            "title": settings.systems()[system].title if system in settings.systems() else system,
            "benchmark": benchmark,
            "scale": scale,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "opinions": {name: TITLES[name] for name in opinions.names},
            "sampling": {key: getattr(protocol, key) for key in ("temperature", "top_p", "seed")}
            | {"max_tokens": protocol.max_new_tokens},
            "samples": len(places),
        }
        for place in places:
            verdicts = {name: opinions.verdicts[name][place] for name in opinions.names}
            yield sample(opinions.completions[place]) | {
                "verdicts": {name: [said.correct, said.reason] for name, said in verdicts.items()}
            }


def sample(row: Completion) -> dict[str, Any]:
    return {
        "id": row.problem_id,
        "sample": row.sample,
        "problem": row.problem,
        "golds": list(row.golds),
        "response": row.response,
        "answer": row.answer,
    }
