"""Pairs a second on one core: our graders, OpenRLHF's and math-verify, over the same golds in one run.

    python benchmarks/reward.py DATA [--golds 400] [--seconds 20] [--markdown docs/performance/reward.md]

DATA is a folder with the benchmarks as JSON (records with `answer`). Graders take turns on slices of each set, so that
what else the machine does falls on all alike; processor time is counted, not the clock. No cache, no pool.

Sets: `self` (a gold against itself), `shuffled` (against another's), `restyled` (its LaTeX written otherwise),
`rerendered` (parsed by SymPy and printed again; those that changed).
"""

import argparse
import importlib.util
import json
import logging
import platform
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Grader = Callable[[str, str], bool]
Pairs = list[tuple[str, str]]


@dataclass
class Tally:
    """Processor seconds, pairs graded and pairs accepted."""

    seconds: float = 0.0
    pairs: int = 0
    accepted: int = 0


def golds(folder: Path) -> list[str]:
    found = []
    for path in sorted(folder.glob("*.json")):
        for row in json.loads(path.read_text(encoding="utf-8")):
            answer = row["answer"]
            found.append(str(answer[0] if isinstance(answer, list) else answer).strip())
    return found


def restyle(text: str) -> str:
    for old, new in (("\\frac", "\\dfrac"), ("(", "\\left("), (")", "\\right)"), (",", ", "), (" ", "  ")):
        text = text.replace(old, new)
    return f" {text} "


def rerender(text: str) -> str | None:
    """SymPy's LaTeX of a gold, by math-verify's parser; None where that fails or changes nothing."""
    import sympy
    from math_verify import parse

    try:
        trees = [t for t in parse(text if "$" in text else f"${text}$", parsing_timeout=None) if not isinstance(t, str)]
        rendered = sympy.latex(trees[0]) if trees else None
    except Exception:  # a renderer for a benchmark: what fails is left out
        return None
    return rendered if rendered != text else None


def sets(folder: Path, size: int) -> dict[str, Pairs]:
    answers = golds(folder)
    answers = random.Random(2).sample(answers, min(size, len(answers)))
    shuffled = random.Random(0).sample(answers, len(answers))
    rendered = [(gold, other) for gold in answers if (other := rerender(gold)) is not None]
    return {
        "self": [(gold, gold) for gold in answers],
        "shuffled": list(zip(answers, shuffled, strict=True)),
        "restyled": [(gold, restyle(gold)) for gold in answers],
        "rerendered": rendered,
    }


def graders() -> dict[str, Grader]:
    from deepscaler.reward.grade import grade_pair
    from math_verify import parse, verify

    def math_verify(gold: str, answer: str) -> bool:
        one, other = (parse(f"${text}$", parsing_timeout=None) for text in (gold, answer))
        return bool(verify(one, other, timeout_seconds=None))

    openrlhf = load_openrlhf_grader()
    return {
        "strict": lambda gold, answer: grade_pair(gold, answer, "strict").correct,
        "paper": lambda gold, answer: grade_pair(gold, answer, "paper").correct,
        "OpenRLHF": lambda gold, answer: openrlhf(answer, gold),
        "math-verify": math_verify,
    }


def load_openrlhf_grader() -> Grader:
    """The grader's file alone: importing the package would start torch."""
    package = importlib.util.find_spec("openrlhf")
    assert package is not None
    assert package.submodule_search_locations
    path = Path(package.submodule_search_locations[0]) / "utils" / "math_utils.py"
    spec = importlib.util.spec_from_file_location("openrlhf_math_utils", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    grader: Grader = module.grade_answer
    return grader


def measure(grader: Grader, pairs: Pairs, tally: Tally) -> None:
    started = time.process_time()
    for gold, answer in pairs:
        tally.accepted += bool(grader(gold, answer))
    tally.seconds += time.process_time() - started
    tally.pairs += len(pairs)


def race(pairs: Pairs, seconds: float, slice_size: int = 20) -> dict[str, Tally]:
    """Graders by turns on slices of the pairs; one that has had its seconds drops out."""
    field = graders()
    tallies = {name: Tally() for name in field}
    order = random.Random(1).sample(pairs, len(pairs))
    for grader in field.values():
        measure(grader, order[:3], Tally())  # first calls import libraries
    for start in range(0, len(order), slice_size):
        for name, grader in field.items():
            if tallies[name].seconds < seconds:
                measure(grader, order[start : start + slice_size], tallies[name])
    return tallies


def rate(tally: Tally) -> float:
    return tally.pairs / max(tally.seconds, 1e-9)


def table(results: dict[str, dict[str, Tally]]) -> str:
    names = list(next(iter(results.values())))
    lines = ["| set | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for kind, tallies in results.items():
        cells = []
        for name in names:
            tally = tallies[name]
            cells.append(f"{rate(tally):,.0f} ({100 * tally.accepted / tally.pairs:.1f} %)")
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    for rival in ("OpenRLHF", "math-verify"):
        for ours in ("paper", "strict"):
            ratios = [f"{kind} {rate(tallies[ours]) / rate(tallies[rival]):,.1f}" for kind, tallies in results.items()]
            lines += ["", f"`{ours}` over {rival}, times: {', '.join(ratios)}."]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--golds", type=int, default=400, help="at most, drawn from all (renderings are slow to make)")
    parser.add_argument("--seconds", type=float, default=20.0, help="at most, for a grader and a set")
    parser.add_argument("--markdown", type=Path, help="write the table here too")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    results = {kind: race(pairs, options.seconds) for kind, pairs in sets(options.data, options.golds).items()}
    text = table(results)
    print(text)
    if options.markdown:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        where = f"Python {platform.python_version()}, {platform.machine()}"
        heading = (
            "# Grading speed\n\nPairs a second of processor time on one core, and the share accepted; no cache, "
            f"graders by turns in one run (`benchmarks/reward.py`). {where}.\n\n"
        )
        options.markdown.write_text(heading + text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
