"""All of `sample` but for vLLM, in whose place a source of answers notes which requests reached it."""

import json
import shutil
import time
from pathlib import Path

import own_settings
import pytest
import yaml
from deepscaler import records
from deepscaler.evaluation import sample
from deepscaler.miniature.tokenizer import build_tokenizer
from deepscaler.settings import load

SYSTEM = "mini-base"
SETS = {"one": 3, "two": 2}
"""Benchmark → problems."""


class Engine:
    """Answers every request with its seed, and notes which it got."""

    def __init__(self, fail_after: int | None = None) -> None:
        self.asked: list[str] = []
        self.fail_after = fail_after

    def draw(self, llm, requests, protocol, system):
        for request in requests:
            if len(self.asked) == self.fail_after:
                raise KeyboardInterrupt
            self.asked.append(request.id)
            yield request, answer(request, system)


def answer(request, system):
    return {
        **{"system": system, "benchmark": request.benchmark, "problem_id": request.problem_id},
        **{"sample": request.sample, "seed": request.seed, "response": f"ü {request.seed}", "tokens": 3},
        **{"prompt_tokens": len(request.prompt), "finish_reason": "stop"},
    }


class Checkout:
    """A copy of the settings, a model's folder, and `sample` as the rule calls it, of one system at one scale."""

    def __init__(
        self, root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, scale: str = "mini", system: str = SYSTEM
    ) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        self.scale, self.system = scale, system
        if not (folder / "config").exists():
            shutil.copytree(root / "config", folder / "config")
        monkeypatch.setenv("DEEPSCALER_ROOT", str(folder))
        monkeypatch.setattr(sample.vllm_engine, "prepare", lambda device: None)
        monkeypatch.setattr(sample.vllm_engine, "start", lambda model, engine: None)
        self.model = folder / "work" / scale / "models" / system
        self.model.mkdir(parents=True)
        build_tokenizer(own_settings.prompting().suffix).save_pretrained(self.model)
        (self.model / "config.json").write_text('{"model_type": "qwen2"}')
        self.weights("0" * 64)
        for name, count in SETS.items():
            self.benchmark(name, [f"add:a{number}b2" for number in range(count)])
        self.set("evaluation.samples", 4)

    def weights(self, digest: str, **further: str) -> None:
        manifest = {"files": {"model.safetensors": digest, **further}, "created": str(time.time())}
        (self.model / "model.json").write_text(json.dumps(manifest))

    def benchmark(self, name: str, problems: list[str]) -> None:
        rows = [
            {"id": f"{name}/{number:04d}", "benchmark": name, "problem": text, "answers": ["1"], "metadata": "{}"}
            for number, text in enumerate(problems)
        ]
        records.write(self.folder / f"{name}.parquet", rows, records.BENCHMARK_PROBLEM)

    def set(self, key: str, value: object) -> None:
        path = self.folder / f"config/scales/{self.scale}.yaml"
        values = yaml.safe_load(path.read_text())
        inner = values
        *above, last = key.split(".")
        for part in above:
            inner = inner.setdefault(part, {})
        inner[last] = value
        path.write_text(yaml.safe_dump(values))
        forget()

    def output(self, shard: int = 1, shards: int = 1) -> Path:
        return self.folder / f"work/{self.scale}/samples/{self.system}/table-{shard}of{shards}.parquet"

    def sample(self, engine: Engine, shard: int = 1, shards: int = 1, sets: tuple[str, ...] = ("one",)) -> list[dict]:
        self.monkeypatch.setattr(sample, "draw", engine.draw)
        output = self.output(shard, shards)
        sample.sample(
            scale=self.scale,
            system=self.system,
            model=self.model / "model.json",
            benchmarks=[self.folder / f"{name}.parquet" for name in sets],
            shard=shard,
            shards=shards,
            output=output,
        )
        return records.read(output, records.COMPLETION).to_pylist()


def forget() -> None:
    """Let settings be read anew."""
    for loader in (load.load_scale, load.systems, load.site):
        loader.cache_clear()
