"""Samples of a model on a suite of benchmarks, drawn by vLLM: one shard, one engine start.

Every completion is stored as text with its token count, finish reason and seed; grading is another job. Answers are
kept as they come (evaluation/kept.py): a killed shard resumes with the others, and a finished one is only put in place.
"""

import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from deepscaler import dag, settings
from deepscaler.errors import JobError, UserError
from deepscaler.evaluation import vllm_engine
from deepscaler.evaluation.kept import PROMPT, KeptShard, kept_shard, prompt_digest, store_of
from deepscaler.evaluation.partial import Partial
from deepscaler.evaluation.requests import Protocol, Request, check_context, plan, protocol_of, read_problems, shard_of
from deepscaler.files import digest_of, put_in_place, read_json
from deepscaler.models.templates import load_tokenizer
from deepscaler.progress import progress
from deepscaler.training.readiness.sampling import check_sampling
from deepscaler.training.run.checkpoint import METRICS
from deepscaler.training.run.writer_lock import only_writer
from deepscaler.versions import SAMPLING, versions


def sample(
    *, scale: str, system: str, model: Path, benchmarks: list[Path], shard: int, shards: int, output: Path
) -> None:
    """Write one shard of a system's completions on a suite.

    `model` is the manifest (model.json, checkpoint.json) in the folder with weights and tokenizer.
    """
    asked = sampled(scale, system, model)
    requests = shard_of(plan(read_problems(benchmarks), asked.protocol, asked.tokenizer), shard, shards)
    kept = draw_kept(asked, store_of(scale, system, output), requests)
    put_in_place(kept.samples, output)


@dataclass(frozen=True)
class Sampled:
    """A system as a scale samples it."""

    scale: str
    system: str
    model: Path
    """Its manifest, beside weights and tokenizer."""
    protocol: Protocol
    engine: vllm_engine.EngineSettings
    tokenizer: Any

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """What is recorded beside its answers."""
        return {
            "system": self.system,
            "model": identity(self.model),
            "protocol": self.protocol.as_dict(),
            "engine": self.engine.as_dict(),
            "versions": versions(SAMPLING),
            "chat_template": digest_of(self.tokenizer.chat_template),
        }

    def kept(self, store: Path, requests: list[Request]) -> KeptShard:
        return kept_shard(store, what_decides(self.metadata, self.model), requests)


def sampled(scale: str, system: str, model: Path) -> Sampled:
    """A system whose answers can be drawn; refused is what its model was not made for."""
    if not model.is_file():
        raise UserError("no manifest of a model", model)
    protocol = protocol_of(scale, system)
    engine_settings = engine_settings_of(scale, protocol, model.parent)
    vllm_engine.prepare(engine_settings)
    check_context(model.parent, protocol.context)
    return Sampled(scale, system, model, protocol, engine_settings, load_tokenizer(model.parent))


def draw_kept(asked: Sampled, store: Path, requests: list[Request]) -> KeptShard:
    """The requests' answers as a finished shard of the store: drawn, as far as no shard there has them."""
    kept = asked.kept(store, requests)
    with only_writer(kept.folder, report, "sampling this shard", kept.drawn):
        done = kept.find(requests)
        left = [request for request in requests if request.id not in done]
        report(f"{asked.system}: {len(requests)} samples, {len(done)} of them kept from before")
        if left:
            if asked.engine.device == "gpu":
                check_card(asked.scale)
            with Partial(kept.drawn) as drawn:
                llm = vllm_engine.start(asked.model.parent, asked.engine)
                for request, row in draw(llm, left, asked.protocol, asked.system):
                    drawn.keep({**row, PROMPT: prompt_digest(request)})
                    done[request.id] = row
        kept.finish(requests, done, asked.metadata)
    return kept


def what_decides(metadata: dict[str, Any], model: Path) -> dict[str, Any]:
    """Of what is recorded, all that decides an answer, but for the question, which has its own digest.

    So neither the number of samples, nor the prompting, this package's version and Python's (they make the question),
    nor where the weights came from, nor the room that the engine is lent.
    """
    files = {name: digest for name, digest in read_json(model)["files"].items() if name != METRICS}
    return {
        "model": digest_of(files),
        "protocol": {key: value for key, value in metadata["protocol"].items() if key not in ("samples", "prompting")},
        "engine": {key: value for key, value in metadata["engine"].items() if key not in vllm_engine.ROOM},
        "versions": {key: value for key, value in metadata["versions"].items() if key not in ("python", "deepscaler")},
    }


