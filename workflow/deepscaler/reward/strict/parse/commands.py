r"""The commands of the expression grammar, one function each: what `\frac`, `\sqrt`, `\sin`, `\sum` take and mean.

Conventions: `2^10` has the exponent 10 and `\frac12` the arguments 1 and 2; neighbours multiply, except an integer
before a fraction of two integers, which is a mixed number; `1/2x` is read from left to right; `\sin 2x` takes the
product behind it, up to a sign, a slash or another function; a letter before a bracket that holds one symbol or number
is a function (`f(x)`, `I(0)`), before anything else a factor.
"""

import re
from contextlib import suppress
from dataclasses import replace

from deepscaler.reward.strict.parse.parser import PAIRS, Command, ExpressionParser
from deepscaler.reward.strict.parse.tokens import FUNCTIONS
from deepscaler.reward.strict.tree import Node, negate, number, walk
from deepscaler.reward.verdicts import Refused

MAX_DERIVATIVE_DEPTH = 6
"""Nesting up to which a fraction is tried as a derivative first; the trial may double the work."""
ROUNDINGS = {"lfloor": ("rfloor", "floor"), "lceil": ("rceil", "ceil")}
LOGARITHMS = frozenset(("ln", "log", "lg"))
r"""What takes the power behind its brackets with it: `\ln (x-3)^2` is 2 ln|x-3|, `\sin(x)^2` the square of a sine."""
DIFFERENTIAL = re.compile(r"d|\\partial")


def whole_argument(parser: ExpressionParser) -> Node:
    r"""One argument, a number as a whole: `\sqrt12` is the root of 12, where `\frac12` is a half."""
    return parser.atom(alone=True) if parser.peek()[0] == "number" else parser.argument()


def rounding(parser: ExpressionParser, name: str) -> Node:
    node = parser.sum()
    parser.expect("name", ROUNDINGS[name][0])
    return Node("call", ROUNDINGS[name][1], (node,))


def dots(parser: ExpressionParser, name: str) -> Node:
    return Node("symbol", "...")


def figure(parser: ExpressionParser, name: str) -> Node:
    """An angle or a triangle by its points: an angle may be named from either end, a triangle in any order."""
    points = []
    while parser.peek()[0] == "letter":
        points.append(parser.peek()[1])
        parser.position += 1
    if not points:
        raise Refused(f"{name} of what")
    points = sorted(points) if name == "triangle" else min(points, points[::-1])
    return Node("symbol", f"{name} {' '.join(points)}")


def fraction(parser: ExpressionParser, name: str) -> Node:
    """A fraction, `frac(x)` as a function, or a derivative."""
    if parser.peek() == ("open", "("):
        parser.position += 1
        return Node("opaque", "frac", parser.arguments(")"))
    start = parser.position
    if parser.depth < MAX_DERIVATIVE_DEPTH and at_differential(parser):
        depth = parser.depth
        with suppress(Refused):
            return derivative(parser)
        parser.position, parser.depth = start, depth
    return Node("divide", parts=(parser.argument(), parser.argument()))


def at_differential(parser: ExpressionParser) -> bool:
    """Whether the next tokens are a group that starts with the d of a derivative."""
    return parser.peek() == ("open", "{") and bool(DIFFERENTIAL.fullmatch(parser.peek(1)[1]))


def derivative(parser: ExpressionParser) -> Node:
    r"""`\frac{d^2 x}{d t^2}` and `\frac{d^2}{d t^2} x` as an operator on x.

    Raises:
        Refused: it is no derivative, as `\frac{d}{2}` is not.
    """
    parser.position += 2
    order = parser.exponent() if parser.take("operator", "^") else number(1)
    operand = None if parser.peek() == ("close", "}") else parser.product()
    parser.expect("close", "}")
    if not at_differential(parser):
        raise Refused("no differential below")
    parser.position += 2
    below = parser.product()
    parser.expect("close", "}")
    if below.kind in ("symbol", "power") and (below.parts[1] if below.parts else number(1)) != order:
        raise Refused("a derivative of two orders")
    return Node("opaque", "derivative", (operand if operand is not None else parser.power(), order, below))


def binomial(parser: ExpressionParser, name: str) -> Node:
    return Node("call", "binom", (parser.argument(), parser.argument()))


