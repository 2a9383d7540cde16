"""A recipe and a layout as OpenRLHF's command line. A pure function: it reads settings, no files.

Every flag that decides a result is given, defaults included: an upstream that changes a default changes nothing here.
Each flag names the settings that decide it; a test changes every setting and sees that just those flags change which
name it.
"""

from dataclasses import dataclass
from pathlib import Path

from deepscaler.dag.chain import Segment, layout
from deepscaler.settings import load_recipe, load_scale
from deepscaler.settings.recipe import Recipe, Rollout, Stage
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


@dataclass(frozen=True)
class Flag:
    """One flag of the command, and where its value comes from."""

    name: str
    values: tuple[str, ...]
    """Empty for a switch, which is on by being there."""
    recipe: tuple[str, ...] = ()
    """Keys of the recipe that decide it, e.g. `kl.coefficient`; a stage's are `stages.8k.steps`."""
    scale: tuple[str, ...] = ()
    """Keys of the scale that decide it, e.g. `training.layout.8k.nodes`."""
    reason: str = ""
    """How the value follows from the keys, where it isn't the key's own; without keys, why it is fixed."""

    def words(self) -> list[str]:
        return [self.name, *self.values]


def segment_flags(scale_name: str, segment: Segment, paths: SegmentPaths) -> list[str]:
    """The flags of `openrlhf.cli.train_ppo_ray` for one segment, as words of a command."""
    return [word for flag in explained_flags(scale_name, segment, paths) for word in flag.words()]


def explained_flags(scale_name: str, segment: Segment, paths: SegmentPaths) -> list[Flag]:
    """The same flags with where their values come from."""
    settings = load_scale(scale_name)
    assert settings.training is not None
    recipe = load_recipe(settings.training.recipe)
    stage = recipe.stage(segment.stage)
    return [
        *file_flags(paths),
        *state_flags(segment.stage, layout(scale_name, segment.stage), settings.training.keep_states),
        *rollout_flags(recipe, stage),
        *objective_flags(recipe, stage),
        *optimizer_flags(recipe, stage),
        *layout_flags(segment.stage, layout(scale_name, segment.stage)),
        *precision_flags(recipe),
        Flag("--train.seed", (str(settings.seed),), scale=("seed",)),
    ]


def fixed(name: str, *values: str, reason: str) -> Flag:
    return Flag(name, values, reason=reason)


def file_flags(paths: SegmentPaths) -> list[Flag]:
    schedule = "as schedule_prompts writes it"
    return [
        fixed("--actor.model_name_or_path", str(paths.model), reason="the weights that the stage starts from"),
        fixed("--data.prompt_dataset", str(paths.prompts), reason="the segment's prompts, by schedule_prompts"),
        fixed("--data.input_key", "input", reason=schedule),
        fixed("--data.label_key", "label", reason=schedule),
        fixed("--data.apply_chat_template", reason="prompts are problems; the model's own template makes them chats"),
        fixed("--reward.remote_url", str(paths.reward), reason="the file with reward_func"),
        fixed("--logger.tensorboard_dir", str(paths.logs), reason="logs of this attempt"),
        fixed("--logger.wandb.run_name", "tensorboard", reason="the folder's name; wandb itself is not used"),
        fixed("--ckpt.path", str(paths.states), reason="DeepSpeed's states, in the run folder"),
        fixed("--ckpt.output_dir", str(paths.export), reason="the last step's weights, in the run folder"),
    ]


def state_flags(stage: str, layout: Layout, keep: int) -> list[Flag]:
    """Save often, resume from the last state. Two states at least: upstream deletes the oldest before it writes one."""
    return [
        Flag("--ckpt.save_steps", (str(layout.save_steps),), scale=(f"training.layout.{stage}.save_steps",)),
        Flag("--ckpt.max_num", (str(max(2, keep)),), scale=("training.keep_states",), reason="2 at least"),
        fixed("--ckpt.best_metric_key", "none", reason="the newest states are kept, not the best"),
        fixed("--ckpt.load_enable", reason="go on from the newest state"),
    ]


