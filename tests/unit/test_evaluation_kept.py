"""Whatever becomes of an output, no answer that is kept is drawn again, and none is taken for another question's.

All of `sample` runs but for vLLM, in whose place a source of answers says which requests reached it.
"""

import json
import multiprocessing
import os
import time
from pathlib import Path

import pytest
import yaml
from deepscaler import records, settings
from deepscaler.evaluation import kept, sample
from deepscaler.evaluation.vllm_engine import ROOM
from deepscaler.settings import load
from sampling_checkout import SYSTEM, Checkout, Engine, forget


@pytest.fixture
def checkout(root, tmp_path, monkeypatch):
    yield Checkout(root, tmp_path, monkeypatch)
    forget()


def test_a_removed_output_is_put_back_byte_for_byte(checkout):
    checkout.sample(Engine())
    output = checkout.output()
    before, made = output.read_bytes(), time.time()
    output.unlink()  # as Snakemake does before it makes a file again
    checkout.sample(engine := Engine())
    assert engine.asked == []
    assert output.read_bytes() == before
    assert output.stat().st_mtime >= made - 1


def test_the_output_costs_no_room_of_its_own(checkout):
    checkout.sample(Engine())
    [whole] = checkout.output().parent.glob(".kept/*/*/samples.parquet")
    assert whole.samefile(checkout.output())
    assert not list(checkout.output().parent.glob(".kept/*/*/drawn.jsonl"))
    assert [path.name for path in checkout.output().parent.iterdir() if path.is_file()] == ["table-1of1.parquet"]


def test_without_hard_links_it_is_a_copy(checkout, monkeypatch):
    def refused(*_, **__):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    rows = checkout.sample(Engine())
    checkout.output().unlink()
    assert checkout.sample(engine := Engine()) == rows
    assert engine.asked == []


def test_an_output_that_is_still_there_is_made_newer(checkout):
    checkout.sample(Engine())
    os.utime(checkout.output(), (1, 1))
    checkout.sample(Engine())
    assert checkout.output().stat().st_mtime > 1
    assert len(list(checkout.output().parent.iterdir())) == 2


def test_a_killed_shard_draws_the_rest(checkout):
    with pytest.raises(KeyboardInterrupt):
        checkout.sample(first := Engine(fail_after=5))
    assert not checkout.output().exists()
    checkout.sample(second := Engine())
    assert len(first.asked) == 5
    assert sorted(first.asked + second.asked) == sorted(f"one/{p:04d}#{s}" for p in range(3) for s in range(4))


def test_a_benchmark_more_draws_that_benchmark_alone(checkout):
    before = checkout.sample(Engine())
    rows = checkout.sample(engine := Engine(), sets=("one", "two"))
    assert sorted(engine.asked) == sorted(f"two/{p:04d}#{s}" for p in range(2) for s in range(4))
    assert [row for row in rows if row["benchmark"] == "one"] == before
    checkout.sample(engine := Engine())
    assert engine.asked == []  # and one less draws nothing


def test_more_samples_draw_those_alone(checkout):
    checkout.sample(Engine())
    checkout.set("evaluation.samples", 6)
    checkout.sample(engine := Engine())
    assert sorted(engine.asked) == sorted(f"one/{p:04d}#{s}" for p in range(3) for s in (4, 5))
    protocol = json.loads(records.metadata(checkout.output())["protocol"])
    assert protocol["samples"] == 6


def test_another_cut_into_shards_draws_nothing(checkout):
    whole = checkout.sample(Engine())
    engine = Engine()
    parts = [row for shard in (1, 2) for row in checkout.sample(engine, shard, 2)]
    assert engine.asked == []
    assert sorted(parts, key=lambda row: (row["problem_id"], row["sample"])) == whole


def test_another_text_under_the_same_name_is_drawn(checkout):
    checkout.sample(Engine())
    checkout.benchmark("one", ["add:a0b2", "add:a7b7", "add:a2b2"])
    checkout.sample(engine := Engine())
    assert sorted(engine.asked) == [f"one/0001#{number}" for number in range(4)]


DECIDES = {
    "seed": ("seed", 43),
    "temperature": ("evaluation.temperature", 0.7),
    "tensor_parallel": ("evaluation.tensor_parallel", 2),
    "max_sequences": ("evaluation.engine.cpu.max_sequences", 100),
    "dtype": ("evaluation.engine.dtype", "float32"),
}


