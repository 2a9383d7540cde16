"""Every command that any scale and recipe can generate passes OpenRLHF's own parser, and says what the recipe says."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from deepscaler import dag, settings
from deepscaler.errors import UserError
from deepscaler.settings.recipe import Recipe
from deepscaler.training.openrlhf.flags import SegmentPaths, segment_flags
from deepscaler.training.openrlhf.parser import parse_as_openrlhf

PATHS = SegmentPaths(
    Path("/work/start"),
    Path("/work/prompts.jsonl"),
    Path("/work/openrlhf"),
    Path("/work/hf"),
    Path("/code/reward.py"),
    Path("/work/logs"),
)
TRAINING_SCALES = [name for name in settings.scale_names() if settings.load_scale(name).training]
RECIPES = sorted(path.stem for path in (Path(__file__).parents[2] / "config" / "recipes").glob("*.yaml"))


@pytest.fixture(autouse=True)
def in_checkout(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSCALER_ROOT", str(root))


@pytest.fixture
def scale_with(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A scale of the same name that trains with another recipe: the one line changed, and nothing else."""

    def make(scale: str, recipe: str) -> None:
        copy = tmp_path / "copy" / "config"
        if not copy.exists():
            copy.mkdir(parents=True)
            for path in (root / "config").iterdir():
                if path.name != "scales":
                    (copy / path.name).symlink_to(path)
            shutil.copytree(root / "config" / "scales", copy / "scales")
        text = (root / "config" / "scales" / f"{scale}.yaml").read_text()
        changed, lines = re.subn(r"(?<=\brecipe: )[\w-]+", recipe, text)
        assert lines == 1
        (copy / "scales" / f"{scale}.yaml").write_text(changed)
        monkeypatch.setenv("DEEPSCALER_ROOT", str(copy.parent))
        settings.load.load_scale.cache_clear()

    yield make
    monkeypatch.undo()
    settings.load.load_scale.cache_clear()


def resolved(scale: str, segment: str) -> Any:
    return parse_as_openrlhf(segment_flags(scale, dag.segment(scale, segment), PATHS))


@pytest.mark.parametrize("scale", TRAINING_SCALES)
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_segment_of_every_scale_and_recipe_passes(scale: str, recipe: str, scale_with: Any) -> None:
    scale_with(scale, recipe)
    chain = dag.segments(scale)
    chosen = settings.load_recipe(recipe)
    firsts = [segment for segment in chain if segment.starts_stage]
    assert [segment.stage for segment in firsts] == [stage.name for stage in chosen.stages]
    for segment in firsts:  # the flags of a stage's segments are the same
        got, stage = resolved(scale, segment.id), chosen.stage(segment.stage)
        own = chosen.rollout.limit == "response"
        assert got.rollout.max_new_tokens == (stage.max_new_tokens if own else None)
        assert got.data.max_len == stage.max_new_tokens + (chosen.rollout.max_prompt_tokens if own else 0)
        assert got.rollout.n_samples_per_prompt == chosen.samples_of(stage)
        updates = got.rollout.batch_size * got.rollout.n_samples_per_prompt / got.train.batch_size
        assert updates == chosen.updates_per_step
        assert got.ds.packing_samples
        assert got.train.dynamic_batch_enable
        assert got.algo.dynamic_filtering_enable == chosen.filtering.enabled
        assert tuple(got.actor.eps_clip_low_high) == (stage.clip or chosen.clip)
        assert got.algo.kl.init_coef == chosen.kl_of(stage)
        assert got.actor.entropy_coef == chosen.entropy_bonus


def test_the_paper_scale_trains_as_the_paper_did() -> None:
    """Paper: section "Iterative context lengthening"; its scripts and their defaults, see docs/recipe.md."""
    first, last = resolved("paper", "8k-1"), resolved("paper", "16k-6")
    assert (first.rollout.batch_size, first.rollout.n_samples_per_prompt, first.train.batch_size) == (128, 8, 512)
    assert (last.rollout.batch_size, last.rollout.n_samples_per_prompt, last.train.batch_size) == (128, 16, 1024)
    assert (first.rollout.temperature, first.rollout.top_p) == (0.6, 1.0)
    assert (first.actor.adam.lr, tuple(first.actor.adam.betas), first.actor.adam.weight_decay) == (
        1e-6,
        (0.9, 0.999),
        0.01,
    )
    assert (first.actor.lr_scheduler, first.actor.lr_warmup_ratio, first.actor.max_norm) == ("constant", 0.0, 1.0)
    assert first.algo.advantage.estimator == "group_norm"
    assert (first.algo.kl.use_loss, first.algo.kl.init_coef, first.algo.kl.estimator) == (True, 0.001, "k3")
    assert (first.actor.entropy_coef, tuple(first.actor.eps_clip_low_high)) == (0.001, (0.2, 0.2))
    assert (first.actor.num_nodes * first.actor.num_gpus_per_node, first.vllm.num_engines) == (8, 8)
    assert (last.actor.num_nodes * last.actor.num_gpus_per_node, last.vllm.num_engines) == (32, 32)


def test_sampler_and_trainer_are_compared_whether_corrected_or_not(scale_with: Any) -> None:
    """Upstream logs vllm_kl only at a level other than off; a weight clipped to 1 … 1 corrects nothing."""
    paper = resolved("paper", "8k-1").algo.advantage
    assert (paper.is_correction_level, paper.is_correction_mode) == ("token", "clip")
    assert paper.is_correction_threshold == [1.0, 1.0]
    scale_with("paper", "modern")
    modern = resolved("paper", "8k-1").algo.advantage
    assert (modern.is_correction_level, modern.is_correction_threshold) == ("token", [0.0, 2.0])


def test_saving_keeps_two_states_at_least() -> None:
    """Upstream deletes the oldest state before it writes a new one: with one, a kill in between would lose all."""
    assert resolved("paper", "8k-1").ckpt.max_num >= 2
    assert resolved("paper", "8k-1").ckpt.best_metric_key == "none"
    assert resolved("paper", "8k-1").ckpt.load_enable


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--no.such.flag", "1"], "unrecognized arguments"),
        (["--algo.advantage.estimator", "ppo"], "invalid choice"),
        (["--algo.advantage.estimator", "group_norm", "--rollout.n_samples_per_prompt", "1"], "n_samples_per_prompt"),
    ],
)
def test_what_upstream_refuses_is_refused_with_its_words(flags: list[str], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        parse_as_openrlhf(["--actor.model_name_or_path", "m", "--reward.remote_url", "r.py", *flags])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"advantage": {"estimator": "group_norm", "std_normalisation": False}}, "dr_grpo"),
        (
            {"advantage": {"estimator": "rloo", "importance_correction": "sequence", "importance_bounds": "clip"}},
            "can only be masked",
        ),
        ({"filtering": {"draws": 2.0}}, "needs filtering.enabled"),
        ({"updates_per_step": 3}, "does not divide"),
        ({"optimizer": {"warmup_ratio": 0.1}}, "has no warm-up"),
    ],
)
def test_contradictory_recipes_are_refused(change: dict[str, Any], complaint: str) -> None:
    values = settings.load_recipe("deepscaler").model_dump()
    with pytest.raises(ValueError, match=complaint):
        Recipe.model_validate(settings.load.merge(values, change))


def test_a_change_of_learning_rate_is_another_run(scale_with: Any) -> None:
    before = dag.training_digest("paper", "8k-1")
    scale_with("paper", "modern")
    assert dag.training_digest("paper", "8k-1") != before
