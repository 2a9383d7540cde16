"""Files against the record of provenance, and weights against what their manifests say of them and of each other."""

from collections.abc import Iterator
from functools import cache

from deepscaler import dag, settings
from deepscaler.errors import UserError
from deepscaler.files import read_json, sha256
from deepscaler.folders import is_within
from deepscaler.records import Checkpoint
from deepscaler.reporting.file_names import manifest_name, path_of
from deepscaler.reporting.provenance.lineage import Lineage, Source
from deepscaler.reporting.provenance.record_provenance import MANIFESTS
from deepscaler.training.run import checkpoint, kept_rollouts

SHOWN = 12
"""Digits of a digest in messages."""


class Files:
    """Digests of files, each read once; what differs comes as lines."""

    def __init__(self) -> None:
        self.digest = cache(sha256)

    def against_record(self, walked: list[Source], lineage: Lineage) -> Iterator[str]:
        """What differs from its record: the files of a lineage, and the weights beside manifests."""
        folders = {source.name.rsplit("/", 1)[0] + "/" for source in walked if source.name.endswith(MANIFESTS)}
        beside = [s for name, s in lineage.sources.items() if any(name.startswith(folder) for folder in folders)]
        for source in {source.name: source for source in (*walked, *beside)}.values():
            yield from self.one(source.name, source.digest, "recorded")

    def against_manifests(self, scale: str, systems: list[str]) -> Iterator[str]:
        """Weights that are not those of their manifest, and checkpoints that are not their parent's child."""
        for system in systems:
            segment, seen = dag.checkpoint_of(scale, system), set()
            name: str | None = manifest_name(scale, system)
            while name and name not in seen:
                seen.add(name)
                yield from self.of_manifest(name)
                parent = self.parent(scale, segment)
                if segment and parent and path_of(name).is_file() and path_of(parent).is_file():
                    yield from self.link(name, parent, f"work/{scale}/prompts/{segment}.jsonl")
                segment, name = dag.segment(scale, segment).parent if segment else None, parent

    def parent(self, scale: str, segment: str | None) -> str | None:
        """The manifest of what a segment started from; None of a base model."""
        if segment is None:
            return None
        before = dag.segment(scale, segment).parent or settings.load_scale(scale).base
        return manifest_name(scale, before) if before else None

    def of_manifest(self, name: str) -> Iterator[str]:
        path = path_of(name)
        if not path.is_file():
            yield f"{name}: is gone"
            return
        said, folder = read_json(path), name.rsplit("/", 1)[0]
        files, kept = said.get("files"), said.get("rollouts") or {}
        if not isinstance(files, dict) or not isinstance(kept, dict) or not files:
            yield f"{name}: lists no files"
            return
        kept = {f"{kept_rollouts.FOLDER}/{file}": digest for file, digest in kept.items()}
        for file, digest in (files | kept).items():
            if not is_within(file):
                yield f"{name}: names a file outside of its folder"
            elif file not in kept or path_of(f"{folder}/{file}").exists():  # rollouts may be left out of what is shown
                yield from self.one(f"{folder}/{file}", str(digest), f"{path.name} says")

    def link(self, name: str, parent: str, prompts: str) -> Iterator[str]:
        """Whether a checkpoint's manifest names the parent and the prompts that the settings give it."""
        try:
            manifest = checkpoint.read_manifest(path_of(name))
            assert isinstance(manifest, Checkpoint)  # by its file's name
            found = checkpoint.parent_of(path_of(name), manifest)
        except UserError as error:
            yield f"{name}: {error.what}"
            return
        if found.resolve() != path_of(parent).resolve():
            yield f"{name}: its parent is {found}, not {parent}"
        path = path_of(prompts)
        if path.is_file() and manifest.prompts_sha256 != self.digest(path):
            yield f"{name}: was trained on other prompts than {prompts}"

    def one(self, name: str, digest: str, who: str) -> Iterator[str]:
        path = path_of(name)
        if not path.is_file():
            yield f"{name}: is gone"
            return
        try:
            found = self.digest(path)
        except UserError as error:
            yield f"{name}: {error.what}"
            return
        if found != digest:
            yield f"{name}: sha256 is {found[:SHOWN]}, {who} {digest[:SHOWN]}"
