"""What each layer of a grader makes of one answer, to explain a verdict."""

from dataclasses import fields, is_dataclass
from fractions import Fraction
from typing import Any

from deepscaler.reward.paper import expression
from deepscaler.reward.paper.forms import mathd_form, symbolic_form
from deepscaler.reward.paper.judge import is_evaluable, split_tuple
from deepscaler.reward.strict.compare.exact import exact
from deepscaler.reward.strict.compare.functions import NoValue
from deepscaler.reward.strict.compare.values import Evaluator
from deepscaler.reward.strict.parse.answers import parse_answer
from deepscaler.reward.strict.text.clean import clean
from deepscaler.reward.strict.text.spoken_numbers import as_digits
from deepscaler.reward.strict.tree import Node, Scalar
from deepscaler.reward.verdicts import MAX_ANSWER, Mode, Refused


def views(text: str, mode: Mode) -> list[tuple[str, str]]:
    """(layer, what it makes of the text) in the order of the layers. Bounded in size and, but for SymPy, in time."""
    if len(text) > MAX_ANSWER:
        return [("length", f"{len(text)} characters: refused")]
    return paper_views(text) if mode == "paper" else strict_views(text)


def paper_views(text: str) -> list[tuple[str, str]]:
    try:
        symbolic = symbolic_form(text)
    except Refused as refusal:
        return [("MATH form", mathd_form(text)), ("symbolic form", f"refused: {refusal}")]
    elements = split_tuple(symbolic)
    seen = [("MATH form", mathd_form(text)), ("symbolic form", symbolic), ("elements", " | ".join(elements))]
    seen.append(("evaluable", "yes" if all(map(is_evaluable, elements)) else "no: too many letters or deep exponents"))
    for element in elements[:5]:
        try:
            seen.append(("tree", spell(expression.parse(element))))
        except Refused as refusal:
            seen.append(("tree", f"refused: {refusal}"))
    return seen


def strict_views(text: str) -> list[tuple[str, str]]:
    cleaned = as_digits(clean(text))
    seen = [("clean-up", cleaned)]
    try:
        tree = parse_answer(cleaned)
    except Refused as refusal:
        return [*seen, ("tree", f"not read: {refusal}")]
    seen.append(("tree", spell(tree)))
    if isinstance(tree, Scalar):
        seen.append(("value", numeric_value(tree.node)))
    return seen


def numeric_value(node: Node) -> str:
    if (rational := exact(node)) is not None:
        return f"{rational} (exact)"
    try:
        value, error = Evaluator({}).value(node)
    except (NoValue, Refused) as problem:
        return f"none without values for its symbols ({problem})"
    return f"{value.real:.15g}{value.imag:+.15g}i, within {error:.1g}" if value.imag else f"{value.real:.15g}"


def spell(tree: Any) -> str:
    """A tree in one line, as nested calls."""
    if isinstance(tree, expression.Node | Node) and not tree.parts:
        name = str(tree.number) if isinstance(tree, Node) and tree.kind == "number" else ""
        return name or getattr(tree, "value", "") or getattr(tree, "name", "")
    if isinstance(tree, expression.Node | Node):
        label = getattr(tree, "value", "") or getattr(tree, "name", "") or tree.kind
        return f"{label}({', '.join(map(spell, tree.parts))})"
    if is_dataclass(tree):
        inside = [
            spell(getattr(tree, field.name)) for field in fields(tree) if getattr(tree, field.name) not in ("", False)
        ]
        return f"{type(tree).__name__.lower()}[{'; '.join(inside)}]"
    if isinstance(tree, tuple):
        return ", ".join(map(spell, tree))
    return str(tree) if isinstance(tree, str | Fraction | bool) else repr(tree)
