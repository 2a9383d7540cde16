r"""From tokens to the tree of one expression: sums, products, powers, brackets, numbers, letters.

What a LaTeX command such as `\frac` takes and means is in the table that the parser is given (`commands.COMMANDS`).
"""

import re
from collections.abc import Callable, Mapping
from fractions import Fraction

from deepscaler.reward.strict.parse.numerals import is_integer, read_number
from deepscaler.reward.strict.parse.tokens import CONSTANTS, Token
from deepscaler.reward.strict.tree import Node, negate, number
from deepscaler.reward.verdicts import Refused

MAX_DEPTH = 40
MAX_FACTORS = 150
PAIRS = {"(": ")", "[": "]", "\\{": "\\}", "{": "}"}
FUNCTION_LETTERS = re.compile(r"(?:[fghFGHP]|\\phi|\\psi)(?:_\w+)?'*")
GROUP_OF_THREE = re.compile(r"[0-9]{3}(\.[0-9]+)?")
PLAIN_FRACTION = re.compile(r"(?:\{([0-9]+)\}|([0-9]))(?:\{([0-9]+)\}|([0-9]))")
PADDING: list[Token] = [("end", "")] * 8  # more than any method looks ahead


class ExpressionParser:
    """Recursive descent over tokens; `position` is the next token. One method a rule of the grammar."""

    def __init__(self, tokens: list[Token], commands: "Mapping[str, Command]") -> None:
        self.tokens = [*tokens, *PADDING]
        self.commands = commands
        self.position = 0
        self.depth = 0
        self.bars = 0
        self.groups: dict[int, tuple[Node, int]] = {}
        """Brackets already read, by position: so that trying a function's argument does not double the work."""

    def peek(self, ahead: int = 0) -> Token:
        return self.tokens[self.position + ahead]

    def take(self, kind: str, value: str) -> bool:
        if self.tokens[self.position] == (kind, value):
            self.position += 1
            return True
        return False

    def expect(self, kind: str, value: str) -> None:
        if not self.take(kind, value):
            raise Refused(f"{value!r} missing before {self.peek()[1]!r}")

    def enter(self) -> None:
        """Count one more level of nesting; the caller counts it off again."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Refused("nested too deep")

    def sum(self) -> Node:
        self.enter()
        terms = [self.product()]
        while True:
            kind, value = self.tokens[self.position]
            if kind == "operator" and value in "+-":
                self.position += 1
                term = self.product()
                terms.append(negate(term) if value == "-" else term)
            elif kind == "name" and value in ("pm", "mp"):
                self.position += 1
                left = terms[0] if len(terms) == 1 else Node("add", parts=tuple(terms))
                terms = [left, Node("plusminus", "+" if value == "pm" else "-", (self.product(),))]
            else:
                break
        self.depth -= 1
        return terms[0] if len(terms) == 1 else Node("add", parts=tuple(terms))

    def product(self) -> Node:
        node = self.signed()
        for _ in range(MAX_FACTORS):
            kind, value = self.tokens[self.position]
            if kind == "end" or kind == "close":
                return node
            if self.take("operator", "*") or self.take("name", "cdot"):
                node = Node("multiply", parts=(node, self.signed()))
            elif self.take("operator", "/"):
                node = Node("divide", parts=(node, self.signed()))
            elif (kind, value) == ("name", "bmod") or (kind, value) == ("name", "mod"):
                self.position += 1
                node = Node("call", "mod", (node, self.power()))
            elif self.starts_factor():
                node = Node("multiply", parts=(node, self.neighbour(node)))
            else:
                return node
        raise Refused("too many factors")

    def neighbour(self, before: Node) -> Node:
        """The factor after `before`; two numbers side by side are refused unless a power parts them."""
        value = self.peek()[1]
        right = self.power()
        if right.kind == "number" and before.kind == "number":
            raise Refused("two numbers side by side")
        if value[:1] == "0" and value[1:2].isdigit():
            raise Refused("a factor with leading zeros")
        return right

    def starts_factor(self) -> bool:
        kind, value = self.peek()
        if kind in ("number", "letter"):
            return True
        if kind == "open":
            return value in PAIRS
        if kind == "name":
            return value in self.commands or value in CONSTANTS
        return (kind, value) == ("operator", "|") and self.bars == 0

    def signed(self) -> Node:
        kind, value = self.peek()
        if kind == "operator" and value in "+-":
            self.position += 1
            self.enter()
            node = self.signed()
            self.depth -= 1
            return negate(node) if value == "-" else node
        if kind == "name" and value in ("pm", "mp"):
            self.position += 1
            self.enter()
            node = Node("plusminus", "+" if value == "pm" else "-", (self.signed(),))
            self.depth -= 1
            return node
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
        braced = [self.peek(ahead) for ahead in range(3)] == [("open", "{"), ("name", "circ"), ("close", "}")]
        self.position += 3 * braced
        return braced or self.take("name", "circ")

    def exponent(self) -> Node:
        """What stands behind `^`: a group, a sign and a factor, or one factor."""
        self.enter()
        kind, value = self.peek()
        if kind == "operator" and value in "+-":
            self.position += 1
            node = self.exponent()
            node = negate(node) if value == "-" else node
        else:
            braced = (kind, value) == ("open", "{")
            node = self.atom(alone=True)
            if not braced:
                node = self.postfixed(node)
                if self.take("operator", "^"):
                    node = Node("power", parts=(node, self.exponent()))
        self.depth -= 1
        return node

    def postfixed(self, node: Node) -> Node:
        for _ in range(MAX_DEPTH):
            kind, value = self.tokens[self.position]
            if kind == "end" or value not in ("!", "%", "circ"):
                return node
            if self.peek() == ("operator", "!"):
                count = 0
                while self.take("operator", "!"):
                    count += 1
                node = Node("call", "factorial" if count == 1 else f"factorial{count}", (node,))
            else:
                self.position += 1
                if value == "%" and self.starts_factor():
                    raise Refused("a percent sign between numbers")
                node = Node("percent" if value == "%" else "degree", parts=(node,))
        raise Refused("too many marks behind each other")

    def atom(self, alone: bool = False) -> Node:
        r"""A number, letter, command or group; `alone`: a number as it stands, as in the base of `\\log_2 128`."""
        kind, value = self.peek()
        self.position += 1
        if kind == "number":
            return read_number(value) if alone else self.mixed(read_number(value))
        if kind == "letter":
            return self.letter(value)
        if kind == "name":
            return self.named(value)
        if kind == "open" and value in PAIRS:
            if self.position - 1 in self.groups:
                node, self.position = self.groups[self.position - 1]
                return node
            return self.group(value)
        if (kind, value) == ("operator", "|"):
            return self.absolute()
        raise Refused(f"{value!r} out of place" if kind != "end" else "an expression cut short")

    def group(self, opening: str) -> Node:
        node = self.sum() if opening != "{" else self.braced()
        self.expect("close", PAIRS[opening])
        return node

    def braced(self) -> Node:
        r"""Inside braces: an expression, or the old `n \choose k` and `a \over b`."""
        node = self.sum()
        if self.take("name", "choose"):
            return Node("call", "binom", (node, self.sum()))
        if self.take("name", "over"):
            return Node("divide", parts=(node, self.sum()))
        return node

    def absolute(self) -> Node:
        self.bars += 1
        node = self.sum()
        self.expect("operator", "|")
        self.bars -= 1
        return Node("call", "abs", (node,))

    def mixed(self, whole: Node) -> Node:
        """`2\frac{3}{5}` and `2 3/5` are 2 + 3/5; `2\frac{x}{5}` and `2\frac{7}{5}` are products."""
        following = self.tokens[self.position]
        if whole.digits or whole.number.denominator != 1 or (following[0] != "number" and following[1] != "frac"):
            return whole
        plain = [self.peek(ahead) for ahead in range(7)]
        kinds = [kind for kind, _ in plain]
        if plain[0] == ("name", "frac"):
            if (fraction := self.plain_fraction()) is not None:
                return number(whole.number + fraction)
        elif kinds[0] == kinds[2] == "number" and plain[1] == ("operator", "/") and kinds[3] != "number":
            above, below = read_number(plain[0][1]), read_number(plain[2][1])
            if is_integer(above) and is_integer(below) and 0 < above.number < below.number:
                self.position += 3
                return number(whole.number + above.number / below.number)
        elif kinds[0] == "number" and GROUP_OF_THREE.fullmatch(plain[0][1]) and whole.number < 1000:
            text = str(whole.number)
            while self.peek()[0] == "number" and GROUP_OF_THREE.fullmatch(self.peek()[1]):
                text += self.peek()[1]
                self.position += 1
            return read_number(text)
        return whole

    def plain_fraction(self) -> Fraction | None:
        r"""The proper fraction of two integers that stands here as `\frac12` or `\frac{1}{2}`, consumed; else None."""
        spelling = "".join(value for _, value in self.tokens[self.position + 1 : self.position + 7])
        match = PLAIN_FRACTION.match(spelling)
        above, below = (int(group) for group in match.groups() if group) if match else (0, 0)
        if not 0 < above < below:
            return None
        self.position += 1
        self.argument()
        self.argument()
        return Fraction(above, below)

    def letter(self, name: str) -> Node:
        if name in ("e", "i"):
            return Node("constant", name)
        braced = self.peek() == ("open", "{") and self.peek(1) == ("open", "(")
        if braced or self.peek() == ("open", "("):
            start = self.position
            self.position += 1 + braced
            arguments = self.arguments(")")
            if braced:
                self.expect("close", "}")
            if name == "C" and len(arguments) == 2:
                return Node("call", "binom", arguments)
            simple = len(arguments) == 1 and arguments[0].kind in ("symbol", "number")
            if len(arguments) > 1 or FUNCTION_LETTERS.fullmatch(name) or simple:
                return Node("opaque", name, arguments)
            self.groups[start] = (arguments[0], self.position)
            self.position = start
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
            self.position += 1
            return self.group("{")
        if kind == "number" and len(value) > 1:
            if not value[:2].isdigit() or "e" in value.lower():
                raise Refused("a number cut in two")
            self.tokens[self.position] = ("number", value[1:])
            return read_number(value[0])
        if kind == "operator" and value in "+-":
            raise Refused("a sign as an argument")
        return self.atom(alone=True)

    def named(self, name: str) -> Node:
        """What a constant or a command stands for; a command's arguments stand behind it."""
        if name in CONSTANTS:
            return Node("constant", "infinity" if name == "infty" else name)
        self.enter()  # commands take each other as arguments without a bracket between them
        if name not in self.commands:
            raise Refused(f"command {name!r}")
        node = self.commands[name](self, name)
        self.depth -= 1
        return node


Command = Callable[[ExpressionParser, str], Node]
"""Reads the arguments of the command of this name, and gives its tree."""
