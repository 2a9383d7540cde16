"""A fuzzer over whole responses: what a model in a bad state may write, from think tags to the last brace.

    python tests/security/fuzz_responses.py --minutes 60 [--engine hypothesis|atheris] [--seed 0] [--golds FOLDER]

Every response is read and graded in both modes, in this process, and must

- get a verdict: no exception within, which `grade_pair` would turn into the reason `error: …`;
- take less than LIMIT processor seconds, and less than MEMORY of address space;
- have the answer that a plain search for the last box finds (`strict`);
- be graded the same twice, and its answer be right for itself where it is not refused.

Findings are counted by kind, each with its shortest response. Exit code 1 if there are any.
"""

import argparse
import json
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from deepscaler.reward.grade import grade_pair
from deepscaler.reward.response import boxed_answer, grade_response, solution_of
from deepscaler.reward.verdicts import MODES, THINK_RULES

LIMIT = 0.5
"""Processor seconds of one response in one mode."""
MEMORY = 1 << 30
LONGEST = 60_000
GOLDS = (
    r"\frac{1}{2}",
    "204",
    r"x \in (0,1]",
    r"\text{(C)}",
    r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}",
    "f(x)=2x",
    "3,5",
)
PIECES = (
    *(
        "<think>",
        "</think>",
        "\\boxed{",
        "\\fbox{",
        "\\boxed ",
        "}",
        "{",
        "\\{",
        "\\}",
        "\\\\",
        "$",
        "$$",
        "\\[",
        "\\]",
    ),
    *("\\frac{", "\\frac12", "\\sqrt", "\\sqrt[3]{", "\\binom{5}{2}", "\\log_2 128", "\\sum_{k=1}^{n} k", "\\int_0^1"),
    *(
        "\\begin{pmatrix}",
        "\\end{pmatrix}",
        "\\begin{cases}",
        "\\end{cases}",
        "&",
        "\\\\[4pt]",
        "\\left\\{",
        "\\right.",
    ),
    *(
        "\\text{",
        "\\text{if } ",
        "\\text{ for all }",
        "\\text{at least }",
        "\\mathbf{",
        "\\overline{",
        "\\pmod{7}",
        "(mod 5)",
    ),
    *(
        "\\pm ",
        "\\le ",
        "<",
        ">",
        "=",
        "\\ne ",
        "\\in \\mathbb{Z}",
        "\\forall ",
        "\\cup ",
        "(-\\infty,",
        "]",
        "[",
        "(",
        ")",
    ),
    *(
        "^",
        "_",
        "^{",
        "_{",
        "^\\circ",
        "!",
        "%",
        "\\%",
        "|",
        "||",
        "\\lfloor ",
        "\\rfloor",
        "'",
        '"',
        "`",
        "``",
        "**",
        "~",
    ),
    *(
        "0.333...",
        "1.45 x 10^{-5}",
        "1,234",
        "1\\,234",
        "12 345",
        "9" * 30,
        "1e999",
        "10^{10^{10}}",
        "99999!",
        "0" * 20,
    ),
    *("x", "y'", "f(x)", "n", "e", "i", "\\pi", "\\varphi", "\\mapsto ", " and ", " or ", ", ", "; ", ": ", " ", "\n"),
    *(
        "Alice: 3",
        "one third",
        "twenty-one",
        "(base 5)",
        "km/h",
        "\\mu m",
        "\\tag{1}",
        "\\checkmark",
        "\x00",
        "\ud800",
        "１",
        "½",
    ),
)
COMMANDS = ("\\boxed", "\\fbox")


