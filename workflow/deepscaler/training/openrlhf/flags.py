"""A recipe and a layout as OpenRLHF's command line. A pure function: it reads settings, no files.

Every flag that decides a result is given, defaults included: an upstream that changes a default changes nothing here.
"""

from dataclasses import dataclass
from pathlib import Path

from deepscaler.dag.chain import Segment, layout
from deepscaler.settings import load_recipe, load_scale
from deepscaler.settings.recipe import Recipe, Stage
from deepscaler.settings.scale import Layout

LEVELS = {"none": "token", "token": "token", "sequence": "seq"}
WATCHED_ONLY = ("clip", (1.0, 1.0))
"""How tokens are weighed where nothing is corrected: each by exactly 1. Upstream asks for the sampler's probabilities,
and logs `vllm_kl`, only where it weighs; without that no one sees that weights don't reach the sampler."""
AGGREGATIONS = {"token": "token-mean", "sequence": "seq-mean-token-mean"}


@dataclass(frozen=True)
class Places:
    """Where a segment's files are."""

    model: Path
    """The stage's starting weights: the reference, and the actor until a state is loaded."""
    prompts: Path
    states: Path
    """OpenRLHF's `--ckpt.path`."""
    export: Path
    """Where the last step's weights go."""
    reward: Path
    """The file with `reward_func`."""
    logs: Path


def segment_flags(scale_name: str, segment: Segment, places: Places) -> list[str]:
    """The flags of `openrlhf.cli.train_ppo_ray` for one segment."""
    settings = load_scale(scale_name)
    assert settings.training is not None
    chosen = load_recipe(settings.training.recipe)
    stage, place = chosen.stage(segment.stage), layout(scale_name, segment.stage)
    return [
        *file_flags(places),
        *state_flags(place, settings.training.keep_states),
        *rollout_flags(chosen, stage),
        *objective_flags(chosen),
        *optimizer_flags(chosen, stage),
        *layout_flags(place),
        *precision_flags(chosen),
        *("--train.seed", str(settings.seed)),
    ]


def file_flags(places: Places) -> list[str]:
    return [
        *("--actor.model_name_or_path", str(places.model)),
        *("--data.prompt_dataset", str(places.prompts)),
        *("--data.input_key", "input"),
        *("--data.label_key", "label"),
        "--data.apply_chat_template",
        *("--reward.remote_url", str(places.reward)),
        *("--logger.tensorboard_dir", str(places.logs)),
        *("--logger.wandb.run_name", "tensorboard"),
        *("--ckpt.path", str(places.states)),
        *("--ckpt.output_dir", str(places.export)),
    ]


def state_flags(place: Layout, keep: int) -> list[str]:
    """Save often, go on from what is there. Two states at least: upstream deletes the oldest before it writes one."""
    return [
        *("--ckpt.save_steps", str(place.save_steps)),
        *("--ckpt.max_num", str(max(2, keep))),
        *("--ckpt.best_metric_key", "none"),
        "--ckpt.load_enable",
    ]