def check_card(scale: str) -> None:
    """Say of a GPU that can't be used what is wrong with it, before vLLM says it after minutes and in its own words.

    Where there is no nvidia-smi, as in some containers, vLLM has the word.
    """
    if shutil.which("nvidia-smi"):
        missing = [check for check in check_sampling(scale) if check.level == "missing"]
        if missing:
            raise JobError(f"this GPU can't sample: {missing[0].what}", socket.gethostname(), missing[0].hint or None)


def identity(manifest: Path) -> dict[str, Any]:
    """A model's identity by its manifest: the digest of its files, a fetched one's pin, a checkpoint's step."""
    content = read_json(manifest)
    if not isinstance(content, dict) or not content.get("files"):
        raise UserError("not a model's manifest: it lists no files", manifest)
    known = {
        key: content[key]
        for key in ("repository", "revision", "verified", "stage", "segment", "total_step")
        if key in content
    }
    return {"sha256": digest_of(content["files"]), **known}


def engine_settings_of(scale: str, protocol: Protocol, model: Path) -> vllm_engine.EngineSettings:
    """How the engine is started for the weights in the folder `model`, in a job of the scale's."""
    scale_settings, need = settings.load_scale(scale), dag.needs(scale, "sample")
    found = vllm_engine.EngineSettings(
        device=scale_settings.device,
        context=protocol.context,
        seed=protocol.seed,
        tensor_parallel=scale_settings.evaluation.tensor_parallel,
        engine=scale_settings.evaluation.engine,
    )
    return found.on_cpu(model, need.cpus or 1, need.mem_mb or 0) if found.device == "cpu" else found


def draw(
    llm: Any, requests: list[Request], protocol: Protocol, system: str
) -> Iterator[tuple[Request, dict[str, Any]]]:
    """Requests and their completions, in the order in which they finish."""
    waiting = submit(llm, requests, protocol)
    with progress(total=len(requests), what="sampling", unit="sample") as bar:
        started, tokens = time.monotonic(), 0
        while llm.llm_engine.has_unfinished_requests():
            for result in llm.llm_engine.step():
                if not result.finished:
                    continue
                request = waiting.pop(result.request_id)
                row = completion(request, result, system)
                tokens += row["tokens"]
                bar.set_postfix_str(f"{tokens / (time.monotonic() - started):,.0f} tokens/s", refresh=False)
                bar.update()
                yield request, row
    if waiting:
        raise JobError(f"the engine ended with {len(waiting)} requests unanswered")
    seconds = time.monotonic() - started
    print(f"{tokens:,} tokens in {seconds:.0f} s, {tokens / seconds:,.0f} tokens/s", flush=True)


def submit(llm: Any, requests: list[Request], protocol: Protocol) -> dict[str, Request]:
    """Queue all requests; by the engine's own ids."""
    from vllm import SamplingParams, TokensPrompt
    from vllm.sampling_params import RequestOutputKind

    waiting = {}
    for number, request in enumerate(requests):
        parameters = SamplingParams(
            temperature=protocol.temperature,
            top_p=protocol.top_p,
            max_tokens=min(protocol.max_new_tokens, protocol.context - len(request.prompt)),
            seed=request.seed,
            skip_special_tokens=False,  # some tokenizers count the think tags among them
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        llm.llm_engine.add_request(str(number), TokensPrompt(prompt_token_ids=list(request.prompt)), parameters)
        waiting[str(number)] = request
    return waiting


def completion(request: Request, result: Any, system: str) -> dict[str, Any]:
    answer = result.outputs[0]
    return {
        "system": system,
        "benchmark": request.benchmark,
        "problem_id": request.problem_id,
        "sample": request.sample,
        "seed": request.seed,
        "response": answer.text,
        "tokens": len(answer.token_ids),
        "prompt_tokens": len(request.prompt),
        "finish_reason": answer.finish_reason,
    }


def report(line: str) -> None:
    print(line, flush=True)
