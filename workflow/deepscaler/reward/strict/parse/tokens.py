r"""Tokens of cleaned LaTeX. A token is a pair (kind, value).

Kinds: `number`; `letter` (a symbol, with its subscript and primes: `v_0'`); `name` (a function, constant or command,
without backslash); `text` (words); `open`, `close` (brackets, environments included); `operator`; `join` (and, or).
"""

import re

from deepscaler.reward.strict.units import read_unit
from deepscaler.reward.verdicts import Refused

MAX_TOKENS = 1500
MAX_NESTING = 12
"""Text and font commands within each other."""


def names(text: str) -> frozenset[str]:
    return frozenset(text.split())


GREEK = names(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi chi psi "
    "omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega hbar ell aleph nabla partial"
)
FUNCTIONS = names(
    "sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc sinh cosh tanh coth sech csch arcsinh "
    "arccosh arctanh ln log lg exp sqrt cbrt floor ceil abs sgn gcd lcm max min det Re Im arg deg binom frac cis"
)
TEXT_FUNCTIONS = names(
    "cis sgn gcd lcm max min log ln sin cos tan cot sec csc arcsin arccos arctan arccot sinh cosh tanh exp sqrt det"
)
CONSTANTS = frozenset(("pi", "infty"))
PLAIN_NAMES = {
    **{name: name for name in (*FUNCTIONS, *GREEK, *CONSTANTS) if len(name) > 1},
    **dict.fromkeys(("infinity", "inf", "oo", "Infinity"), "infty"),
    **dict.fromkeys(("mod", "bmod", "pmod"), "mod"),
    **{"asin": "arcsin", "acos": "arccos", "atan": "arctan", "log10": "lg"},
}
PREFIXES = sorted((name for name in FUNCTIONS if len(name) > 2), key=len, reverse=True)
STRUCTURAL = names(
    "pm mp cdot le ge ne in notin approx sim subset subseteq ll gg cup cap setminus emptyset lfloor rfloor lceil "
    "rceil sum prod int iint oint lim to ldots circ choose bmod mod pmod infty angle triangle over"
)
TEXT_COMMANDS = names("text textbf textit textrm textnormal textsf texttt mbox hbox textup textsc emph mathop")
FONT_COMMANDS = names("mathrm mathbf mathit mathsf mathcal mathfrak mathscr operatorname rm bf it bm mathbb")
ACCENTS = names("bar overline hat vec dot ddot tilde widetilde underline widehat")
UNIT_RUNS = names(
    "cm mm km kg mg ft yd mi mph kph sec min hr hrs lb lbs oz deg rad sq gal ml cc Hz kHz MHz eV keV MeV pc kpc AU "
    "in am pm"
)
BRACKETS = {"(": "open", ")": "close", "[": "open", "]": "close", "{": "open", "}": "close"}
BRACKETS |= {"\\{": "open", "\\}": "close"}

TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+(?![0-9.]))?)"
    r"|\\(?P<command>[A-Za-z]+\*?)|(?P<escaped>\\[^A-Za-z])|(?P<run>[A-Za-z]+)|(?P<other>\S))"
)
SUBSCRIPT = re.compile(r"\s*_\s*(?:\{((?:[^{}]|\{[^{}]*\})*)\}|(\\[A-Za-z]+)|([A-Za-z0-9]))")
EXPONENT_BEFORE_SUBSCRIPT = re.compile(r"\s*\^\s*(\{[^{}]*\}|[0-9]|\\circ)(?=\s*_)")
SCRIPT_STARTS = frozenset(" _^'\n\t")
"""What a subscript, an exponent or a prime may begin with, spaces before it included."""
PRIMES = re.compile(r"\s*(?:'+|\^\s*\{\s*'[' ]*\}|\^\s*'+)")
ARGUMENT = re.compile(r"\\[A-Za-z]+|.")
BRACE = re.compile(r"[{}]")
WORDS = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
FORMULA = re.compile(r"[=$0-9\\]")
MEASURED_TEXT = re.compile(r" *(-?[0-9][0-9./]*) +([A-Za-z][A-Za-z .^0-9/]*)")
SHORT_WORDS = names("for if is are all any odd the has was not its")
"""Words that no product of letters is written as, though it could be; longer ones are told by their length."""
PROSE_FORMULA = re.compile(r"[=<>]|\\(?:le|ge|ne|in|forall|pmod|bmod|mod)(?![A-Za-z])")
BASE_IN_WORDS = re.compile(r"\(?(?:in )?base[ -](\w{1,8})\)?", re.I)
NUMERALS = {"binary": "2", "ternary": "3", "octal": "8", "hexadecimal": "16"}
JOINED = re.compile(r"(.*\S)\s+(and|or)", re.I | re.S)
LABELLED = re.compile(r"[A-Za-z]: *-?[0-9]")
NEXT_NUMBER = re.compile(r" *\{?([0-9]{1,2})\}?(?![0-9])")
MODULUS_IN_WORDS = re.compile(r"\(?mod(?:ulo)? *([0-9]{1,9})\)?", re.I)
MAGNITUDES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
BASE_NAMES = "two three four five six seven eight nine ten eleven twelve"
BASES = {word: str(value) for value, word in enumerate(BASE_NAMES.split(), start=2)} | {"sixteen": "16"}
UNIT_FORMULA = re.compile(
    r"(?:\\?[%·*/ .^{}0-9-]|(?:cm|mm|km|kg|mol|min|hr?|rad|eV|Hz|Pa|[msgNJWVAKLCFTΩ])(?![A-Za-z])|\\cdot)+"
)
NOISE = re.compile(r"\\(?:text|mathrm|textrm|rm|mbox|mathbf|mathit|operatorname)(?![A-Za-z])|[\\{} ]")

Token = tuple[str, str]


def tokenize(text: str) -> list[Token]:
    """The tokens of a cleaned answer.

    Raises:
        Refused: a character or command outside the language, or too many tokens.
    """
    return Tokenizer(text).run()


