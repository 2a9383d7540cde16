r"""From tokens to the tree of one expression.

Conventions: `2^10` has the exponent 10 and `\frac12` the arguments 1 and 2; neighbours multiply, except an integer
before a fraction of two integers, which is a mixed number; `1/2x` is read from left to right; `\sin 2x` takes the
product behind it, up to a sign, a slash or another function; a letter before a bracket that holds one symbol or number
is a function (`f(x)`, `I(0)`), before anything else a factor.
"""

import re
from contextlib import suppress
from fractions import Fraction

from ..verdicts import Refused
from .tokens import CONSTANTS, FUNCTIONS, Token
from .tree import Node, negate, number

MAX_DEPTH = 40
MAX_FACTORS = 150
MAX_DERIVATIVE_DEPTH = 5
"""Nesting up to which a fraction is tried as a derivative first; the trial may double the work."""
_FUNCTION_LETTERS = re.compile(r"(?:[fghFGHP]|\\phi|\\psi)(?:_\w+)?'*")
_PAIRS = {"(": ")", "[": "]", "\\{": "\\}", "{": "}"}
_ROUNDINGS = {"lfloor": ("rfloor", "floor"), "lceil": ("rceil", "ceil")}
_PLAIN_FRACTION = re.compile(r"(?:\{([0-9]+)\}|([0-9]))(?:\{([0-9]+)\}|([0-9]))")
_DIFFERENTIAL = re.compile(r"d|\\partial")
_PADDING: list[Token] = [("end", "")] * 8
"""More than anything looks ahead."""


