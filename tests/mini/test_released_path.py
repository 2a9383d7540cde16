"""The workflow itself on a scale like `released`: published systems by pin, real problems by pin, four shards, kills.

Its models are tiny ones in a local hub, one that thinks and one that does not; AIME 2024 is the paper's own file.
"""

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import tiny_hub
from deepscaler import records
from mini_checkout import command, copy_checkout, environment

pytestmark = [pytest.mark.engine, pytest.mark.timeout(3600)]

SHARDS, SAMPLES = 4, 4
SCALE = {
    **tiny_hub.SCALE,
    "evaluation": {
        **tiny_hub.SCALE["evaluation"],
        "suites": {"table": ["aime-2024", "second"]},
        "shards": {"table": SHARDS},
        "samples": SAMPLES,
        "max_new_tokens": 128,
        "context": 1152,
    },
}


@pytest.fixture(scope="module")
def checkout(root, shared, tmp_path_factory):
    """A copy of the checkout with the scale `tiny`, and a hub that holds the paper's AIME as a clone would."""
    folder = tmp_path_factory.mktemp("released") / "checkout"
    copy_checkout(root, folder)
    tiny_hub.build(folder, SCALE)
    data = folder / "hub/github/agentica-project/deepscaler/deepscaler/data"
    data.mkdir(parents=True)
    (data / "test").symlink_to(shared / "data" / "benchmarks")
    return folder


def start(checkout: Path, log: Path) -> subprocess.Popen:
    site = {"DEEPSCALER_HUB": str(checkout / "hub")}
    with log.open("w") as stream:
        return subprocess.Popen(
            [*command(checkout)[1:2], "--profile", "profiles/workstation", "results/tiny/table.csv"],
            **{"cwd": checkout, "env": environment(checkout) | site, "stdout": stream, "stderr": stream},
            start_new_session=True,
        )


def kept(checkout: Path) -> dict[str, int]:
    """Finished requests of unfinished shards, by file."""
    return {
        str(path.relative_to(checkout)): path.read_bytes().count(b"\n")
        for path in checkout.glob("work/.kept/samples/*/*/drawn.jsonl")
    }


def texts(checkout: Path) -> str:
    return "\n".join(path.read_text(errors="replace") for path in checkout.glob("logs/tiny/sample/*.log"))


def until_a_shard_is_drawn(checkout: Path, process: subprocess.Popen, known: dict[str, int]) -> dict[str, int]:
    """Wait until a shard that was not `known` has its first answers; those of all such shards."""
    deadline = time.monotonic() + 1800
    while process.poll() is None and time.monotonic() < deadline:
        if new := {name: count for name, count in kept(checkout).items() if count and name not in known}:
            return new
        time.sleep(0.02)
    return {}


@pytest.fixture(scope="module")
def ran(checkout, tmp_path_factory):
    """The table, made in three runs of the command that is documented for one GPU.

    The first is killed with all that it started, while a shard is being sampled; of the second Snakemake alone, while
    another one is, so that its job lives on.
    """
    logs = tmp_path_factory.mktemp("logs")
    runs = [start(checkout, logs / "killed")]
    try:
        left = until_a_shard_is_drawn(checkout, runs[0], {})
        os.killpg(runs[0].pid, signal.SIGKILL)
        runs[0].wait()
        time.sleep(1)
        left = {name: count for name, count in kept(checkout).items() if count}
        runs.append(start(checkout, logs / "orphaned"))
        orphaned = until_a_shard_is_drawn(checkout, runs[1], left)
        resumed = texts(checkout)
        runs[1].kill()
        runs[1].wait()
        runs.append(start(checkout, logs / "again"))
        runs[2].wait(1800)
    finally:
        for run in runs:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
    assert runs[-1].returncode == 0, (logs / "again").read_text()[-6000:]
    return checkout, left, orphaned, resumed, (logs / "again").read_text()


def test_what_was_kept_before_the_kill_was_not_sampled_again(ran):
    checkout, left, _, resumed, _ = ran
    assert left
    for count in left.values():
        assert f"{count} of them kept from before" in resumed
    assert kept(checkout) == {}


def test_what_an_orphan_drew_was_waited_for_and_not_sampled_again(ran):
    checkout, _, orphaned, _, again = ran
    assert len(orphaned) == 1
    assert "To stop them instead: kill" in again
    shard = (30 + 6) * SAMPLES // SHARDS
    assert f"{shard} samples, {shard} of them kept from before" in texts(checkout)


