"""Characters that look alike or stay unseen, written one way, so that no spelling hides a problem from comparison.

Compared texts go through `folded`; the texts themselves stay as their source wrote them. `foreign_script` names what a
reader of the text would not see.
"""

import re
import unicodedata
from unicodedata import category

LOOKALIKES = str.maketrans(
    {
        **dict(zip("асԁеһіјԛорѕԝхуѵґԍкмнтвьӏ", "acdehijqopswxyvrgkmhtbbl", strict=True)),  # Cyrillic
        **dict(zip("АВСЕНІЈКМОРԚЅТԜХУѴӀԌ", "ABCEHIJKMOPQSTWXYVIG", strict=True)),
        **dict(zip("զցհոօքսյ", "qghnopuj", strict=True)),  # Armenian
        **dict(zip("ՕՍՏ", "OUS", strict=True)),
        **dict(zip("ᎪᏴᏟᎠᎬᏀᎻᏆᎫᏦᏞᎷᏢᏒᏚᎢᏙᎳᏃ", "ABCDEGHIJKLMPRSTVWZ", strict=True)),  # Cherokee
        **dict(zip("ᴀʙᴄᴅᴇғɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢɑɡıȷɩ", "abcdefghijklmnoprstuvwyzagiji", strict=True)),  # Latin
    }
)
GREEK = str.maketrans(
    {
        **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX", strict=True)),
        **dict(zip("αγεικνορτυχϲϳ", "ayeiknoptuxcj", strict=True)),
    }
)
"""Greek is looked through only within a word that has Latin letters too: alone, it is mathematics."""
FOREIGN = re.compile(r"[\u0400-\u052f\u0531-\u0587\u13a0-\u13fd\uab70-\uabbf]")
"""Cyrillic, Armenian and Cherokee: the scripts with letters that pass for Latin ones."""
ALONE = frozenset("οϲϳΑΒΕΖΗΙΚΜΝΟΡΤΥΧ")
"""Greek letters that mathematics does not use beside Latin ones, since no one could tell them from these."""
FUNCTIONS = frozenset("sin cos tan cot sec csc log ln lim max min mod arg det gcd lcm".split())
WORD = re.compile(r"[^\W\d_]+")
FRACTION = re.compile(r"(?<=\d)(?=[¼-¾⅐-⅞])")

SIGNS = str.maketrans(
    {
        **{"×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": r"\div ", "±": r"\pm ", "√": r"\sqrt ", "∞": r"\infty "},
        **{"≤": r"\leq ", "⩽": r"\leq ", "≥": r"\geq ", "⩾": r"\geq ", "≠": r"\neq ", "≡": r"\equiv ", "≈": r"\approx "},
        **{"∠": r"\angle ", "△": r"\triangle ", "∆": r"\triangle ", "⊥": r"\perp ", "∥": r"\parallel ", "°": r"^\circ "},
        **{"∑": r"\sum ", "∏": r"\prod ", "∫": r"\int ", "∂": r"\partial ", "∈": r"\in ", "∉": r"\notin ", "∅": r"\emptyset "},
        **{"∪": r"\cup ", "∩": r"\cap ", "⊂": r"\subset ", "⊆": r"\subseteq ", "→": r"\rightarrow ", "⇒": r"\Rightarrow "},
        **{"⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ", "∀": r"\forall ", "∃": r"\exists "},
        **{"−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "∕": "/", "⁄": "/", "∗": "*", "∣": "|", "∼": "~"},
        **{"‘": "'", "’": "'", "“": '"', "”": '"', "′": "'", "″": "''", "…": r"\ldots ", "⋯": r"\cdots "},
    }
)  # fmt: skip
GREEK_NAMES = {
    **dict(zip("αβγδεζηθικλμνξπρστυφχψω", ("alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi "
        "rho sigma tau upsilon phi chi psi omega").split(), strict=True)),
    **dict(zip("ΓΔΘΛΞΠΣΥΦΨΩ", "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega".split(), strict=True)),
}  # fmt: skip
GREEK_SIGNS = str.maketrans({letter: rf"\{name} " for letter, name in GREEK_NAMES.items()})
RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱᵃᵇᵏᵐˣʸ]+")
UNSEEN = frozenset(("Cf", "Cc", "Cs", "Mn", "Me"))
"""Unicode's categories of format and control characters and of marks on letters."""
KEPT = frozenset("\n\t\r\u0338")
"""Blanks, and the stroke that makes a sign its opposite."""
FILLERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters of no width or ink."""
SHOWN = 40
LOWERED = re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₒₓₙₘₖᵢⱼ]+")


def folded(text: str) -> str:
    """The text in plain letters: look-alikes as Latin ones, no accents, nothing unseen, Unicode's signs as LaTeX."""
    if text.isascii():
        return text
    text = RAISED.sub(lambda run: "^{" + plain(run.group()) + "}", text)
    text = LOWERED.sub(lambda run: "_{" + plain(run.group()) + "}", text)
    text = plain(FRACTION.sub(" ", text).translate(SIGNS)).translate(SIGNS)
    text = WORD.sub(as_latin, text.translate(LOOKALIKES))
    return text.translate(GREEK_SIGNS)


def plain(text: str) -> str:
    """Compatibility forms as the characters that they stand for, without accents, fillers and unseen characters."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(one for one in decomposed if one in KEPT or not (one in FILLERS or category(one) in UNSEEN))


def as_latin(word: re.Match[str]) -> str:
    """A word of Latin and Greek letters as Latin, but for `sinα`."""
    text = word.group()
    latin = "".join(one for one in text if one.isascii())
    return text.translate(GREEK) if len(latin) > 1 and latin not in FUNCTIONS and latin != text else text


def foreign_script(text: str) -> str | None:
    """Why a text may not say what it seems to: letters of another script that pass for Latin ones, or unseen ones."""
    if text.isascii():
        return None
    for word in WORD.findall(text):
        if FOREIGN.search(word) or (ALONE.intersection(word) and any(one.isascii() for one in word)):
            return f"mixed scripts: {word[:SHOWN]!a}"
    unseen = next((one for one in text if category(one) == "Cf" or one in FILLERS), None)
    return f"unseen character: {unicodedata.name(unseen, hex(ord(unseen)))}" if unseen else None
