"""What the settings make of the workflow: the chain of segments, the systems and suites, digests, resources."""

from deepscaler.dag.chain import Segment, last_segment, layout, segment, segments
from deepscaler.dag.digests import (
    problems_digest,
    prompting_digest,
    resolved,
    sampling_digest,
    score_digest,
    source_digest,
    table_digest,
    training_digest,
    weights_digest,
)
from deepscaler.dag.resources import needs
from deepscaler.dag.systems import (
    CurvePoint,
    checkpoint_of,
    curve,
    distilled,
    evaluated,
    fetched,
    model_names,
    prompting_entry,
    scored,
)

__all__ = [
    "CurvePoint",
    "Segment",
    "checkpoint_of",
    "curve",
    "distilled",
    "evaluated",
    "fetched",
    "last_segment",
    "layout",
    "model_names",
    "needs",
    "problems_digest",
    "prompting_digest",
    "prompting_entry",
    "resolved",
    "sampling_digest",
    "score_digest",
    "scored",
    "segment",
    "segments",
    "source_digest",
    "table_digest",
    "training_digest",
    "weights_digest",
]