class Tokenizer:
    def __init__(self, text: str, depth: int = 0) -> None:
        if depth > MAX_NESTING:
            raise Refused("commands nested too deep")
        self.text, self.position, self.depth = text, 0, depth
        self.tokens: list[Token] = []

    def run(self) -> list[Token]:
        while match := TOKEN.match(self.text, self.position):
            self.position = match.end()
            kind = str(match.lastgroup)
            getattr(self, "_" + kind)(match[kind])
            if len(self.tokens) > MAX_TOKENS:
                raise Refused("too many tokens")
        return self.tokens

    def add(self, kind: str, value: str) -> None:
        self.tokens.append((kind, value))

    def _number(self, value: str) -> None:
        if len(value) > 1000:
            raise Refused("too many digits")
        self.add("number", value)
        if self.text[self.position : self.position + 1] not in SCRIPT_STARTS:
            return
        if match := SUBSCRIPT.match(self.text, self.position):
            self.position = match.end()
            base = NOISE.sub("", next(filter(None, match.groups()), ""))
            self.add("base", BASES.get(base.lower(), base.removeprefix("base")))

    def _other(self, value: str) -> None:
        if value in BRACKETS:
            self.add(BRACKETS[value], value)
        elif value in "+-*/^=<>,;:|!&'.¤€£¥_%":
            self.add("operator", value)
        else:
            raise Refused(f"character {value!r}")

    def _escaped(self, value: str) -> None:
        if value in BRACKETS:
            self.add(BRACKETS[value], value)
        elif value == "\\%":
            self.add("operator", "%")
        elif value in ("\\\\", "\\&", "\\|", "\\_"):
            self.add("operator", {"\\\\": "\\\\", "\\&": "&", "\\|": "|", "\\_": "_"}[value])
        else:
            raise Refused(f"command {value!r}")

    def _run(self, value: str) -> None:
        """Letters without a backslash: a known name, words, a unit, or a product of letters."""
        if len(value) == 1:
            self._symbol(value)
        elif value in PLAIN_NAMES:
            self._command(PLAIN_NAMES[value])
        elif (
            value in ("bar", "hat", "vec", "dot", "ddot", "tilde")
            and self.text[self.position : self.position + 1] == "{"
        ):
            self._accent(value)
        elif value.lower() in ("and", "or"):
            self.add("join", value.lower())
        elif value.lower() in MAGNITUDES and self.tokens:
            self._magnitude(value.lower())
        elif value == "to" and self._follows_number():
            self.add("operator", ":")
        elif value == "base" and (match := BASE_IN_WORDS.match(self.text, self.position - 4)):
            self.position = match.end(1)
            self._base(match[1])
        elif value in SHORT_WORDS or self._is_word(value):
            self.add("text", value)
        else:
            prefix = next((name for name in PREFIXES if value.startswith(name)), None)
            if prefix:
                self.position -= len(value) - len(prefix)
                self._command(prefix)
                return
            for letter in value[:-1]:
                self.add("letter", letter)
            self._symbol(value[-1])

    def _base(self, name: str) -> None:
        self.add("base", BASES.get(name.lower(), name))

    def _magnitude(self, word: str) -> None:
        self.add("operator", "*")
        self.add("number", str(10 ** MAGNITUDES[word]))

    def _follows_number(self) -> bool:
        return bool(self.tokens) and self.tokens[-1][0] in ("number", "close")

    def _is_word(self, value: str) -> bool:
        if value in UNIT_RUNS and self._follows_number():
            return True
        if len(value) < 4 or value.isupper() or any(value.startswith(name) for name in PREFIXES):
            return False
        return value[1:].islower()

    def _command(self, name: str) -> None:
        name = name.rstrip("*")
        if name in GREEK:
            self._symbol("\\" + name)
        elif name in TEXT_COMMANDS:
            self._text(self._argument())
        elif name in FONT_COMMANDS:
            self._font(name)
        elif name in ACCENTS:
            self._accent(name)
        elif name in ("begin", "end"):
            self.add("open" if name == "begin" else "close", f"\\{name}:{self._argument().strip('*')}")
            if self.tokens[-1][1] == "\\begin:array":
                self._argument()
        elif name in ("boxed", "fbox", "displaystyle", "phantom", "color", "textcolor"):
            if name.endswith("color"):
                self._argument()
        elif name in STRUCTURAL or name in FUNCTIONS or name in CONSTANTS:
            self.add("name", name)
        else:
            self._symbol("\\" + name)

    def _text(self, content: str) -> None:
        content = content.strip().strip('"')
        if content in (",", ";"):
            self.add("operator", content)
            return
        if joined := JOINED.fullmatch(content):
            self._text(joined[1])
            self.add("join", joined[2].lower())
            return
        words = content.strip(" ~$.,;:()")
        if words.lower() in ("and", "or"):
            self.add("join", words.lower())
        elif words.lower() in MAGNITUDES:
            self._magnitude(words.lower())
        elif words.partition(" ")[0].lower() in MAGNITUDES and self._follows_number():
            magnitude, _, rest = words.partition(" ")
            self._magnitude(magnitude.lower())
            self._text(rest)
        elif words == "to" and self._follows_number():
            self.add("operator", ":")
        elif words in TEXT_FUNCTIONS and self.text[self.position :].lstrip()[:1] in ("(", "\\", "{"):
            self._command(words)
        elif self.tokens and (match := BASE_IN_WORDS.fullmatch(words)):
            self._base(match[1])
        elif words.lower() in NUMERALS and self._follows_number():
            self.add("base", NUMERALS[words.lower()])
        elif LABELLED.search(content):
            self._inside(content)
        elif self.tokens and (match := MODULUS_IN_WORDS.fullmatch(words)):
            self._inside(f"\\pmod{{{match[1]}}}")
        elif (
            words.lower() in ("base", "in base")
            and self.tokens
            and (match := NEXT_NUMBER.match(self.text, self.position))
        ):
            self.position = match.end()
            self._base(match[1])
        elif words.lower() in ("mod", "modulo") and self._follows_number():
            self.add("name", "mod")
        elif FORMULA.search(content) and all(word.lower() in ("and", "or") for word in WORDS.findall(content)):
            self._inside(content.replace("$", " ").strip(" .,;:"))
        elif PROSE_FORMULA.search(content):
            self._inside(content)
        elif match := MEASURED_TEXT.fullmatch(content):
            self._inside(match.group(1))
            self.add("text", match.group(2))
        elif content.strip():
            self.add("text", content.strip())
        else:
            self.add("text", "")

    def _font(self, name: str) -> None:
        content = self._argument().strip()
        if name == "mathbb":
            self.add("name", f"set{content}")
        elif content in PLAIN_NAMES:
            self._command(PLAIN_NAMES[content])
        elif len(content) == 1 and content.isalpha():
            self._symbol(content)
        elif content.isalpha() and content.isupper():
            for letter in content[:-1]:
                self.add("letter", letter)
            self._symbol(content[-1])
        elif self._follows_number() and (UNIT_FORMULA.fullmatch(content) or read_unit(content)):
            self.add("text", content)
        elif content.isalpha() or " " in content:
            self._text(content)
        else:
            self._inside(content)

    def _inside(self, content: str) -> None:
        self.tokens += Tokenizer(content, self.depth + 1).run()

    def _accent(self, name: str) -> None:
        content = NOISE.sub("", self._argument())
        last = self.tokens[-1] if self.tokens else ("", "")
        if content.isdigit() and last[0] == "number" and last[1].endswith(")"):
            raise Refused("two groups of digits that recur")
        if content.isdigit() and name in ("overline", "bar", "dot") and last[0] == "number" and "." in last[1]:
            self.tokens[-1] = ("number", f"{last[1]}({content})")
        elif content.isdigit():
            self._inside(content)
        else:
            if len(content) == 2 and content.isupper():
                content = "".join(sorted(content))  # a segment, from either end
            self._symbol(f"{'bar' if name == 'overline' else name}{{{content}}}")

    def _symbol(self, name: str) -> None:
        """A symbol with the subscript and the primes that follow it, an exponent between them or not."""
        exponent = ""
        for _ in range(3):
            if self.text[self.position : self.position + 1] not in SCRIPT_STARTS:
                break
            if match := SUBSCRIPT.match(self.text, self.position):
                name += "_" + NOISE.sub("", next(filter(None, match.groups()), ""))
            elif match := PRIMES.match(self.text, self.position):
                name += "'" * match.group().count("'")
            elif not exponent and (match := EXPONENT_BEFORE_SUBSCRIPT.match(self.text, self.position)):
                exponent = match.group(1)
            else:
                break
            self.position = match.end()
        self.add("letter", name)
        if exponent:
            self.add("operator", "^")
            self._inside(exponent)

    def _argument(self) -> str:
        """The braced group, the command or the character that follows, braces off."""
        text = self.text
        while text[self.position : self.position + 1] == " ":
            self.position += 1
        start = self.position
        if text[start : start + 1] != "{":
            match = ARGUMENT.match(text, start)
            if match is None:
                raise Refused("a command without its argument")
            self.position = match.end()
            return match.group()
        depth = 0
        for match in BRACE.finditer(text, start):
            depth += 1 if match.group() == "{" else -1
            if depth == 0:
                self.position = match.end()
                return text[start + 1 : match.start()]
        raise Refused("unbalanced braces")
