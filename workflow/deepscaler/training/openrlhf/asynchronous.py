"""What upstream's asynchronous training lacks for a chain of segments, patched into its modules as `hooks` does.

Rollouts are drawn in one process and trained on in another, with a queue between them. Without a state the two begin
at the same step; after a kill only the trainer's process knows which step that is. And nothing says how old the weights
were that a rollout came from, which is what asynchronous training pays with.

1. **Position.** The process that draws rollouts goes on after the step of the state that is loaded. What lay in the
   queue at a kill is lost, and drawn again, the same prompts with the same seeds, from newer weights.
2. **Age.** An engine counts the updates of its weights, and a sample carries the count at its start and at its end; the
   trainer counts those that it has sent. The difference, in steps, is logged with each step.
"""

from pathlib import Path
from statistics import fmean
from typing import Any

from deepscaler.training.openrlhf.bounds import Bounds, Progress

AGE, OLDEST, MIXED = "rollout/weights_age", "rollout/weights_age_max", "rollout/mixed_weights"
"""Of a step's samples: steps that their first token's weights were behind the policy that is trained on them, mean and
largest; and the share that was drawn from more than one policy."""

_updates = 0
"""Of the weights of the engine in this process, since it started."""


def go_on_after_state(module: Any, bounds: Bounds, progress: Progress) -> None:
    """Of openrlhf.trainer.ppo_utils.samples_generator, in the process that draws rollouts."""
    make = module.SamplesGenerator.__init__

    def at_own_step(self: Any, *arguments: Any, **named: Any) -> None:
        make(self, *arguments, **named)
        progress.step = max(bounds.first, loaded_step(Path(self.args.ckpt.path)))

    module.SamplesGenerator.__init__ = at_own_step


def loaded_step(path: Path) -> int:
    """The step of the state that DeepSpeed loads; 0 where there is none."""
    from deepscaler.training.run.deepspeed_states import LATEST, PREFIX

    latest = path / "_actor" / LATEST
    return int(latest.read_text().strip().removeprefix(PREFIX)) if latest.exists() else 0


def count_updates(module: Any) -> None:
    """Of vllm.v1.engine.async_llm, in the engine's actor: a call for each tensor, the last one marked."""
    call = module.AsyncLLM.collective_rpc

    async def counted(self: Any, method: str, timeout: float | None = None, args: Any = (), kwargs: Any = None) -> Any:
        global _updates
        result = await call(self, method, timeout, args, kwargs)
        if method == "update_weight" and args[-1]:
            _updates += 1
        return result

    module.AsyncLLM.collective_rpc = counted


def note_updates(module: Any) -> None:
    """Of openrlhf.utils.agent, in the engine's actor."""
    execute = module.SingleTurnAgentExecutor.execute

    async def with_updates(self: Any, **request: Any) -> dict[str, Any]:
        before = _updates
        response = await execute(self, **request)
        return {**response, "updates": (before, _updates)}

    module.SingleTurnAgentExecutor.execute = with_updates


def carry_updates(module: Any) -> None:
    """Of openrlhf.trainer.ppo_utils.samples_generator, in the process that draws rollouts."""
    process = module.SamplesGenerator._process_response_into_experience

    def with_updates(self: Any, response: dict[str, Any], **named: Any) -> Any:
        experience = process(self, response, **named)
        experience.updates = response["updates"]
        return experience

    module.SamplesGenerator._process_response_into_experience = with_updates


def log_age(module: Any) -> None:
    """Of openrlhf.trainer.ppo_trainer, in the trainer's process."""
    trainer = module.BasePPOTrainer
    train_step, broadcast = trainer.train_step, trainer.broadcast_to_vllm

    def counted(self: Any) -> None:
        broadcast(self)
        self.updates_sent = getattr(self, "updates_sent", 0) + 1

    def with_age(self: Any, rollout_samples: list[Any], global_step: int) -> tuple[dict[str, Any], int]:
        ages = ages_of([sample.updates for sample in rollout_samples], getattr(self, "updates_sent", 0))
        status, step = train_step(self, rollout_samples, global_step)
        return {**status, **ages}, step

    trainer.broadcast_to_vllm, trainer.train_step = counted, with_age


def ages_of(updates: list[tuple[int, int]], sent: int) -> dict[str, float]:
    """The metrics of samples whose engine had loaded so many updates at their start and end, of `sent`."""
    ages = [sent - first for first, _ in updates]
    mixed = fmean(first != last for first, last in updates)
    return {AGE: fmean(ages), OLDEST: float(max(ages)), MIXED: mixed}
