"""The nouns, with their Parquet schemas: Problem, BenchmarkProblem, Prompt, Rollout, Completion, Grade, Checkpoint.

Tables move between jobs as Parquet with exactly these columns; `read` refuses any other shape.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

from deepscaler import foreign
from deepscaler.errors import UserError
from deepscaler.files import writing

STRINGS = pa.list_(pa.string())
TOKENS = pa.list_(pa.int32())

PROBLEM = pa.schema(
    [
        ("id", pa.string()),  # {source}/{16 hexadecimal digits of the problem's text}[-k]
        ("source", pa.string()),
        ("problem", pa.string()),
        ("solution", pa.string()),  # null where the source has none
        ("answer", pa.string()),  # null until extracted; as it will be graded
        ("answer_raw", pa.string()),  # as the source had it
        ("answer_origin", pa.string()),  # given | boxed | choice | llm
        ("metadata", pa.string()),  # JSON: the source's other columns
    ]
)

REMOVED = pa.schema(
    [
        *PROBLEM,
        ("step", pa.string()),  # the rule that removed it
        ("reason", pa.string()),
        ("twin", pa.string()),  # the id it was a duplicate of, or null
        ("score", pa.float64()),  # similarity to the twin, or null
    ]
)

BENCHMARK_PROBLEM = pa.schema(
    [
        ("id", pa.string()),  # {benchmark}/{index, four digits}
        ("benchmark", pa.string()),
        ("problem", pa.string()),
        ("answers", STRINGS),  # any of them is right
        ("metadata", pa.string()),
    ]
)

COMPLETION = pa.schema(
    [
        ("system", pa.string()),
        ("benchmark", pa.string()),
        ("problem_id", pa.string()),
        ("sample", pa.int32()),  # 0 … samples-1
        ("seed", pa.int64()),
        ("response", pa.string()),
        ("tokens", pa.int32()),  # of the response
        ("prompt_tokens", pa.int32()),
        ("finish_reason", pa.string()),  # stop | length
    ]
)

GRADE = pa.schema(
    [
        ("system", pa.string()),
        ("benchmark", pa.string()),
        ("problem_id", pa.string()),
        ("sample", pa.int32()),
        ("answer", pa.string()),  # what was graded, or null
        ("well_formed", pa.bool_()),
        ("paper", pa.bool_()),
        ("paper_reason", pa.string()),
        ("strict", pa.bool_()),
        ("strict_reason", pa.string()),
        ("tokens", pa.int32()),
        ("finish_reason", pa.string()),
    ]
)

ROLLOUT = pa.schema(
    [
        ("prompt", pa.int32()),  # place in the step, in the order of sending: 0 …
        ("sample", pa.int32()),  # of the prompt: 0 …
        ("seed", pa.int64()),
        ("trained", pa.bool_()),  # false where dynamic filtering dropped the prompt
        ("prompt_text", pa.string()),  # with the chat template's tokens
        ("label", pa.string()),  # JSON list of accepted answers
        ("prompt_tokens", TOKENS),
        ("tokens", TOKENS),  # of the response, its end included
        ("log_probs", pa.list_(pa.float32())),  # of these tokens, by the sampler; null where it was not asked
        ("truncated", pa.bool_()),  # cut at the limit
        ("reward", pa.float32()),  # the grader's, before penalties for length
        ("reason", pa.string()),  # the grader's; null of a reward function that gives none
    ]
)


def write(
    path: Path | str, rows: Iterable[dict[str, Any]], schema: pa.Schema, metadata: dict[str, str] | None = None
) -> None:
    """Write rows as Parquet, whole or not at all; `metadata` (versions, seeds) is kept in the file."""
    table = pa.Table.from_pylist(list(rows), schema=schema).replace_schema_metadata(metadata or {})
    with writing(path) as aside:
        pq.write_table(table, aside, compression="zstd")


def read(path: Path | str, schema: pa.Schema) -> pa.Table:
    """Read a Parquet table of exactly this schema."""
    file = foreign.parquet(path)
    if not file.schema_arrow.equals(schema, check_metadata=False):
        raise UserError(f"columns differ: found {file.schema_arrow.names}, expected {schema.names}", path)
    return file.read()


def rows_where(path: Path | str, schema: pa.Schema, **values: Any) -> list[dict[str, Any]]:
    """The rows of a table of exactly this schema whose columns have these values."""
    table = read(path, schema)
    for column, value in values.items():
        table = table.filter(pc.equal(table[column], value))
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def metadata(path: Path | str) -> dict[str, str]:
    """The metadata that `write` put into a file."""
    return foreign.parquet_metadata(path)


class Prompt(BaseModel):
    """One line of a prompt schedule, in the shape that OpenRLHF reads."""

    model_config = ConfigDict(extra="forbid")

    id: str
    input: list[dict[str, str]]
    """Chat messages: one user turn."""
    label: str
    """JSON list of accepted answers."""
    datasource: str


class Checkpoint(BaseModel):
    """`checkpoint.json`: what a checkpoint is, where it came from and what it is made of."""

    model_config = ConfigDict(extra="forbid")

    scale: str
    stage: str
    segment: int
    step: int
    """Optimizer-independent step of the stage that the checkpoint stands at."""
    total_step: int
    """The same, counted from the base model over all stages."""
    parent: str
    """SHA-256 of what the parent's manifest says of its content; in older ones, of that file."""
    recipe_digest: str
    prompts_sha256: str
    seed: int
    files: dict[str, str]
    """File name → SHA-256."""
    rollouts: dict[str, str] | None = None
    """File of a step's rollouts → SHA-256; None where they were not kept. They may be left out of what is passed on."""
    versions: dict[str, str]
    processor: str | None = None
    """Its class, within which training is equal to the byte; None in older manifests."""
    created: str | None = Field(default=None, exclude=True)
    """Of older manifests: when it was written. Equal content has equal manifests, so new ones have none."""


class ModelManifest(BaseModel):
    """`model.json`: a base or published model's folder."""

    model_config = ConfigDict(extra="forbid")

    system: str
    repository: str | None
    revision: str | None
    """The commit that the files are of, where that is known."""
    verified: str | None = None
    """What a fetched model was compared with: sha256, revision or none."""
    files: dict[str, str]
    versions: dict[str, str]
    seed: int | None = None
    created: str | None = Field(default=None, exclude=True)
    """As in `Checkpoint`."""
