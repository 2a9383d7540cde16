"""Answers that were drawn, kept so that none is drawn twice.

    {store}/{engine}/how.json               what decides an answer, but for the question
            {engine}/{shard}/
                drawn.jsonl                 answers as they come, until the shard is finished
                samples.parquet             the finished shard; the output is a hard link to it
                samples.json                its SHA-256, and the digest of each problem's prompt
                writer.lock                 one writer at a time

Published weights have one store for all scales, {work}/.kept/samples/; what a scale makes itself has its own,
{work}/{scale}/samples/{system}/.kept/, which goes with the scale. No rule declares either. So it outlives the output,
which Snakemake removes before it makes it again, and the job puts back in seconds what is here. {engine} is a digest of
how.json (weights, protocol, engine), {shard} one of the shard's questions. An answer is found by its question, in
whichever shard and for whichever scale it was drawn: more samples, one more benchmark, another number of shards or
another scale draw what is new, and nothing else.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepscaler import dag, records, settings
from deepscaler.errors import UserError
from deepscaler.evaluation.partial import Partial
from deepscaler.evaluation.requests import Request
from deepscaler.files import digest_of, read_json, sha256, write_json

FOLDER = ".kept"
DIGITS = 12
"""Of a digest, in the names of folders and in records of prompts."""
PROMPT = "prompt"
"""The key of a prompt's digest, in rows of drawn.jsonl."""
Row = dict[str, Any]


@dataclass(frozen=True)
class KeptShard:
    """The folder of one shard."""

    folder: Path

    @property
    def drawn(self) -> Path:
        return self.folder / "drawn.jsonl"

    @property
    def samples(self) -> Path:
        return self.folder / "samples.parquet"

    @property
    def record(self) -> Path:
        return self.folder / "samples.json"

    def find(self, requests: Iterable[Request]) -> dict[str, Row]:
        """Request id → answer, for all requests that this shard or another of the same engine has an answer to."""
        left = {(request.problem_id, request.sample): request for request in requests}
        found: dict[str, Row] = {}
        others = sorted(path for path in self.folder.parent.iterdir() if path.is_dir() and path != self.folder)
        for folder in (self.folder, *others):
            for row in KeptShard(folder).answers():
                request = left.get((row["problem_id"], row["sample"]))
                if request and (row[PROMPT], row["seed"]) == (prompt_digest(request), request.seed):
                    found[request.id] = row
                    del left[row["problem_id"], row["sample"]]
            if not left:
                break
        return found

    def answers(self) -> Iterator[Row]:
        """All answers here, each with its prompt's digest: of the unfinished shard, then of the finished one.

        In this order, since another job may finish the shard meanwhile: what it lets go of has been put there before.
        """
        yield from Partial(self.drawn).rows()
        if prompts := self.finished():
            for row in records.read(self.samples, records.COMPLETION).to_pylist():
                yield {**row, PROMPT: prompts[row["problem_id"]]}

    def finished(self) -> dict[str, str]:
        """The digests of the finished shard's prompts by problem; empty where it is not there or not whole."""
        try:
            record = read_json(self.record)
            return dict(record["prompts"]) if sha256(self.samples) == record["sha256"] else {}
        except (UserError, OSError, KeyError, TypeError):
            return {}

    def finish(self, requests: Iterable[Request], answers: dict[str, Row], metadata: dict[str, Any]) -> None:
        """Write the whole shard, and let go of the answers' first form."""
        requests = list(requests)
        named = {"system": metadata["system"]}  # an answer may have been drawn for another name of the same weights
        answered = ({**answers[request.id], **named} for request in requests)
        rows = [{key: row[key] for key in records.COMPLETION.names} for row in answered]
        as_text = {key: json.dumps(value) for key, value in metadata.items()}
        records.write(self.samples, rows, records.COMPLETION, as_text)
        prompts = {request.problem_id: prompt_digest(request) for request in requests}
        write_json(self.record, {"sha256": sha256(self.samples), "prompts": prompts})
        self.drawn.unlink(missing_ok=True)


def store_of(scale: str, system: str, output: Path) -> Path:
    """The folder of a system's kept answers; `output` is one of its shards."""
    if system in dag.fetched(scale):
        return settings.run_root() / settings.site().work / FOLDER / "samples"
    return output.parent / FOLDER


def kept_shard(store: Path, how: dict[str, Any], requests: Iterable[Request]) -> KeptShard:
    """The folder of a shard in a store. `how`: all that decides an answer, but for the question."""
    engine = store / digest_of(how)[:DIGITS]
    if not (engine / "how.json").exists():
        write_json(engine / "how.json", how)
    return KeptShard(engine / digest_of([(r.id, r.seed, prompt_digest(r)) for r in requests])[:DIGITS])


def prompt_digest(request: Request) -> str:
    return digest_of(request.prompt)[:DIGITS]
