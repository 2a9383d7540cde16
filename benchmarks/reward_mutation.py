"""Wrong answers made of right ones: how many does the strict grader accept?

    python benchmarks/reward_mutation.py DATA [--count 10000] [--seed 1] [--accepted FILE]

DATA is a folder with the benchmarks as JSON (records with `answer`). Every gold is changed by one of the RULES, drawn
from the seed: a sign, a digit, a swapped pair, a unit, a condition and so on. Accepted mutants are listed, to be read:
a few are right after all (-0 for 0, 00 for 0, two answers of a list swapped, f(y) = 1 for f(x) = 1), the others
are faults. The slowest gradings are listed too. No pool, no cache; seconds are the processor's.
"""

import argparse
import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Rule = Callable[[str, random.Random], str | None]

NUMBER = re.compile(r"(?<![\\A-Za-z_])\d+(?:\.\d+)?")
DIGIT = re.compile(r"\d")
SIGN = re.compile(r"(?<![\^{])[+-]")
LETTER = re.compile(r"(?<![A-Za-z\\])[A-DF-Za-df-hj-z](?![A-Za-z])")
PAIR = re.compile(r"(?<=[(\[])([^()\[\],]+),([^()\[\],]+)(?=[)\]])")
ASSIGNED = re.compile(r"=\s*([^,=$]+?)\s*(?=,|\$|$)")
MATRIX = re.compile(r"(?<=matrix\})(.*)(?=\\end)", re.S)
UNIT = re.compile(r"\\(?:text|mbox|mathrm)\s*\{\s*~?\s*([A-Za-z]+)\s*\}")
UNITS = ("cm", "m", "km", "s", "kg", "g", "J", "eV", "K", "mol", "Hz", "inches", "feet", "dollars", "radians")
ARITHMETIC = (("+", "-"), ("\\cdot", "+"), ("\\times", "+"), ("/", "+"))
RELATIONS = (("\\leq", "<"), ("\\le", "<"), ("\\geq", ">"), ("\\ge", ">"), ("<", "\\le "), (">", "\\ge "), ("=", "<"))
FUNCTIONS = (
    *(("\\sin", "\\cos"), ("\\cos", "\\sin"), ("\\tan", "\\cot"), ("\\ln", "\\log_2"), ("\\sqrt", "\\sqrt[3]")),
    *(("\\lfloor", "\\lceil"), ("\\rfloor", "\\rceil"), ("\\binom", "\\frac"), ("!", ""), ("\\pi", "")),
    *(
        ("\\cup", "\\cap"),
        ("\\infty", "1000"),
        ("\\max", "\\min"),
        ("e^", "2^"),
        ("\\pm", ""),
        ("\\arcsin", "\\arccos"),
    ),
)
BRACKETS = (("(", "["), ("[", "("), (")", "]"), ("]", ")"))
WORDS_BEFORE = ("at least", "at most", "not", "minus", "twice", "more than", "anything but", "half of", "the square of")
WORDS_BEHIND = ("dozen", "squared", "or more", "if n is odd", "for n = 1 only", "or 86", "times pi", "and 12 more")


@dataclass(frozen=True)
class Mutant:
    rule: str
    gold: str
    text: str


def replaced(text: str, match: re.Match[str], new: str) -> str:
    return text[: match.start()] + new + text[match.end() :]


def any_match(pattern: re.Pattern[str], text: str, draw: random.Random) -> re.Match[str] | None:
    found = list(pattern.finditer(text))
    return draw.choice(found) if found else None


def digit(text: str, draw: random.Random) -> str | None:
    if (match := any_match(DIGIT, text, draw)) is None:
        return None
    return replaced(text, match, draw.choice([each for each in "123456789" if each != match.group()]))


def number(text: str, draw: random.Random) -> str | None:
    """A number one larger, ten times as large, or without its last digit."""
    if (match := any_match(NUMBER, text, draw)) is None:
        return None
    value = match.group()
    larger = str(int(value) + 1) if value.isdigit() else f"{float(value) + 1:g}"
    changed = [larger, f"{value}0" if value.isdigit() else f"1{value}"]
    return replaced(text, match, draw.choice([*changed, value[:-1]] if len(value) > 1 and value.isdigit() else changed))


def sign(text: str, draw: random.Random) -> str | None:
    if (match := any_match(SIGN, text, draw)) is None:
        return None
    return replaced(text, match, "-" if match.group() == "+" else "+")


def negated(text: str, draw: random.Random) -> str | None:
    bare = text.strip().strip("$")
    return f"-({bare})" if re.search(r"[0-9A-Za-z]", bare) and "," not in bare and "=" not in bare else None


def swapped_pair(text: str, draw: random.Random) -> str | None:
    match = any_match(PAIR, text, draw)
    return replaced(text, match, f"{match[2]},{match[1]}") if match and match[1].strip() != match[2].strip() else None


def swapped_values(text: str, draw: random.Random) -> str | None:
    """Two values of assignments, as in `a=1, b=2`."""
    found = list(ASSIGNED.finditer(text))
    if len(found) < 2:
        return None
    one, other = sorted(draw.sample(found, 2), key=lambda match: match.start())
    if one[1] == other[1]:
        return None
    return replaced(replaced(text, other, f"={one[1]}"), one, f"={other[1]}")


