"""What OpenRLHF lacks for a chain of segments, patched into its modules as its processes import them.

Ray calls `install` in every worker as it starts (`worker_process_setup_hook`). Nothing here differs between CPU and
GPU. In the trainer's process:

1. **Order.** Upstream shuffles prompts with an unseeded generator. Here the order of the prompt file is kept.
2. **Position.** In the state of the segment before, the data loader is at the end of *that* segment's prompts; this
   segment starts at the top of its own file. A state of this segment keeps its position.
3. **End.** Upstream stops when the prompts are used up. The segment stops at its last step, and never trains on an
   incomplete batch.
4. **Rows.** A step's metrics are on disk before its state is saved, so that no kill can leave a step without them.
5. **States.** One is saved at the segment's last step whatever `save_steps` is, and each is marked complete once all
   ranks have written it (upstream writes `latest` first). So is one where the job has been told to end
   (run/stop_request.py): the trainer goes no further then.

The learning rate's horizon is the stage's, not the file's. In the processes that hold the model:

6. **Gradients.** With micro-batches packed to a number of tokens, upstream calls `backward` several times and `step`
   once, but configures DeepSpeed so that it takes each `backward` for a whole update. At ZeRO 2 only the last
   micro-batch's gradient is then used. DeepSpeed has a mode for this case, `managed_gradient_accumulation: false`.
7. **Means.** Loss, KL and entropy of a micro-batch are logged as its part of the update's mean, and then averaged over
   micro-batches, which divides them by their number once more.
8. **Weights.** The group over which vLLM gets them starts from a pickle in a store without a password. NCCL's id comes
   through Ray instead (weight_group.py), in the engine's own process too (engine_process.py).
9. **Frequencies.** At ZeRO 3 those of the rotary embedding would be rounded to bf16 (`rotary`).
10. **Cache.** vLLM's keys and values are of the type that the recipe names, and it draws as many answers at once as
   the layout says; upstream has no flags for them.

Seeds and order of the rollouts, and their keeping, are in `rollouts`, their way to the engines in `spread`, the returns
of a micro-batch in `returns`, the form in which the engines answer in `whole_answers`, which of them come with
log-probabilities in `measured_share`; what asynchronous training needs
besides is in `asynchronous`. New weights go to the engines by `weight_buckets`, what LoRA's need to leave the trainer
is in `lora`, and that an engine holds the trainer's is seen by `weight_checksums`. What each phase takes in seconds and
memory is noted by `phases`.
"""

from pathlib import Path
from typing import Any

from deepscaler.training.launch import shield
from deepscaler.training.openrlhf import (
    asynchronous,
    lora,
    measured_share,
    phases,
    returns,
    rollouts,
    rotary,
    weight_buckets,
    weight_checksums,
    whole_answers,
)
from deepscaler.training.openrlhf.bounds import Bounds, Progress
from deepscaler.training.openrlhf.when_imported import when_imported

TRAINER = "openrlhf.trainer.ppo_trainer"
STRATEGY = "openrlhf.utils.deepspeed.deepspeed"
MODEL = "openrlhf.models.actor"
ACTOR = "openrlhf.trainer.ray.ppo_actor"
EXPERIENCES = "openrlhf.trainer.ppo_utils.experience_maker"
GENERATOR = "openrlhf.trainer.ppo_utils.samples_generator"
AGENT = "openrlhf.utils.agent"
GROUPS = "openrlhf.utils.distributed_util"
ENGINE_ARGUMENTS = "vllm.engine.arg_utils"
ENGINE = "vllm.v1.engine.async_llm"
EXTENSION = "openrlhf.trainer.ray.vllm_worker_wrap.WorkerWrap"
OWN_EXTENSION = "deepscaler.training.openrlhf.engine_process.WorkerWrap"
MADE_FOR = "0.11.2"
PARTS_OF_MEANS = {"policy_loss", "kl", "entropy_loss"}
PASSES = 64
"""How often a prompt file may be read, where dynamic filtering consumes more prompts than it has."""


installed = False


