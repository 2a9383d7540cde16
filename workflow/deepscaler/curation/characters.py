"""Characters that look alike or stay unseen, written one way, so that no spelling hides a problem from comparison.

Compared texts go through `folded`; the texts themselves stay as their source wrote them. `foreign_script` names what a
reader of the text would not see.
"""

import re
import unicodedata
from unicodedata import category


def table(letters: str, written: str) -> dict[int, str]:
    """For `str.translate`: each of `letters` as what stands at its place in `written`."""
    return {ord(letter): other for letter, other in zip(letters, written, strict=True)}


LATIN_LOOKALIKES = table("ᴀʙᴄᴅᴇғɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢɑɡıȷɩ", "abcdefghijklmnoprstuvwyzagiji")
CYRILLIC = table("асԁеһіјԛорѕԝхуѵґԍкмнтвьӏАВСЕНІЈКМОРԚЅТԜХУѴӀԌ", "acdehijqopswxyvrgkmhtbblABCEHIJKMOPQSTWXYVIG")
ARMENIAN = table("զցհոօքսյՕՍՏ", "qghnopujOUS")
CHEROKEE = table("ᎪᏴᏟᎠᎬᏀᎻᏆᎫᏦᏞᎷᏢᏒᏚᎢᏙᎳᏃ", "ABCDEGHIJKLMPRSTVWZ")
GREEK_CAPITALS = table("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧοϲϳ", "ABEZHIKMNOPTYXocj")
"""Of Greek, what mathematics does not use, since no one could tell it from a Latin letter."""
LOOKALIKES = LATIN_LOOKALIKES | CYRILLIC | ARMENIAN | CHEROKEE | GREEK_CAPITALS
GREEK = table("αγεικνρτυχ", "ayeiknptux")
"""Looked through only within a word that has Latin letters too: alone, they are mathematics."""
FOREIGN = re.compile(r"[\u0400-\u052f\u0531-\u0587\u13a0-\u13fd\uab70-\uabbf]")
"""Cyrillic, Armenian and Cherokee: the scripts with letters that pass for Latin ones."""
FUNCTION = re.compile(r"sin|cos|tan|cot|sec|csc|log|ln|lim|max|min|mod|arg|det|gcd|lcm")
WORD = re.compile(r"[^\W\d_]+")
FRACTION = re.compile(r"(?<=\d)(?=[¼-¾⅐-⅞])")

COMMANDS = """
×times ·cdot ⋅cdot ÷div ±pm √sqrt ∞infty ≤leq ⩽leq ≥geq ⩾geq ≠neq ≡equiv ≈approx ∠angle △triangle ∆triangle ⊥perp
∥parallel ∑sum ∏prod ∫int ∂partial ∈in ∉notin ∅emptyset ∪cup ∩cap ⊂subset ⊆subseteq →rightarrow ⇒Rightarrow ⌊lfloor
⌋rfloor ⌈lceil ⌉rceil ∀forall ∃exists …ldots ⋯cdots
"""
PLAIN_SIGNS = "−- –- —- ‐- ‑- ∕/ ⁄/ ∗* ∣| ∼~ ‘' ’' ′' “\" ”\""
SIGNS = (
    {ord(sign[0]): rf"\{sign[1:]} " for sign in COMMANDS.split()}
    | {ord(sign[0]): sign[1] for sign in PLAIN_SIGNS.split()}
    | {ord("°"): r"^\circ ", ord("″"): "''"}
)
GREEK_LETTERS = "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ"
RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱᵃᵇᵏᵐˣʸ]+")
UNSEEN = frozenset(("Cf", "Cc", "Cs", "Mn", "Me"))
"""Unicode's categories of format and control characters and of marks on letters."""
KEPT = frozenset("\n\t\r\u0338")
"""Blanks, and the stroke that makes a sign its opposite."""
FILLERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters of no width or ink."""
LOWERED = re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₒₓₙₘₖᵢⱼ]+")
SHOWN = 40


def greek_command(letter: str) -> str:
    name = unicodedata.name(letter).split()[-1].replace("LAMDA", "LAMBDA")
    return rf"\{name.title() if letter.isupper() else name.lower()} "


GREEK_SIGNS = {ord(letter): greek_command(letter) for letter in GREEK_LETTERS}


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
    return text.translate(GREEK) if len(latin) > 1 and latin != text and not FUNCTION.fullmatch(latin) else text


def foreign_script(text: str) -> str | None:
    """Why a text may not say what it seems to: letters of another script that pass for Latin ones, or unseen ones."""
    if text.isascii():
        return None
    for word in WORD.findall(text):
        if FOREIGN.search(word) or (word.translate(GREEK_CAPITALS) != word and any(one.isascii() for one in word)):
            return f"mixed scripts: {word[:SHOWN]!a}"
    unseen = next((one for one in text if category(one) == "Cf" or one in FILLERS), None)
    return f"unseen character: {unicodedata.name(unseen, hex(ord(unseen)))}" if unseen else None
