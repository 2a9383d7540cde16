"""What the settings make of the workflow: the chain of segments, the systems and suites, digests, resources."""

from deepscaler.dag.chain import Segment, last_segment, layout, segment, segments
from deepscaler.dag.digests import deciding, in_words, resolved, training_digest
from deepscaler.dag.resources import needs
from deepscaler.dag.systems import (
    CurvePoint,
    checkpoint_of,
    curve,
    distilled,
    evaluated,
    fetched,
    held_against,
    model_names,
    prompting_entry,
    scored,
)

__all__ = [
    "CurvePoint",
    "Segment",
    "checkpoint_of",
    "curve",
    "deciding",
    "distilled",
    "evaluated",
    "fetched",
    "held_against",
    "in_words",
    "last_segment",
    "layout",
    "model_names",
    "needs",
    "prompting_entry",
    "resolved",
    "scored",
    "segment",
    "segments",
    "training_digest",
]
