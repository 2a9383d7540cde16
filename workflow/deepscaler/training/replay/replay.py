"""Train again from the kept rollouts, and compare with what was logged. For people; no rule.

A step follows from the weights and the optimizer before it. Neither is kept for every step, so a stage is walked from
the weights that it started from, without sampling, to the last step that was asked for; all steps on the way are
compared too. Of a segment that is walked to its end the weights are compared as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from deepscaler import dag
from deepscaler.dag.chain import Segment
from deepscaler.errors import DeepscalerError, JobError, UserError
from deepscaler.files import read_jsonl, sha256
from deepscaler.folders import is_within
from deepscaler.foreign import csv_rows
from deepscaler.hub import first_line
from deepscaler.models.templates import load_tokenizer
from deepscaler.records import Checkpoint, ModelManifest
from deepscaler.reward.pool import GradingPool
from deepscaler.settings import load_recipe, load_scale, run_root, site
from deepscaler.settings.recipe import Recipe
from deepscaler.text import printable
from deepscaler.training.command import manifest_of
from deepscaler.training.replay.compare import Comparison, cells_differ, compared, table
from deepscaler.training.replay.evidence import Grader, Kept
from deepscaler.training.replay.policy import Learner, load
from deepscaler.training.replay.steps import Setting, step
from deepscaler.training.run import checkpoint, kept_rollouts
from deepscaler.training.watch.metrics import Row, read_rows, steps_of
from deepscaler.versions import processor

SHOWN = 20
"""Differences of a step that are printed."""


def replay(*, scale_name: str, total_step: int | None, segment_id: str | None, every: bool) -> None:
    """Print each asked step's numbers beside the log's.

    Raises:
        UserError: nothing was asked, or what it takes is not there.
        JobError: something differs; each difference is printed and names its file.
    """
    recipe = recipe_of(scale_name)
    wanted = wanted_steps(scale_name, total_step, segment_id, every)
    found: list[str] = []
    for stage, group in groupby(dag.segments(scale_name), key=lambda segment: segment.stage):
        own = [segment for segment in group if wanted & set(total_steps(segment))]
        if own:
            last = dag.segments(scale_name).index(own[-1])
            chain = [segment for segment in dag.segments(scale_name)[: last + 1] if segment.stage == stage]
            for line in guarded(Walk(scale_name, recipe, chain, wanted).differences()):
                print(printable(f"DIFFERS  {line}"), flush=True)
                found.append(line)
    if found:
        raise JobError(f"{len(found)} things differ, first: {found[0]}")
    print(
        f"{len(wanted)} step{'s' if len(wanted) > 1 else ''} follow{'' if len(wanted) > 1 else 's'} from what was kept"
    )


def guarded(lines: Iterator[str]) -> Iterator[str]:
    """An error on the way is a line, too: weights, or a table of the right columns, may hold anything."""
    try:
        yield from lines
    except DeepscalerError:
        raise
    except Exception as error:
        yield f"malformed, so that the rest was not compared: {type(error).__name__}: {first_line(error)}"


def recipe_of(scale_name: str) -> Recipe:
    training = load_scale(scale_name).training
    if training is None:
        raise UserError(f"scale {scale_name!r} does not train")
    recipe = load_recipe(training.recipe)
    if recipe.precision.parameters != "bf16":
        raise UserError("replay computes in bf16 alone", f"recipe {recipe.name}: precision.parameters")
    if recipe.lora:
        raise UserError("steps that train adapters (LoRA) are not replayed", f"recipe {recipe.name}: lora")
    return recipe


def total_steps(segment: Segment) -> range:
    before = segment.total_last - segment.last
    return range(before + segment.first + 1, segment.total_last + 1)


def wanted_steps(scale_name: str, total_step: int | None, segment_id: str | None, every: bool) -> set[int]:
    if [total_step is not None, segment_id is not None, every].count(True) != 1:
        raise UserError("one of --step, --segment and --all says what is replayed")
    chain = [dag.segment(scale_name, segment_id)] if segment_id else dag.segments(scale_name)
    steps = {number for segment in chain for number in total_steps(segment)}
    if total_step is None:
        return steps
    if total_step not in steps:
        raise UserError(f"scale {scale_name!r} trains steps 1 to {max(steps)}, not {total_step}", "--step")
    return {total_step}


@dataclass
class Walk:
    """One stage, from its start to the last step that is wanted."""

    scale: str
    recipe: Recipe
    chain: list[Segment]
    """The stage's segments up to there."""
    wanted: set[int]
    """Total steps."""
    work: Path = field(init=False)

    def __post_init__(self) -> None:
        self.work = run_root() / site().work / self.scale

    def differences(self) -> Iterator[str]:
        """What differs, as lines; the numbers are printed as they come."""
        import torch

        for segment in self.chain:
            if not self.manifest(segment).exists():
                raise UserError(f"segment {segment.id} is not finished", self.manifest(segment))
        start = manifest_of(self.scale, self.work, self.chain[0].parent)
        yield from files_differ(start)
        if load_scale(self.scale).device == "cpu":  # sums split by threads
            torch.set_num_threads(dag.needs(self.scale, "train_segment").cpus or 1)
        stage, layout = self.recipe.stage(self.chain[0].stage), dag.layout(self.scale, self.chain[0].stage)
        learner = Learner(start.parent, self.recipe, stage, layout.zero_stage)
        reference = load(start.parent, layout.zero_stage) if self.recipe.kl.coefficient > 0 else None
        setting = Setting(self.recipe, stage, layout, reference)
        grading = self.recipe.reward.grading
        think = dag.prompting_entry(self.scale, load_scale(self.scale).base or "").prompting.think
        with GradingPool(seconds=grading.seconds, memory_mb=grading.memory_mb) as pool:
            grader = Grader(load_tokenizer(start.parent), pool, self.recipe, think)
            for segment in self.chain:
                yield from self.segment_differs(segment, learner, setting, grader)

    def manifest(self, segment: Segment) -> Path:
        return manifest_of(self.scale, self.work, segment.id)

    def segment_differs(self, segment: Segment, learner: Learner, setting: Setting, grader: Grader) -> Iterator[str]:
        """A segment's files, its steps as far as they are wanted, and its weights after the last."""
        path = self.manifest(segment)
        manifest = checkpoint.read_manifest(path)
        assert isinstance(manifest, Checkpoint)
        yield from files_differ(path)
        prompts = self.work / "prompts" / f"{segment.id}.jsonl"
        if sha256(prompts) != manifest.prompts_sha256:
            yield f"{prompts}: was another file when the segment was trained"
        if manifest.recipe_digest != (ours := dag.training_digest(self.scale, segment.id)):
            yield f"{path}: trained under the settings {manifest.recipe_digest}, those of this checkout are {ours}"
        same_class = manifest.processor == processor()
        if not same_class:
            print(
                f"{segment.id} was trained on {manifest.processor}, this is {processor()}: numbers are near, not equal"
            )
        rows = steps_of(read_rows(path.with_name(checkpoint.METRICS)), segment.first, segment.last)
        scheduled, cells = Scheduled(list(read_jsonl(prompts))), training_csv(self.scale)
        for row, total in zip(rows, total_steps(segment), strict=True):
            if total > max(self.wanted & set(total_steps(self.chain[-1]))):
                return
            kept = self.kept(path.parent, int(row["step"]))
            if unusable := list(kept.shape_differs(self.recipe, self.recipe.samples_of(setting.stage))):
                yield from unusable
                raise JobError(f"no step from {total} on can be replayed: {unusable[0]}")
            yield from kept.seeds_differ(manifest.seed, total)
            yield from kept.prompts_differ(grader.tokenizer, scheduled.take(kept.sent))
            yield from kept.filtering_differs(self.recipe)
            verdicts = grader.verdicts(kept.rows)
            yield from kept.verdicts_differ(verdicts)
            found, apart = step(learner, kept.samples(), setting)
            if not self.recipe.rollout.asynchronous.enabled:  # whose samples came from older weights
                yield from kept.sampling_differs(apart)
            context = self.recipe.rollout.max_prompt_tokens + setting.stage.max_new_tokens
            comparisons = compared(row, found | kept.logged(verdicts, self.recipe, context), same_class)
            self.show(segment, total, kept, comparisons)
            where = f"{shown(path.with_name(checkpoint.METRICS))}, step {row['step']}"
            yield from (one.line(where) for one in comparisons if not one.near)
            if total in cells:
                yield from (f"training.csv, step {total}, {line}" for line in cells_differ(row, cells[total]))
        if same_class:
            yield from weights_differ(learner.model, path.with_name("model.safetensors"))

    def kept(self, folder: Path, number: int) -> Kept:
        path = kept_rollouts.path_of(folder / kept_rollouts.FOLDER, number)
        return Kept(shown(path), kept_rollouts.read(path))

    def show(self, segment: Segment, total: int, kept: Kept, comparisons: list[Comparison]) -> None:
        title = f"step {total} ({segment.id}): {len(kept.rows)} samples of {kept.sent} prompts graded again"
        alike = all(one.near for one in comparisons)
        if {total} == self.wanted:
            print("\n".join([title, *table(comparisons)]), flush=True)
        else:
            print(f"{title}, {len(comparisons)} numbers {'as logged' if alike else 'NOT all as logged'}", flush=True)