@pytest.mark.parametrize("name", DECIDES)
def test_what_decides_an_answer_draws_all_and_keeps_the_old(checkout, name):
    before = checkout.sample(Engine())
    [old] = checkout.output().parent.glob(".kept/*/*/samples.parquet")
    checkout.set(*DECIDES[name])
    checkout.sample(engine := Engine())
    assert len(engine.asked) == 12
    assert records.read(old, records.COMPLETION).to_pylist() == before


def prompt_otherwise(checkout, **change: str) -> None:
    path = checkout.folder / "config/models.yaml"
    values = yaml.safe_load(path.read_text())
    values[SYSTEM]["prompting"].update(change)
    path.write_text(yaml.safe_dump(values))
    load.systems.cache_clear()


def test_another_prompt_draws_all(checkout):
    checkout.sample(Engine())
    prompt_otherwise(checkout, suffix="Box it.")
    checkout.sample(engine := Engine())
    assert len(engine.asked) == 12


def test_another_rule_of_grading_draws_nothing(checkout, monkeypatch):
    checkout.sample(Engine())
    monkeypatch.setattr("deepscaler.evaluation.requests.check_think_rule", lambda tokenizer, prompting: None)
    prompt_otherwise(checkout, think="required")
    checkout.sample(engine := Engine())
    assert engine.asked == []
    assert json.loads(records.metadata(checkout.output())["protocol"])["prompting"]["think"] == "required"


def test_other_weights_draw_all(checkout):
    checkout.sample(Engine())
    checkout.weights("1" * 64)
    checkout.sample(engine := Engine())
    assert len(engine.asked) == 12


@pytest.mark.parametrize("key", ["evaluation.engine.cpu.cache_mb", "resources.sample.mem_mb"])
def test_room_and_machines_draw_nothing(checkout, key):
    checkout.sample(Engine())
    checkout.set(key, 999)
    checkout.sample(engine := Engine())
    assert engine.asked == []
    assert key.split(".")[-1] in (*ROOM, "mem_mb")


def test_times_of_training_are_no_weights(checkout):
    """A checkpoint's metrics have seconds in them; the weights alone answer."""
    checkout.weights("0" * 64, **{"metrics.jsonl": "2" * 64})
    checkout.sample(Engine())
    checkout.weights("0" * 64, **{"metrics.jsonl": "3" * 64})
    checkout.sample(engine := Engine())
    assert engine.asked == []


def test_a_newer_version_of_this_package_draws_nothing(checkout, monkeypatch):
    checkout.sample(Engine())
    now = sample.versions
    monkeypatch.setattr(sample, "versions", lambda names: {**now(names), "deepscaler": "99"})
    checkout.sample(engine := Engine())
    assert engine.asked == []
    monkeypatch.setattr(sample, "versions", lambda names: {**now(names), "vllm": "99"})
    checkout.sample(engine := Engine())
    assert len(engine.asked) == 12


@pytest.mark.parametrize("what", ["samples.parquet", "samples.json"])
def test_a_damaged_shard_is_not_taken(checkout, what):
    rows = checkout.sample(Engine())
    checkout.output().unlink()
    [damaged] = checkout.output().parent.glob(f".kept/*/*/{what}")
    damaged.write_bytes(damaged.read_bytes()[:-9])
    assert checkout.sample(engine := Engine()) == rows
    assert len(engine.asked) == 12


def hold(folder: Path, ready, go) -> None:
    """What an orphaned job does: it holds its shard, draws to the end and leaves."""
    with sample.only_writer(folder):
        ready.set()
        go.wait(30)


def test_a_shard_that_an_orphan_is_drawing_is_waited_for_and_taken(checkout, capsys):
    checkout.sample(Engine())
    checkout.output().unlink()
    [folder] = [path.parent for path in checkout.output().parent.glob(".kept/*/*/samples.parquet")]
    context = multiprocessing.get_context("spawn")
    ready, go = context.Event(), context.Event()
    orphan = context.Process(target=hold, args=(folder, ready, go))
    orphan.start()
    assert ready.wait(60)
    second = multiprocessing.get_context("fork").Process(target=checkout.sample, args=(Engine(fail_after=0),))
    second.start()
    time.sleep(1.5)
    assert second.is_alive()
    assert not checkout.output().exists()
    go.set()
    second.join(60)
    orphan.join(60)
    assert second.exitcode == 0
    assert checkout.output().exists()


def test_the_folder_says_what_it_is_of(checkout):
    checkout.sample(Engine())
    [how] = checkout.output().parent.glob(f"{kept.FOLDER}/*/how.json")
    content = json.loads(how.read_text())
    assert content["protocol"]["temperature"] == settings.load_scale("mini").evaluation.temperature
    assert set(content) == {"model", "protocol", "engine", "versions"}
