"""The folder that a segment is trained in. No rule declares it, so nothing deletes it when a job fails.

    {runs}/{segment}-{digest}/
      run.json          what the digest is made of, and the folder of the segment before
      start/            the stage's starting weights: the reference model (hard links)
      openrlhf/         DeepSpeed's states (deepspeed_states.py)
      metrics.jsonl     a row a step, as they come; a repeated step has two
      measured/         seconds and peak memory of each phase, a file a process (watch/measured.py)
      weights.json      what the checksums of the newest launch showed (openrlhf/weight_checksums.py)
      rollouts/         a file a step (kept_rollouts.py)
      stop              there while the trainer is asked to save and end, beside it its answer (stop_request.py)
      logs/attempt-N/   OpenRLHF's whole output, a folder for each attempt
      hf/               the last step's weights as OpenRLHF wrote them, once it has ended well
      export/           the finished checkpoint; the published one is hard links to it

The digest covers all that decides the result: the recipe's mathematics, the seed, the parent's weights, the prompts. A
changed recipe thus starts a new folder and leaves the old.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deepscaler.dag.chain import Segment
from deepscaler.errors import UserError
from deepscaler.files import digest_of, link, read_json, remove, sha256, write_json
from deepscaler.folders import is_within
from deepscaler.records import Checkpoint, ModelManifest
from deepscaler.training.run import checkpoint, kept_rollouts
from deepscaler.training.run.checkpoint import MANIFEST
from deepscaler.training.run.deepspeed_states import MARKER, State, adopt, refuse_others, states_in
from deepscaler.training.watch import measured


@dataclass(frozen=True)
class RunFolder:
    path: Path

    @property
    def states(self) -> Path:
        return self.path / "openrlhf"

    @property
    def start(self) -> Path:
        return self.path / "start"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def measured(self) -> Path:
        return self.path / measured.FOLDER

    @property
    def weights(self) -> Path:
        return self.path / "weights.json"

    @property
    def stop(self) -> Path:
        return self.path / "stop"

    @property
    def rollouts(self) -> Path:
        return self.path / kept_rollouts.FOLDER

    @property
    def hf(self) -> Path:
        return self.path / "hf"

    @property
    def export(self) -> Path:
        return self.path / "export"

    @property
    def prompts(self) -> Path:
        return self.path / "prompts.jsonl"

    def new_attempt(self) -> Path:
        """A folder for the logs of one more attempt."""
        logs = self.path / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        numbers = [int(path.name.removeprefix("attempt-")) for path in logs.glob("attempt-*")]
        folder = logs / f"attempt-{max(numbers, default=0) + 1}"
        folder.mkdir()
        return folder

    def finished(self) -> Checkpoint | None:
        """The exported checkpoint if it is whole, else None; a damaged one is removed."""
        if not (self.export / MANIFEST).exists():
            return None
        try:
            found = checkpoint.verify_files(self.export / MANIFEST)
        except UserError:
            remove(self.export)
            return None
        assert isinstance(found, Checkpoint)
        return found


def identify(
    runs: Path, segment: Segment, settings_digest: str, parent: Checkpoint | ModelManifest, prompts: Path
) -> tuple[RunFolder, dict[str, object]]:
    """The run folder of a segment, and what its digest is made of."""
    inputs: dict[str, object] = {
        "segment": segment.id,
        "settings": settings_digest,
        "parent_files": {name: digest for name, digest in sorted(parent.files.items()) if name != checkpoint.METRICS},
        "prompts": sha256(prompts),
    }
    return RunFolder(runs / f"{segment.id}-{digest_of(inputs)[:12]}"), inputs


def saved_step(folder: RunFolder, segment: Segment) -> int:
    """The newest step of a segment whose state, or whose final weights, are saved; where it begins if there is none."""
    if folder.hf.exists() or folder.export.exists():
        return segment.last
    steps = [state.step for state in states_in(folder.states) if (state.folder / MARKER).exists()]
    return max(steps, default=segment.first)


DIFFERENCES = {"settings": "other settings", "parent_files": "another parent", "prompts": "other prompts"}
"""What a difference in one of the inputs of a run is called in messages."""


def differences(folder: RunFolder, inputs: dict[str, object], segment: Segment) -> Iterator[str]:
    """Before a new folder is made: how it differs from each older one of the same segment."""
    if (folder.path / "run.json").exists():
        return
    for path in sorted(folder.path.parent.glob(f"{segment.id}-*/run.json")):
        other = read_json(path)
        words = [word for key, word in DIFFERENCES.items() if other.get(key) != inputs[key]]
        yield f"{' and '.join(words)} than in {path.parent}, which stays as it is"


def prepare(folder: RunFolder, inputs: dict[str, object], segment: Segment, parent: Path, prompts: Path) -> None:
    """Fill a new run folder: the reference's weights, the prompts and, within a stage, the state to go on from.

    Raises UserError where the state of the segment before is gone: its optimizer cannot be recreated.
    """
    before = None if segment.starts_stage else folder_before(folder.path.parent, parent)
    link_files(checkpoint.model_files(before.start if before else parent.parent), folder.start)
    remove(folder.prompts)
    link(str(prompts.resolve()), str(folder.prompts))
    if before:
        state = state_at(before, segment.first)
        if not State.at(folder.states, segment.first).folder.exists():
            require_unchanged(state)
        adopt(state, folder.states)
    write_json(folder.path / "run.json", {**inputs, "before": before.path.name if before else None})


def folder_before(runs: Path, parent: Path) -> RunFolder:
    """The run folder that exported the parent checkpoint."""
    digest = checkpoint.digest(parent)
    for manifest in sorted(runs.glob(f"*/export/{MANIFEST}")):
        if checkpoint.digest(manifest) == digest:
            return RunFolder(manifest.parents[1])
    raise UserError(
        "the run folder of the segment before is gone, and with it the optimizer's state and the reference model",
        parent,
        f"delete {parent.parent} to train that segment again (looked in {runs})",
    )


def require_unchanged(state: State) -> None:
    """UserError where a state is not what was saved, or others can write to it."""
    refuse_others(state.folder)
    if change := state.change():
        raise UserError(f"the state that the segment before left {change}", state.folder)


def state_at(before: RunFolder, step: int) -> State:
    state = State.at(before.states, step)
    defect = "is gone" if not state.folder.exists() else state.defect()
    if defect:
        raise UserError(
            f"the state that the segment before left at step {step} {defect}",
            state.folder,
            f"delete {before.path} and the checkpoint made from it to train that segment again",
        )
    return state


def link_files(files: list[Path], target: Path) -> None:
    if target.exists():
        return
    aside = target.with_name(f".{target.name}.part")
    remove(aside)
    aside.mkdir(parents=True)
    for path in files:
        link(str(path.resolve()), str(aside / path.name))
    aside.replace(target)


def remove_unneeded(folder: RunFolder, last: int) -> int:
    """After a segment has finished, remove what no later job needs; returns the bytes freed.

    Of its own states only the last is needed, by the next segment of the stage; of the segments before it, none; nor
    OpenRLHF's copy of the weights, whose files the export has as links.
    """
    freed = 0
    for state in states_in(folder.states):
        if state.step != last:
            freed += state.bytes()
            remove(state.folder)
    remove(folder.hf)
    before = read_json(folder.path / "run.json").get("before")
    seen: set[str] = set()
    while before and is_within(before) and before not in seen:
        seen.add(before)
        older = RunFolder(folder.path.parent / before)
        for state in states_in(older.states):
            freed += state.bytes()
            remove(state.folder)
        record = older.path / "run.json"
        before = read_json(record).get("before") if record.exists() else None
    return freed
