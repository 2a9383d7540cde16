"""How a regular expression's time grows: texts that make it try again, and the processor time that it then takes.

Texts are made of the expression itself: letters that it names, one of each class, its literal words, alone and in
pairs, repeated, between a beginning that it accepts and an end that it does not. Time is the processor's, compared over
doubled lengths, so that what else the machine does hardly counts: a linear expression takes a fraction of a millisecond
at the length where a quadratic one takes a hundred times as long.
"""

import ast
import importlib
import pkgutil
import re
import signal
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from re import _constants as kinds  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from types import FrameType, ModuleType
from typing import Any

FIRST, LONGEST = 125, 16_000
"""Characters: doubled from the first to the longest, as long as a text looks slow."""
UNSUSPICIOUS = 0.2e-6
"""Seconds a character at which a text is let go: linear expressions take a tenth of it."""
LIMIT = 0.1
"""Seconds for the longest text. Linear expressions take some milliseconds, quadratic ones half a second and more."""
ENDS = ("", "\0")
SAMPLES = {
    kinds.CATEGORY_DIGIT: "1", kinds.CATEGORY_SPACE: " \n", kinds.CATEGORY_WORD: "a",
    kinds.CATEGORY_NOT_DIGIT: "a", kinds.CATEGORY_NOT_SPACE: "a", kinds.CATEGORY_NOT_WORD: "-",
}  # fmt: skip
REPEATS = (kinds.MAX_REPEAT, kinds.MIN_REPEAT, kinds.POSSESSIVE_REPEAT)
METHODS = ("match", "fullmatch", "search", "sub", "finditer", "findall", "split")


class Late(Exception):
    """The limit has passed."""


def modules(package: ModuleType) -> Iterator[ModuleType]:
    """All modules of a package that can be imported without an engine."""
    for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        try:
            yield importlib.import_module(info.name)
        except ImportError:  # engines of another machine
            continue


def patterns_of(package: ModuleType) -> dict[str, tuple[re.Pattern[str], set[str]]]:
    """`module.NAME` → the expression at a module's top, and the methods by which the package calls it."""
    found: dict[str, tuple[re.Pattern[str], set[str]]] = {}
    loaded = list(modules(package))
    sources = {module.__name__: Path(str(module.__file__)).read_text(encoding="utf-8") for module in loaded}
    for module in loaded:
        for name, value in vars(module).items():
            several = value if isinstance(value, list | tuple) else [value]
            for index, one in enumerate(flat(several)):
                label = f"{module.__name__.partition('.')[2]}.{name}" + (f"[{index}]" if one is not value else "")
                if isinstance(one, re.Pattern) and isinstance(one.pattern, str) and name.isupper():
                    users = [text for other, text in sources.items() if uses(module.__name__, name, other, text)]
                    used = {method for method in METHODS for text in users if re.search(rf"\b{name}\.{method}\(", text)}
                    found.setdefault(label, (one, used or {"search"}))
    return found


def uses(module: str, name: str, other: str, text: str) -> bool:
    """Whether another module's source means this module's name: it is the same, or imports it."""
    imported = rf"from {re.escape(module)} import [^\n]*\b{name}\b|from {re.escape(module)} import \([^)]*\b{name}\b"
    return other == module or bool(re.search(imported, text))


def flat(values: object) -> Iterator[object]:
    if isinstance(values, list | tuple):
        for value in values:
            yield from flat(value)
    else:
        yield values


def inline_calls(path: Path) -> Iterator[int]:
    """Lines on which a file gives an expression's text to `re` elsewhere than at its top, where no test finds it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
        for node in ast.walk(function):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "re"
                and node.func.attr in (*METHODS, "compile")
            ):
                yield node.lineno


def pumps(pattern: re.Pattern[str]) -> list[str]:
    """Pieces to repeat: the expression's letters and words, alone and in pairs."""
    letters: dict[str, None] = {}
    words: dict[str, None] = {}
    collect(parser.parse(pattern.pattern, pattern.flags), letters, words)
    singles = list(dict.fromkeys([*letters, *words]))
    pairs = [one + other for one, other in product([*letters][:10], [*singles][:12]) if one != other]
    accepted = [begun + end for begun in examples(parser.parse(pattern.pattern, pattern.flags)) for end in ("", " x")]
    return list(dict.fromkeys([*singles, *accepted, *pairs]))


def examples(tree: object) -> list[str]:
    """Texts that the expression accepts, and their beginnings, cut where one of its parts ends."""
    found = [""]
    whole = [""]
    for kind, value in tree:  # type: ignore[attr-defined]
        whole = [text + part for text in whole[:4] for part in parts_of(kind, value)[:4]]
        found += whole
    return [text for text in dict.fromkeys(found) if text]


