"""A checkpoint's card in the hub's format: front matter with its scores, then what it is, was made by, and is not."""

from typing import Any

from deepscaler import dag, settings
from deepscaler.evaluation.requests import Protocol
from deepscaler.records import Checkpoint
from deepscaler.settings.models import Published
from deepscaler.text import markdown

Scores = dict[str, dict[str, Any]]
"""System and suite → what `score` wrote."""
LICENCES = {"MIT": "mit", "Apache-2.0": "apache-2.0"}
"""Of config/models.yaml → the hub's identifier."""


def card(manifest: Checkpoint, scores: Scores, sampling: Protocol) -> str:
    """README.md of a published checkpoint."""
    sections = [
        f"# DeepScaleR, scale {manifest.scale}, step {manifest.total_step} ({manifest.stage})",
        what_it_is(manifest),
        "## Scores",
        score_table(scores) if scores else "Not evaluated.",
        "## How to sample it",
        how_to_sample(sampling),
        "## How it was made",
        lineage(manifest),
        "## What it is not",
        "A model for conversation, or for anything but mathematical problems with one closed answer: it was rewarded "
        "for final answers alone, and its reasoning may be wrong where its answer is right.",
    ]
    return f"---\n{front_matter(manifest, scores)}\n---\n\n" + "\n\n".join(sections) + "\n"


def front_matter(manifest: Checkpoint, scores: Scores) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    entry = settings.systems()[str(settings.load_scale(manifest.scale).base)]
    licence = LICENCES.get(entry.licence or "", "other") if isinstance(entry, Published) else "mit"
    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=benchmark,
            dataset_name=found["title"],
            metric_type="pass@1",
            metric_value=found["pass_at_1"],
            metric_name=f"Pass@1 of {found['samples']} samples, grader {score['grader']}",
            metric_args={"standard_error": found["standard_error"]},
        )
        for score in unique(scores).values()
        for benchmark, found in score["benchmarks"].items()
    ]
    data = ModelCardData(
        model_name=f"deepscaler-{manifest.scale}-{manifest.total_step}",
        base_model=entry.repository if isinstance(entry, Published) else None,
        license=licence,
        language="en",
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["math", "reinforcement-learning", "grpo", "deepscaler"],
        eval_results=results or None,
    )
    return data.to_yaml().strip()


def unique(scores: Scores) -> Scores:
    """Of suites that share a benchmark, the first: the hub takes one result of a benchmark."""
    seen: set[str] = set()
    found = {}
    for name, score in scores.items():
        new = {key: value for key, value in score["benchmarks"].items() if key not in seen}
        seen |= set(new)
        found[name] = {**score, "benchmarks": new}
    return found


def what_it_is(manifest: Checkpoint) -> str:
    scale = settings.load_scale(manifest.scale)
    base = settings.systems()[str(scale.base)]
    origin = f"[{base.title}](https://huggingface.co/{base.repository})" if isinstance(base, Published) else base.title
    return (
        f"{origin} after {manifest.total_step} steps of GRPO with a verifiable reward, by recipe "
        f"`{scale.training.recipe if scale.training else ''}` at scale `{manifest.scale}`: {scale.description}."
    )


def score_table(scores: Scores) -> str:
    rows = [
        [
            found["title"],
            f"{found['problems']} × {found['samples']}",
            f"{found['pass_at_1']:.1f} ± {found['standard_error']:.1f}",
            f"{found['strict']['pass_at_1']:.1f}",
            f"{found['tokens']['all']:,.0f}",
            f"{found['truncated']:.1f} %",
        ]
        for score in unique(scores).values()
        for found in score["benchmarks"].values()
    ]
    head = ["benchmark", "problems × samples", "Pass@1 (%)", "strict grader", "tokens", "truncated"]
    return markdown(head, rows) + "\n± is the standard error over problems and samples."


def how_to_sample(sampling: Protocol) -> str:
    how = sampling.prompting
    system = f"the system message is {how.system!r}" if how.system else "there is no system message"
    return (
        f"Temperature {sampling.temperature}, top-p {sampling.top_p}, up to {sampling.max_new_tokens:,} new tokens in "
        f"a context of {sampling.context:,}. The user's message is the problem, then {how.separator!r} and "
        f"{how.suffix!r}; {system}. The chat template is this repository's; thinking: {how.think}."
    )


def lineage(manifest: Checkpoint) -> str:
    before = [s.id for s in dag.segments(manifest.scale)]
    own = f"{manifest.stage}-{manifest.segment}"
    chain = " → ".join([str(settings.load_scale(manifest.scale).base), *before[: before.index(own) + 1]])
    rows = [
        ["checkpoints", chain],
        ["step of its stage, of all", f"{manifest.step}, {manifest.total_step}"],
        ["recipe", f"digest `{manifest.recipe_digest}`, seed {manifest.seed}"],
        ["parent", f"`{manifest.parent}`"],
        ["prompts", f"`{manifest.prompts_sha256}`"],
        *([["processor", manifest.processor]] if manifest.processor else []),
        ["versions", ", ".join(f"{name} {version}" for name, version in sorted(manifest.versions.items()))],
    ]
    return markdown(["what", "value"], rows) + "\n`checkpoint.json` has the SHA-256 of every file as it was trained."
