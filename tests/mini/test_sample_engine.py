"""A tiny model in the hub's format through exactly the path of `released`, on the real engine.

fetch by pin → prompt → sample → grade → score → table, by the CLI as the rules call it. The model's weights are random:
what it says is worthless, and everything about how it is asked, cut, kept and counted is the same.
"""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_hub
import yaml
from deepscaler import records
from tiny_hub import COMMIT, SYSTEMS

pytestmark = [pytest.mark.engine, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def project(root, tmp_path_factory):
    """A checkout with a scale, two models and two benchmarks of its own, and a local hub that holds them."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(root / "config", folder / "config")
    tiny_hub.build(folder, tiny_hub.SCALE)
    return folder


def start(project: Path, *arguments: object, work: str = "work") -> subprocess.Popen:
    """A verb; in another work root no answers are kept yet."""
    command = [sys.executable, "-c", "from deepscaler.cli import main; main()", *map(str, arguments)]
    own = {"DEEPSCALER_ROOT": str(project), "DEEPSCALER_HUB": str(project / "hub"), "DEEPSCALER_WORK": work}
    environment = {**os.environ, **own}
    return subprocess.Popen(
        command, env=environment, cwd=project, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def deepscaler(project: Path, *arguments: object, code: int = 0, work: str = "work") -> str:
    process = start(project, *arguments, work=work)
    output = process.communicate(timeout=900)[0]
    assert process.returncode == code, output
    return output


@pytest.fixture(scope="module")
def fetched(project):
    """Both models and both benchmarks, fetched."""
    for name in ("first", "second"):
        place = project / f"work/{name}.parquet"
        deepscaler(project, "fetch_benchmark", "--scale", "tiny", "--benchmark", name, "--output", place)
    for name in SYSTEMS:
        place = project / f"work/models/{name}/model.json"
        printed = deepscaler(project, "fetch_model", "--scale", "tiny", "--system", name, "--output", place)
        assert f"acme/{name}@{COMMIT}" in printed
        assert json.loads(place.read_text())["verified"] == "revision"
    return project


def sampling(project: Path, system: str, output: Path, shard: int = 1, shards: int = 1) -> list[object]:
    model, sets = (
        project / f"work/models/{system}/model.json",
        [project / f"work/{n}.parquet" for n in ("first", "second")],
    )
    return [
        *("sample", "--scale", "tiny", "--system", system, "--model", model, "--benchmarks", *sets),
        *("--shard", shard, "--shards", shards, "--output", output),
    ]


@pytest.fixture(scope="module")
def sampled(fetched):
    """Every system's samples in one shard."""
    for name in SYSTEMS:
        printed = deepscaler(fetched, *sampling(fetched, name, fetched / f"work/{name}-1of1.parquet"))
        assert "tokens/s" in printed
    return fetched


def rows_of(*paths: Path) -> list[dict]:
    rows = [row for path in paths for row in records.read(path, records.COMPLETION).to_pylist()]
    return sorted(rows, key=lambda row: (row["problem_id"], row["sample"]))


def test_every_completion_is_stored_with_what_made_it(sampled):
    path = sampled / "work/thinking-1of1.parquet"
    rows = rows_of(path)
    assert len(rows) == 2 * 6 * 4
    assert len({row["seed"] for row in rows}) == len(rows)
    assert all(0 < row["tokens"] <= 64 and row["finish_reason"] in ("stop", "length") for row in rows)
    metadata = {key: json.loads(value) for key, value in records.metadata(path).items()}
    assert metadata["model"]["revision"] == COMMIT
    assert metadata["protocol"]["temperature"] == 0.6
    assert metadata["versions"]["torch"]
    assert metadata["engine"]["context"] == 256


def test_four_shards_give_the_samples_of_one(sampled):
    """Each in a work root of its own: in that of the one they would be found, and put together."""
    paths = [sampled / f"work/apart-{shard}/thinking-{shard}of4.parquet" for shard in (1, 2, 3, 4)]
    for shard, path in enumerate(paths, start=1):
        deepscaler(sampled, *sampling(sampled, "thinking", path, shard, 4), work=f"work/apart-{shard}")
        assert len(rows_of(path)) == 12
    assert rows_of(*paths) == rows_of(sampled / "work/thinking-1of1.parquet")


def test_the_table_of_both_systems_and_a_reported_one(sampled):
    sets = [sampled / f"work/{n}.parquet" for n in ("first", "second")]
    for name in SYSTEMS:
        common = ["--scale", "tiny", "--system", name]
        grades, scores = sampled / f"work/grades/{name}.parquet", sampled / f"results/{name}.json"
        samples = ["--samples", sampled / f"work/{name}-1of1.parquet", "--benchmarks", *sets]
        deepscaler(sampled, "grade_samples", *common, *samples, "--output", grades)
        deepscaler(sampled, "score", *common, "--suite", "table", "--grades", grades, "--output", scores)
    names = {"--table": "csv", "--markdown": "md", "--tokens": "t", "--agreement": "a", "--comparisons": "c"}
    outputs = [part for flag, name in names.items() for part in (flag, sampled / "results" / name)]
    scores = [sampled / f"results/{name}.json" for name in SYSTEMS]
    grades = [sampled / f"work/grades/{name}.parquet" for name in SYSTEMS]
    deepscaler(sampled, "tabulate", "--scale", "tiny", "--scores", *scores, "--grades", *grades, *outputs)
    with (sampled / "results/csv").open() as handle:
        table = list(csv.DictReader(handle))
    assert [row["model"] for row in table] == ["Thinking", "Instruct", "O1-Preview"]
    assert table[0]["aime_2024"] == table[0]["math_500"] == "0.0000"  # measured, and nothing was right
    assert table[2]["math_500"] == "81.4000"
    assert [row["average"] for row in table] == ["0.0000", "0.0000", "60.7000"]  # of the suite's two sets
    assert table[0]["revision"] == COMMIT
    assert "| O1-Preview † | 40.0 | 81.4 | 60.7 |" in (sampled / "results/md").read_text().replace("**", "")


def test_a_killed_shard_resumes_with_what_it_had(sampled):
    whole, cut = sampled / "work/instruct-1of1.parquet", sampled / "work/cut/instruct-1of1.parquet"
    process = start(sampled, *sampling(sampled, "instruct", cut), work="work/cut")
    deadline = time.monotonic() + 600
    while not (kept := kept_lines(sampled / "work/cut")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = kept_lines(sampled / "work/cut")
    assert kept
    assert not cut.exists()
    printed = deepscaler(sampled, *sampling(sampled, "instruct", cut), work="work/cut")
    assert f"{kept} of them kept from before" in printed
    assert rows_of(cut) == rows_of(whole)
    assert not kept_lines(sampled / "work/cut")


def test_a_finished_shard_is_put_back_without_an_engine(sampled):
    output = sampled / "work/instruct-1of1.parquet"
    before = output.read_bytes()
    output.unlink()
    printed = deepscaler(sampled, *sampling(sampled, "instruct", output))
    assert "48 of them kept from before" in printed
    assert "tokens/s" not in printed
    assert output.read_bytes() == before


def test_another_scale_that_asks_the_same_draws_nothing(sampled):
    (sampled / "config/scales/other.yaml").write_text("extends: tiny\ndescription: the same once more\n")
    output = sampled / "work/other/thinking-1of1.parquet"
    printed = deepscaler(
        sampled, *("other" if word == "tiny" else word for word in sampling(sampled, "thinking", output))
    )
    assert "48 of them kept from before" in printed
    assert "tokens/s" not in printed
    assert rows_of(output) == rows_of(sampled / "work/thinking-1of1.parquet")


def kept_lines(work: Path) -> int:
    drawn = next(work.glob(".kept/samples/*/*/drawn.jsonl"), None)
    return drawn.read_bytes().count(b"\n") if drawn else 0


def test_verify_draws_what_a_verdict_needs_and_sample_finds_it(fetched):
    """Random weights are right one time in some hundred: below 60 % is clear at once, below 5 % after some batches."""
    work = "work/verified"
    shutil.copytree(fetched / "work/models", fetched / work / "tiny/models")
    for name in ("first", "second"):
        target = fetched / work / f"tiny/benchmarks/{name}.parquet"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(fetched / f"work/{name}.parquet", target)
    claims = fetched / "claims.yaml"
    claims.write_text(own_claims(fetched / "config/claims.yaml", clear=60, close=5))
    clear = ("verify", "clear", "--scale", "tiny", "--claims", claims)
    printed = deepscaler(fetched, *clear, work=work)
    assert "drawing samples 1 to 4 of thinking" in printed
    assert "clear: met by " in printed
    printed = deepscaler(fetched, "verify", "close", *clear[2:], "--samples", 6, code=4, work=work)
    assert "drawing samples 5 to 6 of thinking" in printed
    assert "close: not decided by 6 samples a problem: " in printed
    output = fetched / work / "tiny/samples/thinking/table-1of1.parquet"
    model = fetched / work / "tiny/models/thinking/model.json"
    command = [model if str(part).endswith("model.json") else part for part in sampling(fetched, "thinking", output)]
    assert "48 samples, 48 of them kept from before" in deepscaler(fetched, *command, work=work)
    assert "0 core-hours were used" in deepscaler(fetched, *clear, work=work)


def own_claims(path: Path, **most: float) -> str:
    """A file of claims with some about the average of `thinking`."""
    content = yaml.safe_load(path.read_text())
    common = {"statement": "s", "section": "s", "scales": ["tiny"], "comparison": "at_most", "unit": "%", "reason": "r"}
    measure = {"of": "table", "system": "thinking", "column": "average"}
    content["claims"] = [{"id": name, "expected": value, "measure": measure, **common} for name, value in most.items()]
    content["effort"]["tiny"] = content["effort"]["mini"]
    return yaml.safe_dump(content)
