"""Copies of problems as they turn up in other collections: one rule a kind, drawn from a seed.

Each rule takes a problem's text, its answer and a random state, and returns the changed text (and answer), or None
where the problem offers nothing to change. The problem that is meant stays the same.
"""

import random
import re
from collections.abc import Callable

Copy = tuple[str, str]
Rule = Callable[[str, str, random.Random], Copy | None]

FORMULA = re.compile(r"\$\$.+?\$\$|\$[^$]+\$|\\\[.+?\\\]|\\\(.+?\\\)", re.DOTALL)
COMMAND_OR_LETTER = re.compile(r"\\[A-Za-z]+|[A-Za-z]+")
VARIABLE = re.compile(r"(?<![A-Za-z\\])[a-hj-z](?![A-Za-z])")
PICTURE = re.compile(r"\[asy\].*?\[/asy\]", re.DOTALL)
SHORTEST = 40
"""Characters of a problem that is copied: below, one edit makes another problem of it."""


def markup(text: str, answer: str, state: random.Random) -> Copy | None:
    """The same formulas by other LaTeX."""
    changed = text.replace(r"\frac", r"\dfrac").replace(r"\le ", r"\leq ").replace(r"\ldots", r"\dots")
    changed = re.sub(r"(?<!\\left)\(([^()$]*)\)", r"\\left(\1\\right)", changed, count=1)
    changed = re.sub(r"\$([^$]+)\$", r"\\( \1 \\)", changed) if state.random() < 0.5 else changed
    changed = re.sub(r"\^(\d)", r"^{\1}", changed)
    return (changed.replace(". ", ".  ").replace(", ", ",\\ "), answer) if changed != text else None


def phrases(text: str, answer: str, state: random.Random) -> Copy | None:
    """Other words for what is asked."""
    swaps = (
        ("Find the value of", "Determine the value of"),
        *(("Find", "Determine"), ("What is", "Compute"), ("How many", "Determine how many"), ("Compute", "Evaluate")),
        *(("Let ", "Suppose that "), ("such that", "with the property that"), ("Evaluate", "Calculate")),
    )
    changed = text
    for old, new in swaps:
        changed = changed.replace(old, new, 1) if state.random() < 0.8 else changed
    return (changed, answer) if changed != text else None


def choices(text: str, answer: str, state: random.Random) -> Copy | None:
    """Five answer choices behind the problem."""
    if not re.fullmatch(r"-?\d{1,6}", answer):
        return None
    value = int(answer)
    values = [value, *state.sample([value + step for step in (-12, -7, -3, -2, -1, 1, 2, 4, 9, 15)], 4)]
    state.shuffle(values)
    listed = r" \qquad ".join(rf"\textbf{{({key})}}\ {one}" for key, one in zip("ABCDE", values, strict=True))
    return f"{text}\n${listed}$", answer


WORDS = {"2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven", "8": "eight", "9": "nine"}


def numbers(text: str, answer: str, state: random.Random) -> Copy | None:
    """Numbers written otherwise: by words, with separators of thousands, fractions with a slash, 0.50 for 0.5."""
    outside = FORMULA.sub(lambda found: " " * len(found.group()), text)
    changed = text
    for found in reversed(list(re.finditer(r"(?<![\w.,$\\-])([2-9])(?=[ ,](?![\d]))", outside))):
        changed = changed[: found.start()] + WORDS[found.group()] + changed[found.end() :]
    changed = re.sub(r"(?<![\d.,^_{])(\d{1,3})(\d{3})(?![\d,])", r"\1{,}\2", changed)
    changed = re.sub(r"\\[dt]?frac\{(\d+)\}\{(\d+)\}", r"\1/\2", changed)
    changed = re.sub(r"(?<![\d.])(\d+\.\d)(?![\d.])", r"\g<1>0", changed)
    return (changed, answer) if changed != text else None


UNITS = (
    *(("inches", "centimeters"), ("feet", "meters"), ("miles", "kilometers"), ("dollars", "euros"), ("inch", "cm")),
    *(("foot", "meter"), ("gallons", "liters"), ("pounds", "kilograms"), ("cm", "centimeters"), ("minutes", "min")),
)


def units(text: str, answer: str, state: random.Random) -> Copy | None:
    changed = text
    for old, new in UNITS:
        changed = re.sub(rf"(?<![a-z\\]){old}(?![a-z])", new, changed)
    return (changed, answer) if changed != text else None


