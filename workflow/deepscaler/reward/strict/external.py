"""The last layer: math-verify, for texts that our own parser does not read."""

from ..verdicts import Verdict


def compare(gold: str, answer: str, why: str) -> Verdict:
    return Verdict(False, why)