def test_every_sample_is_there_once_in_even_shards(ran):
    checkout, *_ = ran
    for system in tiny_hub.SYSTEMS:
        shards = sorted(checkout.glob(f"work/tiny/samples/{system}/table-*of{SHARDS}.parquet"))
        tables = [records.read(path, records.COMPLETION).to_pylist() for path in shards]
        assert [len(rows) for rows in tables] == [(30 + 6) * SAMPLES // SHARDS] * SHARDS
        assert len({(row["problem_id"], row["sample"]) for rows in tables for row in rows}) == 36 * SAMPLES
        metadata = {records.metadata(path)["model"] for path in shards}
        assert json.loads(metadata.pop())["revision"] == tiny_hub.COMMIT
        assert not metadata


def test_the_real_problems_were_held_against_their_digest(ran):
    checkout, *_ = ran
    metadata = records.metadata(checkout / "work/tiny/benchmarks/aime-2024.parquet")
    assert metadata["verified"] == "sha256"


def test_the_table_has_the_systems_and_the_paper_beside_them(ran):
    checkout, *_ = ran
    with (checkout / "results/tiny/table.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [row["model"] for row in rows] == ["Thinking", "Instruct", "O1-Preview"]
    assert [row["samples"] for row in rows] == ["144", "144", "-"]
    assert [row["aime_2024_paper"] for row in rows] == ["1.5", "1.5", "-"]
    for row in rows:
        assert float(row["average"]) == pytest.approx((float(row["aime_2024"]) + float(row["math_500"])) / 2, abs=1e-4)
    for row in rows[:2]:
        right = float(row["aime_2024"]) / 100 * 30 * SAMPLES
        assert right == pytest.approx(round(right), abs=0.01)
    scores = json.loads((checkout / "results/tiny/scores/thinking-table.json").read_text())
    assert scores["benchmarks"]["aime-2024"]["total"] == 30 * SAMPLES


# --- its archive --------------------------------------------------------------------------------------------------


def deepscaler(checkout: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", "from deepscaler.cli import main; main()", *arguments]
    env = environment(checkout) | {"DEEPSCALER_HUB": str(checkout / "hub")} | variables
    return subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, timeout=1800, check=False)


@pytest.fixture(scope="module")
def archived(ran, tmp_path_factory):
    """The whole of the scale, packed; what others own is named in it."""
    checkout, *_ = ran
    process = subprocess.run(
        [*command(checkout)[1:2], "--profile", "profiles/workstation", "tiny"],
        **{"cwd": checkout, "env": environment(checkout) | {"DEEPSCALER_HUB": str(checkout / "hub")}},
        capture_output=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-4000:]
    path = tmp_path_factory.mktemp("archive") / "tiny.tar.gz"
    done = deepscaler(checkout, "archive", "--scale", "tiny", "--to", str(path))
    assert done.returncode == 0, done.stderr
    return checkout, path


def test_the_archive_holds_no_problems_and_weights_of_others(archived):
    _, path = archived
    with tarfile.open(path) as tar:
        names = tar.getnames()
        files = json.load(tar.extractfile("archive.json"))["files"]
    for name in ("work/tiny/benchmarks/aime-2024.parquet", "work/tiny/models/thinking/model.safetensors"):
        assert name not in names
        assert len(files[name]["sha256"]) == 64
    assert files["work/tiny/benchmarks/aime-2024.parquet"]["left_out"].endswith("may not be passed on: aime-2024")
    assert files["work/tiny/models/thinking/model.safetensors"]["left_out"].startswith("published: acme/thinking")
    assert {"work/tiny/models/thinking/model.json", "work/tiny/samples/instruct/table-4of4.parquet"} <= set(names)


@pytest.mark.parametrize("depth", [("grade",), ("sample", "--system", "instruct")])
def test_the_archive_is_verified_where_nothing_was_made_before(archived, tmp_path, depth):
    """Problems and weights are fetched by their pins, since the archive has their digests alone."""
    checkout, path = archived
    done = deepscaler(checkout, "reverify", str(path), "--depth", *depth, DEEPSCALER_WORK=str(tmp_path / "empty"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Verified: " in done.stdout
