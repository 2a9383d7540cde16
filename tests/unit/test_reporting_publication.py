"""A checkpoint laid out for the hub: whole, with its card, and not where it may not be passed on."""

import json
from pathlib import Path

import pytest
from deepscaler import settings
from deepscaler.errors import UserError
from deepscaler.files import sha256
from deepscaler.reporting.publication.publish import publish
from deepscaler.settings.models import Published


@pytest.fixture
def checkpoint(run: Path) -> Path:
    folder = run / "work/mini/checkpoints/16k-1"
    generation = folder / "generation_config.json"
    generation.write_text('{"eos_token_id": 0}')
    manifest = json.loads((folder / "checkpoint.json").read_text())
    manifest["files"]["generation_config.json"] = sha256(generation)
    (folder / "checkpoint.json").write_text(json.dumps(manifest))
    return folder


def test_weights_card_and_sampling(checkpoint: Path, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    to = tmp_path / "published"
    publish(checkpoint=checkpoint, to=to)
    names = {path.name for path in to.iterdir()}
    assert names == {"README.md", "checkpoint.json", "generation_config.json", "model.safetensors"}
    assert sha256(to / "model.safetensors") == sha256(checkpoint / "model.safetensors")
    generation = json.loads((to / "generation_config.json").read_text())
    assert generation == {"eos_token_id": 0, "do_sample": True, "temperature": 0.6, "top_p": 0.95}
    card = ModelCard.load(to / "README.md")
    score = json.loads(Path("results/mini/scores/deepscaler-16k-table.json").read_text())
    told = {result.dataset_type: result.metric_value for result in card.data.eval_results}
    assert told == {name: found["pass_at_1"] for name, found in score["benchmarks"].items()}
    assert card.data.license == "mit"
    assert "mini-base → 8k-1 → 8k-2 → 16k-1 |" in card.text
    assert str(checkpoint) not in card.content


def test_its_manifest_may_be_named(checkpoint: Path, tmp_path: Path) -> None:
    publish(checkpoint=checkpoint / "checkpoint.json", to=tmp_path / "published")
    assert (tmp_path / "published/README.md").is_file()


@pytest.mark.parametrize("fault", ["altered", "missing", "outside"])
def test_what_is_not_whole_is_refused(checkpoint: Path, tmp_path: Path, fault: str) -> None:
    manifest = json.loads((checkpoint / "checkpoint.json").read_text())
    if fault == "altered":
        (checkpoint / "model.safetensors").write_bytes(b"others")
    elif fault == "missing":
        (checkpoint / "model.safetensors").unlink()
    else:
        manifest["files"]["../../secret"] = "0" * 64
        (checkpoint / "checkpoint.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError):
        publish(checkpoint=checkpoint, to=tmp_path / "published")
    assert list(tmp_path.glob("*published*")) == [], "nothing half-written stays"


def test_a_folder_in_use_is_left_alone(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(UserError, match="not empty"):
        publish(checkpoint=checkpoint, to=tmp_path)
    assert (tmp_path / "mine").read_text() == "kept"


@pytest.mark.parametrize(("redistribution", "refused"), [("yes", False), ("unclear", True), (None, True)])
def test_what_may_not_be_passed_on_stays(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redistribution: str | None, refused: bool
) -> None:
    published = settings.systems()["deepseek-r1-distill-qwen-1.5b"]
    assert isinstance(published, Published)
    base = published.model_copy(update={"redistribution": redistribution})
    systems = settings.systems() | {"mini-base": base}
    for module in ("reporting.publication.publish", "reporting.publication.model_card", "dag.systems"):
        target = f"deepscaler.{module}.systems" if module == "dag.systems" else f"deepscaler.{module}.settings.systems"
        monkeypatch.setattr(target, lambda: systems)
    if refused:
        with pytest.raises(UserError, match="licence does not say"):
            publish(checkpoint=checkpoint, to=tmp_path / "published")
        return
    publish(checkpoint=checkpoint, to=tmp_path / "published")
    assert "base_model: deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B" in (tmp_path / "published/README.md").read_text()
