"""`model.json`: what a model's folder holds, where it came from, and the digests that say it is whole."""

from pathlib import Path

from deepscaler.files import sha256
from deepscaler.records import ModelManifest
from deepscaler.versions import installed

NAME = "model.json"


def manifest_for(
    folder: Path,
    system: str,
    *,
    packages: list[str],
    repository: str | None = None,
    revision: str | None = None,
    verified: str | None = None,
    files: dict[str, str] | None = None,
    seed: int | None = None,
) -> ModelManifest:
    """The manifest of everything in `folder`, with the versions of the packages that made it.

    `files` gives the digests (file name → SHA-256) where they are known already: weights take minutes to read.
    """
    if files is None:
        found = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != NAME)
        files = {str(path.relative_to(folder)): sha256(path) for path in found}
    return ModelManifest(
        system=system,
        repository=repository,
        revision=revision,
        verified=verified,
        files=files,
        versions={package: installed(package) or "not installed" for package in packages},
        seed=seed,
    )
