"""The rollouts of a segment as they are kept: a Parquet file a step, with every sample that was drawn for it.

    {run folder}/rollouts/step-00007.parquet    written before the step is trained, and again where it is repeated
    {checkpoint}/rollouts/step-00007.parquet    the same files (hard links); checkpoint.json has their digests

The columns are `records.ROLLOUT`. Texts are not kept but as tokens, whose decoding is what was graded. Equal steps have
equal files. Nothing that training reads again depends on them: they are evidence (training/replay).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deepscaler import records
from deepscaler.errors import UserError
from deepscaler.files import link, sha256

FOLDER = "rollouts"
"""In a run folder, and beside a checkpoint's manifest."""


def path_of(folder: Path, step: int) -> Path:
    """The file of a step of the stage."""
    return folder / f"step-{step:05}.parquet"


def write(path: Path, rows: Iterable[dict[str, Any]], seed: int, total_step: int) -> None:
    """Whole or not at all.

    Raises JobError where the disk is full.
    """
    records.write(path, rows, records.ROLLOUT, {"seed": str(seed), "total_step": str(total_step)})


def read(path: Path) -> list[dict[str, Any]]:
    """The samples of a step, in the order in which they were sent.

    Raises UserError where the file is gone or of another shape.
    """
    if not path.exists():
        raise UserError("the rollouts of this step were not kept, or are not here", path)
    rows: list[dict[str, Any]] = records.read(path, records.ROLLOUT).to_pylist()
    for number, row in enumerate(rows):
        if not isinstance(row["prompt_text"], str) or not all(map(are_tokens, (row["prompt_tokens"], row["tokens"]))):
            raise UserError(f"sample {number} has no prompt, or tokens that are none", path)
    return rows


def are_tokens(values: list[int | None] | None) -> bool:
    return values is not None and all(value is not None and value >= 0 for value in values)


def link_all(folder: Path, target: Path, first: int, last: int) -> dict[str, str] | None:
    """Put the kept files of steps first+1 … last into `target`; their digests by name, None where there are none."""
    kept = [path for step in range(first + 1, last + 1) if (path := path_of(folder, step)).exists()]
    for path in kept:
        target.mkdir(exist_ok=True)
        link(str(path), str(target / path.name))
    return {path.name: sha256(path) for path in kept} or None


def change(manifest_folder: Path, digests: dict[str, str]) -> str | None:
    """Which kept file is not what a manifest says, or None. A file that is not there has been left out."""
    for name, digest in digests.items():
        path = manifest_folder / FOLDER / Path(name).name
        if path.exists() and sha256(path) != digest:
            return f"{FOLDER}/{path.name}"
    return None