def swapped_cells(text: str, draw: random.Random) -> str | None:
    if (match := MATRIX.search(text)) is None:
        return None
    parts = re.split(r"(&|\\\\)", match[1])
    cells = range(0, len(parts), 2)
    one, other = draw.sample(cells, 2) if len(cells) > 1 else (0, 0)
    if parts[one].strip() == parts[other].strip():
        return None
    parts[one], parts[other] = parts[other], parts[one]
    return replaced(text, match, "".join(parts))


def of_a_table(table: tuple[tuple[str, str], ...]) -> Rule:
    def rule(text: str, draw: random.Random) -> str | None:
        usable = [(old, new) for old, new in table if old in text]
        if not usable:
            return None
        old, new = draw.choice(usable)
        at = draw.choice([match.start() for match in re.finditer(re.escape(old), text)])
        return text[:at] + new + text[at + len(old) :]

    return rule


def letter(text: str, draw: random.Random) -> str | None:
    if "\\text" in text or (match := any_match(LETTER, text, draw)) is None:
        return None
    return replaced(text, match, draw.choice([each for each in "abdmnpuvwxyz" if each != match.group()]))


def unit(text: str, draw: random.Random) -> str | None:
    if (match := any_match(UNIT, text, draw)) is None:
        return None
    return replaced(text, match, f"\\text{{ {draw.choice([each for each in UNITS if each != match[1]])}}}")


def factor(text: str, draw: random.Random) -> str | None:
    bare = text.strip().strip("$")
    if not DIGIT.search(bare) or re.search(r"[,=<>]|\\text|\\le|\\ge|\\in|cup|matrix|begin", bare):
        return None
    return draw.choice((f"2\\left({bare}\\right)", f"{bare}+1", f"\\frac{{{bare}}}{{3}}", f"\\left({bare}\\right)^2"))


def item(text: str, draw: random.Random) -> str | None:
    """One of several answers left out, or another one added."""
    parts = re.split(r",(?![^()\[\]]*[)\]])", text.strip().strip("$"))
    if len(parts) < 2 or "\\!" in text or "{,}" in text:
        return None
    if draw.random() < 0.5:
        parts.pop(draw.randrange(len(parts)))
    else:
        parts.append("17")
    return ",".join(parts)


def words_before(text: str, draw: random.Random) -> str | None:
    return f"\\text{{{draw.choice(WORDS_BEFORE)} }} {text.strip().strip('$')}" if DIGIT.search(text) else None


def words_behind(text: str, draw: random.Random) -> str | None:
    return f"{text.strip().strip('$')} \\text{{ {draw.choice(WORDS_BEHIND)}}}" if DIGIT.search(text) else None


RULES: dict[str, Rule] = {
    **{"digit": digit, "number": number, "sign": sign, "negated": negated, "letter": letter, "unit": unit},
    **{"swapped pair": swapped_pair, "swapped values": swapped_values, "swapped cells": swapped_cells},
    **{"operator": of_a_table(ARITHMETIC), "relation": of_a_table(RELATIONS), "function": of_a_table(FUNCTIONS)},
    **{"bracket": of_a_table(BRACKETS), "factor": factor, "item": item},
    **{"words before": words_before, "words behind": words_behind},
}


def golds(folder: Path) -> list[str]:
    found = []
    for path in sorted(folder.glob("*.json")):
        for row in json.loads(path.read_text(encoding="utf-8")):
            answer = row["answer"]
            found.append(str(answer[0] if isinstance(answer, list) else answer).strip())
    return found


def mutants(texts: list[str], count: int, seed: int) -> list[Mutant]:
    """`count` different mutants: rules by turns, each of a gold drawn among those that it can change."""
    draw = random.Random(seed)
    usable = {
        name: [text for text in texts if rule(text, random.Random(0)) is not None] for name, rule in RULES.items()
    }
    found: dict[Mutant, None] = {}
    for turn in range(20 * count):
        name = list(RULES)[turn % len(RULES)]
        gold = draw.choice(usable[name] or [""])
        changed = RULES[name](gold, draw)
        if changed is not None and changed.strip() != gold.strip() and len(found) < count:
            found[Mutant(name, gold, changed)] = None
    return list(found)


def main() -> None:
    from deepscaler.reward.grade import grade_pair

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--accepted", type=Path, help="write the accepted ones here instead of printing them")
    options = parser.parse_args()
    made, accepted, seconds = Counter[str](), [], []
    for mutant in mutants(golds(options.data), options.count, options.seed):
        started = time.process_time()
        verdict = grade_pair(mutant.gold, mutant.text, "strict")
        seconds.append((time.process_time() - started, mutant))
        made[mutant.rule] += 1
        if verdict.correct:
            accepted.append((mutant, verdict.reason))
    counts = Counter(mutant.rule for mutant, _ in accepted)
    print(f"{sum(made.values())} mutants, {len(accepted)} accepted")
    for rule, total in made.most_common():
        print(f"  {rule}: {total}, {counts[rule]} accepted")
    lines = [f"{mutant.rule}\t{mutant.gold}\t{mutant.text}\t{reason}" for mutant, reason in accepted]
    if options.accepted:
        options.accepted.write_text("\n".join(lines) + "\n", encoding="utf-8")
    else:
        print("\n".join(lines))
    print("slowest, seconds:")
    for spent, mutant in sorted(seconds, key=lambda pair: pair[0], reverse=True)[:5]:
        print(f"  {spent:.3f}\t{mutant.gold}\t{mutant.text}")


if __name__ == "__main__":
    main()
