"""LaTeX to plain text by pylatexenc, with limits: groups left open are read twice as often at each level, and accents
on accents double the text."""

import logging
import re
import threading
from typing import Any

from deepscaler.reward.verdicts import MAX_ANSWER, Refused

MAX_STEPS = 10_000
"""Tokens read and nodes written. The longest answer that is well formed has some 4,000 of each at most."""
CHARACTERS_A_STEP = 100
"""White space, names of macros and text are copied character by character: long ones count as more steps."""
MAX_TEXT = 4 * MAX_ANSWER
"""Characters."""
RUN = re.compile(r"\s*(?:\\[^\W\d_]*)?\s*")

_local = threading.local()


def to_text(text: str) -> str | None:
    """Plain text, an unknown macro becoming nothing; None where pylatexenc fails.

    Raises:
        Refused: beyond the limit.
    """
    converter, parser = classes()
    _local.steps = 0
    for name in ("_doc_title", "_doc_author", "_doc_date"):  # what an answer before this one has set
        converter.__dict__.pop(name, None)
    try:
        return str(converter.nodelist_to_text(parser(text).get_latex_nodes()[0]))
    except Refused:
        raise
    except Exception:  # it raises many kinds, RecursionError among them
        return None


def count(characters: int) -> None:
    _local.steps += 1 + characters // CHARACTERS_A_STEP
    if _local.steps > MAX_STEPS:
        raise Refused("LaTeX too tangled")


def classes() -> tuple[Any, type]:
    """A converter, one a thread, for building one costs as much as ten conversions; and the parser's class."""
    if not hasattr(_local, "classes"):
        from pylatexenc.latex2text import LatexNodes2Text
        from pylatexenc.latexwalker import LatexWalker

        class Parser(LatexWalker):
            def get_token(self, pos: int, *arguments: Any, **options: Any) -> Any:
                run = RUN.match(self.s, pos)
                count(run.end() - pos if run else 0)
                return super().get_token(pos, *arguments, **options)

        class Converter(LatexNodes2Text):
            def node_to_text(self, *arguments: Any, **options: Any) -> Any:
                count(0)
                written = super().node_to_text(*arguments, **options)
                count(len(written))
                if len(written) > MAX_TEXT:
                    raise Refused("LaTeX that grows")
                return written

        logging.getLogger("pylatexenc").setLevel(logging.CRITICAL)  # it warns of every malformed answer
        _local.classes = Converter(), Parser
    return _local.classes