NEW_NAMES = "Aisha Bodo Carmen Dmitri Esra Farid Greta Hanako Ivo Jamila Kofi Leila Mateo Nia Oskar Priya Quentin"
PEOPLE = re.compile(
    r"\b(Alice|Bob|Ben|John|Emily|Tom|Jim|Mary|Sam|Joe|Kate|Sarah|Mike|David|Anna|Jack|Jane|Bill|Amy|Dan|Tim|Susan|"
    r"Peter|James|Lisa|Steve|Charlie|Carl|Rachel|Jen|Jenny|Megan|Linda|Betty|Cathy|Paul|George|Ann|Chris|Max|Alex|"
    r"Melinda|Adam|Kevin|Eric|Sally|Karen|Martin|Simon|Andy|Josh|Laura|Julie|Eve|Frank|Fred|Harry|Henry|Jason|Ryan|"
    r"Matt|Nick|Robert|Ted|Tony|Will|Zach|Jon|Mark|Luke|Kim|Greg|Rick|Ron|Ken|Claire|Ella|Emma|Grace|Hannah|Jill|"
    r"Judy|Maria|Nancy|Nina|Olivia|Rosa|Sue|Tina|Wendy|Al|Angela|Barbara|Beth|Brian|Carla|Daniel|Donna|Doug|Ellen)\b"
)
PRONOUNS = {"he": "she", "she": "he", "his": "her", "her": "his", "him": "her", "He": "She", "She": "He", "His": "Her"}


def names(text: str, answer: str, state: random.Random) -> Copy | None:
    """Other people, of another sex now and then."""
    found = list(dict.fromkeys(PEOPLE.findall(text)))
    if not found:
        return None
    others = dict(zip(found, state.sample(NEW_NAMES.split(), min(len(found), 17)), strict=False))
    changed = PEOPLE.sub(lambda name: others.get(name.group(), name.group()), text)
    if state.random() < 0.5:
        changed = re.sub(r"\b(he|she|his|her|him|He|She|His)\b", lambda word: PRONOUNS[word.group()], changed)
    return changed, answer


