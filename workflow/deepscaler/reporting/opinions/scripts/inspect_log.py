"""usage: python -I inspect_log.py FOLDER < CELLS    writes each cell as a log of Inspect's, and reads it back

In, lines of JSON as reporting/opinions/export.py writes them. Run by the environment `inspect-ai`.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from inspect_ai.dataset import Sample
from inspect_ai.log import (
    EvalConfig,
    EvalDataset,
    EvalLog,
    EvalMetric,
    EvalResults,
    EvalSample,
    EvalScore,
    EvalSpec,
    EvalStats,
    read_eval_log,
    write_eval_log,
)
from inspect_ai.model import ChatMessageUser, GenerateConfig, ModelOutput
from inspect_ai.scorer import CORRECT, INCORRECT, Score

Line = dict[str, Any]


def main(folder: Path) -> None:
    logs = samples = 0
    for cell, lines in cells():
        path = folder / f"{cell['system']}-{cell['benchmark']}.eval"
        write_eval_log(log_of(cell, lines), str(path))
        read = read_eval_log(str(path))
        if read.status != "success" or len(read.samples or []) != len(lines):
            sys.exit(f"{path.name}: read back with {len(read.samples or [])} of {len(lines)} samples")
        logs, samples = logs + 1, samples + len(lines)
    print(f"{logs} logs of {samples} samples, read back by Inspect; to be seen with: inspect view --log-dir")


def cells() -> Iterator[tuple[Line, list[Line]]]:
    for head in sys.stdin:
        cell = json.loads(head)
        yield cell, [json.loads(next(sys.stdin)) for _ in range(cell["samples"])]


def log_of(cell: Line, lines: list[Line]) -> EvalLog:
    model = f"vllm/{cell['system']}"
    return EvalLog(
        status="success",
        eval=EvalSpec(
            created=cell["created"],
            eval_id=f"{cell['scale']}-{cell['system']}-{cell['benchmark']}",
            task=cell["benchmark"],
            task_id=cell["benchmark"],
            dataset=EvalDataset(
                name=cell["benchmark"], samples=len(lines), sample_ids=list(dict.fromkeys(line["id"] for line in lines))
            ),
            model=model,
            model_generate_config=GenerateConfig(**cell["sampling"]),
            config=EvalConfig(epochs=1 + max(line["sample"] for line in lines)),
            metadata={"title": cell["title"], "opinions": cell["opinions"]},
        ),
        results=EvalResults(
            total_samples=len(lines),
            completed_samples=len(lines),
            scores=[score_of(name, lines) for name in cell["opinions"]],
        ),
        stats=EvalStats(started_at=cell["created"], completed_at=cell["created"]),
        samples=[sample_of(line, model) for line in lines],
    )


def score_of(name: str, lines: list[Line]) -> EvalScore:
    share = sum(line["verdicts"][name][0] for line in lines) / len(lines)
    return EvalScore(name=name, scorer=name, metrics={"accuracy": EvalMetric(name="accuracy", value=share)})


def sample_of(line: Line, model: str) -> EvalSample:
    output = ModelOutput.from_content(model, line["response"])
    asked = Sample(input=line["problem"], target=line["golds"])
    return EvalSample(
        id=line["id"],
        epoch=line["sample"] + 1,
        input=asked.input,
        target=asked.target,
        messages=[ChatMessageUser(content=line["problem"]), output.message],
        output=output,
        scores={
            name: Score(value=CORRECT if right else INCORRECT, answer=line["answer"], explanation=reason or None)
            for name, (right, reason) in line["verdicts"].items()
        },
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