def parts_of(kind: object, value: Any) -> list[str]:
    """Texts for one part of an expression, the shortest kind of each branch."""
    if kind is kinds.LITERAL:
        return [chr(value)]
    if kind is kinds.IN:
        return list(members(value))[:1] or ["x"]
    if kind in (kinds.ANY, kinds.NOT_LITERAL):
        return ["x"]
    if kind is kinds.SUBPATTERN:
        return examples(value[3])[-3:] or [""]
    if kind is kinds.BRANCH:
        return [text for branch in value[1] for text in examples(branch)[-1:]] or [""]
    if kind in REPEATS:
        return [text * max(1, value[0]) for text in examples(value[2])[-2:]] or [""]
    return [""]


def collect(tree: object, letters: dict[str, None], words: dict[str, None]) -> None:
    """Walk a parsed expression: a letter for each literal and class, a word for each run of literals."""
    run = ""
    for kind, value in tree:  # type: ignore[attr-defined]
        if kind is kinds.LITERAL:
            letters[chr(value)] = None
            run += chr(value)
            continue
        words.update(dict.fromkeys([run] if len(run) > 1 else []))
        run = ""
        if kind is kinds.IN:
            letters.update(dict.fromkeys(members(value)))
        elif kind is kinds.NOT_LITERAL or kind is kinds.ANY:
            letters["x"] = None
        elif kind is kinds.CATEGORY:
            letters.update(dict.fromkeys(SAMPLES.get(value, "")))
        else:
            for part in value if isinstance(value, tuple | list) else (value,):
                for piece in part if kind is kinds.BRANCH and isinstance(part, list) else (part,):
                    if isinstance(piece, parser.SubPattern):
                        collect(piece, letters, words)
    words.update(dict.fromkeys([run] if len(run) > 1 else []))


def members(items: list[tuple[object, object]]) -> Iterator[str]:
    """Some characters of a class; of a negated one a letter, a blank and a bracket that it does not exclude."""
    negated = bool(items) and items[0][0] is kinds.NEGATE
    inside: list[str] = []
    for kind, value in items:
        if kind is kinds.LITERAL:
            inside.append(chr(value))  # type: ignore[arg-type]
        elif kind is kinds.RANGE:
            inside += [chr(end) for end in value]  # type: ignore[attr-defined]
        elif kind is kinds.CATEGORY:
            inside += SAMPLES.get(value, "")  # type: ignore[call-overload]
    yield from ([c for c in "x (" if c not in inside] if negated else inside[:8])


def beginnings(pattern: re.Pattern[str], pieces: list[str]) -> list[str]:
    """What a repeated piece may stand behind: nothing, the expression's first letters, or what it accepts."""
    return list(dict.fromkeys(["", *pieces[:4], *examples(parser.parse(pattern.pattern, pattern.flags))[:4]]))


def slowest(pattern: re.Pattern[str], used: set[str]) -> tuple[float, str] | None:
    """The processor time of the first text that takes longer than the limit, and what it was; None if none does."""
    pieces = pumps(pattern)
    for piece, beginning, end in product(pieces, beginnings(pattern, pieces), ENDS):
        for method in sorted(used):
            if (seconds := grown(pattern, method, beginning, piece, end)) is not None:
                return seconds, f"{method}({beginning!r} + {piece!r} × n + {end!r})"
    return None


def grown(pattern: re.Pattern[str], method: str, beginning: str, piece: str, end: str) -> float | None:
    """Seconds at the length where the limit is passed; None where time does not grow beyond it."""
    length = FIRST
    while length <= LONGEST:
        text = beginning + piece * (length // len(piece)) + end
        seconds = measured(pattern, method, text)
        if seconds > UNSUSPICIOUS * length and seconds > 5e-5:
            seconds = min(seconds, measured(pattern, method, text))  # the first may have been unlucky
        if seconds > LIMIT and min(measured(pattern, method, text) for _ in range(2)) > LIMIT:
            return seconds
        if length >= 16 * FIRST and (seconds < UNSUSPICIOUS * length or seconds < 5e-5):
            return None
        length *= 2
    return None


def measured(pattern: re.Pattern[str], method: str, text: str) -> float:
    """Processor seconds of one call; a little more than the limit where it takes longer."""

    def call() -> None:
        if method == "sub":
            pattern.sub("", text)
        elif method == "finditer":
            for _ in pattern.finditer(text):
                pass
        else:
            getattr(pattern, method)(text)

    return seconds_of(call, 5 * LIMIT)


def seconds_of(call: object, limit: float) -> float:
    """Processor seconds of a call, ended when it takes more than `limit`."""

    def late(number: int, frame: FrameType | None) -> None:
        raise Late

    before = signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, limit)
    start = time.process_time()
    try:
        call()  # type: ignore[operator]
    except Late:
        pass
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    return time.process_time() - start
