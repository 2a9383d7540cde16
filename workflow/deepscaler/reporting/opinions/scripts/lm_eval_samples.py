"""usage: python -I lm_eval_samples.py FOLDER < CELLS    writes the cells as lm-eval's logs, and finds them again

In, lines of JSON as reporting/opinions/export.py writes them. Run by the environment `lm-eval`, whose own tracker
writes the files. A cell is a task, its metrics are the opinions, and every sample is a row.
"""

import json
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from lm_eval.loggers import EvaluationTracker
from lm_eval.utils import get_sample_results_filenames, hash_string

Line = dict[str, Any]


def main(folder: Path) -> None:
    count = 0
    for system, tasks in groupby(cells(), key=lambda cell: cell[0]["system"]):
        count += write(folder, system, [(cell, rows(lines, cell)) for cell, lines in tasks])
    found = get_sample_results_filenames([str(path) for path in folder.rglob("*") if path.is_file()])
    read = sum(len(Path(name).read_text(encoding="utf-8").splitlines()) for name in found)
    if read != count:
        sys.exit(f"lm-eval finds {read} of {count} samples")
    print(f"{len(found)} files of {read} samples, found by lm-eval")


def cells() -> Iterator[tuple[Line, list[Line]]]:
    for head in sys.stdin:
        cell = json.loads(head)
        yield cell, [json.loads(next(sys.stdin)) for _ in range(cell["samples"])]


def write(folder: Path, system: str, tasks: list[tuple[Line, list[Line]]]) -> int:
    tracker = EvaluationTracker(output_path=str(folder))
    tracker.general_config_tracker.log_experiment_args(
        model_source="vllm", model_args=f"pretrained={system}", system_instruction="", chat_template="",
        fewshot_as_multiturn=False,
    )  # fmt: skip
    samples = {cell["benchmark"]: found for cell, found in tasks}
    results = {
        "results": {name: means(found) for name, found in samples.items()},
        "configs": {cell["benchmark"]: config(cell) for cell, _ in tasks},
        "versions": dict.fromkeys(samples, 1),
        "n-shot": dict.fromkeys(samples, 0),
        "n-samples": {name: {"original": len(found), "effective": len(found)} for name, found in samples.items()},
        "higher_is_better": {name: dict.fromkeys(found[0]["metrics"], True) for name, found in samples.items()},
        "config": {"model": "vllm", "model_args": f"pretrained={system}"},
    }
    tracker.save_results_aggregated(results=results, samples=samples)
    for name, found in samples.items():
        tracker.save_results_samples(task_name=name, samples=found)
    return sum(map(len, samples.values()))


def means(found: list[Line]) -> Line:
    metrics = found[0]["metrics"]
    return {"alias": " "} | {f"{name},none": sum(row[name] for row in found) / len(found) for name in metrics}


def config(cell: Line) -> Line:
    metrics = [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in cell["opinions"]]
    return {
        "task": cell["benchmark"],
        "output_type": "generate_until",
        "metric_list": metrics,
        "generation_kwargs": cell["sampling"],
        "metadata": {"scale": cell["scale"], "opinions": cell["opinions"]},
    }


def rows(lines: list[Line], cell: Line) -> list[Line]:
    places: dict[str, int] = {}
    return [row(line, places.setdefault(line["id"], len(places)), cell) for line in lines]


def row(line: Line, place: int, cell: Line) -> Line:
    problem = {key: line[key] for key in ("id", "sample", "problem", "golds")}
    return {
        "doc_id": place,
        "doc": problem,
        "target": line["golds"][0],
        "arguments": [(line["problem"], cell["sampling"])],
        "resps": [[line["response"]]],
        "filtered_resps": [line["answer"] or ""],
        "filter": "none",
        "metrics": list(cell["opinions"]),
        "doc_hash": hash_string(json.dumps(problem, ensure_ascii=False)),
        "prompt_hash": hash_string(line["problem"]),
        "target_hash": hash_string(line["golds"][0]),
        **{name: float(right) for name, (right, _) in line["verdicts"].items()},
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
