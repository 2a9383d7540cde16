"""The arithmetic language of DeepScaleR's grader: a closed grammar, read without evaluating any text.

Upstream hands its normal form to SymPy's `parse_expr`, which builds Python source and evals it. Here a tokenizer lets
through numbers, names from a short list, single letters and operators, a recursive-descent parser reads them with
`parse_expr`'s precedences (implicit multiplication, split symbols, factorials). Everything else raises `Refused`.
"""

import math
import re
import unicodedata
from dataclasses import dataclass

from deepscaler.reward.verdicts import Refused

MAX_TOKENS = 400
MAX_DEPTH = 40
MAX_DIGITS = 400

TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)|(?P<name>[^\W\d]\w*)|(?P<operator>\*\*|[-+*/^(),!])", re.A
)
PIECE = re.compile(r"[0-9]+|.")
NAME = re.compile(r"[^\W\d]\w*")
CONSTANTS = {"pi": math.pi}
FUNCTIONS = {"sqrt", "ln", "re", "im", "csc", "frac", "li"}
REFUSED_NAMES = {
    *("nan", "oo", "zoo", "rf", "ff", "gff", "jn", "yn", "hn1", "hn2", "fft", "ntt", "fu", "eye", "all", "id"),
    *("if", "is", "in", "or", "as"),
}


@dataclass(frozen=True, slots=True)
class Node:
    """`kind` is number, symbol, constant, call, add, subtract, multiply, divide, power, negate or factorial.

    `value` is the text of a leaf or the function's name; `parts` are the operands.
    """

    kind: str
    value: str = ""
    parts: tuple["Node", ...] = ()


def tokenize(text: str) -> list[tuple[str, str]]:
    """(kind, text) pairs; a name stands for one symbol, constant or function."""
    tokens: list[tuple[str, str]] = []
    position = 0
    while position < len(text):
        if match := TOKEN.match(text, position) or NAME.match(text, position):
            kind = match.lastgroup or "name"
            piece = match.group()
        else:
            raise Refused(f"character {text[position]!r}")
        position = match.end()
        if kind == "number":
            tokens.append((kind, checked_number(piece, text[position : position + 1])))
        elif kind == "name":
            tokens.extend(split_name(piece))
        else:
            tokens.append((kind, "**" if piece == "^" else piece))
        if len(tokens) > MAX_TOKENS:
            raise Refused("too many tokens")
    return tokens


def checked_number(text: str, following: str) -> str:
    if len(text) > MAX_DIGITS:
        raise Refused("too many digits")
    exponent = text.partition("e")[2]
    if exponent and abs(int(exponent)) > 400:
        raise Refused("exponent of a number")
    if following in ("_", "j", "J") or (text[0] == "0" and len(text) > 1 and text[1].isdigit()):
        raise Refused("number as no mathematician writes it")
    if text == "0" and following in ("x", "o", "b"):
        raise Refused("number in another base")
    return text


def split_name(name: str) -> list[tuple[str, str]]:
    """`xy2` as x, y, 2; a listed constant or function and the name of a Greek letter stay whole, as in SymPy."""
    if name in REFUSED_NAMES or len(name) > 40:
        raise Refused(f"name {name[:20]!r}")
    if name in CONSTANTS:
        return [("constant", name)]
    if name in FUNCTIONS:
        return [("function", name)]
    if len(name) == 1 or "_" in name or is_greek_name(name):
        return [("symbol", name)]
    pieces = PIECE.findall(name)
    if any(piece.isdigit() and not piece.isascii() for piece in pieces):
        raise Refused("digit beyond ASCII")
    return [("number" if piece.isdigit() else "symbol", piece.lstrip("0") or "0") for piece in pieces]


def is_greek_name(name: str) -> bool:
    try:
        unicodedata.lookup("GREEK SMALL LETTER " + name)
        return True
    except KeyError:
        return False


class Parser:
    """Python's precedences, with `*` understood between neighbours; `**` binds tighter than a sign on its left."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = [*tokens, ("end", "")]
        self.position = 0
        self.depth = 0

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.position]

    def take(self, operator: str) -> bool:
        if self.tokens[self.position] == ("operator", operator):
            self.position += 1
            return True
        return False

    def whole(self) -> Node:
        node = self.sum()
        if self.peek()[0] != "end":
            raise Refused(f"{self.peek()[1]!r} out of place")
        return node

    def sum(self) -> Node:
        node = self.product()
        while True:
            if self.take("+"):
                node = Node("add", "", (node, self.product()))
            elif self.take("-"):
                node = Node("subtract", "", (node, self.product()))
            else:
                return node

    def product(self) -> Node:
        node = self.signed()
        while True:
            if self.take("*"):
                node = Node("multiply", "", (node, self.signed()))
            elif self.take("/"):
                node = Node("divide", "", (node, self.signed()))
            elif self.peek()[0] in ("number", "symbol", "constant", "function") or self.peek() == ("operator", "("):
                node = Node("multiply", "", (node, self.power()))
            else:
                return node

    def signed(self) -> Node:
        negative, signs = False, 0
        while self.peek() in (("operator", "-"), ("operator", "+")):
            negative ^= self.peek()[1] == "-"
            self.position, signs = self.position + 1, signs + 1
        node = self.power()
        return Node("negate", "", (node,)) if negative else node

    def power(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Refused("nested too deep")
        base = self.postfix()
        node = Node("power", "", (base, self.signed())) if self.take("**") else base
        self.depth -= 1
        return node

    def postfix(self) -> Node:
        node = self.primary()
        if self.take("!"):
            node = Node("factorial", "", (node,))
            if self.peek() == ("operator", "!"):
                raise Refused("double factorial")
        return node

    def primary(self) -> Node:
        kind, value = self.peek()
        self.position += 1
        if kind in ("number", "symbol", "constant"):
            return Node(kind, value)
        if kind == "function":
            if not self.take("("):
                raise Refused(f"{value} without parentheses")
            return Node("call", value, (self.closed(),))
        if (kind, value) == ("operator", "("):
            return self.closed()
        raise Refused(f"{value!r} out of place" if value else "cut short")

    def closed(self) -> Node:
        node = self.sum()
        if not self.take(")"):
            raise Refused("unbalanced parentheses")
        return node


def parse(text: str) -> Node:
    """The tree of a normal form.

    Raises:
        Refused: the text is outside the grammar or beyond a cap.
    """
    return Parser(tokenize(text.strip())).whole()


def symbols(node: Node) -> set[str]:
    if node.kind == "symbol":
        return {node.value}
    return set().union(*(symbols(part) for part in node.parts)) if node.parts else set()
