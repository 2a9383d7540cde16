"""The guarded pool: order, limits, and the four contexts that call it."""

import asyncio
import gzip
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from deepscaler.reward.pool import GradingPool

PAIRS = [
    ("1/2", r"\frac{1}{2}", "paper", True),
    (r"\sqrt{8}", r"2\sqrt{2}", "paper", True),
    ("x+1", "1+x", "strict", True),
    ("(1,2)", "(2,1)", "strict", False),
    ("7", "7", "paper", True),
]


@pytest.fixture(scope="module")
def pool() -> Iterator[GradingPool]:
    with GradingPool(workers=2, seconds=20) as pool:
        yield pool


def check(pool: GradingPool) -> None:
    verdicts = list(pool.grade_pairs((gold, prediction, mode) for gold, prediction, mode, _ in PAIRS * 20))
    assert [verdict.correct for verdict in verdicts] == [correct for *_, correct in PAIRS] * 20


def test_order_in_the_main_thread(pool: GradingPool) -> None:
    check(pool)


def test_many_threads_share_a_pool(pool: GradingPool) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            for _ in range(5):
                check(pool)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures


def test_asyncio(pool: GradingPool) -> None:
    async def run() -> None:
        await asyncio.gather(*(asyncio.to_thread(check, pool) for _ in range(4)))
        check(pool)

    asyncio.run(run())


def test_answers_with_any_characters(pool: GradingPool) -> None:
    strange = ["\ud800", "\x00", "\n" * 5, "é" * 100, '"\\', "\u202e7"]
    verdicts = list(pool.grade_pairs((("7", text, "strict")) for text in strange))
    assert [verdict.correct for verdict in verdicts] == [False] * len(strange)


def test_equal_tasks_are_graded_once() -> None:
    with GradingPool(seconds=20) as pool:
        list(pool.grade_pairs([(r"\sqrt{8}", r"2\sqrt{2}", "paper")] * 10))
        assert (pool.graded, pool.hits) == (10, 9)
        list(pool.grade_pairs([(r"\sqrt{8}", r"2\sqrt{2}", "paper")]))
        assert pool.hits == 10


def test_overdue_tasks_are_killed_and_the_rest_graded() -> None:
    """SymPy would take minutes over the sum of four roots below a fraction bar; the tasks behind it take none."""
    roots = [rf"\sqrt{{{prime}}}" for prime in (2, 3, 5, 7)]
    endless = (f"1/({'+'.join(roots)})", f"2/(2({'+'.join(reversed(roots))}))", "paper")
    with GradingPool() as pool:
        verdicts = list(pool.grade_pairs([endless, ("1/2", r"\frac12", "paper"), ("x", "y", "strict")]))
        assert verdicts[0].reason.startswith("killed"), verdicts[0]
        assert [verdict.correct for verdict in verdicts] == [False, True, False]
        assert pool.killed == 1


def test_a_dead_worker_is_replaced() -> None:
    with GradingPool(seconds=20) as pool:
        list(pool.grade_pairs([("x", "y", "paper")]))
        worker = pool._free.get()
        assert worker is not None
        os.kill(worker.pid, signal.SIGKILL)
        pool._free.put(worker)
        check(pool)
        assert pool.killed == 0


def test_a_dead_fork_server_is_replaced() -> None:
    with GradingPool(seconds=20) as pool:
        check(pool)
        assert pool._fork_server is not None
        pool._fork_server.process.kill()
        pool._fork_server.process.wait()
        worker = pool._free.get()
        assert worker is not None
        os.kill(worker.pid, signal.SIGKILL)
        pool._free.put(worker)
        assert [verdict.correct for verdict in pool.grade_pairs([("2x", "x+x", "paper")])] == [True]


def test_no_process_outlives_the_pool() -> None:
    with GradingPool(workers=2, seconds=20) as pool:
        check(pool)
        worker, fork_server = pool._free.get(), pool._fork_server
        assert worker is not None
        assert fork_server is not None
        pool._free.put(worker)
    assert fork_server.process.poll() is not None
    deadline = time.monotonic() + 5
    while Path(f"/proc/{worker.pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{worker.pid}").exists()


@pytest.mark.parametrize("mode", ["paper", "strict"])
def test_hostile_answers(shared: Path, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No execution, no exception, a verdict within a second; strict takes none of them for right."""
    monkeypatch.chdir(tmp_path)
    with gzip.open(shared / "grading" / "hostile_public.jsonl.gz", "rt", encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines]
    with GradingPool() as pool:
        verdicts = list(pool.grade_pairs((case["gold"], case["pred"], mode) for case in cases))
    assert not list(tmp_path.iterdir())
    if mode == "strict":
        accepted = [case["id"] for case, verdict in zip(cases, verdicts, strict=True) if verdict.correct]
        assert accepted == []
