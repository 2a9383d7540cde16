"""One line of a rehearsal's table."""

from dataclasses import dataclass

WHOLE_RUN = "whole run"
"""In place of a stage, of what is concluded for the scale that is rehearsed."""
NOT_SEEN = "not seen"


@dataclass(frozen=True)
class Finding:
    """What was checked, what was seen, and whether it is within its bound."""

    check: str
    where: str
    """A stage, a system, or the whole run."""
    seen: str
    go: bool
    bound: str = ""
    planned: str = ""
    advice: str = ""
    """Which setting to change, where it is not within."""

    @property
    def verdict(self) -> str:
        return "go" if self.go else "no go"

    @property
    def reason(self) -> str:
        limit = f", bound {self.bound}" if self.bound else ""
        return f"{self.check} ({self.where}): {self.seen}{limit}{f'; {self.advice}' if self.advice else ''}"


def missing(check: str, where: str, why: str = "") -> Finding:
    """No go because there is nothing to judge: a job did not get so far, or did not say."""
    return Finding(check, where, NOT_SEEN, False, advice=why or "see the jobs' logs for why it was not reached")


def at_most(
    check: str, where: str, value: float, bound: float | None, unit: str, planned: str = "", advice: str = ""
) -> Finding:
    go = bound is None or value <= bound
    limit = "" if bound is None else f"≤ {figure(bound)} {unit}".strip()
    return Finding(check, where, f"{figure(value)} {unit}".strip(), go, limit, planned, "" if go else advice)


def at_least(
    check: str, where: str, value: float, bound: float | None, unit: str, planned: str = "", advice: str = ""
) -> Finding:
    go = bound is None or value >= bound
    limit = "" if bound is None else f"≥ {figure(bound)} {unit}".strip()
    return Finding(check, where, f"{figure(value)} {unit}".strip(), go, limit, planned, "" if go else advice)


def figure(value: float) -> str:
    """A number with three significant digits, as people read it."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
