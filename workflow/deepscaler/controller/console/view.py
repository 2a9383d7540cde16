"""How a run looks: the region of a terminal, the lines that stay, a failure's lines. All as rich's texts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich.text import Text

from deepscaler.controller.console.failure import Failure
from deepscaler.controller.console.job_watch import Run
from deepscaler.controller.console.jobs import Job
from deepscaler.controller.console.log_progress import Progress
from deepscaler.text import duration

NARROW = 60
"""Columns below which bars are left out."""
BAR = 20
WIDEST = 110
WORTH_A_LINE = 5.0
"""Seconds that a job must have taken for a line of its own; the others are counted."""


@dataclass(frozen=True)
class Signs:
    """What is drawn, with or without Unicode."""

    done: str
    failed: str
    full: str
    half: str
    empty: str
    dot: str
    spinner: str
    ellipsis: str


UNICODE = Signs("✓", "✗", "━", "╸", "─", "·", "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "…")
ASCII = Signs("+", "x", "=", "=", "-", "-", "|/-\\", "...")


class View:
    """Texts for a terminal of a width."""

    def __init__(self, signs: Signs) -> None:
        self.signs = signs

    def region(self, run: Run, now: float, columns: int, rows: int) -> list[Text]:
        """The jobs at work, a line each, and a line for the whole run, in at most `rows` lines."""
        working = run.at_work()
        room = max(1, rows - 6)
        shown = working if len(working) <= room else working[: room - 1]
        lines = [Text("")] if rows > 4 else []
        lines += [self.job(job, run.progress(job), now, columns) for job in shown]
        counts = run.counts()
        waiting = counts.get("submitted", 0)
        more = [f"{len(working) - len(shown)} more running"] if len(working) > len(shown) else []
        more += [f"{waiting} in the queue"] if waiting else []
        if more:
            lines.append(Text(f"  {self.signs.ellipsis} " + f" {self.signs.dot} ".join(more), "dim"))
        if columns >= NARROW and rows > 8:
            lines += [Text(""), self.phases(run)]
        lines.append(self.whole(run, now, columns))
        for line in lines:
            line.truncate(columns - 1, overflow="ellipsis" if self.signs is UNICODE else "crop")
        return lines

    def job(self, job: Job, progress: Progress | None, now: float, columns: int) -> Text:
        frame = self.signs.spinner[int(now * 4) % len(self.signs.spinner)]
        seconds = clock(job.seconds(now))
        right = Text()
        if progress:
            if columns >= NARROW + BAR:
                right.append_text(self.bar(progress.share, BAR // 2, "cyan")).append(" ")
            right.append(progress.count, "cyan")
            if progress.detail and columns >= NARROW + 2 * BAR:
                right.append(f" {self.signs.dot} {progress.detail}", "dim")
        right.append(f"  {seconds:>5}", "dim")
        return self.two_sides(Text.assemble((f"  {frame} ", "cyan"), self.plain(job.what)), right, columns)

    def phases(self, run: Run) -> Text:
        line = Text("  ")
        for phase, (done, total) in run.phases().items():
            style = "green" if done == total else "bold" if done or self.busy(run, phase) else "dim"
            line.append(f"{phase} {done}/{total}", style).append("   ")
        line.rstrip()
        return line

    def busy(self, run: Run, phase: str) -> bool:
        return any(job.phase == phase for job in run.at_work())

    def whole(self, run: Run, now: float, columns: int) -> Text:
        counts = run.counts()
        done, total = counts.get("done", 0), len(run.jobs)
        failed, left = counts.get("failed", 0), run.seconds_left()
        line = Text("  ")
        if columns >= NARROW:
            expected = sum(job.expected for job in run.jobs.values()) or 1.0
            shares = sum(job.expected * self.share(run, job, now) for job in run.jobs.values())
            line.append_text(self.bar(shares / expected, BAR, "green")).append("  ")
        line.append(f"{done} of {amount(total)}", "bold")
        if failed:
            line.append(f", {failed} failed", "bold red")
        if left is not None and not failed:
            line.append(f" {self.signs.dot} {about(left)} left", "bold")
        return line.append(f" {self.signs.dot} {clock(now - run.began)} so far", "dim")

    def share(self, run: Run, job: Job, now: float) -> float:
        if job.state in ("done", "running"):
            progress = run.progress(job)
            by_time = min(0.9, job.seconds(now) / job.expected) if job.expected else 0.0
            return 1.0 if job.state == "done" else min(1.0, progress.share) if progress else by_time
        return 0.0

    def bar(self, share: float, width: int, style: str) -> Text:
        halves = round(2 * width * min(1.0, max(0.0, share)))
        full = self.signs.full * (halves // 2) + (self.signs.half if halves % 2 else "")
        return Text.assemble((full, style), (self.signs.empty * (width - len(full)), "dim"))

    def finished(self, job: Job, progress: Progress | None, now: float, columns: int | None) -> Text:
        """The line that stays of a job that has ended well; without `columns`, as short as it can be."""
        said = f"{progress.detail} {self.signs.dot} " if progress and progress.detail.startswith("reward") else ""
        left = Text.assemble((f"  {self.signs.done} ", "green"), self.plain(job.what))
        right = Text(f"{said}{duration(job.seconds(now))}", "dim")
        return (
            self.two_sides(left, right, columns) if columns else left.append(f" {self.signs.dot} ").append_text(right)
        )

    def failed(self, failure: Failure) -> Iterator[Text]:
        """A failure's lines: what, why, its log, and what to do."""
        what = f": {self.plain(failure.what)}" if failure.what else ""
        yield Text.assemble((f"  {self.signs.failed} {failure.name} failed", "bold red"), what)
        yield from self.named(failure.parts())

    def named(self, parts: Iterable[tuple[str, str]]) -> Iterator[Text]:
        for name, value in parts:
            yield Text.assemble((f"    {name:4}  ", "dim"), self.plain(value))

    def two_sides(self, left: Text, right: Text, columns: int) -> Text:
        """`left` and, at the terminal's right end, `right`; in a wide one nearer, where eyes keep the line."""
        width = min(columns - 1, WIDEST)
        room = width - right.cell_len - 1
        if room < 12:
            left.truncate(width)
            return left
        left.truncate(room, overflow="ellipsis" if self.signs is UNICODE else "crop")
        left.pad_right(max(0, width - left.cell_len - right.cell_len))
        return left.append_text(right)

    def plain(self, text: str) -> str:
        return text if self.signs is UNICODE else text.translate(TO_ASCII)


TO_ASCII = str.maketrans(
    {"·": "-", "…": "...", "→": "->", "–": "-", "×": "x", "±": "+-", "≤": "<=", "≥": ">=", "✓": "+"}
)


def amount(jobs: int) -> str:
    return f"{jobs:,} job{'' if jobs == 1 else 's'}"


def clock(seconds: float) -> str:
    """`0:07`, `12:05` or `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def about(seconds: float) -> str:
    """A time that is estimated: no digits that would not be kept."""
    if seconds < 10:
        return "some seconds"
    if seconds < 90:
        return f"{round(seconds / 10) * 10} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    if seconds < 36 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.1f} days"
