"""Grading under guard: worker processes with a deadline and a memory limit, which the parent kills and replaces.

No signal handler and no thread is involved, so the pool works the same in the main thread, in worker threads, under
asyncio and inside Ray actors, and even a computation that never returns to the interpreter is stopped.
"""

import os
import queue
import select
import socket
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, Self

from deepscaler.reward.grade import at_once, golds_of
from deepscaler.reward.pool.worker import Nursery, Task, Worker
from deepscaler.reward.response import answer_of
from deepscaler.reward.verdicts import Golds, Mode, ResponseVerdict, ThinkRule, Verdict

CHUNK = 16
"""Tasks sent to a worker at a time, so that it need not wait for the parent between them."""
BATCH = 512
"""Tasks a worker that are graded before their verdicts are handed out; bounds memory over endless input."""
CACHE = 100_000
MARGIN = 0.85
"""Share of the deadline after which a worker is killed, so that the verdict itself is on time."""


class GradingPool:
    """Grades in `workers` processes, each answer within `seconds` and each worker within `memory_mb` of address space.

    `killed` counts answers whose grading was stopped (they score 0), `hits` those found in the cache, `graded` all.
    Safe to share between threads. Use as a context manager, or call `close`.
    """

    def __init__(
        self, workers: int = 1, seconds: float = 1.0, memory_mb: int = 512, cache: int = CACHE, lifetime: int = 20_000
    ) -> None:
        self.workers, self.seconds, self.memory_mb, self.lifetime = workers, seconds, memory_mb, lifetime
        self.killed = self.hits = self.graded = 0
        self._cache: OrderedDict[Task, Verdict] = OrderedDict()
        self._cache_size = cache
        self._lock = threading.RLock()
        self._reset()

    def _reset(self) -> None:
        self._owner = os.getpid()
        self._nursery: Nursery | None = None
        self._free: queue.SimpleQueue[Worker | None] = queue.SimpleQueue()
        for _ in range(self.workers):
            self._free.put(None)  # a worker is forked when first needed

    def __enter__(self) -> Self:
        with self._lock:
            self._ensure_nursery()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers. The pool may be used again: it then starts new ones."""
        with self._lock:
            nursery = self._nursery if self._owner == os.getpid() else None
            self._reset()
        if nursery is not None:
            nursery.close()

    def grade_pairs(self, items: Iterable[tuple[Golds, str, Mode]]) -> Iterator[Verdict]:
        """A verdict for each (golds, prediction, mode), in order; takes from `items` as it goes."""
        for batch in _batches(items, BATCH * self.workers):
            tasks: list[Task] = [(golds_of(golds), prediction, mode) for golds, prediction, mode in batch]
            yield from (verdict for verdict, _ in self.grade_batch(tasks))

    def grade_responses(self, items: Iterable[tuple[Golds, str, Mode, ThinkRule]]) -> Iterator[ResponseVerdict]:
        """A verdict for each (golds, response, mode, think), in order; takes from `items` as it goes."""
        for batch in _batches(items, BATCH * self.workers):
            answers = [answer_of(response, mode, think) for _, response, mode, think in batch]
            tasks: list[Task] = [
                (golds_of(golds), answer, mode)
                for (golds, _, mode, _), answer in zip(batch, answers, strict=True)
                if isinstance(answer, str)
            ]
            verdicts = iter(self.grade_batch(tasks))
            for answer in answers:
                if isinstance(answer, str):
                    verdict, _ = next(verdicts)
                    yield ResponseVerdict(verdict.correct, verdict.reason, answer, True)
                else:
                    yield answer

    def grade_batch(self, tasks: list[Task]) -> list[tuple[Verdict, bool]]:
        """A verdict for each task, and whether it came from the cache or from an equal task of the batch."""
        known: dict[Task, Verdict] = {}
        waiting: dict[Task, None] = {}
        repeated: list[bool] = []
        for task in tasks:
            fresh = task not in known and task not in waiting
            if fresh and (verdict := at_once(*task)) is not None:
                known[task] = verdict
            elif fresh and (verdict := self._look_up(task)) is not None:
                known[task] = verdict
                fresh = False
            elif fresh:
                waiting[task] = None
            repeated.append(not fresh)
        if waiting:
            known.update(self._run(list(waiting)))
        with self._lock:
            self.graded += len(tasks)
            self.hits += sum(repeated)
        return [(known[task], again) for task, again in zip(tasks, repeated, strict=True)]

    def _look_up(self, task: Task) -> Verdict | None:
        with self._lock:
            if (verdict := self._cache.get(task)) is not None:
                self._cache.move_to_end(task)
            return verdict

    def _remember(self, verdicts: dict[Task, Verdict]) -> None:
        with self._lock:
            self._cache.update(verdicts)
            while len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)

    def _run(self, tasks: list[Task]) -> dict[Task, Verdict]:
        pending = deque(tasks)
        verdicts: dict[Task, Verdict] = {}
        team = self._borrow(len(tasks))
        try:
            while pending or any(worker.tasks for worker in team):
                for worker in team:
                    if pending and not worker.tasks:
                        share = min(CHUNK, -(-len(pending) // len(team)))
                        worker.assign([pending.popleft() for _ in range(share)], self.seconds * MARGIN)
                self._wait(team, pending, verdicts)
        finally:
            for worker in team:
                self._give_back(worker)
        self._remember(verdicts)
        return verdicts

    def _wait(self, team: list[Worker], pending: deque[Task], verdicts: dict[Task, Verdict]) -> None:
        """Take what has arrived; replace workers that died or are overdue."""
        busy = {worker.connection: worker for worker in team if worker.tasks}
        patience = max(0.0, min(worker.deadline for worker in busy.values()) - time.monotonic())
        readable = poll(list(busy), patience)
        now = time.monotonic()  # before any replacement, which may take long and is not the other workers' fault
        for connection in readable:
            worker = busy.pop(connection)
            arrived = worker.collect(self.seconds * MARGIN)
            verdicts.update(self._bury(team, worker, pending, died=True) if arrived is None else arrived)
        for worker in busy.values():
            if worker.is_overdue(now, self.seconds * MARGIN):
                verdicts.update(self._bury(team, worker, pending, died=False))

    def _bury(self, team: list[Worker], worker: Worker, pending: deque[Task], died: bool) -> dict[Task, Verdict]:
        """Replace a worker; the task it was at is wrong, the rest goes back to the queue.

        A worker that died by itself may have done so between tasks: its task has a second chance, alone.
        """
        lost = worker.tasks.popleft()
        pending.extendleft(reversed(worker.tasks))
        worker.tasks.clear()
        successor = team[team.index(worker)] = self._replace(worker)
        if died and lost != worker.suspect:
            successor.suspect = lost
            successor.assign([lost], self.seconds * MARGIN)
            return {}
        with self._lock:
            self.killed += 1
        why = "worker died, out of memory or stack" if died else f"took over {self.seconds:g} s"
        return {lost: Verdict(False, f"killed: {why}")}

    def _borrow(self, tasks: int) -> list[Worker]:
        """One worker, waiting for it if need be, and more that are free if there is work for them."""
        if self._owner != os.getpid():
            with self._lock:
                self._reset()
        slots = [self._free.get()]
        while len(slots) < min(self.workers, tasks):
            try:
                slots.append(self._free.get_nowait())
            except queue.Empty:
                break
        team: list[Worker] = []
        try:
            team.extend(slot if slot is not None else self._fork() for slot in slots)
        except BaseException:
            for slot in [*team, *([None] * (len(slots) - len(team)))]:
                self._free.put(slot)  # a slot that is lost would be waited for for ever
            raise
        return team

    def _give_back(self, worker: Worker) -> None:
        if worker.tasks or worker.graded >= self.lifetime:
            # with tasks left we are leaving in an exception: their verdicts would be taken for another's
            with self._lock, suppress(OSError):
                self._ensure_nursery().kill(worker)
            self._free.put(None)
        else:
            worker.suspect = None
            self._free.put(worker)

    def _replace(self, worker: Worker) -> Worker:
        with self._lock, suppress(OSError):  # the nursery may be gone, and its workers with it
            self._ensure_nursery().kill(worker)
        return self._fork()

    def _fork(self) -> Worker:
        with self._lock:
            try:
                return self._ensure_nursery().fork()
            except OSError:
                if self._nursery is not None:
                    self._nursery.close()
                    self._nursery = None
                return self._ensure_nursery().fork()

    def _ensure_nursery(self) -> Nursery:
        if self._nursery is None:
            self._nursery = Nursery(self.memory_mb)
        return self._nursery


def poll(connections: list[socket.socket], seconds: float) -> list[socket.socket]:
    """Those that can be read within `seconds`; unlike `select`, without a limit on descriptors' numbers."""
    waiter = select.poll()
    for connection in connections:
        waiter.register(connection, select.POLLIN)
    ready = {descriptor for descriptor, _ in waiter.poll(seconds * 1000)}
    return [connection for connection in connections if connection.fileno() in ready]


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
