"""The blocks of docs/miniature.md: problems and answers as the miniature's own generators make them."""

import random
from collections.abc import Callable

from deepscaler import settings
from deepscaler.miniature.problems import BENCHMARK_MIXES, BENCHMARK_SEED, draw_benchmark
from deepscaler.miniature.traces import BEHAVIOURS, CLOSING, OPENINGS
from deepscaler.settings.models import Distilled
from deepscaler.text import markdown

EXAMPLE_SEED = 3
EXAMPLE_SET = "mini-amc-2023"
"""Its first problem is short enough to be written out in full."""


def problems() -> str:
    """A row a benchmark: its name, whose column it has, its kinds of problem, its first problem."""
    rows = []
    for name, mixes in BENCHMARK_MIXES.items():
        test = settings.benchmarks()[name]
        original = settings.benchmarks()[name.removeprefix("mini-")]
        first = draw_benchmark(name, 1, BENCHMARK_SEED)[0]
        families = ", ".join(f"`{family}`" for family in dict.fromkeys(mix.family for mix in mixes))
        terms = f"{min(mix.fewest for mix in mixes)}–{max(mix.most for mix in mixes)}"
        column = f"{original.title} (`{test.column}`)"
        rows.append([test.title, column, families, terms, str(test.size), f"`{first.text}`", f"`{first.answer}`"])
    head = ["set", "in the column of", "families", "terms", "problems", "its first problem", "answer"]
    return markdown(head, rows)


def traces() -> str:
    """One problem, thought through in each of the three ways that the base model is taught."""
    problem = draw_benchmark(EXAMPLE_SET, 1, BENCHMARK_SEED)[0]
    entry = settings.systems()[str(settings.load_scale("mini").base)]
    assert isinstance(entry, Distilled)
    mixture = entry.distillation.mixed
    parts = [f"The problem is `{problem.text}`, its answer `{problem.answer}`.\n"]
    for behaviour, think in BEHAVIOURS.items():
        text, value = think(random.Random(EXAMPLE_SEED), problem, mixture)
        right = "right" if value == problem.value else "wrong"
        share = f"{100 * getattr(mixture, behaviour):.0f} % of what it is taught"
        written = f"<think>\n{OPENINGS[behaviour]}{text}{CLOSING}\\boxed{{{value}}}"
        parts.append(f"{share}, this one {right}:\n\n```\n{written}\n```\n")
    return "\n".join(parts)


MINIATURE_BLOCKS: dict[str, Callable[[], str]] = {"mini-problems": problems, "mini-traces": traces}