def typos(text: str, answer: str, state: random.Random) -> Copy | None:
    """Slips in one word of eight, two at least: letters swapped, lost, doubled or hit beside."""
    words = list(re.finditer(r"(?<![\\A-Za-z])[A-Za-z]{4,}", text))
    if len(words) < 4:
        return None
    changed = text
    for word in sorted(state.sample(words, max(2, len(words) // 8)), key=lambda found: -found.start()):
        at = word.start() + state.randrange(1, len(word.group()) - 1)
        pair = changed[at : at + 2]
        slip = (pair[::-1], pair[1], pair[0] * 2 + pair[1], state.choice("aeionrst") + pair[1])[state.randrange(4)]
        changed = changed[:at] + slip + changed[at + 2 :]
    return (changed, answer) if changed != text else None


BEFORE = (
    "Solve the following problem step by step, and check your result before you answer.\n\n",
    "(Regional Olympiad 2017, Round 3, Problem 4, 8 points) ",
    "Below is a question from a mathematics competition for high school students. Think carefully.\n\nQuestion: ",
    "Problem 12. ",
)
AFTER = (
    "\n\nState the final answer within \\boxed{}.",
    " Give your answer in simplest form.",
    "\n\nExplain each of your steps, and write the answer on the last line.",
    "",
)


def preamble(text: str, answer: str, state: random.Random) -> Copy | None:
    """A collection's own words around the problem."""
    return state.choice(BEFORE) + text + state.choice(AFTER), answer


def renamed(text: str, answer: str, state: random.Random) -> Copy | None:
    """Other letters for the variables in the formulas, and in the answer."""
    inside = " ".join(FORMULA.findall(PICTURE.sub(" ", text)))
    used = set(re.findall(r"(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])", inside))
    mine = sorted(one for one in set(VARIABLE.findall(inside)) if one not in "de")
    free = [one for one in "bcghjkmpqrstuvwxyz" if one not in used]
    if not mine or len(free) < len(mine):
        return None
    new = dict(zip(mine, state.sample(free, len(mine)), strict=True))

    def change(found: re.Match[str]) -> str:
        return VARIABLE.sub(lambda one: new.get(one.group(), one.group()), found.group())

    changed = FORMULA.sub(change, text)
    return (changed, VARIABLE.sub(lambda one: new.get(one.group(), one.group()), answer)) if changed != text else None


def without_figure(text: str, answer: str, state: random.Random) -> Copy | None:
    """The code of the figure is lost."""
    changed = PICTURE.sub("", text)
    return (changed, answer) if changed != text and len(changed) >= SHORTEST else None


SIGNS = (
    *((r"\\leq?(?![a-z])", "≤"), (r"\\geq?(?![a-z])", "≥"), (r"\\cdot(?![a-z])", "·"), (r"\\times(?![a-z])", "×")),
    *((r"\\pi(?![a-z])", "π"), (r"\\angle(?![a-z])", "∠"), (r"\\triangle(?![a-z])", "△")),
    (r"\^\\circ|\^\{\\circ\}", "°"),
    *((r"\\sqrt\{(\w+)\}", r"√\1"), (r"\\[cl]?dots", "…"), (r"\\theta(?![a-z])", "θ"), (r"\\neq?(?![a-z])", "≠")),
    *((r"\\infty(?![a-z])", "∞"), (r"\\alpha(?![a-z])", "α"), (r"-", "−"), (r"'", "’"), (r"\\in(?![a-z])", "∈")),
)  # fmt: skip


def unicode_signs(text: str, answer: str, state: random.Random) -> Copy | None:
    """Signs of Unicode for LaTeX, without dollars."""
    changed = text
    for pattern, sign in SIGNS:
        changed = re.sub(pattern, sign, changed)
    raised = str.maketrans("0123456789n", "⁰¹²³⁴⁵⁶⁷⁸⁹ⁿ")
    changed = re.sub(r"\^\{?(\d+|n)\}?", lambda found: found.group(1).translate(raised), changed)
    lowered = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
    changed = re.sub(r"_\{?(\d+)\}?", lambda found: found.group(1).translate(lowered), changed)
    return (changed.replace("$", ""), answer) if changed != text else None


LOOKALIKE = str.maketrans("aeopcxyiEAOCT", "аеорсхуіЕАОСТ")


def homoglyphs(text: str, answer: str, state: random.Random) -> Copy | None:
    """Cyrillic letters that look like Latin ones, or characters that no one sees, in each word."""
    if state.random() < 0.5:
        return re.sub(r"[aeopcxyi]", lambda found: found.group().translate(LOOKALIKE), text), answer
    hidden = state.choice(("\u200b", "\u00ad", "\u2060"))
    return re.sub(r"(?<=[a-z])(?=[a-z])", hidden, text), answer


def late_start(text: str, answer: str, state: random.Random) -> Copy | None:
    """The first sentence, or a quarter of the words, is lost."""
    words = text.split(" ")
    if "[asy]" in text or len(words) < 20:
        return None
    changed = " ".join(words[len(words) // 4 :])
    return (changed, answer) if changed.count("$") % 2 == 0 else None


def false_answer(text: str, answer: str, state: random.Random) -> Copy | None:
    """A slip in the text, and another answer."""
    slipped = typos(text, answer, state) or phrases(text, answer, state)
    return (slipped[0], str(state.randrange(10_000, 99_999))) if slipped else None


DUPLICATES: dict[str, Rule] = {
    "markup": markup,
    "phrases": phrases,
    "choices": choices,
    "numbers": numbers,
    "units": units,
    "names": names,
    "typos": typos,
    "preamble": preamble,
    "renamed variables": renamed,
    "figure dropped": without_figure,
    "unicode": unicode_signs,
    "homoglyphs": homoglyphs,
}
CONTAMINATION: dict[str, Rule] = {
    **{kind: rule for kind, rule in DUPLICATES.items() if kind not in ("units", "choices", "figure dropped")},
    "late start": late_start,
    "false answer": false_answer,
}


def copies(
    rules: dict[str, Rule], problems: list[tuple[str, str, str]], each: int, seed: int
) -> list[tuple[str, str, str, str]]:
    """(kind, id of the original, text, answer), `each` a kind, of `problems` (id, text, answer); none copied twice."""
    state = random.Random(f"copies/{seed}")
    order = state.sample(problems, len(problems))
    taken: set[str] = set()
    found = []
    for kind, rule in rules.items():
        made = 0
        for name, text, answer in order:
            if made == each:
                break
            if name in taken or len(text) < SHORTEST:
                continue
            if copy := rule(text, answer, state):
                found.append((kind, name, *copy))
                taken.add(name)
                made += 1
    return found
