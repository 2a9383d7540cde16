"""Where two runs part first: each kind of difference, the first of several, tokens beside their neighbours."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer
import yaml
from deepscaler import records
from deepscaler.cli.reporting import compare as verb
from deepscaler.errors import UserError
from deepscaler.reporting.compare import Run, compare
from deepscaler.training.run import kept_rollouts

SEGMENT = "work/mini/checkpoints/8k-2"


def rollout(sample: int, tokens: list[int]) -> dict[str, object]:
    texts = {"prompt_text": "2 + 2", "label": '["4"]', "reason": "equal"}
    values = {"seed": 7 + sample, "trained": True, "truncated": False, "reward": 1.0, "log_probs": None}
    return {"prompt": 0, "sample": sample, "prompt_tokens": [1, 2], "tokens": tokens, **texts, **values}


@pytest.fixture
def pair(run: Path, tmp_path: Path) -> tuple[Path, Path]:
    kept_rollouts.write(
        kept_rollouts.path_of(run / SEGMENT / "rollouts", 3),
        [rollout(0, list(range(20))), rollout(1, list(range(20)))],
        seed=42,
        total_step=9,
    )
    return run, shutil.copytree(run, tmp_path / "second")


def lines(pair: tuple[Path, Path]) -> list[str]:
    return list(compare(*(Run.of(folder, "mini", "work") for folder in pair)))


def change_settings(run: Path, key: str, value: object) -> None:
    path = run / "results/mini/settings.yaml"
    values = yaml.safe_load(path.read_text())
    inner = values
    for part in key.split(".")[:-1]:
        inner = inner[part]
    inner[key.split(".")[-1]] = value
    path.write_text(yaml.safe_dump(values, sort_keys=False))


def change_manifest(run: Path) -> None:
    path = run / SEGMENT / "checkpoint.json"
    manifest = json.loads(path.read_text())
    manifest["files"]["model.safetensors"] = "f" * 64
    path.write_text(json.dumps(manifest))


def change_rollouts(run: Path) -> None:
    changed = list(range(20))
    changed[11] = 99
    path = kept_rollouts.path_of(run / SEGMENT / "rollouts", 3)
    kept_rollouts.write(path, [rollout(0, list(range(20))), rollout(1, changed)], seed=42, total_step=9)


def change_row(run: Path, pattern: str, column: str, value: object) -> None:
    path = sorted(run.glob(pattern))[0]
    rows = pq.read_table(path).to_pylist()
    rows[5][column] = value
    schema = records.COMPLETION if "samples" in pattern else records.GRADE
    records.write(path, rows, schema, {})


def change_prompts(run: Path) -> None:
    path = sorted(run.glob("work/mini/prompts/*.jsonl"))[0]
    path.write_text(path.read_text() + '{"more": 1}\n')


CHANGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "settings": (lambda run: change_settings(run, "seed", 43), "seed"),
    "versions": (lambda run: change_settings(run, "versions.python", "2.7"), "versions.python"),
    "prompts": (change_prompts, "line "),
    "rollouts": (change_rollouts, "segment 8k-2, step 3, prompt 0, sample 1: token 11"),
    "weights": (change_manifest, "checkpoints/8k-2/model.safetensors"),
    "samples": (lambda run: change_row(run, "work/mini/samples/*/table*.parquet", "response", "another"), "sample "),
    "grades": (
        lambda run: change_row(run, "work/mini/grades/*/table.parquet", "paper_reason", "another"),
        "paper_reason",
    ),
}


def test_a_copy_is_equal(pair: tuple[Path, Path]) -> None:
    assert lines(pair)[0].startswith("EQUAL")


@pytest.mark.parametrize("kind", CHANGES)
def test_each_kind_is_named(pair: tuple[Path, Path], kind: str) -> None:
    change, what = CHANGES[kind]
    change(pair[1])
    found = lines(pair)
    assert found[0].startswith(f"PART  {kind}: ")
    assert what in found[0]
    assert found[-1].endswith("nothing else differs")


def test_a_token_stands_beside_its_neighbours(pair: tuple[Path, Path]) -> None:
    change_rollouts(pair[1])
    assert "first:  7 8 9 10 [11] 12 13 14 15" in "\n".join(lines(pair))
    assert "second: 7 8 9 10 [99] 12 13 14 15" in "\n".join(lines(pair))


def test_the_first_of_several_is_told_and_the_later_ones_counted(pair: tuple[Path, Path]) -> None:
    for kind in ("weights", "rollouts", "grades"):
        CHANGES[kind][0](pair[1])
    found = lines(pair)
    assert found[0].startswith("PART  rollouts")
    assert found[-1].strip() == "later: weights, grades differ"


def test_no_run_is_a_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run of scale 'mini'"):
        Run.of(tmp_path, "mini", "work")


def test_the_exit_code_tells(pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    verb(*pair, scale="mini")
    assert capsys.readouterr().out.startswith("EQUAL")
    change_manifest(pair[1])
    with pytest.raises(typer.Exit) as stopped:
        verb(*pair, scale="mini")
    assert stopped.value.exit_code == 3


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("results/mini/settings.yaml", "a: &a [x, x]\nb: &b [*a, *a]\n" * 2),
        ("work/mini/checkpoints/8k-2/checkpoint.json", "[]"),
    ],
)
def test_what_others_wrote_is_refused_in_a_line(pair: tuple[Path, Path], name: str, content: str) -> None:
    (pair[1] / name).write_text(content)
    with pytest.raises(UserError):
        lines(pair)
