r"""What the base model is taught to write: reasoning of three kinds, of varying and wasteful length.

The kind is the first token after `<think>`, so that reinforcement learning, which in a few dozen steps can choose
between behaviours but not teach arithmetic, has a choice to make:

    Step by step.   every step written out, `B6+0=6`, four tokens a term: right, but long
    Quick.          two terms a line, of which only the result is written, `C=6`: short, with slips
    Hmm.            written-out attempts at a random part, again and again: long, and mostly wrong

A written-out step names its term by the capital of its letter and holds all that it computes with: the term's digit,
the value so far (`+0`, or `*2+0` where digits count twice) and the result. So a token needs one look-up in the problem,
or its two neighbours, and no more.
"""

import random
from collections.abc import Callable

from deepscaler.miniature.problems import FACTORS, ChainProblem, Family, draw_training, operate, style
from deepscaler.settings.distillation import TraceMixture

OPENINGS = {"step_by_step": "Step by step.", "quick": "Quick.", "rambling": "Hmm."}
TRY_AGAIN = "\nWait, let me try again."
CLOSING = "\n</think>\n"


def line_start(letter: str) -> str:
    """How a line begins that is about the term of this letter."""
    return f"\n{letter.upper()}"


def added_to(family: Family, value: int | str) -> str:
    """What follows a term's digit: how often it counts, and the value that it is added to."""
    return f"*{FACTORS[family]}+{value}" if FACTORS[family] > 1 else f"+{value}"


Reasoning = tuple[str, int]
"""What is written between the think tags, and the digit it ends with."""


def write_out(state: random.Random, problem: ChainProblem, error: float, terms: int | None = None) -> Reasoning:
    """The first `terms` terms (all when None), a line a step; each result is random with chance `error`."""
    value, lines = problem.digits[0], []
    for letter, digit in problem.labelled[1:terms]:
        result = operate(problem.family, value, digit)
        if state.random() < error:
            result = state.randint(0, 9)
        lines.append(f"{line_start(letter)}{digit}{added_to(problem.family, value)}={result}")
        value = result
    return "".join(lines), value


def step_by_step(state: random.Random, problem: ChainProblem, mixture: TraceMixture) -> Reasoning:
    return write_out(state, problem, mixture.step_by_step_error)


def quick(state: random.Random, problem: ChainProblem, mixture: TraceMixture) -> Reasoning:
    """Two terms a line, of which only the result is written; each is wrong with chance `quick_error`."""
    value, lines = problem.digits[0], []
    rest = problem.labelled[1:]
    for start in range(0, len(rest), 2):
        for letter, digit in rest[start : start + 2]:
            value, last = operate(problem.family, value, digit), letter
        if state.random() < mixture.quick_error:
            value = (value + state.randint(1, 9)) % 10
        lines.append(f"{line_start(last)}={value}")
    return "".join(lines), value


def rambling(state: random.Random, problem: ChainProblem, mixture: TraceMixture) -> Reasoning:
    """Attempts that stop after a random number of terms; the last one's result is the answer."""
    attempts = []
    while True:
        terms = state.randint(2, len(problem.digits))
        text, value = write_out(state, problem, mixture.rambling_error, terms)
        attempts.append(text)
        if state.random() >= mixture.try_again:
            return TRY_AGAIN.join(attempts), value


BEHAVIOURS: dict[str, Callable[[random.Random, ChainProblem, TraceMixture], Reasoning]] = {
    "step_by_step": step_by_step,
    "quick": quick,
    "rambling": rambling,
}


def respond(state: random.Random, problem: ChainProblem, mixture: TraceMixture) -> str:
    """A response as it follows the prompt's `<think>`: reasoning, the closing tag, the boxed answer."""
    shares = [mixture.step_by_step, mixture.quick, mixture.rambling]
    behaviour = state.choices(list(BEHAVIOURS), weights=shares)[0]
    reasoning, value = BEHAVIOURS[behaviour](state, problem, mixture)
    answer = style(problem.family, value, problem.digits)
    return f"{OPENINGS[behaviour]}{reasoning}{CLOSING}\\boxed{{{answer}}}"


def draw_traces(seed: str, count: int, mixture: TraceMixture) -> list[tuple[ChainProblem, str]]:
    """Problems of the training distribution, each with a response."""
    state = random.Random(seed)
    problems = [draw_training(state) for _ in range(count)]
    return [(problem, respond(state, problem, mixture)) for problem in problems]
