"""Samples drawn anew from the weights of an archive, each shard by a process of its own."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from deepscaler import dag, settings
from deepscaler.errors import UserError
from deepscaler.reporting.archive.again import Again
from deepscaler.reporting.archive.jobs import run_verb
from deepscaler.reporting.file_names import path_of
from deepscaler.reporting.provenance.verification.files import manifest_name
from deepscaler.reporting.provenance.verification.samples import Sampled, try_once
from deepscaler.settings.models import Published


@dataclass(frozen=True)
class Shard:
    """One shard of a system's samples on a suite."""

    sampled: Sampled
    number: int
    """From 1."""
    model: Path
    """The manifest beside the weights."""

    @property
    def name(self) -> str:
        return self.sampled.shards[self.number - 1]


def draw_again(again: Again, systems: list[str]) -> Iterator[str]:
    """Draw the samples of some systems; the name of each shard that is done.

    Raises:
        UserError: weights are neither in the archive nor to be had.
        JobError: the engine failed.
    """
    at_once = again.threads if settings.load_scale(again.scale).device == "cpu" else 1
    shards = list(shards_of(again, systems))
    with ThreadPoolExecutor(at_once) as pool:
        yield from pool.map(lambda shard: draw(again, shard), shards)


def shards_of(again: Again, systems: list[str]) -> Iterator[Shard]:
    models: dict[str, Path] = {}
    tried: set[str] = set()
    for system, suite in dag.scored(again.scale):
        if system in systems:
            models[system] = models.get(system) or weights(again, system, tried)
            sampled = Sampled(again.scale, system, suite)
            yield from (Shard(sampled, number, models[system]) for number in range(1, len(sampled.shards) + 1))


def draw(again: Again, shard: Shard) -> str:
    output, sampled = again.fresh(shard.name), shard.sampled
    output.parent.mkdir(parents=True, exist_ok=True)
    benchmarks = [str(again.place(name)) for name in sampled.benchmarks]
    run_verb(
        again.folder,
        again.fresh("work"),
        "sample",
        *("--scale", again.scale, "--system", sampled.system, "--model", str(shard.model)),
        *("--benchmarks", *benchmarks),
        *("--shard", str(shard.number), "--shards", str(len(sampled.shards)), "--output", str(output)),
    )
    return shard.name


def weights(again: Again, system: str, tried: set[str]) -> Path:
    """The manifest beside a system's weights: the archive's, or the same ones of this computer or the hub."""
    archive, name = again.archive, manifest_name(again.scale, system)
    folder, _, manifest = name.rpartition("/")
    if not archive.holds(name):  # which every archive does, also of weights that it leaves out
        raise UserError(f"{name} is not there: nothing says which weights drew the samples", archive.folder)
    files = [file for file in archive.manifest.files if file.startswith(f"{folder}/")]
    if all(archive.holds(file) for file in files):
        target = again.folder / "weights" / system
        for file in files:  # a folder may hold more than is named
            copy = target / file.removeprefix(f"{folder}/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(archive.path(file), copy)
        try_once(target, dag.prompting_entry(again.scale, system).prompting, tried)
        return target / manifest
    here = path_of(name)
    if here.is_file() and here.read_bytes() == archive.path(name).read_bytes():
        return here
    if isinstance(settings.systems().get(system), Published):
        output = again.folder / "weights" / system / manifest
        words = ("--scale", again.scale, "--system", system, "--output", str(output))
        run_verb(again.folder, again.fresh("work"), "fetch_model", *words)
        return output
    hint = f"make or fetch them here ({here}), or name other systems by --system"
    raise UserError(f"the weights of {system} are in the archive by their digest alone", archive.folder, hint)