def rollout_flags(recipe: Recipe, stage: Stage) -> list[Flag]:
    """`max_len` bounds prompt and response together: the limits of both add up, unless a stage's is of the two."""
    rollout, samples = recipe.rollout, recipe.samples_of(stage)
    samples_key = key_of(stage, "samples_per_prompt", otherwise="rollout.samples_per_prompt")
    batch = rollout.prompts_per_step * samples // recipe.updates_per_step
    flags = [
        Flag("--rollout.batch_size", (str(rollout.prompts_per_step),), recipe=("rollout.prompts_per_step",)),
        Flag("--rollout.n_samples_per_prompt", (str(samples),), recipe=(samples_key,)),
        Flag("--rollout.temperature", (number(rollout.temperature),), recipe=("rollout.temperature",)),
        Flag("--rollout.top_p", (number(rollout.top_p),), recipe=("rollout.top_p",)),
        *length_limits(rollout, stage),
        Flag(
            "--train.batch_size",
            (str(batch),),
            recipe=("rollout.prompts_per_step", samples_key, "updates_per_step"),
            reason="samples an update: prompts × samples / updates",
        ),
        Flag("--train.max_epochs", (str(recipe.epochs),), recipe=("epochs",)),
        fixed("--train.num_episodes", "1", reason="one pass over the segment's own prompts"),
    ]
    if recipe.filtering.enabled:
        low, high = number(recipe.filtering.low), number(recipe.filtering.high)
        keys = ("filtering.low", "filtering.high", "filtering.enabled")
        flags += [
            Flag("--algo.dynamic_filtering_enable", (), recipe=("filtering.enabled",)),
            Flag("--algo.dynamic_filtering_range", (low, high), recipe=keys),
        ]
    return flags


def length_limits(rollout: Rollout, stage: Stage) -> list[Flag]:
    """Where prompt and response share a limit, upstream gives each response what its prompt leaves of it."""
    limit, key = stage.max_new_tokens, f"stages.{stage.name}.max_new_tokens"
    if rollout.limit == "sequence":
        why = "prompt and response together"
        return [Flag("--data.max_len", (str(limit),), recipe=("rollout.limit", key), reason=why)]
    keys = ("rollout.limit", "rollout.max_prompt_tokens", key)
    return [
        Flag("--rollout.max_new_tokens", (str(limit),), recipe=("rollout.limit", key)),
        Flag("--data.max_len", (str(rollout.max_prompt_tokens + limit),), recipe=keys, reason="their sum"),
    ]


def objective_flags(recipe: Recipe, stage: Stage) -> list[Flag]:
    advantage, kl = recipe.advantage, recipe.kl
    kl_key, clip_key = (
        key_of(stage, "kl_coefficient", otherwise="kl.coefficient"),
        key_of(stage, "clip", otherwise="clip"),
    )
    corrected = advantage.importance_correction != "none"
    bounds, within = (advantage.importance_bounds, advantage.importance_range) if corrected else UNCORRECTED
    level = LEVELS[advantage.importance_correction]
    correction = ("advantage.importance_correction",)
    watched = "" if corrected else "each token weighs exactly 1: compared and logged (vllm_kl), not corrected"
    flags = [
        Flag("--algo.advantage.estimator", (advantage.estimator,), recipe=("advantage.estimator",)),
        Flag("--algo.advantage.is_correction_level", (level,), recipe=correction, reason=watched),
        Flag(
            "--algo.advantage.is_correction_mode",
            (bounds,),
            recipe=(*correction, *(["advantage.importance_bounds"] if corrected else [])),
            reason=watched,
        ),
        Flag(
            "--algo.advantage.is_correction_threshold",
            tuple(map(number, within)),
            recipe=(*correction, *(["advantage.importance_range"] if corrected else [])),
            reason=watched,
        ),
        Flag("--algo.kl.init_coef", (number(recipe.kl_of(stage)),), recipe=(kl_key,)),
        Flag("--algo.kl.estimator", (kl.estimator,), recipe=("kl.estimator",)),
        Flag("--actor.eps_clip_low_high", tuple(map(number, stage.clip or recipe.clip)), recipe=(clip_key,)),
        fixed("--actor.policy_loss_type", "ppo", reason="the clipped ratio of PPO, which GRPO uses"),
        Flag("--actor.loss_agg_mode", (AGGREGATIONS[recipe.loss_aggregation],), recipe=("loss_aggregation",)),
    ]
    if kl.in_loss:
        flags.append(Flag("--algo.kl.use_loss", (), recipe=("kl.in_loss",)))
    if not advantage.std_normalisation:
        flags.append(Flag("--algo.advantage.no_std_norm", (), recipe=("advantage.std_normalisation",)))
    if recipe.entropy_bonus is not None:
        flags.append(Flag("--actor.entropy_coef", (number(recipe.entropy_bonus),), recipe=("entropy_bonus",)))
    return [*flags, *length_flags(recipe)]


def length_flags(recipe: Recipe) -> list[Flag]:
    """What a response at or near the length limit loses."""
    reward, flags = recipe.reward, []
    if reward.truncated is not None:
        value = (number(reward.truncated),)
        flags.append(Flag("--reward.stop_properly_penalty_coef", value, recipe=("reward.truncated",)))
    if reward.overlong_buffer is not None:
        buffer, penalty = (str(reward.overlong_buffer),), (number(reward.overlong_penalty),)
        keys = ("reward.overlong_penalty", "reward.overlong_buffer")
        flags.append(Flag("--reward.overlong_buffer_len", buffer, recipe=("reward.overlong_buffer",)))
        flags.append(Flag("--reward.overlong_penalty_factor", penalty, recipe=keys))
    return flags


