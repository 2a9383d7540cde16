"""A recipe and a layout as OpenRLHF's command line. A pure function: it reads settings, no files.

Every flag that decides a result is given, defaults included: an upstream that changes a default changes nothing here.
"""

from dataclasses import dataclass
from pathlib import Path

from deepscaler import dag
from deepscaler.dag.chain import Segment
from deepscaler.settings import load_recipe, load_scale
from deepscaler.settings.recipe import Recipe, Stage
from deepscaler.settings.scale import Layout

LEVELS = {"none": "token", "token": "token", "sequence": "seq"}
UNCORRECTED = ("clip", (1.0, 1.0))
"""How tokens are weighted where nothing is corrected: each by exactly 1. Upstream asks for the sampler's probabilities,
and logs `vllm_kl`, only where it weights tokens; nothing else shows that new weights reach the sampler."""
AGGREGATIONS = {"token": "token-mean", "sequence": "seq-mean-token-mean"}


@dataclass(frozen=True)
class SegmentPaths:
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


def segment_flags(scale_name: str, segment: Segment, paths: SegmentPaths) -> list[str]:
    """The flags of `openrlhf.cli.train_ppo_ray` for one segment."""
    settings = load_scale(scale_name)
    assert settings.training is not None
    recipe = load_recipe(settings.training.recipe)
    stage, layout = recipe.stage(segment.stage), dag.layout(scale_name, segment.stage)
    return [
        *file_flags(paths),
        *state_flags(layout, settings.training.keep_states),
        *rollout_flags(recipe, stage),
        *objective_flags(recipe),
        *optimizer_flags(recipe, stage),
        *layout_flags(layout),
        *precision_flags(recipe),
        *("--train.seed", str(settings.seed)),
    ]


def file_flags(paths: SegmentPaths) -> list[str]:
    return [
        *("--actor.model_name_or_path", str(paths.model)),
        *("--data.prompt_dataset", str(paths.prompts)),
        *("--data.input_key", "input"),
        *("--data.label_key", "label"),
        "--data.apply_chat_template",
        *("--reward.remote_url", str(paths.reward)),
        *("--logger.tensorboard_dir", str(paths.logs)),
        *("--logger.wandb.run_name", "tensorboard"),
        *("--ckpt.path", str(paths.states)),
        *("--ckpt.output_dir", str(paths.export)),
    ]


def state_flags(layout: Layout, keep: int) -> list[str]:
    """Save often, resume from the last state. Two states at least: upstream deletes the oldest before it writes one."""
    return [
        *("--ckpt.save_steps", str(layout.save_steps)),
        *("--ckpt.max_num", str(max(2, keep))),
        *("--ckpt.best_metric_key", "none"),
        "--ckpt.load_enable",
    ]


def rollout_flags(recipe: Recipe, stage: Stage) -> list[str]:
    """`max_len` bounds prompt and response together, so the limits add up."""
    rollout, samples = recipe.rollout, recipe.samples_of(stage)
    flags = [
        *("--rollout.batch_size", str(rollout.prompts_per_step)),
        *("--rollout.n_samples_per_prompt", str(samples)),
        *("--rollout.temperature", number(rollout.temperature)),
        *("--rollout.top_p", number(rollout.top_p)),
        *("--rollout.max_new_tokens", str(stage.max_new_tokens)),
        *("--data.max_len", str(rollout.max_prompt_tokens + stage.max_new_tokens)),
        *("--train.batch_size", str(rollout.prompts_per_step * samples // recipe.updates_per_step)),
        *("--train.max_epochs", str(recipe.epochs)),
        *("--train.num_episodes", "1"),
    ]
    if recipe.filtering.enabled:
        flags += [
            "--algo.dynamic_filtering_enable",
            *("--algo.dynamic_filtering_range", number(recipe.filtering.low), number(recipe.filtering.high)),
        ]
    return flags


def objective_flags(recipe: Recipe) -> list[str]:
    advantage, kl, reward = recipe.advantage, recipe.kl, recipe.reward
    corrected = advantage.importance_correction != "none"
    mode, thresholds = (advantage.importance_bounds, advantage.importance_range) if corrected else UNCORRECTED
    flags = [
        *("--algo.advantage.estimator", advantage.estimator),
        *("--algo.advantage.is_correction_level", LEVELS[advantage.importance_correction]),
        *("--algo.advantage.is_correction_mode", mode),
        *("--algo.advantage.is_correction_threshold", *map(number, thresholds)),
        *("--algo.kl.init_coef", number(kl.coefficient)),
        *("--algo.kl.estimator", kl.estimator),
        *("--actor.eps_clip_low_high", *map(number, recipe.clip)),
        *("--actor.policy_loss_type", "ppo"),
        *("--actor.loss_agg_mode", AGGREGATIONS[recipe.loss_aggregation]),
    ]
    if kl.in_loss:
        flags.append("--algo.kl.use_loss")
    if not advantage.std_normalisation:
        flags.append("--algo.advantage.no_std_norm")
    if recipe.entropy_bonus is not None:
        flags += ["--actor.entropy_coef", number(recipe.entropy_bonus)]
    if reward.truncated is not None:
        flags += ["--reward.stop_properly_penalty_coef", number(reward.truncated)]
    if reward.overlong_buffer is not None:
        flags += ["--reward.overlong_buffer_len", str(reward.overlong_buffer)]
        flags += ["--reward.overlong_penalty_factor", number(reward.overlong_penalty)]
    return flags


def optimizer_flags(recipe: Recipe, stage: Stage) -> list[str]:
    optimizer = recipe.optimizer
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


def layout_flags(layout: Layout) -> list[str]:
    """Everything on the same GPUs, taking turns: one vLLM engine a GPU, ZeRO over all, micro-batches packed."""
    gpus = layout.nodes * layout.gpus_per_node
    return [
        *("--actor.num_nodes", str(layout.nodes)),
        *("--actor.num_gpus_per_node", str(layout.gpus_per_node)),
        *("--ref.num_nodes", str(layout.nodes)),
        *("--ref.num_gpus_per_node", str(layout.gpus_per_node)),
        "--train.colocate_all",
        *("--vllm.num_engines", str(gpus)),
        *("--vllm.tensor_parallel_size", "1"),
        *("--vllm.gpu_memory_utilization", number(layout.gpu_memory_utilisation)),
        *("--vllm.sync_backend", "nccl"),
        "--vllm.enable_sleep",
        "--ds.enable_sleep",
        *("--ds.zero_stage", str(layout.zero_stage)),
        *("--ds.attn_implementation", "flash_attention_2"),
        "--ds.packing_samples",
        "--train.dynamic_batch_enable",
        *("--train.max_tokens_per_gpu", str(layout.max_tokens_per_gpu)),
        *("--rollout.max_tokens_per_gpu", str(layout.max_tokens_per_gpu)),
        *("--train.micro_batch_size", "1"),
        *("--rollout.micro_batch_size", "1"),
        "--actor.gradient_checkpointing_enable",
    ]


def precision_flags(recipe: Recipe) -> list[str]:
    return [
        *("--ds.param_dtype", recipe.precision.parameters),
        *("--ds.grad_accum_dtype", recipe.precision.gradients),
    ]


def number(value: float) -> str:
    """A float as short as it can be written exactly."""
    return repr(float(value))