def install() -> None:
    """Patch OpenRLHF's modules when they are imported, once, in a process that a segment started."""
    global installed
    bounds = Bounds.from_environment()
    if bounds is None or installed:
        return
    installed = True
    shield.keep()
    progress = Progress(bounds.first)
    when_imported(STRATEGY, refuse_other_versions)
    when_imported(AGENT, refuse_other_versions)
    when_imported(STRATEGY, lambda module: keep_order(module, bounds))
    when_imported(TRAINER, lambda module: keep_bounds(module, bounds, progress))
    when_imported(STRATEGY, accumulate_until_step)
    when_imported(MODEL, rotary.keep_frequencies)
    when_imported(ACTOR, log_means_of_updates)
    when_imported(ACTOR, lambda module: measured_share.train_on_share(module, bounds))
    when_imported(ACTOR, weight_buckets.send_buckets)
    when_imported(ACTOR, lora.send_whole_weights)
    when_imported(ACTOR, lambda module: lora.seed_dropout(module, bounds))
    when_imported(STRATEGY, lora.save_whole_weights)
    when_imported(ACTOR, lambda module: weight_checksums.compare_first_sync(module, bounds))
    when_imported(ACTOR, lambda module: phases.measure(module, bounds))
    when_imported(GENERATOR, lambda module: rollouts.send_seeds(module, bounds, progress))
    when_imported(AGENT, whole_answers.ask_for_whole_answers)
    when_imported(AGENT, rollouts.use_seeds)
    when_imported(EXPERIENCES, returns.at_once)
    when_imported(GROUPS, hand_id_over_by_ray)
    when_imported(ENGINE_ARGUMENTS, lambda module: extend_engines(module, bounds))
    if bounds.asynchronous:
        when_imported(GENERATOR, lambda module: asynchronous.go_on_after_state(module, bounds, progress))
        when_imported(GENERATOR, asynchronous.carry_updates)
        when_imported(ENGINE, asynchronous.count_updates)
        when_imported(AGENT, asynchronous.note_updates)
        when_imported(TRAINER, asynchronous.log_age)


def refuse_other_versions(module: Any) -> None:
    """Raises RuntimeError on a version of OpenRLHF that the patches were not made for."""
    from importlib.metadata import version

    if version("openrlhf") != MADE_FOR:
        raise RuntimeError(
            f"deepscaler/training/openrlhf/hooks.py was made for openrlhf {MADE_FOR}, not {version('openrlhf')}"
        )


def keep_order(module: Any, bounds: Bounds) -> None:
    setup_dataloader = module.DeepspeedStrategy.setup_dataloader

    def in_file_order(self: Any, dataset: Any, *arguments: Any, **named: Any) -> Any:
        order = list(range(len(dataset))) * (PASSES if bounds.cycle_prompts else 1)
        return setup_dataloader(self, dataset, *arguments, sampler=order, **named)

    module.DeepspeedStrategy.setup_dataloader = in_file_order


def keep_bounds(module: Any, bounds: Bounds, progress: Progress) -> None:
    use_stage_horizon(module, bounds)
    start_at_own_position(module.BasePPOTrainer, bounds, progress)
    end_at_last_step(module.SamplesGenerator, bounds, progress)
    write_rows_and_states(module.BasePPOTrainer, bounds, progress)


def use_stage_horizon(module: Any, bounds: Bounds) -> None:
    prepare_datasets = module.prepare_datasets

    def with_stage_horizon(*arguments: Any, **named: Any) -> Any:
        prompts, evaluation, _ = prepare_datasets(*arguments, **named)
        return prompts, evaluation, bounds.scheduler_steps

    module.prepare_datasets = with_stage_horizon


def start_at_own_position(trainer: Any, bounds: Bounds, progress: Progress) -> None:
    init_checkpoint_states = trainer.init_checkpoint_states

    def at_own_position(self: Any) -> dict[str, Any]:
        states: dict[str, Any] = init_checkpoint_states(self)
        progress.step = states["global_step"]
        if progress.step <= bounds.first:
            states = {**states, "episode": 0, "total_consumed_prompts": 0, "data_loader_state_dict": {}}
        return states

    trainer.init_checkpoint_states = at_own_position


