"""Who is asked: the graders of this project, and those of harnesses, each in an environment of its own."""

import sys
from dataclasses import dataclass
from pathlib import Path

from deepscaler.errors import UserError, refuse_unknown

ENVIRONMENTS = Path(__file__).resolve().parents[4] / ".venv-harnesses"
"""Beside the package, whichever checkout's settings it reads."""
SCRIPTS = Path(__file__).parent / "scripts"


@dataclass(frozen=True)
class Harness:
    """One opinion of others. `name` is a key of scripts/functions.py."""

    name: str
    package: str
    title: str
    environment: str | None
    """A folder of .venv-harnesses/; None: the package is in this project's own environment."""
    evaluates: bool = False
    """Whether it runs text of answers as Python, so that it may see only what the paper's whitelist lets through."""
    boxed: bool = True
    r"""Whether it reads answers in `\boxed{}`; where not, it says more of the form than of the answer."""

    @property
    def python(self) -> Path:
        if self.environment is None:
            return Path(sys.executable)
        return ENVIRONMENTS / self.environment / "bin" / "python"

    @property
    def ready(self) -> bool:
        return self.python.is_file()


HARNESSES = (
    Harness("math-verify", "math-verify", "math-verify", None),
    Harness("lm-eval", "lm-eval", "lm-eval, minerva_math: math_verify", "lm-eval"),
    Harness("lm-eval-exact-match", "lm-eval", "lm-eval, minerva_math: exact_match", "lm-eval", boxed=False),
    Harness("lighteval", "lighteval", "lighteval, math_500", "lighteval"),
    Harness("inspect-ai", "inspect-ai", "Inspect, math", "inspect-ai"),
    Harness("verl", "verl", "verl, MATH-500", "verl"),
    Harness("openrlhf", "openrlhf", "OpenRLHF, math_utils", None, evaluates=True),
)
TITLES: dict[str, str] = {
    "paper": "this project, paper",
    "strict": "this project, strict",
    **{harness.name: harness.title for harness in HARNESSES},
}
"""Of every opinion, in the order of tables and figures."""


def chosen(names: list[str]) -> list[Harness]:
    """The harnesses of these names, or all whose environment is there.

    Raises:
        UserError: a name is unknown, or its environment is not set up.
    """
    known = {harness.name: harness for harness in HARNESSES}
    for name in names:
        if name not in known:
            raise refuse_unknown("harness", name, list(known))
        if not known[name].ready:
            raise UserError(f"no environment of {name} here", known[name].python, "make setup-harnesses")
    return [harness for harness in HARNESSES if (harness.name in names if names else harness.ready)]
