"""What the trackers call a metric: the names of verl, with which DeepScaleR itself was trained, where it has one.

They are those of its verl/trainer/ppo/metric_utils.py, verl/trainer/ppo/core_algos.py and verl/workers/actor.
"""

from deepscaler.training.watch import metrics

PEERS = {
    metrics.REWARD: "critic/rewards/mean",
    "rollout/reward_std": "critic/rewards/std",
    "score": "critic/score/mean",
    metrics.LENGTH: "response_length/mean",
    metrics.TRUNCATED: "response_length/clip_ratio",
    metrics.KL: "actor/kl_loss",
    metrics.ENTROPY: "actor/entropy",
    metrics.POLICY_LOSS: "actor/pg_loss",
    "ppo_kl": "actor/ppo_kl",
    "ppo_clip_ratio": "actor/pg_clipfrac",
    metrics.GRAD_NORM: "actor/grad_norm",
    "actor_lr": "actor/lr",
    metrics.VLLM_KL: "rollout_corr/kl",
    "timing/generation": "timing_s/gen",
    "timing/ppo_train": "timing_s/update_actor",
    "timing/broadcast": "timing_s/update_weights",
    metrics.SECONDS: "timing_s/step",
}
"""Of a row of metrics → a tracker's; docs/tracking.md has the list. The KL is before its coefficient."""
OTHERS = "openrlhf/"
"""Before the name of whatever else OpenRLHF logs."""
SCORE = "val-"
"""How the names of scores begin."""
GLOBAL_STEP, STAGE_STEP = "training/global_step", "training/stage_step"


def peer(key: str) -> str:
    return PEERS.get(key, f"{OTHERS}{key}")


def accuracy(benchmark: str, samples: int) -> str:
    """Pass@1, from 0 to 1, as the mean of so many samples a problem."""
    return f"{SCORE}core/{benchmark}/acc/mean@{samples}"


def accuracy_error(benchmark: str) -> str:
    return f"{SCORE}aux/{benchmark}/acc/standard_error"
