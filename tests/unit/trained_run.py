"""A run of three training steps in two segments, with everything that is kept of them, made without an engine.

The samples are written by hand, some right and some wrong; what is logged comes from this package's own second
implementation of training. So it is consistent with itself: that OpenRLHF's training is the same is for
tests/mini/test_equal_training.py to show.
"""

import json
import shutil
from itertools import count
from pathlib import Path
from typing import Any

import yaml
from deepscaler import dag, records, settings
from deepscaler.dag.chain import Segment
from deepscaler.files import read_jsonl, sha256, write_json
from deepscaler.reward.pool import GradingPool
from deepscaler.settings import load
from deepscaler.settings.models import Distilled
from deepscaler.training import train_segment
from deepscaler.training.collect_metrics import collect_metrics
from deepscaler.training.openrlhf.rollouts import seed_of
from deepscaler.training.replay.evidence import Grader, Kept
from deepscaler.training.replay.policy import Learner, Sequence, log_probs
from deepscaler.training.replay.policy import load as load_policy
from deepscaler.training.replay.steps import Setting, step
from deepscaler.training.run import checkpoint, kept_rollouts
from deepscaler.training.run.run_folder import RunFolder
from deepscaler.training.watch.metrics import append_row, make_row

SCALE, SAMPLES = "audited", 4
RECIPE = {
    "extends": "mini",
    "description": "Three steps that are audited",
    "rollout": {"prompts_per_step": 3, "samples_per_prompt": SAMPLES},
    "updates_per_step": 2,
    "filtering": {"enabled": True, "draws": 2.0},
    "stages": [{"name": "8k", "max_new_tokens": 40, "steps": 3}],
}
LAYOUT = {"nodes": 1, "gpus_per_node": 1, "segment_steps": 2, "save_steps": 1, "max_tokens_per_gpu": 160}


def write_settings(root: Path, folder: Path) -> None:
    """A configuration with the scale `audited`."""
    shutil.copytree(root / "config", folder / "config")
    scale = yaml.safe_load((root / "config" / "scales" / "mini.yaml").read_text())
    scale["training"] = {"recipe": SCALE, "layout": {"8k": {**LAYOUT, "zero_stage": 2}}}
    scale["evaluation"]["systems"] = ["mini-base", "deepscaler-8k"]
    (folder / "config" / "scales" / f"{SCALE}.yaml").write_text(yaml.safe_dump(scale))
    (folder / "config" / "recipes" / f"{SCALE}.yaml").write_text(yaml.safe_dump(RECIPE))


def forget_settings() -> None:
    """What was read of another checkout."""
    for value in vars(load).values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()


def make(folder: Path) -> None:
    """Everything that `replay` reads, below work/ and results/. The environment names the folder as the checkout."""
    import torch

    torch.set_num_threads(1)
    work = folder / "work" / SCALE
    base = make_base(work)
    problems = [
        dict.fromkeys(records.PROBLEM.names)
        | {"id": f"t/{n:03}", "source": "t", "problem": f"add:a{n % 10}b{n // 10}", "answer": str(n % 7)}
        for n in range(30)
    ]
    records.write(work / "train.parquet", problems, records.PROBLEM)
    recipe = settings.load_recipe(SCALE)
    stage = recipe.stage("8k")
    setting = Setting(recipe, stage, dag.layout(SCALE, "8k"), load_policy(base.parent, zero_stage=2))
    learner = Learner(base.parent, recipe, stage, zero_stage=2)
    tokenizer = tokenizer_of(base.parent)
    parent, metrics = base, []
    with GradingPool() as pool:
        grader = Grader(tokenizer, pool, recipe, "prefilled")
        for segment in dag.segments(SCALE):
            parent = make_segment(work, segment, parent, learner, setting, grader)
            metrics.append(parent.with_name(checkpoint.METRICS))
    collect_metrics(scale_name=SCALE, metrics=metrics, output=folder / "results" / SCALE / "training.csv")


def tokenizer_of(folder: Path) -> Any:
    from deepscaler.models.templates import load_tokenizer

    return load_tokenizer(folder)


