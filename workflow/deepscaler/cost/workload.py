"""From settings to work: the tokens, sequences and GPUs of a scale's stages and evaluations."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from deepscaler import dag, settings
from deepscaler.cost.adapters import adapter_parameters
from deepscaler.cost.assumptions import OPENRLHF, OPENRLHF_HIGH, OPENRLHF_LOW, Stack
from deepscaler.cost.hardware import CARDS, R1_QWEN_1_5B, Shape, shape_of
from deepscaler.cost.lengths import Lengths, cut_at, expected_lengths
from deepscaler.cost.step import Work
from deepscaler.errors import UserError, refuse_unknown
from deepscaler.settings.models import Published
from deepscaler.settings.scale import Scale


@dataclass(frozen=True)
class Stacks:
    """The training stack at its best, as expected, and at its worst."""

    low: Stack = OPENRLHF_LOW
    expected: Stack = OPENRLHF
    high: Stack = OPENRLHF_HIGH

    @property
    def all(self) -> tuple[Stack, Stack, Stack]:
        return self.low, self.expected, self.high

    def changed(self, **changes: object) -> "Stacks":
        return Stacks(*(replace(stack, **changes) for stack in self.all))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Case:
    """A scale's work, its hardware and its stack: what `estimate` prices and a what-if changes."""

    scale: str
    card: str
    stacks: Stacks
    stages: tuple[Work, ...]
    evaluations: tuple["Sampling", ...]

    def stage(self, name: str) -> Work:
        for work in self.stages:
            if work.name == name:
                return work
        raise refuse_unknown("stage", name, [work.name for work in self.stages])


@dataclass(frozen=True)
class Sampling:
    """One system's samples on one suite."""

    system: str
    suite: str
    samples: int
    jobs: int
    gpus: int
    """Of a job."""
    lengths: Lengths
    billions: float


def case_of(scale_name: str) -> Case:
    """A GPU scale as it is set."""
    scale = settings.load_scale(scale_name)
    if scale.device != "gpu":
        raise UserError(f"scale {scale_name!r} runs on CPUs: it has a model of its own")
    name = scale.budget.card or known_card(settings.site().gpu_model)
    return Case(scale_name, name, Stacks(), stages_of(scale_name), samplings_of(scale_name))


def known_card(gpu_model: str | None) -> str:
    """The card of a cluster's GPU type name: `a100`, `nvidia_h100_80gb_hbm3`; an A100 where it says nothing."""
    word = letters_and_digits(gpu_model or "")
    longest_first = sorted(CARDS, key=lambda name: -len(name))
    return next((name for name in longest_first if letters_and_digits(name) in word), "a100")


