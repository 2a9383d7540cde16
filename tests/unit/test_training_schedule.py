"""The prompt schedule: seeded, whole epochs cut to steps, a stage's stream shared out among its segments."""

import json
from itertools import islice
from pathlib import Path

import pytest
from deepscaler import dag, records
from deepscaler.errors import UserError
from deepscaler.files import read_jsonl
from deepscaler.training.schedule_prompts import order, schedule_prompts

IDS = [f"s/{number:03}" for number in range(50)]


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    rows = [
        {
            "id": key,
            "source": "s",
            "problem": f"add:a1b{number}",
            "solution": None,
            "answer": f"\\frac{{{number}}}{{11}}",
            "answer_raw": None,
            "answer_origin": "given",
            "metadata": "{}",
        }
        for number, key in enumerate(IDS)
    ]
    records.write(tmp_path / "train.parquet", rows, records.PROBLEM)
    return tmp_path / "train.parquet"


def test_an_epoch_is_a_permutation_cut_to_whole_steps() -> None:
    first, second = list(islice(order(IDS, "42/8k", 16), 48)), list(islice(order(IDS, "42/8k", 16), 48, 96))
    assert len(set(first)) == len(set(second)) == 48
    assert first != second
    assert first != sorted(first)


def test_the_order_depends_on_the_seed_and_the_ids_alone() -> None:
    def take(ids: list[str], seed: str) -> list[str]:
        return list(islice(order(ids, seed, 16), 48))

    assert take(IDS, "42/8k") == take(list(reversed(IDS)), "42/8k")
    assert take(IDS, "42/8k") != take(IDS, "43/8k")
    assert take(IDS, "42/8k") != take(IDS, "42/16k")


def test_segments_share_out_their_stages_stream(problems: Path, tmp_path: Path) -> None:
    chain = [segment for segment in dag.segments("mini") if segment.stage == "8k"]
    assert len(chain) == 2
    ids: list[str] = []
    for segment in chain:
        count = schedule_prompts(
            scale_name="mini", segment_id=segment.id, problems=problems, output=tmp_path / f"{segment.id}.jsonl"
        )
        assert count == 16 * (segment.last - segment.first)
        ids += [row["id"] for row in read_jsonl(tmp_path / f"{segment.id}.jsonl")]
    assert ids == list(islice(order(IDS, "42/8k", 16), len(ids)))


def test_a_line_is_what_openrlhf_reads(problems: Path, tmp_path: Path) -> None:
    schedule_prompts(scale_name="mini", segment_id="8k-1", problems=problems, output=tmp_path / "p.jsonl")
    prompt = records.Prompt.model_validate(next(read_jsonl(tmp_path / "p.jsonl")))
    [turn] = prompt.input
    assert turn["role"] == "user"
    assert turn["content"].startswith("add:a1b")
    assert turn["content"].endswith("within \\boxed{}.")
    [answer] = json.loads(prompt.label)
    assert answer.startswith("\\frac")


def test_too_few_problems_for_a_step_are_refused(tmp_path: Path) -> None:
    row = dict.fromkeys(records.PROBLEM.names, "x")
    records.write(tmp_path / "few.parquet", [row], records.PROBLEM)
    few, output = tmp_path / "few.parquet", tmp_path / "p.jsonl"
    with pytest.raises(UserError, match="1 problems are fewer than the 16 prompts of one step"):
        schedule_prompts(scale_name="mini", segment_id="8k-1", problems=few, output=output)