class Findings:
    """Kinds of what went wrong, with their shortest responses."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.shortest: dict[str, tuple[str, str]] = {}
        self.tried = 0
        self.slowest = 0.0

    def look(self, gold: str, response: str) -> None:
        self.tried += 1
        started = time.process_time()
        found = fault(gold, response)
        self.slowest = max(self.slowest, time.process_time() - started)
        if found is not None:
            self.counts[found] += 1
            known = self.shortest.get(found)
            if known is None or len(response) < len(known[1]):
                self.shortest[found] = (gold, response)

    def report(self) -> str:
        lines = [f"{self.tried} responses, the slowest {self.slowest:.2f} s, {len(self.counts)} kinds of fault"]
        for kind, count in self.counts.most_common():
            gold, response = self.shortest[kind]
            lines.append(f"{kind}: {count}; gold {gold!r}, response of {len(response)}: {response[:300]!r}")
        return "\n".join(lines)


def fault(gold: str, response: str) -> str | None:
    """What is wrong with the gradings of a response, None if nothing."""
    for mode in MODES:
        for think in THINK_RULES:
            started = time.process_time()
            verdict = grade_response(gold, response, mode, think)
            seconds = time.process_time() - started
            if verdict.reason.startswith("error"):
                return f"{mode}: {verdict.reason}"
            if seconds > LIMIT:
                return f"{mode}: slow"
            if verdict != grade_response(gold, response, mode, think):
                return f"{mode}: not the same twice"
            if verdict.answer and verdict.answer.strip():
                own = grade_pair(verdict.answer, f" {verdict.answer}", mode)
                if own.reason.startswith("error"):
                    return f"{mode}: {own.reason} against itself"
                if mode == "strict" and not own.correct and not own.reason.startswith(("refused", "text: empty")):
                    return "strict: not right for itself"
    return wrong_box(response)


def wrong_box(response: str) -> str | None:
    """Whether the box that `strict` finds is another than the one that a plain search finds."""
    solution = solution_of(response[-LONGEST:], "none", "strict")
    assert solution is not None
    if "boxed" not in solution and "fbox" not in solution:
        return None
    found, expected = boxed_answer(solution, "strict"), plain_search(solution)
    has_braces = any(after(solution, start) for command in COMMANDS for start in starts(solution, command))
    return None if found == expected or not has_braces else "strict: another box"


def plain_search(text: str) -> str | None:
    r"""The content of the `\boxed{…}` or `\fbox{…}` that begins last, by counting braces; None where it is cut off."""
    openings = [opening for command in COMMANDS for start in starts(text, command) if (opening := after(text, start))]
    if not openings:
        return None
    opening, depth = max(openings), 0
    position = opening
    while position < len(text):
        if text[position] == "\\":
            position += 2
            continue
        depth += (text[position] == "{") - (text[position] == "}")
        if depth == 0:
            return text[opening + 1 : position]
        position += 1
    return None


def after(text: str, start: int) -> int:
    """Where the brace of a box stands whose command begins at `start`; 0 where it has none."""
    opening = start + (6 if text.startswith("\\boxed", start) else 5)
    while text[opening : opening + 1].isspace():
        opening += 1
    return opening if text[opening : opening + 1] == "{" else 0


def starts(text: str, command: str) -> Iterator[int]:
    position = text.find(command)
    while position >= 0:
        yield position
        position = text.find(command, position + 1)


def response_from(draw: random.Random, golds: tuple[str, ...]) -> tuple[str, str]:
    """A gold, and a response made of pieces, golds, repetitions and cuts."""
    gold = draw.choice(golds)
    parts: list[str] = []
    for _ in range(draw.randint(1, 30)):
        piece = draw.choice(PIECES) if draw.random() < 0.8 else draw.choice(golds)
        parts.append(piece * (draw.choice((1, 1, 1, 1, 2, 3, 40, 1000)) if len(parts) < 60 else 1))
    body = "".join(parts)
    kind = draw.randrange(6)
    if kind == 0:  # a right answer with something put in or left out
        cut = draw.randrange(len(gold) + 1)
        body = gold[:cut] + draw.choice(PIECES) + gold[cut + draw.randrange(3) :]
    elif kind == 1:
        body = gold + draw.choice((" ", ", ", " \\text{ or } ", " = ", " (")) + body
    if kind < 5:
        body = f"<think>{draw.choice(PIECES)}</think> so \\boxed{{{body}}}" + draw.choice(("", ".", "$", "</s>", "}"))
    return gold, body[-LONGEST:]


def run_hypothesis(findings: Findings, golds: tuple[str, ...], seconds: float, seed: int) -> None:
    """Hypothesis draws the choices, so that its own strategies for text come in between the pieces."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from hypothesis import strategies as st

    until = time.monotonic() + seconds
    texts = st.one_of(
        st.randoms(use_true_random=False).map(lambda draw: response_from(draw, golds)),
        st.tuples(st.sampled_from(golds), st.text(max_size=80).map(lambda text: f"<think></think>\\boxed{{{text}}}")),
        st.tuples(
            st.sampled_from(golds),
            st.lists(st.sampled_from(PIECES), max_size=25).map(lambda parts: "</think>\\boxed{" + "".join(parts) + "}"),
        ),
    )

    def look(pair: tuple[str, str]) -> None:
        if time.monotonic() < until:
            findings.look(*pair)

    while time.monotonic() < until:
        seed += 1
        quiet = settings(
            max_examples=500,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        seeded(seed)(quiet(given(texts)(look)))()


def run_atheris(findings: Findings, golds: tuple[str, ...], seconds: float, seed: int) -> None:
    """Atheris follows the branches that the bytes reach; its libFuzzer ends the process, so the report comes first."""
    import atheris  # type: ignore[import-not-found]

    until = time.monotonic() + seconds

    def one(data: bytes) -> None:
        if time.monotonic() > until:
            raise SystemExit(finish(findings))
        provider = atheris.FuzzedDataProvider(data)
        gold = golds[provider.ConsumeIntInRange(0, len(golds) - 1)]
        parts = [
            PIECES[provider.ConsumeIntInRange(0, len(PIECES) - 1)] for _ in range(provider.ConsumeIntInRange(0, 20))
        ]
        rest = provider.ConsumeUnicode(200)
        findings.look(gold, "<think></think>\\boxed{" + "".join(parts) + rest + "}")

    atheris.instrument_all()
    atheris.Setup([sys.argv[0], f"-seed={seed + 1}", "-max_len=400", "-rss_limit_mb=4096"], one)
    atheris.Fuzz()


def finish(findings: Findings) -> int:
    print(findings.report(), flush=True)
    return bool(findings.counts)


def golds_in(folder: Path | None) -> tuple[str, ...]:
    """Those of the benchmarks' JSON files in a folder, beside our own."""
    found = list(GOLDS)
    for path in sorted(folder.glob("*.json")) if folder else ():
        for row in json.loads(path.read_text(encoding="utf-8")):
            answer = row["answer"]
            found.append(str(answer[0] if isinstance(answer, list) else answer))
    return tuple(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--engine", choices=("hypothesis", "atheris"), default="hypothesis")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--golds", type=Path, default=None)
    arguments = parser.parse_args()
    if arguments.engine == "hypothesis":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    findings, golds = Findings(), golds_in(arguments.golds)
    engine = run_hypothesis if arguments.engine == "hypothesis" else run_atheris
    with suppress(KeyboardInterrupt):
        engine(findings, golds, 60 * arguments.minutes, arguments.seed)
    return finish(findings)


if __name__ == "__main__":
    sys.exit(main())
