"""OpenRLHF's command of one segment as text for a shell, with each flag's origin on demand. For people; no rule.

What is printed is built by the functions that train_segment uses: the same flags, the same environment.
"""

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deepscaler import dag
from deepscaler.dag.chain import Segment
from deepscaler.errors import UserError
from deepscaler.settings import load_scale, project_root, run_root, site
from deepscaler.settings.origin import Kind, origin
from deepscaler.training.launch import ray_access, reaper
from deepscaler.training.launch.launch import cpu_environment, launch_environment
from deepscaler.training.launch.ray_on_slurm import STARTED, node_command
from deepscaler.training.launch.spec import Launch, RayCluster
from deepscaler.training.openrlhf.flags import Flag, SegmentPaths, explained_flags
from deepscaler.training.run import checkpoint, run_folder
from deepscaler.training.run.run_folder import RunFolder
from deepscaler.training.train_segment import REWARD_FILE, launch_of

DRIVER = "python -m deepscaler.training.launch.driver"
TEMPORARY = Path("$TMPDIR")
VARIABLES = ("TMPDIR", "HEAD", "PORT", "NODE")
"""Shell variables that the text sets, and uses in later values."""
RAY_MODULE = "deepscaler.training.launch.ray_on_slurm"


@dataclass(frozen=True)
class Files:
    """What a segment starts from and writes to, as the rules name it."""

    parent: Path
    """Manifest of the checkpoint before, or of the base model."""
    start: Path
    """Manifest of the weights that the stage starts from."""
    prompts: Path
    run: RunFolder

    def missing(self) -> list[Path]:
        return [path for path in dict.fromkeys((self.parent, self.start, self.prompts)) if not path.exists()]

    def paths(self) -> SegmentPaths:
        weights, logs = self.run.path / ".hf.part", self.run.path / "logs" / "by-hand"
        return SegmentPaths(self.start.parent, self.prompts, self.run.states, weights, REWARD_FILE, logs)


def command(*, scale_name: str, segment_id: str, explain: bool = False) -> str:
    """A text to be pasted into a shell, which trains a segment as train_segment would.

    Raises:
        UserError: the scale does not train, or has no such segment.
    """
    segment = dag.segment(scale_name, segment_id)
    files = files_of(scale_name, segment)
    launch = launch_of(scale_name, segment, files.run, files.paths())
    flags = explained_flags(scale_name, segment, files.paths())
    driver = explained_driver(scale_name, flags) if explain else plain_driver(flags)
    lines = [
        *introduction(scale_name, segment, files, launch),
        "(",
        "set -e",
        *folders(scale_name, files, segment, launch),
        *environment(launch),
        *(ray_nodes(launch) if launch.nodes > 1 else []),
        *driver,
        ")",
    ]
    return "\n".join(lines)


def files_of(scale_name: str, segment: Segment) -> Files:
    """The files of a segment. Its run folder's name has a digest of the first two, so it is known when they exist."""
    work = run_root() / site().work / scale_name
    first = next(other for other in dag.segments(scale_name) if other.stage == segment.stage)
    parent, start = (manifest_of(scale_name, work, piece.parent) for piece in (segment, first))
    prompts, run = work / "prompts" / f"{segment.id}.jsonl", RunFolder(work / "runs" / f"{segment.id}-by-hand")
    if parent.exists() and prompts.exists():
        digest = dag.training_digest(scale_name, segment.id)
        run, _ = run_folder.identify(work / "runs", segment, digest, checkpoint.read_manifest(parent), prompts)
    return Files(parent, start, prompts, run)


def manifest_of(scale_name: str, work: Path, segment_id: str | None) -> Path:
    if segment_id:
        return work / "checkpoints" / segment_id / checkpoint.MANIFEST
    return work / "models" / str(load_scale(scale_name).base) / checkpoint.BASE_MANIFEST


