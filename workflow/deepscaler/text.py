"""Numbers as text for people: a duration, an amount."""

import math


def duration(seconds: float | None) -> str:
    """`2 d 3 h`, `3 h 05 min`, `5 min 07 s` or `7 s`; empty for None, `unknown` for what is not finite."""
    if seconds is None:
        return ""
    if not math.isfinite(seconds):
        return "unknown"
    days, rest = divmod(round(seconds), 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def amount(number: float) -> str:
    """`1,234`, `12`, `1.2` or `0.012`: whole from 10 on, two digits below."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"
