"""Settings that do not decide a rule's files, each with its reason. Whatever is not named here counts.

Keys are dotted, relative to the section or entry that a rule reads; one that names a section stands for all below it.
A setting that is added tomorrow is in none of these lists: it counts, and a file is made once too often rather than
left behind. `digests.py` says which rule uses which list.
"""

Harmless = dict[str, str]
"""Dotted key → the reason why it decides nothing."""

PRINTED = "printed for people"
BY_INPUT = "reaches the rule as an input file, whose change is seen"
ELSEWHERE = "another rule reads it"
MACHINES = "where a job runs and how it is cut, not what it computes"
REHEARSED = "what is judged of a run, and a kill that changes no result"
PACE = "how hard an interface is driven, not what it answers"

NAMES: Harmless = {
    "name": "stands in the path of every file",
    "description": PRINTED,
}
RUNNING: Harmless = NAMES | {
    "resources": MACHINES,
    "budget": "what may be spent, not what is bought",
    "claims": ELSEWHERE,
    "rehearsal": REHEARSED,
}

SOURCE: Harmless = dict.fromkeys(("title", "licence", "redistribution", "citation", "note"), PRINTED)
"""Of an entry of sources.yaml, for its rows."""
BENCHMARK: Harmless = dict.fromkeys(("title", "licence", "redistribution", "citation", "note"), PRINTED) | {
    "column": "the name of a column of the tables",
    "flags": "marks problems when they are scored",
}
"""Of an entry of benchmarks.yaml, for its problems."""
SCORED_BENCHMARK: Harmless = dict.fromkeys(("kind", "repository", "revision", "files", "fields", "size"), BY_INPUT) | {
    **dict.fromkeys(("licence", "redistribution", "citation", "note"), PRINTED),
}
"""For its scores."""
TABLE_BENCHMARK: Harmless = {key: reason for key, reason in SCORED_BENCHMARK.items() if key not in ("kind", "size")}
"""For the tables, which say how many problems a set has, and compare nothing with the paper where it is synthetic."""

WEIGHTS: Harmless = {
    **dict.fromkeys(("title", "licence", "redistribution", "note"), PRINTED),
    "parameters": "for the plan and figure 5",
    "paper": "what the paper reports",
    "prompting": ELSEWHERE,
    "sampling": ELSEWHERE,
}
"""Of an entry of models.yaml, for fetched weights."""
DISTILLED: Harmless = {key: reason for key, reason in WEIGHTS.items() if key != "prompting"}
"""For distilled weights: they learn from prompts."""
SAMPLES: Harmless = {
    key: reason for key, reason in WEIGHTS.items() if key not in ("prompting", "sampling")
} | dict.fromkeys(("kind", "repository", "revision", "files", "chat_template", "distillation"), BY_INPUT)
"""For samples: how the model is asked."""
PROMPTS: Harmless = SAMPLES | {"sampling": ELSEWHERE}
"""For what is only read or counted as prompts."""
UPDATES: Harmless = PROMPTS | dict.fromkeys(("prompting.suffix", "prompting.separator", "prompting.system"), BY_INPUT)
"""For training, of its base: the prompts are written out, the rule of form is not."""
ROWS: Harmless = dict.fromkeys(
    ("repository", "revision", "files", "chat_template", "distillation", "prompting", "sampling"), BY_INPUT
)
"""For the tables and figures."""
PLANNED: Harmless = dict.fromkeys(("title", "licence", "redistribution", "note"), PRINTED) | dict.fromkeys(
    ("repository", "revision", "files", "chat_template", "paper", "prompting.suffix", "prompting.separator"),
    "changes no number of the plan",
)
"""For the plan's hours: kind, parameters, distillation, the think rule and the context count."""

LANGUAGE_MODEL: Harmless = dict.fromkeys(
    ("requests_per_minute", "concurrency", "timeout_seconds", "longest_wait_seconds"), PACE
)
CURATION_STEPS = ("extract_answers", "deduplicate", "decontaminate", "select_gradable")


def curation(step: str, *also: str) -> Harmless:
    """Of a scale, for one step of its curation, which draws no random numbers; `also` counts beside the step itself."""
    others = [name for name in (*CURATION_STEPS, "sources", "embedding", "wording") if name not in (step, *also)]
    return RUNNING | {
        "seed": "nothing is drawn",
        "device": MACHINES,
        "base": BY_INPUT,
        "training": ELSEWHERE,
        "evaluation": ELSEWHERE,
        **{f"curation.{name}": ELSEWHERE for name in others},
        **{f"curation.extract_answers.language_model.{key}": reason for key, reason in LANGUAGE_MODEL.items()},
        **{f"curation.deduplicate.judge.{key}": reason for key, reason in LANGUAGE_MODEL.items()},
    }