def end_at_last_step(generator: Any, bounds: Bounds, progress: Progress) -> None:
    generate_samples = generator.generate_samples

    def until_last_step(self: Any, **named: Any) -> Any:
        if progress.step >= bounds.last:
            return [], None, 0, True
        samples, rate, consumed, exhausted = generate_samples(self, **named)
        wanted = self.args.rollout.batch_size * self.args.rollout.n_samples_per_prompt
        if len(samples) < wanted:
            raise RuntimeError(
                f"prompts ran out at step {progress.step} of {bounds.last}: "
                f"{len(samples)} of {wanted} samples for the next"
            )
        progress.step += 1  # the trainer says so too, where it is in this process
        return samples, rate, consumed, exhausted and progress.step >= bounds.last

    generator.generate_samples = until_last_step


def write_rows_and_states(trainer: Any, bounds: Bounds, progress: Progress) -> None:
    save_logs_and_checkpoints = trainer.save_logs_and_checkpoints

    def with_row_and_marker(self: Any, global_step: int, logs_dict: Any = None, client_states: Any = None) -> None:
        from deepscaler.training.run import stop_request
        from deepscaler.training.watch.metrics import append_row, make_row

        total = bounds.total_before + global_step
        row = make_row(global_step, total, bounds.stage, bounds.segment, logs_dict or {})
        append_row(Path(bounds.metrics), row)
        saving = self.args.ckpt
        steps = saving.save_steps
        told = stop_request.is_asked(bounds.stop)
        if global_step >= bounds.last or told:
            saving.save_steps = 1
        try:
            save_logs_and_checkpoints(self, global_step, logs_dict, client_states)
            if global_step % saving.save_steps == 0:
                mark_complete(self.args, global_step)
        finally:
            saving.save_steps = steps
        progress.step = global_step
        if told and global_step < bounds.last:
            stop_request.answer(str(bounds.stop), global_step)

    trainer.save_logs_and_checkpoints = with_row_and_marker


def accumulate_until_step(module: Any) -> None:
    get_train_ds_config = module.get_train_ds_config

    def unmanaged(*arguments: Any, **named: Any) -> dict[str, Any]:
        return {**get_train_ds_config(*arguments, **named), "managed_gradient_accumulation": False}

    module.get_train_ds_config = unmanaged


def log_means_of_updates(module: Any) -> None:
    ppo_train = module.ActorPPOTrainer.ppo_train

    def with_means(self: Any, kl_ctl: float) -> dict[str, Any]:
        status: dict[str, Any] = ppo_train(self, kl_ctl)
        updates = self.replay_buffer.dynamic_optimizer_step  # a 1 for each micro-batch that ends an update
        if self.args.train.dynamic_batch_enable and sum(updates):
            for key in PARTS_OF_MEANS & status.keys():
                status[key] *= len(updates) / sum(updates)
        return status

    module.ActorPPOTrainer.ppo_train = with_means


def hand_id_over_by_ray(module: Any) -> None:
    """The overlay for CPUs, which has no NCCL, replaces this by a group over gloo, where no pickle is read."""
    from deepscaler.training.openrlhf.weight_group import make_group

    refuse_other_versions(module)
    if module.stateless_init_process_group.__module__ == module.__name__:  # upstream's, not yet the overlay's
        module.stateless_init_process_group = make_group


def extend_engines(module: Any, bounds: Bounds) -> None:
    """Have vLLM's workers import upstream's extension by way of the hooks, and no code that lies with a model."""
    post_init = module.EngineArgs.__post_init__

    def with_hooks(self: Any) -> None:
        if self.worker_extension_cls == EXTENSION:
            self.worker_extension_cls = OWN_EXTENSION
            self.trust_remote_code = False
            self.kv_cache_dtype = bounds.cache
            if bounds.max_sequences:
                self.max_num_seqs = bounds.max_sequences
        post_init(self)

    module.EngineArgs.__post_init__ = with_hooks


def mark_complete(args: Any, step: int) -> None:
    from deepscaler.training.run.deepspeed_states import State

    ranks = args.actor.num_nodes * args.actor.num_gpus_per_node
    State.at(Path(args.ckpt.path), step).mark_complete(ranks, args.ds.zero_stage)
