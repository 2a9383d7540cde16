"""What an expression is worth: in floats at a point, and as SymPy's object once caps have passed its size."""

import cmath
import math
from typing import Any

from deepscaler.reward.paper.expression import CONSTANTS, Node, symbols
from deepscaler.reward.verdicts import Refused

MAX_POWER_BITS = 40_000
MAX_SYMBOLIC_EXPONENT = 64
MAX_FACTORIAL = 400


def evaluate(node: Node, values: dict[str, float]) -> complex:
    """The value at a point, in complex floats.

    Raises:
        ArithmeticError, ValueError: the value is not finite, or too large for a float.
    """
    parts = [evaluate(part, values) for part in node.parts]
    match node.kind:
        case "number":
            return complex(float(node.value))
        case "symbol":
            return complex(values[node.value])
        case "constant":
            return complex(CONSTANTS[node.value])
        case "add":
            return parts[0] + parts[1]
        case "subtract":
            return parts[0] - parts[1]
        case "multiply":
            return parts[0] * parts[1]
        case "divide":
            return parts[0] / parts[1]
        case "negate":
            return -parts[0]
        case "power":
            return parts[0] ** parts[1]
        case "factorial" if parts[0].imag == 0:
            return complex(math.gamma(parts[0].real + 1))
        case "call" if node.value == "sqrt":
            return cmath.sqrt(parts[0])
        case "call" if node.value == "ln":
            return cmath.log(parts[0])
    raise ValueError(f"no float value of {node.kind} {node.value}")


def check_size(node: Node) -> None:
    """Refuse what SymPy would take long over: huge powers and factorials.

    Raises:
        Refused: a cap is exceeded.
    """
    for part in node.parts:
        check_size(part)
    if node.kind == "factorial":
        argument = node.parts[0]
        if argument.kind != "number" or not argument.value.isdigit() or int(argument.value) > MAX_FACTORIAL:
            raise Refused("factorial too large, or not of a plain number")
    if node.kind == "power":
        check_power(*node.parts)


def check_power(base: Node, exponent: Node) -> None:
    if base.kind == "symbol" and not symbols(exponent):
        return
    try:
        size = abs(evaluate(exponent, dict.fromkeys(symbols(exponent), 1.0)))
        bits = abs(math.log2(abs(evaluate(base, dict.fromkeys(symbols(base), 1.5))) or 1.0))
    except (ArithmeticError, ValueError) as error:
        raise Refused("power beyond floats") from error
    if symbols(base) and not size <= MAX_SYMBOLIC_EXPONENT:
        raise Refused("exponent of an expression")
    # a fraction's numerator and denominator grow even where its value stays near one; NaN fails any comparison
    if not size * bits <= MAX_POWER_BITS or size * digits(base) * 3.4 > MAX_POWER_BITS:
        raise Refused("power too large")


def digits(node: Node) -> int:
    return len(node.value) if node.kind == "number" else sum(digits(part) for part in node.parts)


def to_sympy(node: Node) -> Any:
    """The SymPy expression that `parse_expr` would give, built from the leaves up."""
    import sympy

    parts = [to_sympy(part) for part in node.parts]
    match node.kind:
        case "number":
            return sympy.Integer(int(node.value)) if node.value.isdigit() else sympy.Float(node.value)
        case "symbol":
            return sympy.Symbol(node.value)
        case "constant":
            return sympy.pi
        case "add":
            return parts[0] + parts[1]
        case "subtract":
            return parts[0] - parts[1]
        case "multiply":
            return parts[0] * parts[1]
        case "divide":
            return parts[0] / parts[1]
        case "negate":
            return -parts[0]
        case "power":
            return parts[0] ** parts[1]
        case "factorial":
            return sympy.factorial(parts[0])
    functions = {
        "sqrt": sympy.sqrt,
        "ln": sympy.log,
        "re": sympy.re,
        "im": sympy.im,
        "csc": sympy.csc,
        "frac": sympy.frac,
        "li": sympy.li,
    }
    return functions[node.value](parts[0])
