"""A step is computed again from what was kept of it; whatever was changed afterwards is named."""

import csv
import importlib.util
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import trained_run
from deepscaler.errors import JobError, UserError
from deepscaler.files import read_json, read_jsonl, sha256, write_json, write_jsonl
from deepscaler.reporting.provenance.verification.files import Files
from deepscaler.training.replay import batches, objective
from deepscaler.training.replay import replay as module
from deepscaler.training.rollouts import rollouts
from deepscaler.training.run import kept_rollouts

SCALE = trained_run.SCALE


@pytest.fixture(scope="module")
def whole(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("audited")
    trained_run.write_settings(root, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPSCALER_ROOT", str(folder))
        patch.setenv("DEEPSCALER_WORK", str(folder / "work"))
        trained_run.forget_settings()
        trained_run.make(folder)
        yield folder
    trained_run.forget_settings()


@pytest.fixture
def run(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to tamper with."""
    for name in ("config", "work", "results"):
        shutil.copytree(whole / name, tmp_path / name)
    monkeypatch.setenv("DEEPSCALER_ROOT", str(tmp_path))
    monkeypatch.setenv("DEEPSCALER_WORK", str(tmp_path / "work"))
    trained_run.forget_settings()
    return tmp_path


def folder_of(run: Path, segment: str = "8k-1") -> Path:
    return run / "work" / SCALE / "checkpoints" / segment


def file_of(run: Path, step: int) -> Path:
    return kept_rollouts.path_of(folder_of(run) / "rollouts", step)


def replay(step: int | None = None, segment: str | None = None) -> None:
    module.replay(scale_name=SCALE, total_step=step, segment_id=segment, every=step is None and segment is None)


def differences(capsys: pytest.CaptureFixture[str], step: int | None = None) -> list[str]:
    """What a replay that finds something prints of it."""
    with pytest.raises(JobError, match="differ, first"):
        replay(step)
    lines = capsys.readouterr().out.splitlines()
    return [line.removeprefix("DIFFERS  ") for line in lines if line.startswith("DIFFERS")]


def forge_manifest(folder: Path) -> None:
    """What a careful forger does last: the manifest names the changed files' digests."""
    manifest = read_json(folder / "checkpoint.json")
    manifest["files"] = {name: sha256(folder / name) for name in manifest["files"]}
    manifest["rollouts"] = {name: sha256(folder / "rollouts" / name) for name in manifest["rollouts"]}
    write_json(folder / "checkpoint.json", manifest)


def change_rollout(run: Path, row: int, **values: Any) -> None:
    rows = kept_rollouts.read(file_of(run, 1))
    rows[row] |= values
    kept_rollouts.write(file_of(run, 1), rows, 42, 1)
    forge_manifest(folder_of(run))


def change_log(run: Path, step: int, key: str, change: Callable[[float], float]) -> None:
    path = folder_of(run) / "metrics.jsonl"
    rows = list(read_jsonl(path))
    rows[step - 1][key] = change(rows[step - 1][key])
    write_jsonl(path, rows)
    forge_manifest(folder_of(run))


def test_a_whole_run_follows_from_what_was_kept(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replay()
    printed = capsys.readouterr().out
    assert "3 steps follow" in printed
    assert printed.count("numbers as logged") == 3
    assert printed.count("weights follow, bit for bit") == 2


def test_one_step_is_shown_with_its_numbers_beside_the_logs(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replay(step=2)
    lines = capsys.readouterr().out.splitlines()
    [row] = [row for row in read_jsonl(folder_of(run) / "metrics.jsonl") if row["step"] == 2]
    [shown] = [line.split() for line in lines if line.split()[:1] == ["gradient_norm"]]
    assert float(shown[1]) == pytest.approx(row["actor_grad_norm"]) == pytest.approx(float(shown[2]))
    assert row["actor_grad_norm"] > 0
    assert lines[-1] == "1 step follows from what was kept"


FORGED: list[tuple[dict[str, Any], str]] = [
    ({"reward": 0.0}, "reward: 0.0 was kept, 1.0"),
    ({"reason": "luck"}, "reason: luck was kept, "),
    ({"seed": 7}, "seed: 7 was kept, "),
    ({"label": '["x"]'}, 'label: ["x"] was kept, ["'),
    ({"prompt_text": "another"}, "prompt_text: another was kept, "),
    ({"prompt_tokens": [1, 2, 3]}, "prompt_tokens: [1, 2, 3] was kept, "),
]


def test_a_changed_rollout_is_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By file, row and field, whatever was changed; a row each."""
    for row, (values, _) in enumerate(FORGED):
        change_rollout(run, row, **values)
    found = "\n".join(differences(capsys, step=1))
    for row, (_, named) in enumerate(FORGED):
        assert f"{SCALE}/checkpoints/8k-1/rollouts/step-00001.parquet, row {row}, {named}" in found


def test_a_changed_token_is_named_by_the_numbers_that_it_decides(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a place that the grader doesn't look at."""
    tokens = kept_rollouts.read(file_of(run, 1))[0]["tokens"]
    change_rollout(run, 0, tokens=[tokens[0] + 5, *tokens[1:]])
    found = "\n".join(differences(capsys, step=1))
    assert "metrics.jsonl, step 1, policy_loss: " in found
    assert "metrics.jsonl, step 1, gradient_norm: " in found
    assert "reward" not in found


def test_what_no_model_could_have_drawn_is_a_line_and_no_traceback(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = kept_rollouts.read(file_of(run, 1))[0]["tokens"]
    change_rollout(run, 0, tokens=[10**6, *tokens[1:]])
    assert differences(capsys, step=1)[-1].startswith("malformed, so that the rest was not compared: ")


def test_a_log_probability_that_no_policy_gave_is_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, *others = kept_rollouts.read(file_of(run, 1))[0]["log_probs"]
    change_rollout(run, 0, log_probs=[first - 3, *others])
    found = "\n".join(differences(capsys, step=1))
    assert "row 0, tokens: the sampler's log-probability of one is 3.00 nats from the policy's" in found
    assert "metrics.jsonl, step 1, vllm_kl: " in found


def test_a_prompt_that_was_not_dropped_is_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Prompt 2 was always right; a group that was trained is exchanged with it."""
    rows = kept_rollouts.read(file_of(run, 1))
    for row in rows:
        row["trained"] = not row["trained"] if row["prompt"] in (1, 2) else row["trained"]
    kept_rollouts.write(file_of(run, 1), rows, 42, 1)
    found = "\n".join(differences(capsys, step=1))
    assert "row 4, trained: false was kept, True (mean reward 0.5) follows" in found
    assert "row 8, trained: true was kept, False (mean reward 1) follows" in found


LOGGED = {
    "policy_loss": "policy_loss",
    "actor_grad_norm": "gradient_norm",
    "kl": "kl",
    "rollout/reward_mean": "reward",
    "well_formed": "well_formed",
    "score": "score",
    "ppo_clip_ratio": "clip_ratio",
}


def test_a_changed_log_is_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for key in LOGGED:
        change_log(run, 2, key, lambda value: value * 1.001 + 1e-5)
    lines = [line for line in differences(capsys, step=2) if "metrics.jsonl" in line]
    where = f"{SCALE}/checkpoints/8k-1/metrics.jsonl, step 2, "
    assert {line.removeprefix(where).partition(":")[0] for line in lines} == set(LOGGED.values())
    assert all(" was logged, " in line for line in lines)


def test_a_changed_cell_of_the_table_is_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run / "results" / SCALE / "training.csv"
    rows = list(csv.reader(path.open()))
    rows[2][rows[0].index("reward")] = "0.9"
    with path.open("w", newline="") as handle:
        csv.writer(handle, lineterminator="\n").writerows(rows)
    [line] = differences(capsys)
    assert line.startswith("training.csv, step 2, reward: 0.9 stands there, ")


def test_exchanged_weights_are_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copyfile(
        run / "work" / SCALE / "models/mini-base/model.safetensors", folder_of(run, "8k-2") / "model.safetensors"
    )
    forge_manifest(folder_of(run, "8k-2"))
    [line] = differences(capsys)
    assert "8k-2/model.safetensors: " in line
    assert "weights are not those that follow" in line


def test_a_file_that_the_manifest_does_not_describe_is_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = kept_rollouts.read(file_of(run, 2))
    kept_rollouts.write(file_of(run, 2), rows, 43, 2)
    [line] = differences(capsys, step=1)
    assert "rollouts/step-00002.parquet: sha256 is " in line


def test_verification_of_results_looks_at_rollouts_too(run: Path) -> None:
    name = f"work/{SCALE}/checkpoints/8k-1/checkpoint.json"
    assert list(Files().of_manifest(name)) == []
    file_of(run, 1).unlink()
    assert list(Files().of_manifest(name)) == []
    file_of(run, 2).write_bytes(b"another")
    [line] = Files().of_manifest(name)
    assert line.startswith(f"work/{SCALE}/checkpoints/8k-1/rollouts/step-00002.parquet: sha256 is ")


def test_other_settings_are_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run / "config" / "recipes" / f"{SCALE}.yaml"
    path.write_text(path.read_text() + "clip: [0.1, 0.1]\n")
    trained_run.forget_settings()
    assert "trained under the settings" in differences(capsys, step=1)[0]


def test_on_another_class_of_processor_numbers_are_near(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What samples decide is still held to the digit."""
    monkeypatch.setattr(module, "processor", lambda: "another")
    (run / "results" / SCALE / "training.csv").unlink()  # or it would be named as well
    change_log(run, 1, "actor_grad_norm", lambda value: value * 1.1)
    replay()
    assert "numbers are near, not equal" in capsys.readouterr().out
    change_log(run, 1, "rollout/reward_mean", lambda value: value * 1.001)
    assert "reward" in differences(capsys)[0]


def test_what_was_not_kept_cannot_be_replayed(run: Path) -> None:
    file_of(run, 2).unlink()
    replay(step=1)
    with pytest.raises(UserError, match="were not kept"):
        replay(step=2)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"step": 4}, "trains steps 1 to 3"),
        ({"step": 1, "segment": "8k-1"}, "one of --step"),
        ({"segment": "9k-1"}, "no segment"),
    ],
)
def test_a_wrong_question_is_refused(run: Path, arguments: dict[str, Any], what: str) -> None:
    with pytest.raises(UserError, match=what):
        replay(**arguments)


def show(step: int = 1, **changes: Any) -> None:
    options: dict[str, Any] = {"skip": 0, "limit": 2, "characters": 400, "as_json": False}
    rollouts(scale_name=SCALE, total_step=step, **(options | changes))


def test_rollouts_are_shown_for_reading(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show(limit=3, skip=8)
    printed = capsys.readouterr().out
    assert "prompt 2, sample 0: seed " in printed
    assert "dropped by dynamic filtering" in printed
    assert "→ Hmm.\n</think>\n\\boxed{" in printed
    assert "reward 1, identical" in printed
    assert "samples 9 to 11 of 16 of step 1" in printed
    assert "--skip 11 goes on" in printed


def test_rollouts_as_json(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show(step=3, limit=100, as_json=True)
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["prompt"], one["sample"]) for one in found] == [(p, s) for p in range(4) for s in range(4)]
    assert all(one["reward"] == float(one["answer"] in one["accepted"]) for one in found)


def test_what_a_model_wrote_does_nothing_to_a_terminal(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change_rollout(run, 0, reason="\x1b[31mred\x1b[0m", prompt_text="x" * 5000)
    show(characters=100)
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\\x1b[31mred" in printed
    assert "4,900 characters" in printed


def test_rollouts_of_a_run_under_way_are_shown(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(folder_of(run, "8k-2"))
    own = run / "work" / SCALE / "runs" / "8k-2"
    own.rename(own.with_name("8k-2-0123456789ab"))
    shutil.copytree(folder_of(run), own.with_name("8k-2-0123456789ab") / "start")
    show(step=3)
    assert "runs/8k-2-0123456789ab/rollouts/step-00003.parquet" in capsys.readouterr().out
    with pytest.raises(UserError, match="trains steps 1 to 3"):
        show(step=4)


# Arithmetic


@pytest.fixture(scope="module")
def upstream() -> ModuleType:
    """OpenRLHF's file alone: its package would load DeepSpeed."""
    package = importlib.util.find_spec("openrlhf")
    assert package is not None
    assert package.submodule_search_locations
    path = Path(next(iter(package.submodule_search_locations))) / "utils" / "seqlen_balancing.py"
    spec = importlib.util.spec_from_file_location("seqlen_balancing", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_micro_batches_are_upstreams(upstream: ModuleType) -> None:
    luck = random.Random(0)
    for _ in range(300):
        lengths = [luck.randint(1, 60) for _ in range(luck.randint(1, 70))]
        most = luck.randint(60, 300)
        fewest = batches.fewest(lengths, most)
        assert fewest == upstream.get_minimum_num_micro_batch_size(lengths, most, 1, 1)
        assert batches.balanced(lengths, fewest) == upstream.get_seqlen_balanced_partitions(lengths, fewest, False)


def test_ranks_get_long_and_short_samples_in_turn() -> None:
    """The example of upstream's own documentation, in lengths; then what remains where they do not divide."""
    lengths = [8, 7, 6, 5, 4, 3, 2, 1]
    shares = batches.shared_out(list(range(8)), lengths, 2)
    assert [[lengths[number] for number in share] for share in shares] == [[8, 1, 6, 3], [7, 2, 5, 4]]
    assert batches.shared_out([0, 1, 2], [5, 9, 7], 1) == [[1, 0, 2]]


def test_every_sample_is_in_one_update() -> None:
    lengths = [random.Random(1).randint(5, 50) for _ in range(32)]
    plan = batches.update_batches(list(range(32)), lengths, ranks=2, updates=4, most=100)
    assert sorted(n for update in plan for share in update for batch in share for n in batch) == list(range(32))
    assert all(len(update[0]) == len(update[1]) for update in plan)
    assert all(sum(len(batch) for batch in share) == 4 for update in plan for share in update)


def recipe(**changes: Any) -> Any:
    from deepscaler.settings import load_recipe

    own = load_recipe("mini").model_dump()
    for key, value in changes.items():
        own[key] = {**own[key], **value} if isinstance(value, dict) else value
    return type(load_recipe("mini")).model_validate(own)


@pytest.mark.parametrize(
    ("estimator", "wanted"),
    [
        ("group_norm", [1.5, -0.5, -0.5, -0.5]),
        ("dr_grpo", [0.75, -0.25, -0.25, -0.25]),
        ("reinforce_baseline", [0.75, -0.25, -0.25, -0.25]),
        ("rloo", [1.0, -1 / 3, -1 / 3, -1 / 3]),
    ],
)
def test_advantages(estimator: str, wanted: list[float]) -> None:
    import torch

    found = objective.advantages(torch.tensor([[1.0, 0.0, 0.0, 0.0]]), recipe(advantage={"estimator": estimator}))
    assert found[0].tolist() == pytest.approx(wanted)


def test_penalties_for_length() -> None:
    none = recipe()
    soft = recipe(reward={"overlong_buffer": 10, "overlong_penalty": 0.5})
    assert objective.penalised(1.0, 40, True, 40, none) == 1.0
    assert [objective.penalised(1.0, length, False, 40, soft) for length in (30, 35, 40)] == [1.0, 0.75, 0.5]
    assert objective.penalised(1.0, 40, True, 40, recipe(reward={"truncated": 0.5})) == 0.5
    assert objective.penalised(1.0, 40, True, 40, recipe(reward={"truncated": -0.5})) == -0.5
    assert objective.penalised(1.0, 40, False, 40, recipe(reward={"truncated": -0.5})) == 1.0


@pytest.mark.parametrize(("estimator", "wanted"), [("k1", 0.5), ("k2", 0.125), ("k3", 0.10653)])
def test_estimates_of_kl(estimator: str, wanted: float) -> None:
    import torch

    now, reference = torch.tensor([-1.0]), torch.tensor([-1.5])
    found = objective.kl_estimate(now, reference, recipe(kl={"estimator": estimator}))
    assert float(found) == pytest.approx(wanted, rel=1e-4)
    assert float(objective.kl_estimate(now - 100, reference, recipe(kl={"estimator": estimator})).abs()) == 10


def test_the_ratio_is_cut_where_it_would_pay() -> None:
    import torch

    old, own = torch.zeros(4), recipe(clip=[0.2, 0.28])
    now = torch.tensor([0.5, 0.5, -0.5, -0.5])
    loss, cut = objective.clipped(now, old, torch.tensor([1.0, -1.0, 1.0, -1.0]), own)
    assert loss.tolist() == pytest.approx([-1.28, 1.6487, -0.6065, 0.8], rel=1e-4)
    assert cut.tolist() == [True, False, False, True]


def test_weights_of_sampler_and_trainer() -> None:
    import torch

    old, sampled = torch.tensor([0.0, 0.0]), torch.tensor([-2.0, 0.1])  # ratios 7.39 and 0.905
    mask = {"importance_correction": "token", "importance_bounds": "mask", "importance_range": [0.5, 5.0]}
    for changes, wanted, outside in (
        (mask, [0.0, 0.905], [True, False]),
        (mask | {"importance_bounds": "clip"}, [5.0, 0.905], [True, False]),
        (mask | {"importance_correction": "sequence"}, [7.389, 0.905], [False]),
        (mask | {"importance_correction": "none"}, [1.0, 1.0], [True, True]),
    ):
        weights, found = objective.importance(old, sampled, recipe(advantage=changes))
        assert weights.tolist() == pytest.approx(wanted, rel=1e-3)
        assert found.tolist() == outside


def test_means_over_tokens_and_over_sequences() -> None:
    import torch

    values = [torch.tensor([1.0, 3.0]), torch.tensor([8.0])]
    assert float(objective.aggregated(values, 6, 4, recipe())) == 2.0
    assert float(objective.aggregated(values, 6, 4, recipe(loss_aggregation="sequence"))) == 2.5