def letters_and_digits(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


def stages_of(scale_name: str) -> tuple[Work, ...]:
    scale = settings.load_scale(scale_name)
    training = scale.training
    if training is None:
        return ()
    recipe = settings.load_recipe(training.recipe)
    adapters = adapters_of(scale_name)
    killed = scale.rehearsal.kill.segment if scale.rehearsal and scale.rehearsal.kill else None
    apart = recipe.rollout.asynchronous.enabled
    works = []
    for index, stage in enumerate(recipe.stages):
        layout = training.layout[stage.name]
        own = [segment.id for segment in dag.segments(scale_name) if segment.stage == stage.name]
        works.append(
            Work(
                name=stage.name,
                steps=stage.steps,
                prompts=recipe.rollout.prompts_per_step,
                samples=recipe.samples_of(stage),
                # two steps shorten no answers
                lengths=expected_lengths(stage.max_new_tokens, from_base=index == 0 or scale.rehearsal is not None),
                gpus=layout.nodes * layout.gpus_per_node,
                jobs=len(own) + own.count(killed or ""),
                save_steps=layout.save_steps,
                nodes=layout.nodes,
                reference=recipe.kl_of(stage) > 0,
                filtered=recipe.filtering.enabled,
                adapters=adapters,
                offload=layout.offload_optimizer,
                updates=recipe.updates_per_step,
                micro_batch=layout.max_tokens_per_gpu,
                compared=1 / recipe.rollout.log_probs_every,
                max_sequences=layout.max_sequences,
                small_cache=recipe.rollout.cache == "fp8",
                asynchronous=apart,
                rollout_gpus=layout.nodes * dag.divided(layout, recipe).sampling if apart else None,
            )
        )
    return tuple(works)


def training_shape(scale: Scale) -> Shape:
    base = settings.systems()[scale.base] if scale.base else None
    return shape_of(base.parameters) if isinstance(base, Published) else R1_QWEN_1_5B


def adapters_of(scale_name: str) -> int | None:
    """Parameters that LoRA trains; None where all weights are trained, or nothing is."""
    scale = settings.load_scale(scale_name)
    lora = settings.load_recipe(scale.training.recipe).lora if scale.training else None
    return adapter_parameters(lora, training_shape(scale)) if lora else None


REASONING_BASE = {"aime": (16400.0, 0.12), "math": (5450.0, 0.02), "other": (8500.0, 0.04)}
REASONING_TRAINED = {"aime": (9700.0, 0.02), "math": (3100.0, 0.003), "other": (5500.0, 0.01)}
"""Benchmark → mean tokens and the share that a 32,768-token context cuts. AIME and MATH-500 of the base and of
DeepScaleR: prime-rl's README; the other benchmarks and all shares are assumed."""
KNOWN_LIMIT = 32_768
"""Tokens at which they were cut."""
CONTESTS = ("aime", "hmmt", "brumo", "cmimc")
"""How the names of sets begin whose problems are as hard as AIME's [assumed of all but AIME]."""
PLAIN = (800.0, 0.005)
"""Of systems without long reasoning, as the 7B ones [assumed]."""
TRAINED_SYSTEMS = ("deepscaler-1.5b-preview",)
"""Published systems whose answers are as short as a trained checkpoint's."""


def samplings_of(scale_name: str) -> tuple[Sampling, ...]:
    """Every (system, suite) that is sampled."""
    evaluation = settings.load_scale(scale_name).evaluation
    return tuple(
        sampling_of(scale_name, system, evaluation.suites[suite], evaluation.samples, suite, evaluation.shards[suite])
        for system, suite in dag.scored(scale_name)
    )


def sampling_of(
    scale_name: str, system: str, names: Sequence[str], samples: int, suite: str = "", jobs: int = 1
) -> Sampling:
    """`samples` answers of a system to every problem of some benchmarks."""
    evaluation = settings.load_scale(scale_name).evaluation
    sizes = {name: settings.benchmarks()[name].size for name in names}
    entry, problems = dag.prompting_entry(scale_name, system), sum(sizes.values())
    per_problem = {name: answer_length(scale_name, system, name) for name in names}
    mean = sum(sizes[name] * per_problem[name][0] for name in names) / problems
    clipped = sum(sizes[name] * per_problem[name][1] for name in names) / problems
    limit = min(evaluation.max_new_tokens, context_of(entry) or evaluation.max_new_tokens)
    return Sampling(
        system=system,
        suite=suite,
        samples=problems * samples,
        jobs=jobs,
        gpus=evaluation.tensor_parallel,
        lengths=Lengths(limit, mean, clipped) if mean < limit else cut_at(limit, Lengths(KNOWN_LIMIT, mean, clipped)),
        billions=entry.parameters,
    )


def context_of(entry: object) -> int | None:
    return entry.sampling.context if isinstance(entry, Published) else None


def answer_length(scale_name: str, system: str, benchmark: str) -> tuple[float, float]:
    """Mean tokens and clipped share of a system's answers to a benchmark."""
    entry = dag.prompting_entry(scale_name, system)
    if isinstance(entry, Published) and entry.prompting.think == "none":
        return PLAIN
    trained = dag.checkpoint_of(scale_name, system) is not None or system in TRAINED_SYSTEMS
    table = REASONING_TRAINED if trained else REASONING_BASE
    return table["aime" if benchmark.startswith(CONTESTS) else "math" if "math-500" in benchmark else "other"]
