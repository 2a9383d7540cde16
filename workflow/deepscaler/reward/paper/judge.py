"""The verdict of DeepScaleR's grader on one pair: string forms first, then a simplified difference."""

import math
import re

from deepscaler.reward.paper import arithmetic, expression
from deepscaler.reward.paper.forms import is_integer_text, mathd_form, symbolic_form, without_thousands
from deepscaler.reward.verdicts import MAX_ANSWER, Refused, Verdict

FRACTION = re.compile(r"^-?[0-9]+.?/0*[1-9][0-9]*.?$")
DEEP_EXPONENTS = re.compile(r"\^[0-9]+\^|\^[0-9][0-9]+")
BRACKETS = "()[]"
POINTS = (0.8371, 1.6183)
APART = 1e-6
"""Relative difference at which two values cannot come from equal expressions, whatever the rounding."""


def grade(gold: str, answer: str) -> Verdict:
    """Whether DeepScaleR's grader accepts `answer` for `gold`; a text that we refuse to parse counts as wrong.

    Cases that need no parsing are decided before, in `grade.at_once`.
    Differs from upstream on refused text only (see `expression`), and says so in the reason.
    """
    if gold == answer:
        return Verdict(True, "identical")
    if len(answer) > MAX_ANSWER or len(gold) > MAX_ANSWER:
        return Verdict(False, "refused: too long")
    if mathd_form(gold) == mathd_form(answer):
        return Verdict(True, "MATH form: equal")
    try:
        return compare_symbolic(symbolic_form(gold), symbolic_form(answer))
    except Refused as refusal:
        return Verdict(False, f"refused: {refusal}")


def compare_symbolic(gold: str, answer: str) -> Verdict:
    if gold == answer:
        return Verdict(True, "symbolic form: equal")
    if not answer:
        return Verdict(False, "symbolic form: empty")
    golds, answers = split_tuple(gold), split_tuple(answer)
    if len(golds) != len(answers):
        return Verdict(False, "elements: another number of them")
    if len(golds) > 1 and (gold[0] != answer[0] or gold[-1] != answer[-1]):
        return Verdict(False, "elements: other brackets")
    verdict = Verdict(False, "elements: none")
    for one, other in zip(golds, answers, strict=True):
        verdict = compare_element(one, other)
        if not verdict.correct:
            break
    return verdict


def compare_element(gold: str, answer: str) -> Verdict:
    if FRACTION.search(gold) and FRACTION.search(answer):
        return Verdict(gold == answer, "fractions: compared as written")
    if is_integer_text(gold) != is_integer_text(answer):
        return Verdict(False, "integers: only one of the two is")
    if not is_evaluable(f"({gold})-({answer})"):
        return Verdict(False, "difference: not evaluable (letters or exponents)")
    return difference_is_zero(expression.parse(gold), expression.parse(answer))


def is_evaluable(text: str) -> bool:
    """Upstream's rule for what may be simplified: at most two distinct letters, no composite exponents."""
    letters = {character for character in text.replace("sqrt", "").replace("frac", "") if character.isalpha()}
    return len(letters) <= 2 and "^{" not in text and "^(" not in text and not DEEP_EXPONENTS.search(text)


def split_tuple(text: str) -> list[str]:
    """The elements of `(a,b)` or `[a,b]`; any other text is its own only element."""
    text = without_thousands(text)
    if not text:
        return []
    inner = text[1:-1]
    if len(text) > 2 and text[0] in BRACKETS and text[-1] in BRACKETS and not any(c in inner for c in BRACKETS):
        return [element.strip() for element in inner.split(",")]
    return [text]


def difference_is_zero(gold: expression.Node, answer: expression.Node) -> Verdict:
    """Upstream's `simplify(gold - answer) == 0`, skipped where values at sample points already differ."""
    for point in POINTS:
        names = sorted(expression.symbols(gold) | expression.symbols(answer))
        values = {name: point + 0.37 * index for index, name in enumerate(names)}
        try:
            one, other = arithmetic.evaluate(gold, values), arithmetic.evaluate(answer, values)
        except (ArithmeticError, ValueError):
            continue
        scale = max(abs(one), abs(other))
        if math.isfinite(scale) and abs(one - other) > APART * scale:
            return Verdict(False, "difference: values differ")
    arithmetic.check_size(gold)
    arithmetic.check_size(answer)
    return simplifies_to_zero(gold, answer)


def simplifies_to_zero(gold: expression.Node, answer: expression.Node) -> Verdict:
    import sympy

    try:
        difference = sympy.simplify(arithmetic.to_sympy(gold) - arithmetic.to_sympy(answer))
    except Exception as error:  # SymPy raises many kinds; upstream takes them all for "wrong"
        return Verdict(False, f"difference: SymPy could not simplify it ({type(error).__name__})")
    return Verdict(bool(difference == 0), f"difference: simplifies to {'zero' if difference == 0 else 'something'}")
