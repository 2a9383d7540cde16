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
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, Self

from deepscaler.reward.grade import at_once, golds_of
from deepscaler.reward.pool.worker import ForkServer, Outcome, Pair, Response, Task, Worker
from deepscaler.reward.response import MAX_RESPONSE
from deepscaler.reward.verdicts import Golds, Mode, ResponseVerdict, ThinkRule, Verdict

CHUNK = 16
"""Tasks sent to a worker at a time, so that it need not wait for the parent between them …"""
CHUNK_CHARACTERS = 200_000
"""… and characters, so that the first deadline does not pass while they travel."""
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
        self._cache: OrderedDict[Pair, Verdict] = OrderedDict()
        self._cache_size = cache
        self._lock = threading.RLock()
        self._reset()

    def _reset(self) -> None:
        self._owner = os.getpid()
        self._fork_server: ForkServer | None = None
        self._free: queue.SimpleQueue[Worker | None] = queue.SimpleQueue()
        for _ in range(self.workers):
            self._free.put(None)  # a worker is forked when first needed

    def __enter__(self) -> Self:
        with self._lock:
            self._ensure_fork_server()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers. The pool may be used again: it then starts new ones."""
        with self._lock:
            fork_server = self._fork_server if self._owner == os.getpid() else None
            self._reset()
        if fork_server is not None:
            fork_server.close()

    def grade_pairs(self, items: Iterable[tuple[Golds, str, Mode]]) -> Iterator[Verdict]:
        """A verdict for each (golds, prediction, mode), in order; takes from `items` as it goes."""
        for batch in batches(items, BATCH * self.workers):
            tasks: list[Pair] = [(golds_of(golds), prediction, mode) for golds, prediction, mode in batch]
            yield from (verdict for verdict, _ in self.grade_batch(tasks))

    def grade_responses(self, items: Iterable[tuple[Golds, str, Mode, ThinkRule]]) -> Iterator[ResponseVerdict]:
        """A verdict for each (golds, response, mode, think), in order; takes from `items` as it goes."""
        for batch in batches(items, BATCH * self.workers):
            answers = self.find_answers([(response, mode, think) for _, response, mode, think in batch])
            tasks: list[Pair] = [
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

    def find_answers(self, responses: list[Response]) -> list[str | ResponseVerdict]:
        """Each response's boxed answer, or the verdict on one that has none or takes too long to read."""
        tasks: list[Response] = [(response[-MAX_RESPONSE:], mode, think) for response, mode, think in responses]
        found = self._run(list(dict.fromkeys(tasks)))
        outcomes = (found[task] for task in tasks)
        return [
            answer if isinstance(answer, str) else ResponseVerdict(False, reason, None, False)
            for answer, reason in outcomes
        ]

    def grade_batch(self, tasks: list[Pair]) -> list[tuple[Verdict, bool]]:
        """A verdict for each pair, and whether it came from the cache or from an equal pair of the batch."""
        known: dict[Pair, Verdict] = {}
        waiting: dict[Pair, None] = {}
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
            outcomes = self._run(list(waiting))
            graded = {task: Verdict(bool(outcomes[task][0]), outcomes[task][1]) for task in waiting}
            self._remember(graded)
            known.update(graded)
        with self._lock:
            self.graded += len(tasks)
            self.hits += sum(repeated)
        return [(known[task], again) for task, again in zip(tasks, repeated, strict=True)]

    def _look_up(self, task: Pair) -> Verdict | None:
        with self._lock:
            if (verdict := self._cache.get(task)) is not None:
                self._cache.move_to_end(task)
            return verdict

    def _remember(self, verdicts: dict[Pair, Verdict]) -> None:
        with self._lock:
            self._cache.update(verdicts)
            while len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)

    def _run(self, tasks: Sequence[Task]) -> dict[Task, Outcome]:
        pending = deque(tasks)
        outcomes: dict[Task, Outcome] = {}
        workers = self._acquire(len(tasks))
        try:
            while pending or any(worker.tasks for worker in workers):
                for worker in workers:
                    if pending and not worker.tasks:
                        share = min(CHUNK, -(-len(pending) // len(workers)))
                        worker.assign(take(pending, share), self.seconds * MARGIN)
                self._wait(workers, pending, outcomes)
        finally:
            for worker in workers:
                self._release(worker)
        return outcomes

    def _wait(self, workers: list[Worker], pending: deque[Task], outcomes: dict[Task, Outcome]) -> None:
        """Take what has arrived; replace workers that died or are overdue."""
        busy = {worker.connection: worker for worker in workers if worker.tasks}
        timeout = max(0.0, min(worker.deadline for worker in busy.values()) - time.monotonic())
        readable = poll(list(busy), timeout)
        now = time.monotonic()  # before any replacement: its time must not count against the other workers
        for connection in readable:
            worker = busy.pop(connection)
            arrived = worker.collect(self.seconds * MARGIN)
            if arrived is None:
                outcomes.update(self._replace_worker(workers, worker, pending, crashed=True))
            else:
                outcomes.update(arrived)
        for worker in busy.values():
            if worker.is_overdue(now, self.seconds * MARGIN):
                outcomes.update(self._replace_worker(workers, worker, pending, crashed=False))

    def _replace_worker(
        self, workers: list[Worker], worker: Worker, pending: deque[Task], crashed: bool
    ) -> dict[Task, Outcome]:
        """Replace a worker: its current task counts as wrong, its other tasks go back to the queue.

        A worker that crashed may have done so between two tasks: its task is graded once more, alone.
        """
        failed = worker.tasks.popleft()
        pending.extendleft(reversed(worker.tasks))
        worker.tasks.clear()
        new_worker = workers[workers.index(worker)] = self._restart(worker)
        if crashed and failed != worker.retried_once:
            new_worker.retried_once = failed
            new_worker.assign([failed], self.seconds * MARGIN)
            return {}
        with self._lock:
            self.killed += 1
        why = "worker died, out of memory or stack" if crashed else f"took over {self.seconds:g} s"
        return {failed: (None, f"killed: {why}")}

    def _acquire(self, tasks: int) -> list[Worker]:
        """At least one worker (waits until one is free), and more of the free ones if there are tasks for them."""
        if self._owner != os.getpid():
            with self._lock:
                self._reset()
        slots = [self._free.get()]
        while len(slots) < min(self.workers, tasks):
            try:
                slots.append(self._free.get_nowait())
            except queue.Empty:
                break
        workers: list[Worker] = []
        try:
            workers.extend(slot if slot is not None else self._fork() for slot in slots)
        except BaseException:
            for slot in [*workers, *([None] * (len(slots) - len(workers)))]:
                self._free.put(slot)  # every later call would wait for a slot that was not put back
            raise
        return workers

    def _release(self, worker: Worker) -> None:
        if worker.tasks or worker.graded >= self.lifetime:
            # tasks are left only after an exception: their verdicts would arrive as those of later tasks
            with self._lock, suppress(OSError):
                self._ensure_fork_server().kill(worker)
            self._free.put(None)
        else:
            worker.retried_once = None
            self._free.put(worker)

    def _restart(self, worker: Worker) -> Worker:
        """Kill a worker and fork a new one."""
        with self._lock, suppress(OSError):  # the fork server may have died, and its workers with it
            self._ensure_fork_server().kill(worker)
        return self._fork()

    def _fork(self) -> Worker:
        with self._lock:
            try:
                return self._ensure_fork_server().fork()
            except OSError:
                if self._fork_server is not None:
                    self._fork_server.close()
                    self._fork_server = None
                return self._ensure_fork_server().fork()

    def _ensure_fork_server(self) -> ForkServer:
        if self._fork_server is None:
            self._fork_server = ForkServer(self.memory_mb)
        return self._fork_server


def poll(connections: list[socket.socket], seconds: float) -> list[socket.socket]:
    """Those that can be read within `seconds`; unlike `select`, without a limit on descriptors' numbers."""
    waiter = select.poll()
    for connection in connections:
        waiter.register(connection, select.POLLIN)
    ready = {descriptor for descriptor, _ in waiter.poll(seconds * 1000)}
    return [connection for connection in connections if connection.fileno() in ready]


def take(pending: deque[Task], share: int) -> list[Task]:
    """Up to `share` tasks, one at least, and no more characters than CHUNK_CHARACTERS with those before the last."""
    taken: list[Task] = []
    characters = 0
    while pending and len(taken) < share and characters < CHUNK_CHARACTERS:
        taken.append(pending.popleft())
        characters += sum(map(len, taken[-1]))
    return taken


def batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