def optimizer_flags(recipe: Recipe, stage: Stage) -> list[Flag]:
    optimizer = recipe.optimizer
    rate = number(stage.learning_rate or optimizer.learning_rate)
    rate_key = key_of(stage, "learning_rate", otherwise="optimizer.learning_rate")
    warmup = optimizer.warmup_ratio if stage.warmup_ratio is None else stage.warmup_ratio
    warmup_key = key_of(stage, "warmup_ratio", otherwise="optimizer.warmup_ratio")
    return [
        fixed("--actor.optim", "adam", reason="AdamW, the original's optimizer"),
        Flag("--actor.adam.lr", (rate,), recipe=(rate_key,)),
        Flag("--actor.adam.betas", tuple(map(number, optimizer.betas)), recipe=("optimizer.betas",)),
        Flag("--actor.adam.eps", (number(optimizer.epsilon),), recipe=("optimizer.epsilon",)),
        Flag("--actor.adam.weight_decay", (number(optimizer.weight_decay),), recipe=("optimizer.weight_decay",)),
        Flag("--actor.lr_scheduler", (optimizer.schedule,), recipe=("optimizer.schedule",)),
        Flag("--actor.lr_warmup_ratio", (number(warmup),), recipe=(warmup_key,)),
        Flag("--actor.max_norm", (number(optimizer.max_grad_norm),), recipe=("optimizer.max_grad_norm",)),
    ]


def layout_flags(stage: str, layout: Layout) -> list[Flag]:
    """Everything on the same GPUs, taking turns: one vLLM engine a GPU, ZeRO over all, micro-batches packed."""

    def from_layout(name: str, value: str, *keys: str, reason: str = "") -> Flag:
        return Flag(name, (value,), scale=tuple(f"training.layout.{stage}.{key}" for key in keys), reason=reason)

    nodes, gpus, tokens = str(layout.nodes), str(layout.gpus_per_node), str(layout.max_tokens_per_gpu)
    engines = str(layout.nodes * layout.gpus_per_node)
    taking_turns = "sampler and trainer take turns on the same GPUs"
    packed = "micro-batches are packed to a number of tokens, so no number of samples limits them"
    return [
        from_layout("--actor.num_nodes", nodes, "nodes"),
        from_layout("--actor.num_gpus_per_node", gpus, "gpus_per_node"),
        from_layout("--ref.num_nodes", nodes, "nodes"),
        from_layout("--ref.num_gpus_per_node", gpus, "gpus_per_node"),
        fixed("--train.colocate_all", reason=taking_turns),
        from_layout("--vllm.num_engines", engines, "nodes", "gpus_per_node", reason="one engine a GPU"),
        fixed("--vllm.tensor_parallel_size", "1", reason="a 1.5B model fits one GPU"),
        from_layout("--vllm.gpu_memory_utilization", number(layout.gpu_memory_utilisation), "gpu_memory_utilisation"),
        fixed("--vllm.sync_backend", "nccl", reason="weights go from trainer to sampler over NCCL"),
        fixed("--vllm.enable_sleep", reason=taking_turns),
        fixed("--ds.enable_sleep", reason=taking_turns),
        from_layout("--ds.zero_stage", str(layout.zero_stage), "zero_stage"),
        fixed("--ds.attn_implementation", "flash_attention_2", reason="packed samples need it on a GPU"),
        fixed("--ds.packing_samples", reason=packed),
        fixed("--train.dynamic_batch_enable", reason=packed),
        from_layout("--train.max_tokens_per_gpu", tokens, "max_tokens_per_gpu"),
        from_layout("--rollout.max_tokens_per_gpu", tokens, "max_tokens_per_gpu"),
        fixed("--train.micro_batch_size", "1", reason=packed),
        fixed("--rollout.micro_batch_size", "1", reason=packed),
        fixed("--actor.gradient_checkpointing_enable", reason="activations are computed again instead of kept"),
    ]


def precision_flags(recipe: Recipe) -> list[Flag]:
    precision = recipe.precision
    return [
        Flag("--ds.param_dtype", (precision.parameters,), recipe=("precision.parameters",)),
        Flag("--ds.grad_accum_dtype", (precision.gradients,), recipe=("precision.gradients",)),
    ]


def key_of(stage: Stage, key: str, otherwise: str) -> str:
    """The key of a value that a stage may override."""
    return f"stages.{stage.name}.{key}" if getattr(stage, key) is not None else otherwise


def number(value: float) -> str:
    """A float as short as it can be written exactly."""
    return repr(float(value))
