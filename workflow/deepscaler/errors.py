"""Errors that people read: what was wrong, where, and what to do, in one line."""

from deepscaler.redaction import redacted


class DeepscalerError(Exception):
    """An expected failure. The CLI prints it as one line, without a traceback, and exits with `exit_code`."""

    exit_code = 1

    def __init__(self, what: str, where: object = None, hint: str | None = None) -> None:
        self.what, self.where, self.hint = what, where, hint
        super().__init__(str(self))

    def __str__(self) -> str:
        where = f" [{self.where}]" if self.where is not None else ""
        hint = f" Hint: {self.hint}" if self.hint else ""
        return redacted(" ".join(f"{self.what}{where}{'.' if hint else ''}{hint}".split()))


class UserError(DeepscalerError):
    """Bad input: a setting, an option, a file that the user gave."""

    exit_code = 2


class JobError(DeepscalerError):
    """A job that could not finish though its input was right: a crash, a full disk, a lost node."""


class GoOn(DeepscalerError):
    """A job that was told to end, and did: what it had is kept, and the same command goes on from there."""

    exit_code = 75
    """`EX_TEMPFAIL` of sysexits.h: no failure, try again."""


def nearest(word: str, known: "list[str] | tuple[str, ...]") -> str | None:
    """The known word that `word` was probably meant to be, or None. Among equals, the first in the alphabet."""
    from difflib import get_close_matches

    alike = get_close_matches(word, known, n=max(1, len(known)), cutoff=0.5)
    return min(alike, key=lambda other: (slips(word, other), other), default=None)


def slips(word: str, other: str) -> int:
    """How many letters were dropped, added, replaced, or exchanged with the next (restricted Damerau-Levenshtein)."""
    before, last = [0] * (len(other) + 1), list(range(len(other) + 1))
    for i, letter in enumerate(word, 1):
        row = [i]
        for j, wanted in enumerate(other, 1):
            fewest = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and word[i - 2] == wanted:
                fewest = min(fewest, before[j - 2] + 1)
            row.append(fewest)
        before, last = last, row
    return last[-1]


def refuse_unknown(kind: str, word: str, known: "list[str] | tuple[str, ...]", where: object = None) -> UserError:
    """The error for a name that is not in a closed list, with the nearest one that is."""
    guess = nearest(word, known)
    hint = f"did you mean {guess!r}?" if guess else f"known: {', '.join(sorted(known))}"
    return UserError(f"unknown {kind} {word!r}", where, hint)
