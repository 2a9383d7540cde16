"""Time of one step of training, and of a stage."""

from dataclasses import dataclass, replace

from deepscaler.cost.adapters import state_bytes
from deepscaler.cost.assumptions import KNOWN, PROMPT_TOKENS, UNIFORM_SHARE, Stack
from deepscaler.cost.generation import generation, weight_seconds
from deepscaler.cost.hardware import Card, Shape
from deepscaler.cost.lengths import Lengths


@dataclass(frozen=True)
class Work:
    """The work of a stage, whatever hardware does it."""

    name: str
    steps: int
    prompts: int
    samples: int
    lengths: Lengths
    gpus: int
    jobs: int
    save_steps: int
    nodes: int = 1
    reference: bool = True
    """Whether log-probabilities of a reference model are taken too."""
    filtered: bool = False
    """Whether groups of one reward are drawn again."""
    adapters: int | None = None
    """Parameters of LoRA's matrices; None trains all weights."""
    offload: bool = False
    """Whether the optimizer is in the node's memory."""
    updates: int = 1
    micro_batch: int = 18_432
    """Tokens."""
    compared: float = 1.0
    """Share of the samples whose tokens come with the sampler's log-probabilities, for `vllm_kl`."""
    max_sequences: int | None = None
    """Answers that an engine draws at once; None: the stack's own."""
    small_cache: bool = False
    """Whether the sampler's keys and values have 8 bits."""
    asynchronous: bool = False
    """Whether rollouts are drawn while the policy trains, on GPUs of their own."""
    rollout_gpus: int | None = None
    """Those GPUs, of `gpus`; None: the number that is fastest."""

    @property
    def sequences(self) -> int:
        return self.prompts * self.samples

    @property
    def trainers(self) -> int:
        """GPUs that train; half, where it is left open."""
        return self.gpus - (self.rollout_gpus or self.gpus // 2) if self.asynchronous else self.gpus

    @property
    def trained_tokens(self) -> float:
        """Of a step, prompts included."""
        return self.sequences * (self.lengths.mean + PROMPT_TOKENS)


@dataclass(frozen=True)
class Step:
    """Seconds of one step, on average over the stage."""

    generation: float
    log_probabilities: float
    update: float
    trainer: float
    """What the trainer's one process does while all GPUs wait."""
    fixed: float
    """Weight sync, sleep and wake, and the rest that does not grow with a step's tokens."""
    other: float
    """Saving, evaluation inside the job, and what the slack adds."""

    @property
    def total(self) -> float:
        return self.generation + self.log_probabilities + self.update + self.trainer + self.fixed + self.other


def log_probability_flop(work: Work, shape: Shape) -> float:
    """Forward passes of the policy and, where there is one, of the reference."""
    passes = 2 if work.reference else 1
    per_token = 2 * (shape.layer_matmul + shape.head_matmul) + shape.attention_flop * work.lengths.biased_mean
    return work.trained_tokens * (passes * per_token + 2 * adapter_work(work))


def update_flop(work: Work, shape: Shape) -> float:
    """Forward, forward again (gradient checkpointing, layers only), backward.

    Matrices: 2 + 2 + 4 FLOP a weight in the layers, 2 + 4 in the head; frozen ones have no gradient of their own, which
    saves 2. Attention: 1 + 1 + 2.5 times its forward (FlashAttention's backward recomputes the scores).
    """
    saved = 2 if work.adapters else 0
    matmul = (8 - saved) * shape.layer_matmul + (6 - saved) * shape.head_matmul + 8 * adapter_work(work)
    return work.trained_tokens * (matmul + 4.5 * shape.attention_flop * work.lengths.biased_mean)


def adapter_work(work: Work) -> float:
    """Weights of other matrices that take as long as the adapters."""
    return (work.adapters or 0) / KNOWN["adapter_utilisation"]


def offload_seconds(work: Work, gpus: int, shape: Shape) -> float:
    """Of an optimizer in the node's memory: its updates on the cores, and what goes to and fro.

    After each micro-batch a GPU's share of the gradients, in bf16, comes back and goes there again, added up.
    """
    if not work.offload:
        return 0.0
    share = (work.adapters or shape.parameters) / gpus
    micro_batches = work.trained_tokens / gpus / work.micro_batch
    moved = share * (4 * micro_batches + 2 * work.updates)
    return work.updates * share * KNOWN["adam_bytes"] / KNOWN["adam_bandwidth"] + moved / KNOWN["link_bandwidth"]


def sampling_stack(work: Work, stack: Stack) -> Stack:
    """The stack as it samples for a stage."""
    token = stack.sequence_seconds + work.compared * stack.comparison_seconds
    return replace(
        stack,
        sequence_seconds=token,
        max_sequences=work.max_sequences or stack.max_sequences,
        cache_scale=0.5 if work.small_cache else stack.cache_scale,
    )


def step_time(work: Work, shape: Shape, card: Card, stack: Stack) -> Step:
    """A step on `work.gpus` GPUs, each an engine and a data-parallel rank in turn; apart when asynchronous."""
    if work.asynchronous:
        return asynchronous_step(work, shape, card, stack)
    generated = rollout_seconds(work, work.gpus, shape, card, stack)
    log_probabilities, update = training_seconds(work, work.gpus, shape, card, stack)
    prepared = trainer_seconds(work, stack)
    fixed = stack.fixed_seconds + sleep_seconds(work, shape, stack)
    main = generated + log_probabilities + update + prepared + fixed
    other = (stack.slack - 1) * main + saving_seconds(work, shape, stack)
    if stack.evaluates:
        other += evaluation_seconds(work, shape, card, stack)
    return Step(generated, log_probabilities, update, prepared, fixed, other)


def rollout_seconds(work: Work, engines: int, shape: Shape, card: Card, stack: Stack) -> float:
    own = sampling_stack(work, stack)
    seconds = generation(work.lengths, work.prompts, work.samples, engines, shape, card, own).seconds
    return seconds / (1 - UNIFORM_SHARE) if work.filtered else seconds


def training_seconds(work: Work, gpus: int, shape: Shape, card: Card, stack: Stack) -> tuple[float, float]:
    speed = gpus * card.flop_per_second * stack.flop_utilisation
    return log_probability_flop(work, shape) / speed, update_flop(work, shape) / speed + offload_seconds(
        work, gpus, shape
    )


def trainer_seconds(work: Work, stack: Stack) -> float:
    return work.trained_tokens * stack.trainer_seconds


def sleep_seconds(work: Work, shape: Shape, stack: Stack) -> float:
    """Of the sampler's weights and the optimizer's states, to the node's memory and back, once a step.

    A GPU's share of the states is 16 bytes a trained parameter: fp32 weights, two moments, gradients.
    """
    if not stack.sleeps:
        return 0.0
    states = 0.0 if work.offload else 16 * (work.adapters or shape.parameters) / work.gpus
    return 2 * (shape.bytes + states) / KNOWN["link_bandwidth"]


def saving_seconds(work: Work, shape: Shape, stack: Stack) -> float:
    """Of a step, on average."""
    return save_seconds_of(work, shape, stack) / min(work.save_steps, work.steps)


def save_seconds_of(work: Work, shape: Shape, stack: Stack) -> float:
    """Of one state."""
    return stack.save_seconds * state_bytes(work.adapters, shape) / state_bytes(None, shape)


def evaluation_seconds(work: Work, shape: Shape, card: Card, stack: Stack) -> float:
    """The paper's own in-training evaluation, as often as it saved: its longest answer runs to the context."""
    return work.lengths.context * weight_seconds(shape, card, stack) / work.save_steps


def asynchronous_step(work: Work, shape: Shape, card: Card, stack: Stack) -> Step:
    """GPUs split between rollouts and training, each side's batch at a time: the slower one decides.

    OpenRLHF's asynchronous rollouts are still batches, and wait for their longest sample, partial ones too. While
    weights are sent, neither side goes on.
    """

    prepared = trainer_seconds(work, stack)

    def split(engines: int) -> Step:
        generated = rollout_seconds(work, engines, shape, card, stack)
        log_probabilities, update = training_seconds(work, work.gpus - engines, shape, card, stack)
        trained = log_probabilities + update + prepared
        longest = max(generated, trained)
        other = (stack.slack - 1) * (longest + stack.fixed_seconds) + saving_seconds(work, shape, stack)
        # what rollouts and training overlap is counted once, as training
        return Step(longest - trained, log_probabilities, update, prepared, stack.fixed_seconds, other)

    splits = range(1, work.gpus) if work.rollout_gpus is None else [work.rollout_gpus]
    return min((split(engines) for engines in splits), key=lambda step: step.total)


def stage_hours(work: Work, step: Step, stack: Stack) -> float:
    """Wall hours of a stage: its steps and the starts of its jobs; queues not counted."""
    return (work.steps * step.total + work.jobs * start_seconds(work, stack)) / 3600


def start_seconds(work: Work, stack: Stack) -> float:
    """Of one job."""
    return stack.start_seconds + (stack.meeting_seconds if work.nodes > 1 else 0.0)


def with_lengths(work: Work, lengths: Lengths) -> Work:
    return replace(work, lengths=lengths)
