"""What an archive says of itself, held against itself and the settings of this checkout: no job is done again."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from deepscaler import dag, settings
from deepscaler.errors import UserError
from deepscaler.files import read_json
from deepscaler.reporting.archive.opening import Archive
from deepscaler.reporting.provenance.verification.files import manifest_name
from deepscaler.reporting.provenance.verification.numbers import values_differ
from deepscaler.reporting.provenance.verification.samples import Sampled
from deepscaler.settings.yaml_files import read_yaml
from deepscaler.training.run import checkpoint

SETTINGS = "settings.yaml"


def incomplete(archive: Archive) -> Iterator[str]:
    """Files without which nothing could be held to account, that a whole archive of this scale names."""
    names = ["table.csv", "table.md", "tokens.csv", "agreement.csv", "comparisons.csv", SETTINGS, "claims.csv"]
    for system, suite in dag.scored(archive.scale):
        sampled = Sampled(archive.scale, system, suite)
        names += [f"scores/{system}-{suite}.json", *sampled.shards, *sampled.benchmarks, sampled.grades]
        names.append(manifest_name(archive.scale, system))
    for segment in dag.segments(archive.scale):
        folder = f"work/{archive.scale}/checkpoints/{segment.id}"
        names += [f"{folder}/checkpoint.json", f"{folder}/metrics.jsonl", prompts_name(archive.scale, segment.id)]
        names.append("training.csv")
    for name in dict.fromkeys(names):
        if name not in archive.manifest.files:
            yield f"{name}: archive.json does not name it"


def prompts_name(scale: str, segment: str) -> str:
    return f"work/{scale}/prompts/{segment}.jsonl"


def record(archive: Archive) -> dict[str, Any]:
    """Settings, versions and class of processor as the archive says them; empty where it doesn't."""
    said = read_yaml(archive.path(SETTINGS)) if archive.holds(SETTINGS) else {}
    return said if isinstance(said, dict) else {}


def other_settings(archive: Archive) -> Iterator[str]:
    """Settings that differ from this checkout's; those that only one of the two knows are another version's."""
    said, resolved = record(archive), dag.resolved(archive.scale)
    if said.get("digest") != settings.settings_digest(said.get("settings")):
        yield f"{SETTINGS}: its settings are not those of its digest {str(said.get('digest'))[:40]}"
    if said.get("seed") != (seed := settings.load_scale(archive.scale).seed):
        yield f"{SETTINGS}: seed {str(said.get('seed'))[:40]}, this checkout has {seed}"
    ours = json.loads(json.dumps(resolved, default=str))
    theirs = json.loads(json.dumps(said.get("settings"), default=str))
    yield from values_differ(SETTINGS, common(theirs, ours), common(ours, theirs), "this checkout has")


def common(one: Any, other: Any) -> Any:
    """A value without the keys that another lacks, at every level."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: common(one[key], other[key]) for key in one if key in other}
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [common(first, second) for first, second in zip(one, other, strict=True)]
    return one


def broken_chain(archive: Archive) -> Iterator[str]:
    """Weights that are not those of their manifest, and checkpoints that are not their parent's child."""
    for name in archive.manifest.weights:
        if archive.holds(name):
            yield from other_weights(archive, name)
    for segment in dag.segments(archive.scale):
        name = manifest_name(archive.scale, segment.id)
        if not archive.holds(name):
            continue
        before = segment.parent or settings.load_scale(archive.scale).base
        yield from other_parent(archive, name, manifest_name(archive.scale, before or ""))
        yield from other_prompts(archive, name, prompts_name(archive.scale, segment.id))


def other_weights(archive: Archive, name: str) -> Iterator[str]:
    files = read_json(archive.path(name))
    listed = files.get("files") if isinstance(files, dict) else None
    if not isinstance(listed, dict) or not listed:
        yield f"{name}: lists no files"
        return
    for file, digest in listed.items():
        beside = f"{name.rsplit('/', 1)[0]}/{file}"
        entry = archive.manifest.files.get(beside)
        if entry is None:
            yield f"{beside}: archive.json does not name it, {name} does"
        elif entry.sha256 != digest:
            yield f"{beside}: sha256 is {entry.sha256[:12]}, {name} says {str(digest)[:12]}"


def other_parent(archive: Archive, name: str, parent: str) -> Iterator[str]:
    try:
        said = checkpoint.read_manifest(archive.path(name))
        if getattr(said, "parent", None) != checkpoint.digest(archive.path(parent)):
            yield f"{name}: was not trained from {parent}, whose digest is another one"
    except UserError as error:
        yield f"{name}: {error.what}"


def other_prompts(archive: Archive, name: str, prompts: str) -> Iterator[str]:
    content = read_json(archive.path(name))
    said = content.get("prompts_sha256") if isinstance(content, dict) else None
    entry = archive.manifest.files.get(prompts)
    if entry and said != entry.sha256:
        yield f"{name}: was trained on other prompts than {prompts}: {str(said)[:12]}, these are {entry.sha256[:12]}"


def unasked(archive: Archive, place: Callable[[str], Path]) -> Iterator[str]:
    """Samples that no request of these settings can have given: seeds, limits, weights."""
    for system, suite in dag.scored(archive.scale):
        yield from Sampled(archive.scale, system, suite, place).as_asked()
