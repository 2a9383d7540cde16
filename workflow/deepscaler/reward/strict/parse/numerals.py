"""Numbers as they are written: integers, decimals, scientific notation, repeating decimals."""

from fractions import Fraction

from deepscaler.reward.strict.tree import Node
from deepscaler.reward.verdicts import Refused


def read_number(text: str) -> Node:
    """A literal: integer, decimal, scientific, or with a repeating part as in `0.1(6)`."""
    if text.isdigit():
        return Node("number", number=Fraction(int(text)))
    if text.endswith(")"):
        head, repeat = text[:-1].split("(")
        places = len(head.partition(".")[2])
        period = Fraction(int(repeat), (10 ** len(repeat) - 1) * 10**places)
        return Node("number", number=Fraction(head if places else head.rstrip(".")) + period)
    mantissa, _, power = text.lower().partition("e")
    if power and abs(int(power)) > 400:
        raise Refused("exponent of a number")
    if "." not in mantissa:
        return Node("number", number=Fraction(int(mantissa)) * Fraction(10) ** int(power or 0))
    digits = mantissa.replace(".", "").lstrip("0")
    scale = Fraction(10) ** int(power or 0)
    places = len(mantissa.partition(".")[2])
    value = Fraction(int(mantissa.replace(".", "") or 0), 10**places) * scale
    return Node("number", number=value, digits=len(digits), ulp=scale / 10**places)


def is_integer(node: Node) -> bool:
    return node.kind == "number" and node.number.denominator == 1 and not node.digits
