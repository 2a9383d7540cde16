"""LaTeX to plain text by pylatexenc, with limits: groups left open are read twice as often at each level, and accents
on accents double the text."""

import logging
import threading
from typing import Any

from ..verdicts import MAX_ANSWER, Refused

MAX_STEPS = 10_000
"""Tokens read and nodes written. The longest answer that is well formed has some 4,000 of each at most."""
MAX_TEXT = 4 * MAX_ANSWER
"""Characters."""

_local = threading.local()


def to_text(text: str) -> str | None:
    """Plain text, an unknown macro becoming nothing; None where pylatexenc fails.

    Raises:
        Refused: beyond the limit.
    """
    converter, parser = _classes()
    _local.steps = 0
    try:
        return str(converter.nodelist_to_text(parser(text).get_latex_nodes()[0]))
    except Refused:
        raise
    except Exception:  # it raises many kinds, RecursionError among them
        return None


def _count() -> None:
    _local.steps += 1
    if _local.steps > MAX_STEPS:
        raise Refused("LaTeX too tangled")


def _classes() -> tuple[Any, type]:
    """A converter, one a thread, for building one costs as much as ten conversions; and the parser's class."""
    if not hasattr(_local, "classes"):
        from pylatexenc.latex2text import LatexNodes2Text
        from pylatexenc.latexwalker import LatexWalker

        class Parser(LatexWalker):
            def get_token(self, *arguments: Any, **options: Any) -> Any:
                _count()
                return super().get_token(*arguments, **options)

        class Converter(LatexNodes2Text):
            def node_to_text(self, *arguments: Any, **options: Any) -> Any:
                _count()
                written = super().node_to_text(*arguments, **options)
                if len(written) > MAX_TEXT:
                    raise Refused("LaTeX that grows")
                return written

        logging.getLogger("pylatexenc").setLevel(logging.CRITICAL)  # it warns of every malformed answer
        _local.classes = Converter(), Parser
    return _local.classes