def root(parser: ExpressionParser, name: str) -> Node:
    degree: Node | None = None
    if parser.take("open", "["):
        degree = parser.sum()
        parser.expect("close", "]")
    if parser.peek() == ("open", "("):
        parser.position += 1
        radicand = parser.group("(")
    else:
        radicand = whole_argument(parser)
    return Node("call", "sqrt", (radicand,)) if degree is None else Node("call", "root", (radicand, degree))


def function(parser: ExpressionParser, name: str) -> Node:
    r"""A known function with its base and exponent, as in `\log_2 x` and `\sin^2 x`."""
    base: Node | None = None
    exponent: Node | None = None
    for _ in range(2):
        if parser.take("operator", "_"):
            base = whole_argument(parser)
        elif parser.take("operator", "^"):
            exponent = parser.exponent()
    kind, value = parser.peek()
    if kind == "open":
        parser.position += 1
        arguments = parser.arguments(PAIRS.get(value, ""))
        if name in LOGARITHMS and exponent is None and arguments[0].kind != "symbol" and parser.take("operator", "^"):
            arguments = (Node("power", parts=(arguments[0], parser.exponent())), *arguments[1:])
    else:
        arguments = (unbracketed(parser),)
    if exponent == negate(number(1)) and name in ("sin", "cos", "tan", "cot", "sec", "csc"):
        return Node("call", "arc" + name, arguments)
    if name == "log" and base is not None:
        arguments = (*arguments, base)
    elif base is not None:
        name = f"{name}_{base}"
    node = Node("call" if "_" not in name else "opaque", name, arguments)
    return node if exponent is None else Node("power", parts=(node, exponent))


def unbracketed(parser: ExpressionParser) -> Node:
    r"""The argument of `\sin 2x`: factors up to a sign, a slash or another function."""
    if parser.peek()[0] == "operator" and parser.peek()[1] in "+-":
        return parser.signed()
    node = parser.power()
    while True:
        kind, value = parser.peek()
        if (
            kind in ("letter", "number")
            or (kind, value) in (("name", "pi"), ("open", "{"))
            or ((kind, value) == ("name", "frac") and node.kind in ("number", "constant"))
        ):
            node = Node("multiply", parts=(node, parser.power()))
        elif (kind, value) == ("name", "cdot") and parser.peek(1)[0] in ("letter", "number"):
            parser.position += 1
            node = Node("multiply", parts=(node, parser.power()))
        else:
            return node


def big_operator(parser: ExpressionParser, name: str) -> Node:
    """A sum or product with bounds, or an integral or limit, which stays opaque."""
    bounds: dict[str, Node] = {}
    variable = ""
    for _ in range(2):
        if parser.take("operator", "_"):
            variable, bounds["lower"] = lower_bound(parser)
        elif parser.take("operator", "^"):
            bounds["upper"] = whole_argument(parser)
    body = parser.product()
    if variable:
        free = f"#{sum(each.name.startswith('#') for each in walk(body))}"  # one name for any, i is no imaginary unit
        body, variable = with_bound_name(body, variable, free), free
    if name in ("sum", "prod") and variable and len(bounds) == 2:
        return Node("series", name, (Node("symbol", variable), bounds["lower"], bounds["upper"], body))
    return Node("opaque", f"{name} {variable}", (*bounds.values(), body))


def with_bound_name(node: Node, variable: str, name: str) -> Node:
    """The expression with a variable that is bound in it, also as an index, under another name."""
    if node.kind in ("symbol", "constant") and node.name == variable:
        return Node("symbol", name)
    if node.kind == "symbol" and node.name.endswith("_" + variable):
        return Node("symbol", node.name.removesuffix(variable) + name)
    return replace(node, parts=tuple(with_bound_name(part, variable, name) for part in node.parts))


def lower_bound(parser: ExpressionParser) -> tuple[str, Node]:
    if not parser.take("open", "{"):
        return "", whole_argument(parser)
    variable = ""
    if parser.peek()[0] == "letter" and parser.peek(1) in (("operator", "="), ("name", "to")):
        variable = parser.peek()[1]
        parser.position += 2
    node = parser.sum()
    parser.expect("close", "}")
    return variable, node


COMMANDS: dict[str, Command] = {
    **dict.fromkeys(FUNCTIONS, function),
    **{"frac": fraction, "binom": binomial, "sqrt": root, "ldots": dots},
    **dict.fromkeys(ROUNDINGS, rounding),
    **dict.fromkeys(("sum", "prod", "int", "iint", "oint", "lim"), big_operator),
    **dict.fromkeys(("angle", "triangle"), figure),
}
