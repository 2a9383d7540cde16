"""Labels before a value: `Alice: 3`, `\\text{boys: } 3`; not the colon of a ratio."""

import re

from deepscaler.reward.strict.parse.brackets import outside
from deepscaler.reward.strict.parse.tokens import Token
from deepscaler.reward.strict.text import phrases

COLON: Token = ("operator", ":")
NAME = re.compile(r"[A-Z][a-z]+")


def as_equation(tokens: list[Token]) -> list[Token]:
    r"""`f: x \mapsto x^2` as `f(x) = x^2`."""
    arrow = ("letter", "\\mapsto")
    if (
        len(tokens) > 4
        and tokens[1] == ("operator", ":")
        and tokens[3] == arrow
        and tokens[0][0] == tokens[2][0] == "letter"
    ):
        return [tokens[0], ("open", "("), tokens[2], ("close", ")"), ("operator", "="), *tokens[4:]]
    return tokens


def split_label(tokens: list[Token]) -> tuple[str, list[Token]]:
    """The label that `tokens` open with, and the others; an empty one where there is none or it says nothing."""
    if len(tokens) < 2 or tokens[0][0] not in ("text", "letter"):
        return "", tokens
    if tokens[0][0] == "letter" != tokens[1][0] and COLON not in tokens:
        return "", tokens
    start = next((index for index, (kind, _) in enumerate(tokens) if kind not in ("text", "letter")), len(tokens))
    spelled = "".join(value for _, value in tokens[:start])
    if tokens[start : start + 1] == [("operator", "=")] and len(spelled) > 2 and NAME.fullmatch(spelled):
        return (spelled.lower(), tokens[start + 1 :]) if outside(tokens, ("=",)) == ["="] else ("", tokens)
    if tokens[start : start + 1] == [("operator", ":")]:
        if outside(tokens, (":",)) != [":"] or start + 1 == len(tokens):
            return "", tokens
        rest = tokens[start + 1 :]
    else:
        start = (
            next((index for index, (kind, value) in enumerate(tokens) if kind == "text" and value[-1:] == ":"), -1) + 1
        )
        rest = tokens[start:]
    name = "".join(value if kind == "letter" else f" {value} " for kind, value in tokens[:start]).strip(" :")
    is_name = any(kind == "text" for kind, _ in tokens[:start]) or bool(NAME.fullmatch(name))
    if not is_name or not rest or phrases.before(name) == "idle":
        return "", rest if is_name and rest else tokens
    return " ".join(name.lower().split()), rest
