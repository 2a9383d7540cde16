"""`deepscaler publish`: a checkpoint's folder as `hf upload` takes it, with its card; no network is needed."""

import shutil
from pathlib import Path

from deepscaler import dag, settings
from deepscaler.errors import UserError
from deepscaler.evaluation.requests import Protocol, protocol_of
from deepscaler.files import read_json, sha256, write_json, write_text, writing
from deepscaler.folders import is_within
from deepscaler.records import Checkpoint
from deepscaler.reporting.publication.model_card import Scores, card
from deepscaler.settings.base import validate
from deepscaler.settings.models import Published

GENERATION = "generation_config.json"
LEFT_BEHIND = ("metrics.jsonl",)
"""Of a checkpoint's files, what a repository of weights does not have: the card has the table of steps' ends."""


def publish(*, checkpoint: Path, to: Path) -> None:
    """Lay out a checkpoint for publication in a new folder.

    Raises:
        UserError: there is no whole checkpoint, the folder has something in it, or its base's licence does not say that
            what was trained from it may be passed on.
    """
    folder = checkpoint.parent if checkpoint.name == "checkpoint.json" else checkpoint
    manifest = validate(Checkpoint, read_json(folder / "checkpoint.json"), folder / "checkpoint.json")
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UserError("the folder to publish to exists and is not empty", to, "name a new one")
    segment = f"{manifest.stage}-{manifest.segment}"
    check_base(manifest.scale)
    files = {name: digest for name, digest in manifest.files.items() if name not in LEFT_BEHIND}
    scores = scores_of(manifest.scale, segment)
    sampling = protocol_of(manifest.scale, str(settings.load_scale(manifest.scale).base))
    with writing(to) as aside:
        aside.mkdir()
        for name, digest in files.items():
            copy(folder, aside, name, digest)
        write_json(aside / GENERATION, read_json(aside / GENERATION) | intended(sampling))
        shutil.copyfile(folder / "checkpoint.json", aside / "checkpoint.json")
        write_text(aside / "README.md", card(manifest, scores, sampling))
    size = sum(path.stat().st_size for path in to.iterdir()) / 1e6
    print(f"{to}: {len(files) + 2} files, {size:,.1f} MB; to upload it: hf upload OWNER/NAME {to}")


def check_base(scale: str) -> None:
    """What was trained from weights may be passed on where the weights may."""
    name = str(settings.load_scale(scale).base)
    entry = settings.systems()[name]
    if isinstance(entry, Published) and entry.redistribution != "yes":
        raise UserError(
            f"trained from {name}, whose licence does not say that this may be passed on",
            f"config/models.yaml, {name}.redistribution",
            "say `yes` there once you know it",
        )


def copy(folder: Path, aside: Path, name: str, digest: str) -> None:
    if not is_within(name):
        raise UserError(f"its manifest names a file outside of the folder: {name!r}", folder)
    source, target = folder / name, aside / name
    if not source.is_file():
        raise UserError("not whole: a file of its manifest is missing", source)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    if sha256(target) != digest:
        raise UserError("not the file that its manifest names: another SHA-256", source)


def intended(sampling: Protocol) -> dict[str, object]:
    """The sampling of the evaluation, which loaders take as the model's own."""
    return {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p}


def scores_of(scale: str, segment: str) -> Scores:
    """The scores of every suite in which a checkpoint was evaluated, under its own name or that of its stage."""
    names = [name for name in (segment, *dag.evaluated(scale)) if dag.checkpoint_of(scale, name) == segment]
    folder = settings.run_root() / "results" / scale / "scores"
    paths = [path for name in names for path in sorted(folder.glob(f"{name}-*.json"))]
    return {path.stem: read_json(path) for path in paths}
