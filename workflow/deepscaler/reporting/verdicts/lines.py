"""What `deepscaler verify` tells people while it samples."""

from typing import Any

from deepscaler.reporting.claims.check_claims import expectation
from deepscaler.settings.claims import Claim
from deepscaler.text import amount

Record = dict[str, Any]
"""As inquiry.py makes it."""


def opening(claim: Claim, error: float, together: int) -> str:
    shared = f", {error:.2g} each for {together} claims" if together > 1 else ""
    alone = "; its standard errors are of other problems, too, this verdict is of these alone" if claim.errors else ""
    return (
        f"{claim.id}: {claim.statement}: {expectation(claim)}{alone} "
        f"(chance of a wrong verdict: {error * together:g} at most{shared})"
    )


def progress_line(record: Record) -> str:
    """Of a claim that is not decided: its interval, and what going on would take if its value is as estimated."""
    going_on = record["going_on"]
    further = (
        f"{going_on['samples']} decide it at this value: about {amount(going_on['hours'])} {record['hours_unit']} more"
        if going_on
        else "at this value more than are allowed would be needed"
    )
    return f"{record['claim']}: {samples(record['samples'])}: {value(record)}; {further}"


def verdict_line(record: Record) -> str:
    after = record["decided_after"]
    if after is None:
        return f"{record['claim']}: not decided by {samples(record['samples'])}: {value(record)}"
    all_of_them = f"; with all {record['samples']}" if record["samples"] > after else ""
    return f"{record['claim']}: {record['verdict']} by {samples(after)}{all_of_them}: {value(record)}"


def value(record: Record) -> str:
    if record["estimate"] is None:
        return "nothing is known yet"
    unit = f" {record['unit']}" if record["unit"] else ""
    low, high = (("…" if end is None else number(end)) for end in record["interval"])
    return f"{number(record['estimate'])}{unit}, between {low} and {high}"


def number(value: float) -> str:
    """Two places below a hundred, as far as anything is known."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) >= 100 else f"{value:.2f}"


def samples(count: int) -> str:
    return f"{count} sample{'' if count == 1 else 's'} a problem"
