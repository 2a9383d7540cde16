"""The price of a scale that runs on CPU cores: almost all of it is starting programs, so every rule has a start and a
rate. Figures of two cores; measured ones are named in docs/plan.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from deepscaler import dag, settings
from deepscaler.cost.ranges import Range
from deepscaler.settings.models import Distilled, Published

UNCERTAIN = Range(0.8, 1.0, 2.2)
"""Of another machine's cores, relative to those on which the figures were taken. Two cores without bf16 instructions
took 1.7 times as long; the rest of the range is assumed."""


@dataclass(frozen=True)
class Pace:
    """Of one rule: seconds of a job before and beside its work, and work in a second."""

    start: float
    rate: float = 0.0
    """Tokens; 0 where a job is all start."""


PACES: dict[str, Pace] = {
    "distill_base": Pace(8, 16_000),
    "train_segment": Pace(14, 2750),  # launches of the driver, Ray's actors and vLLM; then rollout and update
    "sample": Pace(11, 8600),
    "deduplicate": Pace(17),  # loads an embedding model
    "decontaminate": Pace(8.3),
    "select_gradable": Pace(5.8),
    "grade_samples": Pace(1.1),
    "draw_figure": Pace(3.1),  # a notebook's kernel
}
LIGHT = Pace(0.6)
"""Every other rule: start Python, read a table, write one."""
BESIDE_TRAINING = ("sample", "grade_samples", "score")
"""All but the last system's."""
BESIDE_DISTILLATION = ("fetch_source", "fetch_benchmark", "extract_answers", "deduplicate", "decontaminate")
STEP_SECONDS = 0.8
"""Of a training step beside its tokens: weight sync, Ray."""
SAVE_SECONDS = 1
MINI_PROMPT = 45
"""Tokens."""
ANSWER_SHARE = 0.28
"""Mean length of a trained model's answers, of the limit."""
BASE_ANSWER_SHARE = 0.43
REAL_MODELS = 17.0
"""Billions of parameters × tokens a second of a published model: SmolLM2-135M made 124 tokens a processor second with
answers of 24 tokens (docs/performance/evaluation.md). Longer answers and a second core make more."""
ROLLOUT_TOKENS = 42
"""Mean length of a rollout at the miniature, whatever the context: its problems need no more."""


@dataclass(frozen=True)
class RulePrice:
    rule: str
    stage: str
    """Of train_segment; other rules have none."""
    jobs: int
    steps: int
    """Of GRPO."""
    seconds: Range
    """Of all jobs, added up."""


@dataclass(frozen=True)
class ProcessorPrice:
    """All jobs of a scale."""

    scale: str
    rules: tuple[RulePrice, ...]

    @property
    def seconds(self) -> Range:
        expected = sum(entry.seconds.expected for entry in self.rules)
        return scaled(expected)

    @property
    def elapsed(self) -> Range:
        """Seconds on two cores, where what is sampled runs beside training, and curation beside distillation."""
        training, distillation = self.expected("train_segment"), self.expected("distill_base")
        sampling, curation = self.expected(*BESIDE_TRAINING), self.expected(*BESIDE_DISTILLATION)
        evaluated = len(dag.evaluated(self.scale))
        hidden = min(training, sampling * (evaluated - 1) / evaluated) + min(distillation, curation)
        return scaled(self.seconds.expected - hidden)

    def expected(self, *rules: str) -> float:
        return sum(entry.seconds.expected for entry in self.rules if entry.rule in rules)

    def of(self, rule: str, stage: str = "") -> RulePrice:
        return next(entry for entry in self.rules if (entry.rule, entry.stage) == (rule, stage))


def scaled(seconds: float) -> Range:
    return UNCERTAIN.times(seconds)


def estimate_processor(scale_name: str, paces: dict[str, Pace] | None = None) -> ProcessorPrice:
    """Every rule of a CPU scale; `paces` replaces known ones, as a refit from a run does."""
    known = {**PACES, **(paces or {})}
    rules = [*training_rules(scale_name, known), *sampling_rules(scale_name, known)]
    rules += distillation_rules(scale_name, known)
    for rule, jobs in job_counts(scale_name).items():
        rules.append(RulePrice(rule, "", jobs, 0, scaled(jobs * known.get(rule, LIGHT).start)))
    return ProcessorPrice(scale_name, tuple(rules))


def training_rules(scale_name: str, paces: dict[str, Pace]) -> list[RulePrice]:
    training = settings.load_scale(scale_name).training
    if training is None:
        return []
    recipe, pace = settings.load_recipe(training.recipe), paces["train_segment"]
    found = []
    for stage in recipe.stages:
        pieces = [segment for segment in dag.segments(scale_name) if segment.stage == stage.name]
        sequences = recipe.rollout.prompts_per_step * recipe.samples_of(stage)
        tokens = sequences * (min(ROLLOUT_TOKENS, 0.8 * stage.max_new_tokens) + MINI_PROMPT)
        seconds = len(pieces) * pace.start
        seconds += stage.steps * (STEP_SECONDS + tokens / pace.rate)
        seconds += stage.steps / training.layout[stage.name].save_steps * SAVE_SECONDS
        found.append(RulePrice("train_segment", stage.name, len(pieces), stage.steps, scaled(seconds)))
    return found


