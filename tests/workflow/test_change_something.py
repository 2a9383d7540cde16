"""docs/change-something.md: its files are made, and its commands would run the jobs that it shows."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_reruns import finished, snakemake  # noqa: F401 (a fixture)

YAML = re.compile(r"```yaml\n# (config/[\w./-]+)(: added)?\n(.*?)```", re.DOTALL)
CONSOLE = re.compile(r"```console\n\$ \S+/snakemake --profile \S+ (\S+) -n\n(.*?)```", re.DOTALL)
RECORDS = {"resolve_settings", "account_compute", "check_claims", "record_provenance", "write_report", "mini", "total"}
"""What holds a scale's settings, and so is written anew with any of them."""
SECTIONS = ("Another recipe", "A test set of your own", "A model of your own")


def section(root: Path, title: str) -> str:
    text = (root / "docs" / "change-something.md").read_text(encoding="utf-8")
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def added(values: Any, more: Any) -> Any:
    """A YAML file's content with a few more keys."""
    if not isinstance(values, dict) or not isinstance(more, dict):
        return more
    return values | {key: added(values.get(key), value) for key, value in more.items()}


def write(folder: Path, text: str) -> list[Path]:
    """The files of a section."""
    made = []
    for name, more, content in YAML.findall(text):
        path = folder / name
        values = yaml.safe_load(content)
        if more:
            values = added(yaml.safe_load(path.read_text(encoding="utf-8")), values)
        else:
            assert not path.exists()
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        made.append(path)
    return made


@pytest.fixture
def changed(finished: Path) -> Path:  # noqa: F811
    """The finished checkout, with config/ put back afterwards."""
    kept = finished.with_name("kept")
    shutil.copytree(finished / "config", kept)
    yield finished
    shutil.rmtree(finished / "config")
    kept.rename(finished / "config")


def jobs(folder: Path, target: str) -> dict[str, int]:
    """Rule → the jobs of it that would run."""
    told = snakemake(folder, target, "--dry-run", "--rerun-triggers", "mtime", "params", "input", "code")
    stats = told.partition("Job stats:")[2].partition("\n\n")[0]
    return {name: int(count) for name, count in re.findall(r"^([\w-]+) +(\d+)$", stats, re.MULTILINE)}


@pytest.mark.parametrize("title", SECTIONS)
def test_the_commands_run_the_jobs_that_are_shown(root: Path, changed: Path, title: str) -> None:
    text = section(root, title)
    assert write(changed, text)
    [(target, shown)] = CONSOLE.findall(text)
    counts = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", shown, re.MULTILINE)}
    assert counts
    found = jobs(changed, target)
    assert {name: found.get(name) for name in counts} == counts
    if title == "A test set of your own":
        assert sum(found.values()) - found.get("total", 0) == sum(counts.values()), found
    assert set(jobs(changed, "mini")) <= RECORDS, "what was there is not made again"


def test_in_the_suite_of_the_table_it_would_be_decontaminated_again(root: Path, changed: Path) -> None:
    write(changed, section(root, "A test set of your own"))
    path = changed / "config/scales/mini.yaml"
    scale = yaml.safe_load(path.read_text(encoding="utf-8"))
    scale["evaluation"]["suites"]["table"].append("my-set")
    path.write_text(yaml.safe_dump(scale), encoding="utf-8")
    assert {"decontaminate", "train_segment", "sample"} <= set(jobs(changed, "mini"))


def test_the_test_set_is_read(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry of the page, with a folder that exists."""
    import pyarrow.parquet as pq
    from deepscaler.evaluation.fetch_benchmark import fetch_benchmark
    from deepscaler.settings import load

    shutil.copytree(root / "config", tmp_path / "config")
    write(tmp_path, section(root, "A test set of your own"))
    data = tmp_path / "my-set"
    data.mkdir()
    rows = [{"question": f"{n} + {n}?", "answer": str(2 * n)} for n in range(3)]
    (data / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    path = tmp_path / "config/benchmarks.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("file:///home/me/my-set", data.as_uri()), encoding="utf-8")
    monkeypatch.setenv("DEEPSCALER_ROOT", str(tmp_path))
    for cached in (load.benchmarks, load.load_scale, load.site):
        cached.cache_clear()
    try:
        fetch_benchmark(benchmark="my-set", output=tmp_path / "out.parquet")
    finally:
        for cached in (load.benchmarks, load.load_scale, load.site):
            cached.cache_clear()
    assert pq.read_table(tmp_path / "out.parquet")["problem"].to_pylist() == ["0 + 0?", "1 + 1?", "2 + 2?"]