def introduction(scale_name: str, segment: Segment, files: Files, launch: Launch) -> list[str]:
    where = f"{launch.nodes} nodes" if launch.nodes > 1 else "one node"
    units = (
        f" with {launch.gpus_per_node} GPUs" + (" each" if launch.nodes > 1 else "") if launch.device == "gpu" else ""
    )
    lines = [
        f"Segment {segment.id} of scale {scale_name}, steps {segment.first + 1} to {segment.last}, on {where}{units}.",
        "`deepscaler train_segment` starts this command and makes a checkpoint of what it writes; this only writes",
        f"the weights, to {files.paths().export}",
    ]
    if launch.device == "cpu":
        lines.append("The overlay on PYTHONPATH replaces the flags that need a GPU, after OpenRLHF has checked them.")
    if launch.nodes > 1:
        lines.append(f"Paste it into the shell of a SLURM allocation of {launch.nodes} nodes, on its first node.")
    if missing := files.missing():
        profile = "slurm" if launch.device == "gpu" else "profiles/laptop"
        lines += [
            f"It cannot start yet, since these files do not exist (`snakemake --profile {profile} FILE` makes one):"
        ]
        lines += [f"  {as_target(path)}" for path in missing]
    return [f"# {line}" for line in lines]


def as_target(path: Path) -> Path:
    """A file below the work root under the name that Snakemake knows it by."""
    return Path(site().work, path.relative_to(run_root() / site().work))


def folders(scale_name: str, files: Files, segment: Segment, launch: Launch) -> list[str]:
    """The environment's programs, the run folder with the state to go on from, and a temporary folder."""
    venv = ".venv-gpu" if launch.device == "gpu" else ".venv"
    ray = "kill $(jobs -p); wait; " if launch.nodes > 1 else ""
    variable = reaper.VARIABLE
    stop = f'env -u {variable} python -m deepscaler.training.launch.reaper "${variable}" "$TMPDIR" < /dev/null'
    return [
        f"cd {shlex.quote(str(run_root()))}",
        f'export PATH="$PWD/{venv}/bin:$PATH"',
        f"mkdir -p {shlex.quote(str(files.run.states))} {shlex.quote(str(launch.logs))}",
        *([] if segment.starts_stage else state_lines(files, segment)),
        "export TMPDIR=$(mktemp -d /tmp/dsr-XXXXXX)",
        f"export {variable}=${{TMPDIR##*-}}",
        "# at the end, stop every process that carries this variable, and remove the temporary folder",
        f"trap '{ray}{stop}' EXIT",
    ]


def state_lines(files: Files, segment: Segment) -> list[str]:
    """Within a stage, DeepSpeed's state of the segment before."""
    try:
        before = run_folder.state_at(run_folder.folder_before(files.run.path.parent, files.parent), segment.first)
    except (OSError, UserError):
        return [f"# the state of step {segment.first} that {segment.parent} leaves must be in {files.run.states}"]
    actor = files.run.states / "_actor"
    lines = [
        ["mkdir", "-p", actor],
        ["cp", "--recursive", "--no-clobber", before.folder, actor],
        ["test", "-e", actor / "latest"],
    ]
    make, copy, have = (shlex.join(map(str, words)) for words in lines)
    return [make, copy, f"{have} || printf {before.folder.name} > {shlex.quote(str(actor / 'latest'))}"]


def environment(launch: Launch) -> list[str]:
    """What the launch sets on purpose. Ray's token is made when the text runs, and stands nowhere."""
    values = launch_environment(launch, TEMPORARY)
    del values["TMPDIR"]
    if launch.device == "cpu":
        values |= cpu_environment(launch.cpus, {})
    if launch.nodes == 1:
        values |= ray_access.LOOPBACK | RayCluster.local(launch, TEMPORARY).to_environment()
    lines = [f"unset {' '.join(sorted(ray_access.DROPPED))} ${{!{ray_access.NO_OTHERS}@}}"]
    lines += [f"export {key}={quoted(value)}" for key, value in values.items() if key != "PYTHONPATH"]
    if path := values.get("PYTHONPATH"):
        lines.append(f"export PYTHONPATH={shlex.quote(path)}${{PYTHONPATH:+:$PYTHONPATH}}")
    make = "import secrets; print(secrets.token_hex(32))"
    return [
        *lines,
        f"export {ray_access.MODE}=token",
        f"export {ray_access.TOKEN}=$(python -c {shlex.quote(make)})",
    ]


