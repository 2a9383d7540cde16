"""Show the kept rollouts of a step: prompt, response, answer, reward and why. For people; no rule."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deepscaler import dag
from deepscaler.dag.chain import Segment
from deepscaler.errors import UserError
from deepscaler.models.templates import load_tokenizer
from deepscaler.reward.openrlhf import accepted, response_of
from deepscaler.reward.pool import GradingPool
from deepscaler.settings import load_recipe, load_scale, run_root, site
from deepscaler.text import printable
from deepscaler.training.run import kept_rollouts

MOST_SHOWN = 1000
"""Samples at a time."""


def rollouts(*, scale_name: str, total_step: int, skip: int, limit: int, characters: int, as_json: bool) -> None:
    """Print some of a step's samples, in the order in which they were sent.

    Args:
        total_step: counted from the base model, as in training.csv.
        characters: of a prompt or response that are shown, its beginning and its end; JSON has all.

    Raises UserError where the step has no kept rollouts.
    """
    segment = segment_of(scale_name, total_step)
    step = total_step - (segment.total_last - segment.last)
    path, tokenizer = find(scale_name, segment, step)
    rows = kept_rollouts.read(path)
    if skip >= len(rows):
        raise UserError(f"{skip} samples passed over leave none of {len(rows)}", "--skip")
    chosen = rows[skip : skip + min(limit, MOST_SHOWN)]
    shown = list(described(scale_name, chosen, load_tokenizer(tokenizer)))
    if as_json:
        for sample in shown:
            print(json.dumps(sample))
        return
    for sample in shown:
        print(printable("\n".join(lines_of(sample, characters))), end="\n\n")
    print(f"samples {skip + 1} to {skip + len(chosen)} of {len(rows)} of step {total_step} ({segment.id}, {path})")
    if skip + len(chosen) < len(rows):
        print(f"--skip {skip + len(chosen)} goes on")


def segment_of(scale_name: str, total_step: int) -> Segment:
    chain = dag.segments(scale_name)
    for segment in chain:
        if segment.total_last - segment.last + segment.first < total_step <= segment.total_last:
            return segment
    last = chain[-1].total_last if chain else 0
    raise UserError(f"scale {scale_name!r} trains {f'steps 1 to {last}' if last else 'nothing'}", f"step {total_step}")


def find(scale_name: str, segment: Segment, step: int) -> tuple[Path, Path]:
    """A step's file beside the checkpoint, or in the segment's newest run folder; and a folder with a tokenizer."""
    work = run_root() / site().work / scale_name
    finished = work / "checkpoints" / segment.id
    path = kept_rollouts.path_of(finished / kept_rollouts.FOLDER, step)
    if path.exists():
        return path, finished
    under_way = [kept_rollouts.path_of(run / kept_rollouts.FOLDER, step) for run in work.glob(f"runs/{segment.id}-*/")]
    if existing := [path for path in under_way if path.exists()]:
        newest = max(existing, key=lambda path: path.stat().st_mtime)
        return newest, newest.parents[1] / "start"
    raise UserError(f"no rollouts of step {step} of segment {segment.id} are kept", path)


def described(scale_name: str, rows: list[dict[str, Any]], tokenizer: Any) -> Iterator[dict[str, Any]]:
    """Each sample with texts for tokens, and the answer that was graded."""
    scale = load_scale(scale_name)
    assert scale.training is not None
    recipe = load_recipe(scale.training.recipe)
    think = dag.prompting_entry(scale_name, scale.base or "").prompting.think
    texts = tokenizer.batch_decode([row["prompt_tokens"] + row["tokens"] for row in rows])
    responses = [response_of(text, row["prompt_text"])[0] for text, row in zip(texts, rows, strict=True)]
    grading, mode = recipe.reward.grading, recipe.reward.mode
    with GradingPool(seconds=grading.seconds, memory_mb=grading.memory_mb) as pool:
        answers = pool.find_answers([(response, mode, think) for response in responses])
    for row, response, answer in zip(rows, responses, answers, strict=True):
        yield {
            **{key: row[key] for key in ("prompt", "sample", "seed", "trained", "truncated", "reward", "reason")},
            "tokens": len(row["tokens"]),
            "prompt_text": row["prompt_text"],
            "response": response,
            "answer": answer if isinstance(answer, str) else None,
            "accepted": accepted(row["label"]),
        }


def lines_of(sample: dict[str, Any], characters: int) -> Iterator[str]:
    length = f"{sample['tokens']} tokens{', cut at the limit' if sample['truncated'] else ''}"
    dropped = "" if sample["trained"] else ", dropped by dynamic filtering"
    yield f"── prompt {sample['prompt']}, sample {sample['sample']}: seed {sample['seed']}, {length}{dropped}"
    yield shortened(sample["prompt_text"].strip(), characters)
    yield "→ " + shortened(sample["response"].strip(), characters)
    answer = "no answer" if sample["answer"] is None else f"answer {shortened(sample['answer'], characters)}"
    golds = " or ".join(shortened(gold, characters) for gold in sample["accepted"])
    yield f"{answer} (accepted: {golds}): reward {sample['reward']:g}, {sample['reason'] or 'without a reason'}"


def shortened(text: str, characters: int) -> str:
    """The beginning and the end, where the answer is."""
    if len(text) <= characters:
        return text
    head, tail = characters // 3, characters - characters // 3
    return f"{text[:head]} … {len(text) - characters:,} characters … {text[len(text) - tail :]}"
