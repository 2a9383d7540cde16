"""Errors that people read: what was wrong, where, and what to do, in one line."""


class DeepscalerError(Exception):
    """An expected failure. The CLI prints it as one line, without a traceback, and exits with `exit_code`."""

    exit_code = 1

    def __init__(self, what: str, where: object = None, hint: str | None = None) -> None:
        self.what, self.where, self.hint = what, where, hint
        super().__init__(str(self))

    def __str__(self) -> str:
        place = f" [{self.where}]" if self.where is not None else ""
        hint = f" Hint: {self.hint}" if self.hint else ""
        return " ".join(f"{self.what}{place}{'.' if hint else ''}{hint}".split())


class UserError(DeepscalerError):
    """Bad input: a setting, an option, a file that the user gave."""

    exit_code = 2


class JobError(DeepscalerError):
    """A job that could not finish though its input was right: a crash, a full disk, a lost node."""


def nearest(word: str, known: "list[str] | tuple[str, ...]") -> str | None:
    """The known word that `word` was probably meant to be, or None."""
    from difflib import get_close_matches

    matches = get_close_matches(word, list(known), n=1, cutoff=0.5)
    return matches[0] if matches else None


def refuse_unknown(kind: str, word: str, known: "list[str] | tuple[str, ...]", where: object = None) -> UserError:
    """The error for a name that is not in a closed list, with the nearest one that is."""
    guess = nearest(word, known)
    hint = f"did you mean {guess!r}?" if guess else f"known: {', '.join(sorted(known))}"
    return UserError(f"unknown {kind} {word!r}", where, hint)
