"""Published weights that several scales ask the same are sampled once, whichever asks first, also at the same time.

All of `sample` runs but for vLLM (sampling_checkout.py).
"""

import json
import multiprocessing
import shutil
import time
from pathlib import Path

import pytest
from deepscaler import records
from deepscaler.evaluation import kept
from sampling_checkout import Checkout, Engine, forget

PUBLISHED = "deepscaler-1.5b-preview"


class Scales:
    """One checkout, with the same published weights fetched at any of its scales."""

    def __init__(self, root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.folder, self.monkeypatch = root, folder, monkeypatch

    def at(self, scale: str, system: str = PUBLISHED) -> Checkout:
        return Checkout(self.root, self.folder, self.monkeypatch, scale, system)


@pytest.fixture
def scales(root, tmp_path, monkeypatch):
    forget()
    yield Scales(root, tmp_path, monkeypatch)
    forget()


def store(folder: Path) -> Path:
    return folder / "work" / kept.FOLDER / "samples"


def asked(sets: dict[str, int], samples: int = 4) -> list[str]:
    return sorted(f"{name}/{p:04d}#{s}" for name, count in sets.items() for p in range(count) for s in range(samples))


def place(row: dict) -> tuple[str, int]:
    return row["problem_id"], row["sample"]


def test_a_second_scale_draws_what_is_new(scales):
    small, large = scales.at("released"), scales.at("paper")
    before = small.sample(first := Engine())
    rows = large.sample(second := Engine(), sets=("one", "two"))
    assert sorted(first.asked) == asked({"one": 3})
    assert sorted(second.asked) == asked({"two": 2})
    assert [row for row in rows if row["benchmark"] == "one"] == before


def test_and_the_larger_one_leaves_the_smaller_nothing(scales):
    small, large = scales.at("released"), scales.at("paper")
    rows = [row for shard in (1, 2, 3) for row in large.sample(Engine(), shard, 3, ("one", "two"))]
    before = small.sample(engine := Engine())
    assert engine.asked == []
    assert sorted((row for row in rows if row["benchmark"] == "one"), key=place) == sorted(before, key=place)


def test_a_scale_that_is_removed_takes_no_answers_with_it(scales):
    scales.at("released").sample(Engine())
    shutil.rmtree(scales.folder / "work/released")
    rows = scales.at("paper").sample(engine := Engine())
    assert engine.asked == []
    assert len(rows) == 12


def test_each_scale_has_its_own_settings_beside_the_answers_and_the_first_keeps_its_bytes(scales):
    small, large = scales.at("released"), scales.at("paper")
    small.sample(Engine())
    before, made = small.output().read_bytes(), small.output().stat().st_mtime_ns
    large.set("evaluation.samples", 2)
    assert len(large.sample(engine := Engine())) == 6
    assert engine.asked == []
    assert json.loads(records.metadata(large.output())["protocol"])["samples"] == 2
    assert small.output().stat().st_mtime_ns == made  # a later time would have it graded again
    small.output().unlink()
    small.sample(engine := Engine())
    assert engine.asked == []
    assert small.output().read_bytes() == before


@pytest.mark.parametrize(
    ("key", "value"), [("seed", 43), ("evaluation.temperature", 0.7), ("evaluation.engine.dtype", "float32")]
)
def test_a_scale_that_asks_otherwise_draws_its_own(scales, key, value):
    small, large = scales.at("released"), scales.at("paper")
    small.sample(Engine())
    large.set(key, value)
    large.sample(engine := Engine())
    assert len(engine.asked) == 12
    small.output().unlink()
    small.sample(engine := Engine())
    assert engine.asked == []
    assert len(list(store(scales.folder).iterdir())) == 2


def test_how_much_of_a_card_the_engine_takes_draws_no_other_answers(scales):
    small, large = scales.at("released"), scales.at("paper")
    small.sample(Engine())
    large.set("evaluation.engine.gpu.memory_utilisation", 0.8)
    assert len(large.sample(engine := Engine())) == 12
    assert engine.asked == []


def test_other_weights_of_the_same_name_are_other_weights(scales):
    small, large = scales.at("released"), scales.at("paper")
    small.sample(Engine())
    large.weights("1" * 64)
    large.sample(engine := Engine())
    assert len(engine.asked) == 12


def test_what_a_scale_makes_itself_goes_with_the_scale(scales):
    first = scales.at("mini", "mini-base")
    (scales.folder / "config/scales/again.yaml").write_text("extends: mini\ndescription: the same once more\n")
    first.sample(Engine())
    assert not store(scales.folder).exists()
    scales.at("again", "mini-base").sample(engine := Engine())
    assert len(engine.asked) == 12


class SlowEngine(Engine):
    """An answer every `seconds`."""

    def __init__(self, seconds: float, started) -> None:
        super().__init__()
        self.seconds, self.started = seconds, started

    def draw(self, llm, requests, protocol, system):
        for answered in super().draw(llm, requests, protocol, system):
            self.started.set()
            time.sleep(self.seconds)
            yield answered


def test_a_second_scale_waits_while_the_first_draws_the_very_same(scales, monkeypatch, capfd):
    """Longer than its patience, as long as answers come: it has no better way to its answers."""
    monkeypatch.setenv("DEEPSCALER_LOCK_WAIT", str(2.5 / 60))
    small, large = scales.at("released"), scales.at("paper")
    context = multiprocessing.get_context("fork")
    started = context.Event()
    first = context.Process(target=small.sample, args=(SlowEngine(0.5, started),))
    first.start()
    assert started.wait(60)
    began = time.monotonic()
    large.sample(engine := Engine())
    first.join(60)
    assert first.exitcode == 0
    assert engine.asked == []
    assert time.monotonic() - began > 2.5
    assert "waiting: another job is sampling this shard" in capfd.readouterr().out


def test_two_scales_that_cut_otherwise_draw_at_once_and_lose_nothing(scales):
    small, large = scales.at("released"), scales.at("paper")
    context = multiprocessing.get_context("fork")
    started = context.Event()
    first = context.Process(target=small.sample, args=(SlowEngine(0.3, started), 1, 2))
    first.start()
    assert started.wait(60)
    rows = large.sample(Engine(), sets=("one", "two"))
    first.join(60)
    assert first.exitcode == 0
    assert len({(row["problem_id"], row["sample"]) for row in rows}) == 20
    assert len(records.read(small.output(1, 2), records.COMPLETION)) == 6
    small.sample(engine := Engine(), 2, 2)
    assert engine.asked == []


def test_a_shard_that_is_finished_while_it_is_read_is_read_whole(scales, monkeypatch, capsys):
    small, large = scales.at("released"), scales.at("paper")
    with pytest.raises(KeyboardInterrupt):
        small.sample(Engine(fail_after=11))
    look = kept.KeptShard.finished

    def finished_just_after(shard):
        found = look(shard)
        if shard.drawn.exists() and not small.output().exists():
            monkeypatch.setattr(kept.KeptShard, "finished", look)
            small.sample(Engine())
        return found

    monkeypatch.setattr(kept.KeptShard, "finished", finished_just_after)
    large.sample(Engine(), sets=("one", "two"))
    assert small.output().exists()
    assert "20 samples, 11 of them kept from before" in capsys.readouterr().out
