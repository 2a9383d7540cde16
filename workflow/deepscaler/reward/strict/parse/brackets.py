"""Tokens between brackets: where a bracket closes, and what stands outside all of them."""

from collections.abc import Callable, Container

from deepscaler.reward.strict.parse.tokens import Token
from deepscaler.reward.verdicts import Refused

OPENINGS = frozenset(("lfloor", "lceil"))
CLOSINGS = frozenset(("rfloor", "rceil"))


def split(tokens: list[Token], is_separator: Callable[[Token], bool]) -> list[list[Token]]:
    """The parts of `tokens` between separators outside brackets and bars.

    Raises:
        Refused: the brackets do not balance.
    """
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        kind = token[0]
        depth += (kind == "open") - (kind == "close") + (token[1] in OPENINGS) - (token[1] in CLOSINGS)
        if depth == 0 and is_separator(token):
            parts.append([])
        else:
            parts[-1].append(token)
    if depth:
        raise Refused("unbalanced brackets")
    return parts


def closing_position(tokens: list[Token]) -> int:
    """Where the bracket that `tokens` open with closes; -1 if it does not."""
    depth = 0
    for position, (kind, _) in enumerate(tokens):
        depth += (kind == "open") - (kind == "close")
        if depth == 0:
            return position
    return -1


def outside(tokens: list[Token], values: Container[str]) -> list[str]:
    """Operators and names among `values` that stand outside all brackets."""
    depth, found = 0, []
    for kind, value in tokens:
        if kind == "open":
            depth += 1
        elif kind == "close":
            depth -= 1
        elif depth == 0 and kind in ("operator", "name") and value in values:
            found.append(value)
    return found