def sampling_rules(scale_name: str, paces: dict[str, Pace]) -> list[RulePrice]:
    shards, scored = settings.load_scale(scale_name).evaluation.shards, dag.scored(scale_name)
    seconds = sum(sampling_seconds(scale_name, system, suite, paces["sample"]) for system, suite in scored)
    return [RulePrice("sample", "", sum(shards[suite] for _, suite in scored), 0, scaled(seconds))]


def sampling_seconds(scale_name: str, system: str, suite: str, pace: Pace) -> float:
    """Of one system on one suite, all its shards."""
    evaluation = settings.load_scale(scale_name).evaluation
    tokens = answer_tokens(scale_name, system, evaluation.suites[suite], evaluation.samples)
    entry = dag.prompting_entry(scale_name, system)
    rate = REAL_MODELS / entry.parameters if isinstance(entry, Published) else pace.rate
    return evaluation.shards[suite] * pace.start + tokens / rate


def answer_tokens(scale_name: str, system: str, names: Sequence[str], samples: int) -> float:
    """Of `samples` answers of a system to every problem of some benchmarks."""
    problems = sum(settings.benchmarks()[name].size for name in names)
    share = ANSWER_SHARE if dag.checkpoint_of(scale_name, system) else BASE_ANSWER_SHARE
    return problems * samples * share * settings.load_scale(scale_name).evaluation.max_new_tokens


def distillation_rules(scale_name: str, paces: dict[str, Pace]) -> list[RulePrice]:
    pace, plans = paces["distill_base"], []
    for system in dag.distilled(scale_name):
        entry = settings.systems()[system]
        assert isinstance(entry, Distilled)
        plans.append(entry.distillation)
    tokens = sum((plan.clean_steps + plan.mixed_steps) * plan.batch_tokens for plan in plans)
    seconds = len(plans) * pace.start + tokens / pace.rate
    return [RulePrice("distill_base", "", len(plans), 0, scaled(seconds))] if plans else []


def job_counts(scale_name: str) -> dict[str, int]:
    """Jobs of every other rule. The workflow's own count is the truth; a test holds the two together."""
    scale = settings.load_scale(scale_name)
    scores = len(dag.scored(scale_name))
    tests = len({name for names in scale.evaluation.suites.values() for name in names})
    if scale.rehearsal:
        return rehearsed_counts(scale_name, tests)
    once = ("tabulate", "resolve_settings", "account_compute", "check_claims", "record_provenance", "write_report")
    counts = {
        "fetch_benchmark": tests,
        "fetch_model": len(dag.fetched(scale_name)),
        "grade_samples": scores,
        "score": scores,
        "draw_figure": 5 if scale.training else 1,
        **dict.fromkeys(once, 1),
    }
    if scale.curation and scale.training:
        sources = len(scale.curation.sources)
        counts |= {"fetch_source": sources, "extract_answers": sources}
        steps = ("deduplicate", "decontaminate", "select_gradable", "summarise_curation", "collect_metrics")
        counts |= dict.fromkeys(steps, 1)
        counts["schedule_prompts"] = len(dag.segments(scale_name))
        counts["preflight"] = sum(segment.starts_stage for segment in dag.segments(scale_name))
    return {rule: jobs for rule, jobs in counts.items() if jobs}


def rehearsed_counts(scale_name: str, tests: int) -> dict[str, int]:
    """Of a rehearsal, which draws up a judgement in place of tables and figures."""
    scale = settings.load_scale(scale_name)
    sources = len(scale.curation.sources) if scale.curation else 0
    steps = ("deduplicate", "decontaminate", "select_gradable", "collect_metrics", "judge_rehearsal", "require_go")
    counts = {
        "fetch_benchmark": tests,
        "fetch_model": len(dag.fetched(scale_name)),
        "grade_samples": len(dag.evaluated(scale_name)),
        "fetch_source": sources,
        "extract_answers": sources,
        **dict.fromkeys(steps, 1),
        "resolve_settings": 2,  # its own, and those of the scale that it rehearses
        "schedule_prompts": len(dag.segments(scale_name)),
        "preflight": sum(segment.starts_stage for segment in dag.segments(scale_name)),
    }
    return {rule: jobs for rule, jobs in counts.items() if jobs}


def refitted(scale_name: str, measured: dict[tuple[str, str], tuple[int, float]]) -> dict[str, Pace]:
    """Paces from measured (rule, stage) → (jobs, seconds): a job's start takes up the model's error."""
    price, paces = estimate_processor(scale_name), dict(PACES)
    seen: dict[str, tuple[int, float, float]] = {}
    for entry in price.rules:
        found = measured.get((entry.rule, entry.stage))
        if found and found[0]:
            jobs, seconds, expected = seen.get(entry.rule, (0, 0.0, 0.0))
            share = entry.seconds.expected / entry.jobs * found[0]
            seen[entry.rule] = (jobs + found[0], seconds + found[1], expected + share)
    for rule, (jobs, seconds, expected) in seen.items():
        old = paces.get(rule, LIGHT)
        paces[rule] = replace(old, start=max(0.0, old.start + (seconds - expected) / jobs))
    return paces
