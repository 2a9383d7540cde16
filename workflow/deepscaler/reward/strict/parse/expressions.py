r"""From tokens to the tree of one expression.

Conventions: `2^10` has the exponent 10 and `\frac12` the arguments 1 and 2; neighbours multiply, except an integer
before a fraction of two integers, which is a mixed number; `1/2x` is read from left to right; `\sin 2x` takes the
product behind it, up to a sign, a slash or another function; a letter before a bracket that holds one symbol or number
is a function (`f(x)`, `I(0)`), before anything else a factor.
"""

import re
from contextlib import suppress

from deepscaler.reward.strict.parse.grammar import MAX_DEPTH, PAIRS, ArithmeticParser
from deepscaler.reward.strict.parse.tokens import FUNCTIONS
from deepscaler.reward.strict.tree import Node, negate, number
from deepscaler.reward.verdicts import Refused

MAX_DERIVATIVE_DEPTH = 6
"""Nesting up to which a fraction is tried as a derivative first; the trial may double the work."""
ROUNDINGS = {"lfloor": ("rfloor", "floor"), "lceil": ("rceil", "ceil")}
DIFFERENTIAL = re.compile(r"d|\\partial")


class ExpressionParser(ArithmeticParser):
    """The whole grammar of expressions: arithmetic and LaTeX's commands."""

    def named(self, name: str) -> Node:
        if name == "pi":
            return Node("constant", "pi")
        if name == "infty":
            return Node("constant", "infinity")
        self.depth += 1  # commands take each other as arguments without a bracket between them
        if self.depth > MAX_DEPTH:
            raise Refused("nested too deep")
        node = self.command(name)
        self.depth -= 1
        return node

    def command(self, name: str) -> Node:
        """A command that takes arguments, which stand behind it."""
        if name in ROUNDINGS:
            node = self.sum()
            self.expect("name", ROUNDINGS[name][0])
            return Node("call", ROUNDINGS[name][1], (node,))
        if name == "ldots":
            return Node("symbol", "...")
        if name in ("sum", "prod", "int", "iint", "oint", "lim", "bigoplus"):
            return self.big_operator(name)
        if name in ("angle", "triangle"):
            return self.figure(name)
        if name == "frac":
            return self.fraction()
        if name == "binom":
            return Node("call", "binom", (self.argument(), self.argument()))
        if name == "sqrt":
            return self.root()
        if name in FUNCTIONS:
            return self.function(name)
        raise Refused(f"command {name!r}")

    def figure(self, name: str) -> Node:
        """An angle or a triangle by its points: an angle may be named from either end, a triangle in any order."""
        points = []
        while self.peek()[0] == "letter":
            points.append(self.peek()[1])
            self.position += 1
        if not points:
            raise Refused(f"{name} of what")
        points = sorted(points) if name == "triangle" else min(points, points[::-1])
        return Node("symbol", f"{name} {' '.join(points)}")

    def fraction(self) -> Node:
        if self.peek() == ("open", "("):
            self.position += 1
            return Node("opaque", "frac", self.arguments(")"))
        start = self.position
        if self.depth < MAX_DERIVATIVE_DEPTH and self.at_differential():
            depth = self.depth
            with suppress(Refused):
                return self.derivative()
            self.position, self.depth = start, depth
        return Node("divide", parts=(self.argument(), self.argument()))

    def at_differential(self) -> bool:
        """Whether a group that starts with the d of a derivative stands here."""
        return self.peek() == ("open", "{") and bool(DIFFERENTIAL.fullmatch(self.peek(1)[1]))

    def derivative(self) -> Node:
        r"""`\frac{d^2 x}{d t^2}` and `\frac{d^2}{d t^2} x` as an operator on x.

        Raises:
            Refused: it is no derivative, as `\frac{d}{2}` is not.
        """
        self.position += 2
        order = self.exponent() if self.take("operator", "^") else number(1)
        operand = None if self.peek() == ("close", "}") else self.product()
        self.expect("close", "}")
        if not self.at_differential():
            raise Refused("no differential below")
        self.position += 2
        below = self.product()
        self.expect("close", "}")
        return Node("opaque", "derivative", (operand if operand is not None else self.power(), order, below))

    def root(self) -> Node:
        degree: Node | None = None
        if self.take("open", "["):
            degree = self.sum()
            self.expect("close", "]")
        if self.peek() == ("open", "("):
            self.position += 1
            radicand = self.group("(")
        else:
            radicand = self.argument() if self.peek()[0] != "number" else self.atom()
        return Node("call", "sqrt", (radicand,)) if degree is None else Node("call", "root", (radicand, degree))

    def function(self, name: str) -> Node:
        base: Node | None = None
        exponent: Node | None = None
        for _ in range(2):
            if self.take("operator", "_"):
                base = self.argument() if self.peek()[0] != "number" else self.atom()
            elif self.take("operator", "^"):
                exponent = self.exponent()
        kind, value = self.peek()
        if kind == "open":
            self.position += 1
            arguments = self.arguments(PAIRS.get(value, ""))
        else:
            arguments = (self.unbracketed(),)
        if exponent == negate(number(1)) and name in ("sin", "cos", "tan", "cot", "sec", "csc"):
            return Node("call", "arc" + name, arguments)
        if name == "log" and base is not None:
            arguments = (*arguments, base)
        elif base is not None:
            name = f"{name}_{base}"
        node = Node("call" if "_" not in name else "opaque", name, arguments)
        return node if exponent is None else Node("power", parts=(node, exponent))

    def unbracketed(self) -> Node:
        r"""The argument of `\sin 2x`: factors up to a sign, a slash or another function."""
        if self.peek()[0] == "operator" and self.peek()[1] in "+-":
            return self.signed()
        node = self.power()
        while True:
            kind, value = self.peek()
            if (
                kind in ("letter", "number")
                or (kind, value) in (("name", "pi"), ("open", "{"))
                or ((kind, value) == ("name", "frac") and node.kind in ("number", "constant"))
            ):
                node = Node("multiply", parts=(node, self.power()))
            elif (kind, value) == ("name", "cdot") and self.peek(1)[0] in ("letter", "number"):
                self.position += 1
                node = Node("multiply", parts=(node, self.power()))
            else:
                return node

    def big_operator(self, name: str) -> Node:
        """A sum or product with bounds, or an integral or limit, which stays opaque."""
        bounds: dict[str, Node] = {}
        variable = ""
        for _ in range(2):
            if self.take("operator", "_"):
                variable, bounds["lower"] = self.lower_bound()
            elif self.take("operator", "^"):
                bounds["upper"] = self.argument() if self.peek()[0] != "number" else self.atom()
        body = self.product()
        if name in ("sum", "prod") and variable and len(bounds) == 2:
            return Node("series", name, (Node("symbol", variable), bounds["lower"], bounds["upper"], body))
        return Node("opaque", f"{name} {variable}", (*bounds.values(), body))

    def lower_bound(self) -> tuple[str, Node]:
        if not self.take("open", "{"):
            return "", self.argument() if self.peek()[0] != "number" else self.atom()
        variable = ""
        if self.peek()[0] == "letter" and self.peek(1) in (("operator", "="), ("name", "to")):
            variable = self.peek()[1]
            self.position += 2
        node = self.sum()
        self.expect("close", "}")
        return variable, node