def make_base(work: Path) -> Path:
    import torch
    from deepscaler.miniature.tokenizer import build_tokenizer
    from deepscaler.models.distill_base import make_model, save

    entry = settings.systems()["mini-base"]
    assert isinstance(entry, Distilled)
    base = work / "models" / "mini-base"
    base.mkdir(parents=True)
    torch.manual_seed(0)
    tokenizer = build_tokenizer(entry.prompting.separator + entry.prompting.suffix)
    save(make_model(entry.distillation.architecture, tokenizer), tokenizer, base)
    files = {path.name: sha256(path) for path in sorted(base.iterdir())}
    manifest = records.ModelManifest(
        system="mini-base", repository=None, revision=None, files=files, versions={}, seed=0
    )
    write_json(base / "model.json", manifest.model_dump())
    return base / "model.json"


def make_segment(
    work: Path, segment: Segment, parent: Path, learner: Learner, setting: Setting, grader: Grader
) -> Path:
    from deepscaler.training.schedule_prompts import schedule_prompts

    prompts = work / "prompts" / f"{segment.id}.jsonl"
    schedule_prompts(scale_name=SCALE, segment_id=segment.id, problems=work / "train.parquet", output=prompts)
    run = RunFolder(work / "runs" / segment.id)
    run.hf.mkdir(parents=True)
    shutil.copyfile(prompts, run.prompts)
    sent = count()
    for number in range(segment.first + 1, segment.last + 1):
        total = segment.total_last - segment.last + number
        rows = sampled(list(read_jsonl(prompts)), sent, total, learner, setting, grader)
        kept_rollouts.write(kept_rollouts.path_of(run.rollouts, number), rows, 42, total)
        kept = Kept("made", kept_rollouts.read(kept_rollouts.path_of(run.rollouts, number)))
        logged, _ = step(learner, kept.samples(), setting)
        logged |= kept.logged(grader.verdicts(kept.rows), setting.recipe, 80)
        append_row(run.metrics, make_row(number, total, segment.stage, segment.id, logged))
    learner.model.save_pretrained(run.hf)
    grader.tokenizer.save_pretrained(run.hf)
    target = work / "checkpoints" / segment.id
    train_segment.export(SCALE, segment, run, parent, dag.training_digest(SCALE, segment.id))
    checkpoint.publish(run.export, target)
    return target / checkpoint.MANIFEST


def sampled(
    scheduled: list[dict[str, Any]], sent: Any, total: int, learner: Learner, setting: Setting, grader: Grader
) -> list[dict[str, Any]]:
    """The samples of a step: some of a prompt's are right, and of every third prompt all, so that it is dropped."""
    rows: list[dict[str, Any]] = []
    accepted = 0
    for prompt in count():
        if accepted == setting.recipe.rollout.prompts_per_step:
            return rows
        line = scheduled[next(sent)]
        right = SAMPLES if prompt % 3 == 2 else 1 + prompt % (SAMPLES - 1)
        group = [sample(line, prompt, k, k < right, total, grader.tokenizer) for k in range(SAMPLES)]
        for row, verdict in zip(group, grader.verdicts(group), strict=True):
            row |= {"reward": float(verdict.correct), "reason": verdict.reason, "trained": right < SAMPLES}
            row["log_probs"] = drawn(learner, row, setting)
        accepted += right < SAMPLES
        rows += group
    raise AssertionError


def sample(line: dict[str, Any], prompt: int, k: int, right: bool, total: int, tokenizer: Any) -> dict[str, Any]:
    text = tokenizer.apply_chat_template(line["input"], tokenize=False, add_generation_prompt=True)
    [gold] = json.loads(line["label"])
    answer = gold if right else str((int(gold) + 1 + k) % 10)
    response = f"Hmm.\n</think>\n\\boxed{{{answer}}}{tokenizer.eos_token}"
    return {
        "prompt": prompt,
        "sample": k,
        "seed": seed_of(42, total, prompt) + k,
        "prompt_text": text,
        "label": line["label"],
        "prompt_tokens": tokenizer(text, add_special_tokens=False)["input_ids"],
        "tokens": tokenizer(response, add_special_tokens=False)["input_ids"],
        "truncated": False,
    }


def drawn(learner: Learner, row: dict[str, Any], setting: Setting) -> list[float]:
    """The policy's own log-probabilities, as a sampler would have them."""
    import torch

    sequence = Sequence(row["prompt_tokens"] + row["tokens"], len(row["prompt_tokens"]))
    with torch.no_grad():
        [(found, _)] = log_probs(learner.model, [sequence], setting.temperature)
    values: list[float] = found.tolist()
    return values