TRAINING: Harmless = RUNNING | {
    "base": BY_INPUT,
    "curation": BY_INPUT,
    "evaluation": ELSEWHERE,
    "training.recipe": "a name; what the recipe says counts",
    "training.layout": MACHINES,
    "training.keep_states": "what is kept of unfinished work",
    "training.keep_rollouts": "what is kept of a step, which is the same without",
    "training.health": "stops a run, and changes no step of it",
}
"""Of a scale, for its checkpoints."""
SCHEDULE: Harmless = TRAINING | {"device": MACHINES}
"""For the order of its prompts."""
RECIPE: Harmless = NAMES | {"stages": "the segment's own stage counts"}
"""Of a recipe, for its checkpoints."""
SCHEDULE_RECIPE: Harmless = RECIPE | dict.fromkeys(
    (
        "optimizer",
        "advantage",
        "kl",
        "clip",
        "loss_aggregation",
        "entropy_bonus",
        "reward",
        "lora",
        "updates_per_step",
        "epochs",
        "precision",
        "rollout.samples_per_prompt",
        "rollout.temperature",
        "rollout.top_p",
        "rollout.max_prompt_tokens",
        "rollout.cache",
        "rollout.log_probs_every",
        "rollout.asynchronous",
        "rollout.limit",
        "filtering.enabled",
        "filtering.low",
        "filtering.high",
    ),
    ELSEWHERE,
)
"""For the order of the prompts."""
STAGE_END: Harmless = {"steps": "a stage may grow at its end, while its learning rate is constant"}
SCHEDULE_STAGE: Harmless = STAGE_END | dict.fromkeys(
    (
        *("max_new_tokens", "samples_per_prompt"),
        *("learning_rate", "warmup_ratio", "kl_coefficient", "clip"),
    ),
    ELSEWHERE,
)

EVALUATION: Harmless = RUNNING | {
    "base": BY_INPUT,
    "curation": ELSEWHERE,
    "training": BY_INPUT,
    "evaluation.systems": "a system is sampled and scored by itself",
    "evaluation.suites": "the suite's own benchmarks count",
    "evaluation.shards": "stands in the path",
    "evaluation.curve_every": "which checkpoints are sampled, not how",
}
SAMPLING: Harmless = EVALUATION | {
    **dict.fromkeys(("evaluation.grader", "evaluation.grading", "evaluation.bootstrap_draws"), ELSEWHERE),
    **dict.fromkeys(
        (
            "evaluation.engine.cpu.cache_mb",
            "evaluation.engine.cpu.threads",
            "evaluation.engine.gpu.memory_utilisation",
        ),
        MACHINES,
    ),
}
"""Of a scale, for its samples."""
GRADING: Harmless = {key: reason for key, reason in SAMPLING.items() if key != "evaluation.grading"} | {
    "evaluation.engine": BY_INPUT,
    "evaluation.tensor_parallel": BY_INPUT,
    "seed": BY_INPUT,
    "device": BY_INPUT,
    **dict.fromkeys(
        ("evaluation.temperature", "evaluation.top_p", "evaluation.max_new_tokens", "evaluation.context"), BY_INPUT
    ),
}
"""For its grades, in both modes."""
SCORING: Harmless = {
    key: reason
    for key, reason in GRADING.items()
    if key not in ("seed", "evaluation.grader", "evaluation.bootstrap_draws")
} | {"evaluation.grading": BY_INPUT}
"""For its scores."""
TABLE: Harmless = {
    key: reason for key, reason in SCORING.items() if key not in ("base", "evaluation.systems", "claims")
}
"""For its tables."""
LEDGER: Harmless = (
    NAMES
    | {"rehearsal": REHEARSED}
    | {f"curation.{name}": ELSEWHERE for name in (*CURATION_STEPS, "embedding", "wording")}
)
"""For its ledger, which sets what was used beside what the plan expects: the number of sources too."""
CLAIMS: Harmless = {key: reason for key, reason in RUNNING.items() if key != "claims"} | dict.fromkeys(
    ("device", "seed", "base", "curation", "training", "evaluation"), BY_INPUT
)
"""For its claims, which are checked in its results."""
