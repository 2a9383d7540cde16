"""The sampler's log-probabilities on a share of a step's prompts, patched into OpenRLHF's modules as `hooks` does.

Where a recipe corrects nothing they are only compared with the trainer's, and logged as `vllm_kl`. But each takes the
engine's one thread five times the host time of its token (docs/performance/host.md), so a recipe says of how many
prompts one is measured (`rollout.log_probs_every`). The update has the same bits as with all of them:

1. **Asking.** The prompts that are measured follow from their place in the step. `rollouts` asks for those alone, and
   keeps what came: null for the others.
2. **Filling.** Upstream puts samples side by side, which must then all have log-probabilities: those that were not
   asked for are NaN on their way to the trainer, and there the trainer's own, whose ratio to themselves is 1. Every
   token weighs 1 where nothing is corrected.
3. **Logging.** Upstream's means over all tokens are made means over those that were measured.
"""

from collections.abc import Iterable
from typing import Any

from deepscaler.training.openrlhf.bounds import Bounds

SHARE = "measured_share"
"""Of a micro-batch's tokens; not logged."""
OF_SHARE = ("vllm_kl", "is_filter_ratio")
"""What upstream logs of sampler and trainer together."""


def is_measured(place: int, every: int) -> bool:
    """Whether the prompt at this place of a step comes with log-probabilities; the first one always does."""
    return place % every == 0


def fill(experiences: Iterable[Any]) -> None:
    """NaN in samples that were not measured."""
    import torch

    for experience in experiences:
        if experience.rollout_log_probs is None:
            experience.rollout_log_probs = torch.full(experience.action_mask.shape, float("nan"))


def train_on_share(module: Any, bounds: Bounds) -> None:
    """Of openrlhf.trainer.ray.ppo_actor, in each process that trains."""
    if bounds.log_probs_every == 1:
        return
    trainer = module.ActorPPOTrainer
    training_step, ppo_train = trainer.training_step, trainer.ppo_train

    def with_own_where_not_measured(self: Any, experience: Any, *arguments: Any, **named: Any) -> dict[str, Any]:
        import torch

        sampled, mask = experience.rollout_log_probs, experience.action_mask.bool()
        measured = ~sampled.isnan()
        experience.rollout_log_probs = torch.where(measured, sampled, experience.action_log_probs)
        experience.info[SHARE] = (measured & mask).sum() / mask.sum()  # a scalar, which upstream weighs by tokens
        status: dict[str, Any] = training_step(self, experience, *arguments, **named)
        return status

    def with_means_of_share(self: Any, kl_ctl: float) -> dict[str, Any]:
        status: dict[str, Any] = ppo_train(self, kl_ctl)
        return means_of_share(status)

    trainer.training_step, trainer.ppo_train = with_own_where_not_measured, with_means_of_share


def means_of_share(status: dict[str, Any]) -> dict[str, Any]:
    """What is logged of an update, from sums over measured tokens by all tokens; nothing where none was measured."""
    share = status.get(SHARE, 0.0)
    found = {key: value for key, value in status.items() if key != SHARE and key not in OF_SHARE}
    return found | {key: status[key] / share for key in OF_SHARE if share and key in status}
