"""What is printed, and when: on a terminal lines above a region that is redrawn, elsewhere plain lines, few.

Snakemake's log records arrive in a thread of their own, and a ticker redraws: all methods take the one lock.
"""

import os
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from deepscaler.controller import failed_jobs, notices, tracking
from deepscaler.controller.console import capture, failure
from deepscaler.controller.console.job_watch import Run
from deepscaler.controller.console.jobs import Job
from deepscaler.controller.console.region import Region, size
from deepscaler.controller.console.results import results_table
from deepscaler.controller.console.view import ASCII, UNICODE, WORTH_A_LINE, View, about, amount
from deepscaler.text import duration

REDRAW = 0.25
"""Seconds, on a terminal."""
LOOK = 1.0
"""Seconds between looks at the logs."""
PLAIN_EVERY = (60.0, 600.0)
"""Seconds between plain lines on how far the run is: at first, and at most."""
PLAIN_COLUMNS = 200


class Display:
    """Prints a run to the real stderr, and its table to the real stdout."""

    def __init__(self, *, colour: bool = True, environment: Mapping[str, str] = os.environ) -> None:
        self.lock = threading.RLock()
        self.terminal = capture.Terminal()
        unicode = speaks_unicode(environment)
        self.encoding = "utf-8" if unicode else "ascii"
        self.view = View(UNICODE if unicode else ASCII)
        self.out = self.terminal.stream(2, self.encoding)
        self.live = os.isatty(self.terminal.kept[2]) and environment.get("TERM", "") not in ("", "dumb", "unknown")
        no_colour = not colour or bool(environment.get("NO_COLOR")) or not self.live
        self.console = Console(
            file=self.out, no_color=no_colour, force_terminal=self.live, highlight=False, markup=False, emoji=False,
            legacy_windows=False,
        )  # fmt: skip
        self.region = Region(self.out)
        self.run: Run | None = None
        self.log: Path | None = None
        self.failures = 0
        self.interrupted = False
        self.stop = threading.Event()
        self.ticker: threading.Thread | None = None
        self.closed = False

    def begin(self, jobs: dict[int, Job], limits: dict[str, int], title: str) -> None:
        """Jobs are about to start: from now on nothing else is printed."""
        with self.lock:
            now = time.monotonic()
            self.run = Run(jobs, limits, began=now)
            self.run.look(now)
            self.log = capture.log_file()
            left = about(self.run.seconds_left() or 0.0)
            self.say(Text.assemble((title, "bold"), f": {amount(len(jobs))}, {left} by the plan"))
            if self.log:
                self.say(Text(f"all else is in {relative(self.log)}", "dim"))
                self.terminal.turn_to(self.log)
        self.ticker = threading.Thread(target=self.tick, name="console", daemon=True)
        self.ticker.start()

    def tick(self) -> None:
        """Look at the logs and redraw, or say how far it is, until the end."""
        looked, said, every = 0.0, time.monotonic(), PLAIN_EVERY[0]
        while not self.stop.wait(REDRAW if self.live else LOOK):
            with self.lock, suppress(OSError):  # a terminal that has gone must not stop the run
                if self.run is None or self.stop.is_set():
                    continue
                now = time.monotonic()
                if now - looked >= LOOK:
                    self.run.look(now)
                    looked = now
                    notices.look(now)
                    tracking.look(now)
                if self.live:
                    self.redraw()
                elif now - said >= every:
                    said, every = now, min(2 * every, PLAIN_EVERY[1])
                    self.say(self.plain_status(self.run, now))

    def redraw(self, above: str = "") -> None:
        """The region anew, below what is to stay."""
        columns, rows = size(self.out)
        lines = (
            self.view.region(self.run, time.monotonic(), columns, rows) if self.run and not self.stop.is_set() else []
        )
        self.region.draw([self.rendered(line, columns) for line in lines], above)

    def rendered(self, text: RenderableType, columns: int) -> str:
        """A renderable as text with the terminal's codes, without the last line break."""
        self.console.width = columns
        with self.console.capture() as captured:
            self.console.print(
                text, soft_wrap=isinstance(text, Text), overflow="ignore", no_wrap=isinstance(text, Text)
            )
        return captured.get().rstrip("\n")

    def say(self, *texts: Text) -> None:
        """Lines that stay."""
        with self.lock:
            columns = size(self.out)[0] if self.live else PLAIN_COLUMNS
            lines = [self.rendered(text, columns) for text in texts]
            if self.live:
                self.redraw("".join(f"{line}\n" for line in lines))
            else:
                stamp = time.strftime("%Y-%m-%d %H:%M:%S ")
                self.out.write("".join(f"{stamp}{line.rstrip().removeprefix('  ')}\n" for line in lines))
                self.out.flush()

    def plain_status(self, run: Run, now: float) -> Text:
        counts, left = run.counts(), run.seconds_left()
        parts = [f"{counts.get('done', 0)} of {amount(len(run.jobs))} done"]
        parts += [f"{about(left)} left"] if left is not None and not self.failures else []
        working = [self.in_short(run, job) for job in run.at_work()[:3]]
        more = counts.get("running", 0) - len(working)
        parts += [f"running: {', '.join(working)}{f' and {more} more' if more > 0 else ''}"] if working else []
        parts += [f"{counts['submitted']} in the queue"] if counts.get("submitted") else []
        return Text(self.view.plain("; ".join(parts)))

    def in_short(self, run: Run, job: Job) -> str:
        progress = run.progress(job)
        return f"{job.what} ({progress.count})" if progress else job.what

    def started(self, numbers: list[int]) -> None:
        with self.lock:
            if self.run:
                self.failures -= self.run.start(numbers, time.monotonic())

    def finished(self, number: int) -> None:
        with self.lock:
            now = time.monotonic()
            job = self.run.finish(number, now) if self.run else None
            if self.run and job and job.seconds(now) >= WORTH_A_LINE:
                columns = size(self.out)[0] if self.live else None
                self.say(self.view.finished(job, self.run.progress(job), now, columns))

    def failed(self, number: int | None, rule: str, logs: list[str], said: str) -> None:
        with self.lock:
            if self.interrupted:  # it was stopped, as was asked for
                return
            job = self.run.fail(number, time.monotonic()) if self.run and number is not None else None
            known = [str(relative(Path(log))) for log in logs]
            if told := failure.told_to_end(known):
                self.note(f"{rule} was {told}", "yellow")
                return
            self.failures += 1
            found = failure.failure_of(rule, job.what if job else "", known, said)
            self.say(*self.view.failed(found))
            notices.job_failed(found)

    def failed_group(self, name: str, numbers: list[int], logs: list[str], said: str) -> None:
        """Jobs that share an allocation: what SLURM's log says of those of them that failed."""
        with self.lock:
            for number in numbers:
                if self.run:
                    self.run.fail(number, time.monotonic())
            self.failures += 1
            known = [str(relative(Path(log))) for log in logs]
            found = failure.failure_of(f"group {name}", "", known, said)
            inner = [line for log in logs for line in failed_jobs.describe(log)]
            if inner:
                found = replace(found, last="; ".join(dict.fromkeys(inner)))
            self.say(*self.view.failed(found))
            notices.job_failed(found)

    def note(self, text: str, style: str = "") -> None:
        """A message of Snakemake's own."""
        lines = [line for line in text.splitlines() if line.strip()]
        with self.lock:
            self.say(*(Text(self.view.plain(f"  {line}"), style) for line in lines))

    def close(self) -> None:
        """The last lines. The terminal, stdout and stderr are what they were."""
        with self.lock:
            if self.closed:
                return
            self.closed = True
            self.stop.set()
        if self.ticker:
            self.ticker.join(timeout=2)
        try:
            with self.lock:
                if self.run:
                    self.last_lines(self.run)
                elif self.live:
                    self.region.clear()
        finally:
            self.terminal.give_back()
        if self.run and not self.failures and not self.interrupted:
            self.show_results(self.run)
        self.out.close()
        self.terminal.close()

    def last_lines(self, run: Run) -> None:
        signs, counts = self.view.signs, run.counts()
        done, took = counts.get("done", 0), duration(time.monotonic() - run.began)
        if done == len(run.jobs):
            self.say(Text.assemble((f"  {signs.done} ", "bold green"), (f"{amount(done)} in {took}", "bold")))
            return
        undone = f"{'stopped: ' if self.interrupted else ''}{done} of {amount(len(run.jobs))} done in {took}"
        failed = f", {self.failures} failed" if self.failures else ""
        parts = [("all", str(relative(self.log)))] if self.log else []
        parts.append(("next", failure.again()))
        self.say(Text.assemble((f"  {signs.failed} ", "bold red"), (undone + failed, "bold")), *self.view.named(parts))

    def show_results(self, run: Run) -> None:
        """The tables that the run has made, on stdout."""
        made = dict.fromkeys(
            job.scale for job in run.jobs.values() if job.rule in ("tabulate", "publish_table") and job.scale
        )
        stream = self.terminal.stream(1, self.encoding)
        terminal = os.isatty(self.terminal.kept[1])
        columns = size(stream)[0] if terminal else PLAIN_COLUMNS
        plain = self.encoding == "ascii"
        with stream:
            console = Console(file=stream, no_color=self.console.no_color, force_terminal=terminal, width=columns)
            for scale in made:
                folder = Path("results", scale)
                table = results_table(scale, folder / "table.csv", columns, plain)
                if table is not None:
                    console.print()
                    console.print(table)
                    console.print(f"Results: {folder}/ (start with report.html)", highlight=False)


def speaks_unicode(environment: Mapping[str, str]) -> bool:
    """Whether the locale's encoding is UTF-8, which it is taken to be where nothing is set."""
    given = next((value for name in ("LC_ALL", "LC_CTYPE", "LANG") if (value := environment.get(name))), "")
    return not given or "utf-8" in given.lower() or "utf8" in given.lower()


def relative(path: Path | None) -> Path | None:
    if path is None or not path.is_absolute():
        return path
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path


def title_of(targets: Iterable[Any]) -> str:
    """What was asked for, in a word or two."""
    names = list(dict.fromkeys(map(str, targets)))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