class Scheduled:
    """A segment's prompt file, which dynamic filtering may read again from its start."""

    def __init__(self, lines: list[Row]) -> None:
        self.lines, self.position = lines, 0

    def take(self, count: int) -> list[Row]:
        places = range(self.position, self.position + count)
        self.position += count
        return [self.lines[place % len(self.lines)] for place in places]


def files_differ(path: Path) -> Iterator[str]:
    """Files beside a manifest that are not those that it describes; rollouts that were left out are not missed."""
    manifest: Checkpoint | ModelManifest = checkpoint.read_manifest(path)
    kept = manifest.rollouts if isinstance(manifest, Checkpoint) else None
    folder = path.parent / kept_rollouts.FOLDER
    known = {folder / name: digest for name, digest in (kept or {}).items() if is_within(name)}
    rollouts = {file: digest for file, digest in known.items() if file.exists()}
    files = {path.parent / name: digest for name, digest in manifest.files.items() if is_within(name)}
    for file, digest in (files | rollouts).items():
        if not file.is_file():
            yield f"{shown(file)}: is gone"
        elif (found := sha256(file)) != digest:
            yield f"{shown(file)}: sha256 is {found[:12]}, {path.name} says {digest[:12]}"


def weights_differ(model: Any, path: Path) -> Iterator[str]:
    """The recomputed weights against a checkpoint's, bit for bit."""
    from transformers.modeling_utils import load_state_dict

    stored = load_state_dict(str(path))
    values = changed = 0
    for name, weight in model.named_parameters():
        values += weight.numel()
        other = stored.get(name)
        same = other is not None and other.shape == weight.shape
        changed += int((weight.detach().cpu() != other).sum()) if same else weight.numel()
    if changed:
        yield f"{shown(path)}: {changed:,} of {values:,} weights are not those that follow"
    else:
        print(f"{shown(path)}: all {values:,} weights follow, bit for bit", flush=True)


def training_csv(scale_name: str) -> dict[int, dict[str, str]]:
    """Rows by total step; empty where the table has not been made."""
    path = run_root() / "results" / scale_name / "training.csv"
    return {int(row["total_step"]): row for row in csv_rows(path)} if path.exists() else {}


def shown(path: Path) -> str:
    """A file by its folder and name, as messages call it."""
    work = run_root() / site().work
    return str(path.relative_to(work)) if path.is_relative_to(work) else str(path)
