"""Log-probabilities of a share of the prompts: what a micro-batch is trained with, and what is logged of it."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from deepscaler import settings
from deepscaler.settings.recipe import Recipe
from deepscaler.training.openrlhf.bounds import Bounds
from deepscaler.training.openrlhf.measured_share import SHARE, is_measured, means_of_share, train_on_share
from pydantic import ValidationError

NAN = float("nan")


class Trainer:
    """Upstream's, whose step logs what it is given, and whose means over all tokens are of zeros where not measured."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def training_step(self, experience: Any, kl_ctl: float, step: int) -> dict[str, Any]:
        self.seen.append(experience)
        return {"metrics": dict(experience.info)}

    def ppo_train(self, kl_ctl: float) -> dict[str, Any]:
        return {"vllm_kl": 0.01, "is_filter_ratio": 0.25, SHARE: 0.25, "kl": 0.5}


def patched(every: int) -> Any:
    own = type("Patched", (Trainer,), {})
    bounds = Bounds("8k", "8k-1", 0, 2, 0, 4, False, "", None, log_probs_every=every)
    train_on_share(SimpleNamespace(ActorPPOTrainer=own), bounds)
    return own()


def experience() -> Any:
    """Two samples, the second one not measured; the last token of the first is padding."""
    return SimpleNamespace(
        rollout_log_probs=torch.tensor([[-0.5, -1.0, 0.0], [NAN, NAN, NAN]]),
        action_log_probs=torch.tensor([[-0.6, -1.1, -9.0], [-0.1, -0.2, -0.3]]),
        action_mask=torch.tensor([[1, 1, 0], [1, 1, 1]]),
        info={},
    )


def test_the_first_prompt_is_always_measured() -> None:
    assert [place for place in range(128) if is_measured(place, 8)] == list(range(0, 128, 8))
    assert all(is_measured(place, 1) for place in range(8))
    assert is_measured(0, 1000)


def test_the_trainers_own_stand_where_none_were_asked_for() -> None:
    trainer, given = patched(2), experience()
    status = trainer.training_step(given, 0.1, step=3)
    [seen] = trainer.seen
    assert seen.rollout_log_probs.tolist() == [[-0.5, -1.0, 0.0], given.action_log_probs[1].tolist()]
    assert ((seen.action_log_probs - seen.rollout_log_probs)[1].exp() == 1).all()
    share = status["metrics"][SHARE]
    assert (share.dim(), float(share)) == (0, pytest.approx(2 / 5))


def test_means_are_over_what_was_measured() -> None:
    assert patched(2).ppo_train(0.1) == {"vllm_kl": 0.04, "is_filter_ratio": 1.0, "kl": 0.5}
    assert means_of_share({"vllm_kl": 0.0, "is_filter_ratio": 0.0, SHARE: 0.0, "kl": 0.5}) == {"kl": 0.5}
    assert means_of_share({"kl": 0.5}) == {"kl": 0.5}


def test_with_all_of_them_nothing_is_touched() -> None:
    trainer = patched(1)
    assert type(trainer).training_step is Trainer.training_step
    assert type(trainer).ppo_train is Trainer.ppo_train


@pytest.mark.parametrize("correction", ["token", "sequence"])
def test_a_correction_refuses_a_share(correction: str) -> None:
    values = settings.load_recipe("deepscaler").model_dump()
    assert values["rollout"]["log_probs_every"] == 8
    values["advantage"]["importance_correction"] = correction
    with pytest.raises(ValidationError, match=f"importance_correction `{correction}` needs all log-probabilities"):
        Recipe.model_validate(values)
    values["rollout"]["log_probs_every"] = 1
    Recipe.model_validate(values)
