"""Croissant by mlcroissant, cards by the hub's library and `datasets`."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from deepscaler import records
from deepscaler.curation.dataset_card import write_card, write_croissant
from deepscaler.evaluation.fetch_benchmark import fetch_benchmark
from deepscaler.settings import load_scale
from validators import Validator


@pytest.fixture
def described(run: Path, tmp_path: Path) -> Path:
    """A folder with a training set, a benchmark and what describes them."""
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [
        {
            "id": f"mini-math/{n:016x}",
            "source": "mini-math",
            "problem": f"What is {n} + {n}?",
            "solution": None if n % 3 else f"\\boxed{{{2 * n}}}",
            "answer": str(2 * n),
            "answer_raw": str(2 * n),
            "answer_origin": "given" if n % 3 else "boxed",
            "metadata": "{}",
        }
        for n in range(50)
    ]
    records.write(folder / "train.parquet", rows, records.PROBLEM, {})
    curation = load_scale("mini").curation
    assert curation
    write_card(folder / "README.md", "mini", folder / "train.parquet", curation.select_gradable)
    write_croissant(folder / "croissant.json", "mini", folder / "train.parquet")
    fetch_benchmark(
        benchmark="mini-aime-2024",
        output=folder / "mini-aime-2024.parquet",
        description=folder / "mini-aime-2024.croissant.json",
    )
    return folder


@pytest.mark.parametrize("name", ["croissant.json", "mini-aime-2024.croissant.json"])
def test_croissant_is_valid_and_loads(described: Path, validator: Validator, name: str) -> None:
    done = validator("mlcroissant", "validate", "--jsonld", described / name)
    assert done.returncode == 0, done.stderr
    loaded = validator(
        "mlcroissant", "load", "--jsonld", described / name, "--record_set", "problems", "--num_records", "1"
    )
    assert loaded.returncode == 0, loaded.stderr
    assert "problems/problem" in loaded.stdout + loaded.stderr


def test_another_table_is_refused(described: Path, validator: Validator) -> None:
    path = described / "croissant.json"
    description = json.loads(path.read_text())
    description["recordSet"][0]["field"][0]["source"]["fileObject"] = {"@id": "elsewhere.parquet"}
    path.write_text(json.dumps(description))
    assert validator("mlcroissant", "validate", "--jsonld", path).returncode != 0


def test_the_responsible_use_is_told(described: Path) -> None:
    description = json.loads((described / "croissant.json").read_text())
    told = {key for key in description if key.startswith("rai:")}
    assert {"rai:dataCollection", "rai:dataUseCases", "rai:dataLimitations", "rai:personalSensitiveInformation"} <= told


def test_the_card_is_whole(described: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """`datasets` checks the front matter against what it reads, and says what it ignores."""
    from datasets import load_dataset, load_dataset_builder
    from huggingface_hub import DatasetCard

    loaded = load_dataset(str(described), cache_dir=str(tmp_path / "cache"), data_files="train.parquet")
    card = DatasetCard.load(described / "README.md").data.to_dict()
    split = card["dataset_info"]["splits"][0]
    table = pq.read_table(described / "train.parquet")
    assert split == {"name": "train", "num_bytes": table.nbytes, "num_examples": loaded["train"].num_rows}
    assert loaded["train"].column_names == records.PROBLEM.names
    builder = load_dataset_builder(str(described), cache_dir=str(tmp_path / "cache2"))
    assert builder.info.splits["train"].num_examples == table.num_rows
    assert "ignor" not in capfd.readouterr().err.lower()
