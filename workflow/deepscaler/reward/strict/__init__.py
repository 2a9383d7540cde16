"""Mathematical equivalence of two answers, in layers from the cheapest to the dearest."""

from .judge import grade as grade