class ExpressionParser:
    """Recursive descent over tokens; `place` is where it stands."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = [*tokens, *_PADDING]
        self.place = 0
        self.depth = 0
        self.bars = 0
        self.groups: dict[int, tuple[Node, int]] = {}
        """Brackets already read, by their place: so that trying a function's argument does not double the work."""

    def peek(self, ahead: int = 0) -> Token:
        return self.tokens[self.place + ahead]

    def take(self, kind: str, value: str) -> bool:
        if self.tokens[self.place] == (kind, value):
            self.place += 1
            return True
        return False

    def expect(self, kind: str, value: str) -> None:
        if not self.take(kind, value):
            raise Refused(f"{value!r} missing before {self.peek()[1]!r}")

    def sum(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Refused("nested too deep")
        terms = [self.product()]
        while True:
            kind, value = self.tokens[self.place]
            if kind == "operator" and value in "+-":
                self.place += 1
                term = self.product()
                terms.append(negate(term) if value == "-" else term)
            elif kind == "name" and value in ("pm", "mp"):
                self.place += 1
                left = terms[0] if len(terms) == 1 else Node("add", parts=tuple(terms))
                terms = [left, Node("plusminus", "+" if value == "pm" else "-", (self.product(),))]
            else:
                break
        self.depth -= 1
        return terms[0] if len(terms) == 1 else Node("add", parts=tuple(terms))

    def product(self) -> Node:
        node = self.signed()
        for _ in range(MAX_FACTORS):
            kind, value = self.tokens[self.place]
            if kind == "end" or kind == "close":
                return node
            if self.take("operator", "*") or self.take("name", "cdot"):
                node = Node("multiply", parts=(node, self.signed()))
            elif self.take("operator", "/"):
                node = Node("divide", parts=(node, self.signed()))
            elif (kind, value) == ("name", "bmod") or (kind, value) == ("name", "mod"):
                self.place += 1
                node = Node("call", "mod", (node, self.power()))
            elif self.starts_factor():
                node = Node("multiply", parts=(node, self.neighbour(node)))
            else:
                return node
        raise Refused("too many factors")

    def neighbour(self, before: Node) -> Node:
        """The factor after `before`; two numbers side by side are refused unless a power parts them."""
        right = self.power()
        if right.kind == "number" and before.kind == "number":
            raise Refused("two numbers side by side")
        return right

    def starts_factor(self) -> bool:
        kind, value = self.peek()
        if kind in ("number", "letter"):
            return True
        if kind == "open":
            return value in _PAIRS
        if kind == "name":
            return value in FUNCTIONS or value in CONSTANTS or value in _STARTING
        return (kind, value) == ("operator", "|") and self.bars == 0

    def signed(self) -> Node:
        kind, value = self.peek()
        if kind == "operator" and value in "+-":
            self.place += 1
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise Refused("nested too deep")
            node = self.signed()
            self.depth -= 1
            return negate(node) if value == "-" else node
        if kind == "name" and value in ("pm", "mp"):
            self.place += 1
            return Node("plusminus", "+" if value == "pm" else "-", (self.signed(),))
        return self.power()

    def power(self) -> Node:
        node = self.postfixed(self.atom())
        if self.take("operator", "^"):
            if self.is_degree_sign():
                node = Node("degree", parts=(node,))
            else:
                node = self.postfixed(Node("power", parts=(node, self.exponent())))
        return node

    def is_degree_sign(self) -> bool:
        if self.take("name", "circ"):
            return True
        if [self.peek(ahead) for ahead in range(3)] == [("open", "{"), ("name", "circ"), ("close", "}")]:
            self.place += 3
            return True
        return False

    def exponent(self) -> Node:
        """What stands behind `^`: a group, a sign and a factor, or one factor."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Refused("nested too deep")
        kind, value = self.peek()
        if kind == "operator" and value in "+-":
            self.place += 1
            node = self.exponent()
            node = negate(node) if value == "-" else node
        else:
            braced = (kind, value) == ("open", "{")
            node = self.atom()
            if not braced:
                node = self.postfixed(node)
                if self.take("operator", "^"):
                    node = Node("power", parts=(node, self.exponent()))
        self.depth -= 1
        return node

    def postfixed(self, node: Node) -> Node:
        while True:
            kind, value = self.tokens[self.place]
            if kind == "end" or value not in ("!", "%", "circ"):
                return node
            if self.peek() == ("operator", "!"):
                count = 0
                while self.take("operator", "!"):
                    count += 1
                node = Node("call", "factorial" if count == 1 else f"factorial{count}", (node,))
            else:
                self.place += 1
                node = Node("percent" if value == "%" else "degree", parts=(node,))

    def atom(self) -> Node:
        kind, value = self.peek()
        self.place += 1
        if kind == "number":
            return self.mixed(read_number(value))
        if kind == "letter":
            return self.letter(value)
        if kind == "name":
            return self.named(value)
        if kind == "open" and value in _PAIRS:
            if self.place - 1 in self.groups:
                node, self.place = self.groups[self.place - 1]
                return node
            return self.group(value)
        if (kind, value) == ("operator", "|"):
            return self.absolute()
        raise Refused(f"{value!r} out of place" if kind != "end" else "an expression cut short")

    def group(self, opening: str) -> Node:
        node = self.sum() if opening != "{" else self.braced()
        self.expect("close", _PAIRS[opening])
        return node

    def braced(self) -> Node:
        r"""Inside braces: an expression, or the old `n \choose k`."""
        node = self.sum()
        if self.take("name", "choose"):
            return Node("call", "binom", (node, self.sum()))
        return node

    def absolute(self) -> Node:
        self.bars += 1
        node = self.sum()
        self.expect("operator", "|")
        self.bars -= 1
        return Node("call", "abs", (node,))

    def mixed(self, whole: Node) -> Node:
        """`2\frac{3}{5}` and `2 3/5` are 2 + 3/5; `2\frac{x}{5}` and `2\frac{7}{5}` are products."""
        following = self.tokens[self.place]
        if whole.digits or whole.number.denominator != 1 or (following[0] != "number" and following[1] != "frac"):
            return whole
        plain = [self.peek(ahead) for ahead in range(7)]
        kinds = [kind for kind, _ in plain]
        if plain[0] == ("name", "frac"):
            if (fraction := self.plain_fraction()) is not None:
                return number(whole.number + fraction)
        elif kinds[0] == kinds[2] == "number" and plain[1] == ("operator", "/") and kinds[3] != "number":
            above, below = read_number(plain[0][1]), read_number(plain[2][1])
            if _is_integer(above) and _is_integer(below) and 0 < above.number < below.number:
                self.place += 3
                return number(whole.number + above.number / below.number)
        elif kinds[0] == "number" and re.fullmatch(r"[0-9]{3}(\.[0-9]+)?", plain[0][1]) and whole.number < 1000:
            text = str(whole.number)
            while self.peek()[0] == "number" and re.fullmatch(r"[0-9]{3}(\.[0-9]+)?", self.peek()[1]):
                text += self.peek()[1]
                self.place += 1
            return read_number(text)
        return whole

    def plain_fraction(self) -> Fraction | None:
        r"""The proper fraction of two integers that stands here as `\frac12` or `\frac{1}{2}`, consumed; else None."""
        spelling = "".join(value for _, value in self.tokens[self.place + 1 : self.place + 7])
        match = _PLAIN_FRACTION.match(spelling)
        if match is None:
            return None
        above, below = (int(match.group(1) or match.group(2)), int(match.group(3) or match.group(4)))
        if not 0 < above < below:
            return None
        self.place += 1
        self.argument()
        self.argument()
        return Fraction(above, below)

    def letter(self, name: str) -> Node:
        if name == "e":
            return Node("constant", "e")
        if name == "i":
            return Node("constant", "i")
        braced = self.peek() == ("open", "{") and self.peek(1) == ("open", "(")
        if braced or self.peek() == ("open", "("):
            start = self.place
            self.place += 1 + braced
            arguments = self.arguments(")")
            if braced:
                self.expect("close", "}")
            simple = len(arguments) == 1 and arguments[0].kind in ("symbol", "number")
            if len(arguments) > 1 or _FUNCTION_LETTERS.fullmatch(name) or simple:
                return Node("opaque", name, arguments)
            self.groups[start] = (arguments[0], self.place)
            self.place = start
        return Node("symbol", name)

    def arguments(self, closing: str) -> tuple[Node, ...]:
        """Expressions between commas, up to and past the closing bracket."""
        found = [self.sum()]
        while self.take("operator", ","):
            found.append(self.sum())
        self.expect("close", closing)
        return tuple(found)

    def argument(self) -> Node:
        """One macro argument: a group, a digit, a letter or a command; `12` gives 1 and leaves 2."""
        kind, value = self.peek()
        if (kind, value) == ("open", "{"):
            self.place += 1
            return self.group("{")
        if kind == "number" and len(value) > 1:
            if not value[:2].isdigit() or "e" in value.lower():
                raise Refused("a number cut in two")
            self.tokens[self.place] = ("number", value[1:])
            return read_number(value[0])
        if kind == "operator" and value in "+-":
            raise Refused("a sign as an argument")
        return self.atom()

    def named(self, name: str) -> Node:
        if name == "pi":
            return Node("constant", "pi")
        if name == "infty":
            return Node("constant", "infinity")
        if name in _ROUNDINGS:
            node = self.sum()
            self.expect("name", _ROUNDINGS[name][0])
            return Node("call", _ROUNDINGS[name][1], (node,))
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
            self.place += 1
        if not points:
            raise Refused(f"{name} of what")
        points = sorted(points) if name == "triangle" else min(points, points[::-1])
        return Node("symbol", f"{name} {' '.join(points)}")

    def fraction(self) -> Node:
        if self.peek() == ("open", "("):
            self.place += 1
            return Node("opaque", "frac", self.arguments(")"))
        start = self.place
        if self.depth < MAX_DERIVATIVE_DEPTH and self.at_differential():
            with suppress(Refused):
                return self.derivative()
            self.place = start
        return Node("divide", parts=(self.argument(), self.argument()))

    def at_differential(self) -> bool:
        """Whether a group that starts with the d of a derivative stands here."""
        return self.peek() == ("open", "{") and bool(_DIFFERENTIAL.fullmatch(self.peek(1)[1]))

    def derivative(self) -> Node:
        r"""`\frac{d^2 x}{d t^2}` and `\frac{d^2}{d t^2} x` as an operator on x.

        Raises:
            Refused: it is no derivative, as `\frac{d}{2}` is not.
        """
        self.place += 2
        order = self.exponent() if self.take("operator", "^") else number(1)
        operand = None if self.peek() == ("close", "}") else self.product()
        self.expect("close", "}")
        if not self.at_differential():
            raise Refused("no differential below")
        self.place += 2
        below = self.product()
        self.expect("close", "}")
        return Node("opaque", "derivative", (operand if operand is not None else self.power(), order, below))

    def root(self) -> Node:
        degree: Node | None = None
        if self.take("open", "["):
            degree = self.sum()
            self.expect("close", "]")
        if self.peek() == ("open", "("):
            self.place += 1
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
            self.place += 1
            arguments = self.arguments(_PAIRS.get(value, ""))
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
                self.place += 1
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
            self.place += 2
        node = self.sum()
        self.expect("close", "}")
        return variable, node


_STARTING = frozenset(("lfloor", "lceil", "sum", "prod", "int", "iint", "oint", "lim", "angle", "triangle", "ldots"))


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


def _is_integer(node: Node) -> bool:
    return node.kind == "number" and node.number.denominator == 1 and not node.digits