def rollout_flags(chosen: Recipe, stage: Stage) -> list[str]:
    """`max_len` bounds prompt and response together, so the limits add up."""
    rollout, samples = chosen.rollout, chosen.samples_of(stage)
    flags = [
        *("--rollout.batch_size", str(rollout.prompts_per_step)),
        *("--rollout.n_samples_per_prompt", str(samples)),
        *("--rollout.temperature", number(rollout.temperature)),
        *("--rollout.top_p", number(rollout.top_p)),
        *("--rollout.max_new_tokens", str(stage.max_new_tokens)),
        *("--data.max_len", str(rollout.max_prompt_tokens + stage.max_new_tokens)),
        *("--train.batch_size", str(rollout.prompts_per_step * samples // chosen.updates_per_step)),
        *("--train.max_epochs", str(chosen.epochs)),
        *("--train.num_episodes", "1"),
    ]
    if chosen.filtering.enabled:
        flags += [
            "--algo.dynamic_filtering_enable",
            *("--algo.dynamic_filtering_range", number(chosen.filtering.low), number(chosen.filtering.high)),
        ]
    return flags


def objective_flags(chosen: Recipe) -> list[str]:
    advantage, kl, reward = chosen.advantage, chosen.kl, chosen.reward
    corrected = advantage.importance_correction != "none"
    bounds, within = (advantage.importance_bounds, advantage.importance_range) if corrected else WATCHED_ONLY
    flags = [
        *("--algo.advantage.estimator", advantage.estimator),
        *("--algo.advantage.is_correction_level", LEVELS[advantage.importance_correction]),
        *("--algo.advantage.is_correction_mode", bounds),
        *("--algo.advantage.is_correction_threshold", *map(number, within)),
        *("--algo.kl.init_coef", number(kl.coefficient)),
        *("--algo.kl.estimator", kl.estimator),
        *("--actor.eps_clip_low_high", *map(number, chosen.clip)),
        *("--actor.policy_loss_type", "ppo"),
        *("--actor.loss_agg_mode", AGGREGATIONS[chosen.loss_aggregation]),
    ]
    if kl.in_loss:
        flags.append("--algo.kl.use_loss")
    if not advantage.std_normalisation:
        flags.append("--algo.advantage.no_std_norm")
    if chosen.entropy_bonus is not None:
        flags += ["--actor.entropy_coef", number(chosen.entropy_bonus)]
    if reward.truncated is not None:
        flags += ["--reward.stop_properly_penalty_coef", number(reward.truncated)]
    if reward.overlong_buffer is not None:
        flags += ["--reward.overlong_buffer_len", str(reward.overlong_buffer)]
        flags += ["--reward.overlong_penalty_factor", number(reward.overlong_penalty)]
    return flags


def optimizer_flags(chosen: Recipe, stage: Stage) -> list[str]:
    optimizer = chosen.optimizer
    return [
        *("--actor.optim", "adam"),
        *("--actor.adam.lr", number(stage.learning_rate or optimizer.learning_rate)),
        *("--actor.adam.betas", *map(number, optimizer.betas)),
        *("--actor.adam.eps", number(optimizer.epsilon)),
        *("--actor.adam.weight_decay", number(optimizer.weight_decay)),
        *("--actor.lr_scheduler", optimizer.schedule),
        *("--actor.lr_warmup_ratio", number(optimizer.warmup_ratio)),
        *("--actor.max_norm", number(optimizer.max_grad_norm)),
    ]


def layout_flags(place: Layout) -> list[str]:
    """Everything on the same GPUs, taking turns: one vLLM engine a GPU, ZeRO over all, micro-batches packed."""
    gpus = place.nodes * place.gpus_per_node
    return [
        *("--actor.num_nodes", str(place.nodes)),
        *("--actor.num_gpus_per_node", str(place.gpus_per_node)),
        *("--ref.num_nodes", str(place.nodes)),
        *("--ref.num_gpus_per_node", str(place.gpus_per_node)),
        "--train.colocate_all",
        *("--vllm.num_engines", str(gpus)),
        *("--vllm.tensor_parallel_size", "1"),
        *("--vllm.gpu_memory_utilization", number(place.gpu_memory_utilisation)),
        *("--vllm.sync_backend", "nccl"),
        "--vllm.enable_sleep",
        "--ds.enable_sleep",
        *("--ds.zero_stage", str(place.zero_stage)),
        *("--ds.attn_implementation", "flash_attention_2"),
        "--ds.packing_samples",
        "--train.dynamic_batch_enable",
        *("--train.max_tokens_per_gpu", str(place.max_tokens_per_gpu)),
        *("--rollout.max_tokens_per_gpu", str(place.max_tokens_per_gpu)),
        *("--train.micro_batch_size", "1"),
        *("--rollout.micro_batch_size", "1"),
        "--actor.gradient_checkpointing_enable",
    ]


def precision_flags(chosen: Recipe) -> list[str]:
    return [
        *("--ds.param_dtype", chosen.precision.parameters),
        *("--ds.grad_accum_dtype", chosen.precision.gradients),
    ]


def number(value: float) -> str:
    """A float as short as it can be written exactly."""
    return repr(float(value))