def ray_nodes(launch: Launch) -> list[str]:
    """Ray's head on this node and a worker on each other, as ray_on_slurm starts them; the driver joins them."""
    cluster = RayCluster.to_join("$HEAD", "$PORT", launch.nodes, TEMPORARY)
    [(variable, value)] = cluster.to_environment().items()
    log, count = f"{shlex.quote(str(launch.logs))}/node-$NODE.log", launch.nodes

    def start(role: str) -> str:
        words = [quoted(word) for word in node_command(launch, "$NODE", "python", [role, "$HEAD", "$PORT"])]
        return f"sleep infinity | env -u TMPDIR -u {reaper.VARIABLE} {' '.join(words)} > {log} 2>&1 &"

    return [
        f"NODES=($(python -c 'from {RAY_MODULE} import *; print(*this_node_first(allocated_nodes())[:{count}])'))",
        f"HEAD=$(python -c 'from {RAY_MODULE} import *; print(address_of_this_node(\"'\"${{NODES[1]}}\"'\"))')",
        f"PORT=$(python -c 'from {RAY_MODULE} import *; print(free_port())')",
        f"export {variable}={quoted(value)}",
        "# Ray's head, on this node",
        "NODE=${NODES[0]}",
        start("head"),
        f"until grep -q {shlex.quote(STARTED.decode())} {log}; do kill -0 $!; sleep 1; done",
        "# Ray's workers, on the other nodes; the driver waits until they have joined",
        f'for NODE in "${{NODES[@]:1}}"; do {start("worker")} done',
        "# the driver, on this node",
    ]


def plain_driver(flags: list[Flag]) -> list[str]:
    return " \\\n  ".join([DRIVER, *(shlex.join(flag.words()) for flag in flags)]).split("\n")


def explained_driver(scale_name: str, flags: list[Flag]) -> list[str]:
    """The same as an array, which may have a comment a line."""
    training = load_scale(scale_name).training
    assert training is not None
    known = originals()
    lines = [(shlex.join(flag.words()), explanation(flag, scale_name, training.recipe, known)) for flag in flags]
    width = max(len(words) for words, _ in lines if len(words) < 60)
    return ["FLAGS=(", *(f"  {words:{width}}  # {text}" for words, text in lines), ")", f'{DRIVER} "${{FLAGS[@]}}"']


def explanation(flag: Flag, scale_name: str, recipe_name: str, known: dict[str, str]) -> str:
    """Where a flag's value comes from, and what the original had."""
    keyed: list[tuple[Kind, str, str]] = [
        *(("recipe", recipe_name, key) for key in flag.recipe),
        *(("scale", scale_name, key) for key in flag.scale),
    ]
    if not keyed:
        source = f"fixed: {flag.reason}"
    else:
        by_file: dict[str, list[str]] = {}
        for entry in keyed:
            file, key = file_and_key(*entry)
            by_file.setdefault(file, []).append(key)
        source = "; ".join(f"{file}: {', '.join(keys)}" for file, keys in by_file.items())
        source += f" ({flag.reason})" if flag.reason else ""
    names = [flag.name, *(general(key) for _, _, key in keyed)]
    had = dict.fromkeys(known[name] for name in names if name in known)
    return source + (f"; original: {'; '.join(had)}" if had else "")


def file_and_key(kind: Kind, name: str, key: str) -> tuple[str, str]:
    """The file that gives a value, and the key in it."""
    found = origin(kind, name, key)
    return (str(found[0].relative_to(project_root())), found[1]) if found else ("in no file", key)


def general(key: str) -> str:
    """A key without its stage: `stages.8k.steps` is `stages.steps`."""
    return re.sub(r"^(stages|training\.layout)\.[^.]+\.(?=\w+$)", r"\1.", key)


def originals() -> dict[str, str]:
    """Setting or flag → what the original had: the table of docs/recipe.md, whose column "setting" names them."""
    path = project_root() / "docs" / "recipe.md"
    rows = (line.strip("|").split(" | ") for line in path.read_text(encoding="utf-8").splitlines())
    return dict(settings_of(rows))


def settings_of(rows: Iterable[list[str]]) -> Iterable[tuple[str, str]]:
    for row in rows:
        if len(row) == len(COLUMNS):
            for name in re.findall(r"`([^`]+)`", row[COLUMNS.index("setting")]):
                yield name, row[COLUMNS.index("original")].strip()


COLUMNS = ("topic", "original", "ours", "setting", "note")
"""Of the table in docs/recipe.md."""


def quoted(value: str) -> str:
    """A word for the shell in which the text's own variables are filled in, and nothing else is."""
    if not any(f"${name}" in value for name in VARIABLES):
        return shlex.quote(value)
    escaped = re.sub(r'(["\\`$])', r"\\\1", value)
    return '"' + re.sub(rf"\\\$({'|'.join(VARIABLES)})\b", r"${\1}", escaped) + '"'
