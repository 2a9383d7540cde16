"""Distilling the base model: repeatable, whole or not at all, and loadable as it is."""

import json
import random

import pytest
from deepscaler import files, settings
from deepscaler.errors import UserError
from deepscaler.miniature.tokenizer import build_tokenizer
from deepscaler.miniature.traces import draw_traces
from deepscaler.models import distill_base as module
from deepscaler.models.supervised import IGNORED, batches, fine_tune, rate, response_loss
from deepscaler.records import ModelManifest


@pytest.fixture
def small(monkeypatch):
    """The real entry, with a model and a training of seconds."""
    entry = settings.systems()["mini-base"]
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1}
    plan = entry.distillation.model_copy(
        update={
            "architecture": entry.distillation.architecture.model_copy(update=sizes),
            "clean_traces": 60,
            "mixed_traces": 30,
            "clean_steps": 6,
            "mixed_steps": 3,
            "batch_tokens": 1024,
            "warmup_steps": 2,
        }
    )
    small = entry.model_copy(update={"distillation": plan})
    monkeypatch.setattr(
        settings, "systems", lambda: {"mini-base": small, "other": settings.load.systems()["still-1.5b"]}
    )
    return small


def test_equal_seeds_give_equal_weights_and_engines_can_load_them(small, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    for name in ("one", "two"):
        module.distill_base(scale="mini", system="mini-base", output=tmp_path / name / "model.json", threads=2)
    manifest = ModelManifest.model_validate_json((tmp_path / "one" / "model.json").read_text())
    assert manifest.files["model.safetensors"] == files.sha256(tmp_path / "two" / "model.safetensors")
    assert manifest.files == {
        path.name: files.sha256(path) for path in (tmp_path / "one").iterdir() if path.name != "model.json"
    }
    assert manifest.seed == settings.load_scale("mini").seed
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "one")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "one")
    assert model.config.architectures == ["Qwen2ForCausalLM"]
    assert str(model.dtype) == "torch.bfloat16"
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert tokenizer.chat_template.endswith("<think>\n{% endif %}")
    assert "config.json" in manifest.files
    assert json.loads((tmp_path / "one" / "config.json").read_text())["model_type"] == "qwen2"


def test_weights_that_were_removed_are_put_back_and_damaged_ones_are_made_anew(small, tmp_path, monkeypatch):
    """Snakemake removes what a rule declares before it makes it again."""
    made = []
    distil = module.distil
    monkeypatch.setattr(module, "distil", lambda *given: made.append(given) or distil(*given))
    output = tmp_path / "base/model.json"
    weights = output.with_name("model.safetensors")

    def again() -> int:
        before = len(made)
        module.distill_base(scale="mini", system="mini-base", output=output, threads=1)
        return len(made) - before

    assert again() == 1
    before = {path.name: path.read_bytes() for path in output.parent.iterdir()}
    output.unlink()
    weights.unlink()
    assert again() == 0
    assert {path.name: path.read_bytes() for path in output.parent.iterdir()} == before
    (output.parent / "config.json").write_text("{}")
    assert again() == 1
    output.unlink()
    plan = small.distillation.model_copy(update={"mixed_steps": 4})
    monkeypatch.setattr(settings, "systems", lambda: {"mini-base": small.model_copy(update={"distillation": plan})})
    assert again() == 1
    assert weights.read_bytes() != before["model.safetensors"]


def test_other_seeds_give_other_weights(small):
    first, second = (
        module.distil(small.distillation, small.prompting, seed, threads=1)[1].lm_head.weight for seed in (1, 2)
    )
    assert not first.equal(second)


def test_a_failure_leaves_nothing_behind(small, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("disk full")

    monkeypatch.setattr(module, "manifest_for", fail)
    with pytest.raises(RuntimeError, match="disk full"):
        module.distill_base(scale="mini", system="mini-base", output=tmp_path / "base" / "model.json", threads=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("system", "complaint"), [("mini-bas", "did you mean 'mini-base'"), ("other", "is published")])
def test_only_distilled_systems_are_distilled(small, tmp_path, system, complaint):
    with pytest.raises(UserError, match=complaint):
        module.distill_base(scale="mini", system=system, output=tmp_path / "model.json", threads=1)


def test_training_lowers_the_loss_on_its_own_traces(small):
    plan = small.distillation.model_copy(update={"clean_steps": 60, "mixed_steps": 1})
    tokenizer = build_tokenizer("")
    examples = module.examples(tokenizer, small.prompting, plan, draw_traces("few", 20, plan.clean))
    model = module.make_model(plan.architecture, tokenizer)
    before = response_loss(model, examples[:10]).item()
    fine_tune(model, examples, examples, plan, "few")
    assert response_loss(model, examples[:10]).item() < 0.7 * before


def test_prompts_and_padding_are_not_learnt(small):
    tokenizer = build_tokenizer("")
    model = module.make_model(small.distillation.architecture, tokenizer).eval()
    short, long = ([5, 6], [7, 8]), ([5, 6, 7], [8] * 9)
    together = response_loss(model, [short, long]).item()
    apart = (2 * response_loss(model, [short]).item() + 9 * response_loss(model, [long]).item()) / 11
    assert together == pytest.approx(apart, rel=1e-5)
    assert IGNORED < 0


def test_batches_hold_every_example_once_a_round_within_the_limit():
    state = random.Random(0)
    examples = [([0] * state.randint(1, 40), [index]) for index in range(3000)]
    seen, stream = [], batches(examples, 256, 2048, random.Random(1))
    while len(seen) < len(examples):
        batch = next(stream)
        assert len(batch) * max(len(prompt) + 1 for prompt, _ in batch) <= 256
        seen += [response[0] for _, response in batch]
    assert sorted(seen) == list(range(3000))


def test_rate_warms_up_and_comes_down():
    rates = [rate(step, 100, 10, 0.02) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(rates[9], rel=0.05)
    assert rates[-1] == pytest.approx(0.02, abs=0.001)


def test_a_terms_embedding_starts_as_its_letters_and_its_digits(small):
    tokenizer = build_tokenizer("")
    model = module.make_model(small.distillation.architecture, tokenizer)
    module.compose_terms(model, tokenizer)
    term, letter, digit = (
        model.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids(token)] for token in ("c7", "\nC", "7")
    )
    assert term.equal(letter + digit)
    assert len(tokenizer("c7", add_special_tokens=False)["input_ids"]) == 1
