"""What is asked of the engine, how finished requests are kept, and what is refused before it starts."""

import dataclasses
import json
import os
import resource
import subprocess
import sys

import own_settings
import pytest
from deepscaler import records, settings
from deepscaler.errors import UserError
from deepscaler.evaluation import grade_samples, nucleus, sample
from deepscaler.evaluation.partial import Partial
from deepscaler.evaluation.requests import Protocol, check_context, plan, protocol_of, seed_of, shard_of
from deepscaler.evaluation.vllm_engine import EngineSettings
from deepscaler.miniature.tokenizer import build_tokenizer
from deepscaler.models.templates import chat_messages, load_tokenizer, prompt_text, prompt_token_ids

HOW = Protocol(4, 0.6, 0.95, 256, 320, 42, own_settings.prompting())
PROBLEMS = [{"id": f"set/{i:04d}", "benchmark": "set", "problem": f"add:a{i % 10}b2"} for i in range(25)]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(own_settings.prompting().suffix)


def completion(request):
    return {
        **{"system": "s", "benchmark": request.benchmark, "problem_id": request.problem_id},
        **{"sample": request.sample, "seed": request.seed, "response": "ü\n\\boxed{1}", "tokens": 3},
        **{"prompt_tokens": len(request.prompt), "finish_reason": "stop"},
    }


def test_a_prompt_is_the_papers(tokenizer):
    messages = chat_messages("What is 1+1?", own_settings.prompting())
    assert messages == [
        {
            "role": "user",
            "content": "What is 1+1? Let's think step by step and output the final answer within \\boxed{}.",
        }
    ]
    ids = prompt_token_ids(tokenizer, "add:a1b2", own_settings.prompting())
    assert ids.count(tokenizer.bos_token_id) == 1
    assert tokenizer.decode(ids) == prompt_text(tokenizer, "add:a1b2", own_settings.prompting())
    assert tokenizer.decode(ids).endswith("<think>\n")


def test_a_system_prompt_and_a_suffix_of_ones_own():
    prompting = own_settings.prompting(system="Be brief.", suffix="", think="none")
    assert chat_messages("1+1?", prompting) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "1+1?"},
    ]
    assert (
        chat_messages("1+1?", own_settings.prompting(separator="\n", suffix="Box it."))[0]["content"] == "1+1?\nBox it."
    )


@pytest.mark.parametrize("shards", [1, 3, 4, 7])
def test_shards_are_even_and_together_everything(tokenizer, shards):
    requests = plan(PROBLEMS, HOW, tokenizer)
    cut = [shard_of(requests, shard, shards) for shard in range(1, shards + 1)]
    assert sorted(r.id for part in cut for r in part) == sorted(r.id for r in requests)
    assert max(map(len, cut)) - min(map(len, cut)) <= 1
    assert len({r.seed for r in requests}) == len(requests) == 100
    if shards == 4:
        assert all({r.problem_id for r in part} == {row["id"] for row in PROBLEMS} for part in cut)


def test_a_seed_depends_on_run_problem_and_sample_alone():
    assert seed_of(42, "set/0001", 3) == seed_of(42, "set/0001", 3)
    assert len({seed_of(s, p, n) for s in (1, 2) for p in ("a/1", "a/11") for n in (1, 11)}) == 8
    assert 0 <= seed_of(42, "set/0001", 3) < 2**62


def test_no_such_shard(tokenizer):
    with pytest.raises(UserError, match="no shard 5 of 4"):
        shard_of(plan(PROBLEMS, HOW, tokenizer), 5, 4)


def test_a_prompt_longer_than_the_context_is_named_before_anything_starts(tokenizer):
    long = [*PROBLEMS, {"id": "set/0025", "benchmark": "set", "problem": "a" * 400}]
    with pytest.raises(UserError, match=r"the prompt of set/0025 has 40\d tokens, the context holds 320"):
        plan(long, HOW, tokenizer)


@pytest.mark.parametrize("think", ["required", "none"])
def test_a_think_rule_that_makes_every_answer_wrong_is_refused(tokenizer, think):
    with pytest.raises(UserError, match="the chat template opens <think>"):
        plan(PROBLEMS, dataclasses.replace(HOW, prompting=own_settings.prompting(think=think)), tokenizer)


def test_a_context_beyond_the_models_positions(tmp_path):
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 4096}')
    check_context(tmp_path, 4096)
    with pytest.raises(UserError, match="context 34816 is more than the model's 4096 positions"):
        check_context(tmp_path, 34816)


def test_a_system_is_sampled_as_it_was_meant_to_be():
    assert protocol_of("released", "qwen2.5-math-7b-instruct").context == 4096
    ours = protocol_of("released", "deepscaler-1.5b-preview")
    assert (ours.samples, ours.temperature, ours.top_p, ours.max_new_tokens) == (16, 0.6, 0.95, 32768)
    assert protocol_of("paper", "8k-1").prompting == ours.prompting


def engine(context=320, **cpu):
    found = settings.load_scale("mini").evaluation.engine
    return EngineSettings("cpu", context, 0, 1, found.model_copy(update={"cpu": found.cpu.model_copy(update=cpu)}))


def test_no_prefill_is_ever_cut_on_a_cpu():
    """Requests with seeds fail there when it is: a step must hold a whole prompt, and takes no part of one."""
    for context in (320, 34816):
        arguments = engine(context).arguments()
        assert arguments["max_num_batched_tokens"] >= context
        assert not arguments["enable_chunked_prefill"]


@pytest.fixture
def weights(tmp_path):
    """SmolLM2-135M's shape, and a file of its weights' size."""
    config = {"num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "hidden_size": 576}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(269_060_552)
    return tmp_path


def test_threads_follow_the_job_and_the_computer(weights, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(4))
    wanted = {
        (cores, threads): engine(threads=threads).on_cpu(weights, cores, 8000)
        for cores in (2, 8)
        for threads in (None, 1)
    }
    assert {key: found.engine.cpu.threads for key, found in wanted.items()} == {
        **{(2, None): 2, (8, None): 4},
        **{(2, 1): 1, (8, 1): 1},
    }


def test_the_cache_follows_the_model_and_the_jobs_memory(weights):
    """Keys and values of 23,040 bytes a token: for 256 answers of 1,024 tokens, 5,760 MiB."""
    held = {
        memory: engine(1024, cache_mb=None).on_cpu(weights, 1, memory).engine.cpu.cache_mb
        for memory in (2500, 8000, 64000)
    }
    assert held == {2500: 487, 8000: 5760, 64000: 5760}
    assert engine(1024, cache_mb=256).on_cpu(weights, 1, 1).engine.cpu.cache_mb == 256
    with pytest.raises(UserError, match=r"no room for the keys and values.*resources.sample.mem_mb to 2,036 or more"):
        engine(1024, cache_mb=None).on_cpu(weights, 1, 2000)
    assert engine(1024, cache_mb=None).on_cpu(weights, 1, 2036).engine.cpu.cache_mb >= 22


def test_the_nucleus_is_that_of_sorting_everything():
    """Its tokens, found by brute force; each as often as its probability says; and one's own noise decides."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    logits, p = torch.randn(4, 300) * 3, torch.tensor([0.95, 0.5, 0.05, 0.95])
    drawn = torch.stack(
        [nucleus.chosen(logits, {row: seeded(torch, 4 * n + row) for row in range(4)}, p, 64)[0] for n in range(3000)]
    )
    for row in range(4):
        order = sorted(range(300), key=lambda token: -logits[row, token])
        shares = logits[row].softmax(-1)[order].tolist()
        size = next(n for n in range(1, 301) if sum(shares[:n]) >= p[row])
        counts = torch.bincount(drawn[:, row], minlength=300)
        assert set(counts.nonzero().flatten().tolist()) <= set(order[:size])
        expected = shares[0] / sum(shares[:size])
        assert counts[order[0]] / 3000 == pytest.approx(
            expected, abs=4 * (expected * (1 - expected) / 3000) ** 0.5 + 1e-9
        )


def test_a_nucleus_beyond_the_candidates_is_left_to_vllm():
    torch = pytest.importorskip("torch")
    flat, steep = torch.zeros(300), torch.tensor([9.0, *[0.0] * 299])
    generators = {0: seeded(torch, 0), 1: seeded(torch, 1)}
    before = generators[0].get_state()
    drawn, beyond = nucleus.chosen(torch.stack([flat, steep]), generators, torch.tensor([0.95, 0.9]), 64)
    assert beyond.tolist() == [True, False]
    assert drawn[1] == 0
    assert before.equal(generators[0].get_state()), "nothing was drawn for it"


def test_a_token_does_not_depend_on_the_rows_beside_it():
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    logits, p = torch.randn(5, 300) * 3, torch.full((5,), 0.95)
    together, _ = nucleus.chosen(logits, {row: seeded(torch, row) for row in range(5)}, p, 64)
    alone = [nucleus.chosen(logits[r : r + 1], {0: seeded(torch, r)}, p[r : r + 1], 64)[0].item() for r in range(5)]
    assert together.tolist() == alone


def seeded(torch, seed):
    return torch.Generator().manual_seed(seed)


def test_a_torn_line_is_dropped_and_the_rest_goes_on(tmp_path):
    with Partial(tmp_path / "drawn.jsonl") as partial:
        for number in range(7):
            partial.keep({"number": number})
    with partial.path.open("ab") as handle:
        handle.write(b'{"number": "torn')  # as a killed process leaves it
    with Partial(tmp_path / "drawn.jsonl") as again:
        assert [row["number"] for row in again.rows()] == list(range(7))
        again.keep({"number": 7})
        assert [row["number"] for row in again.rows()] == list(range(8))


def test_a_full_disk_is_said_and_loses_nothing(tmp_path):
    """A file-size limit stands for the full disk: the same error comes from the same call."""
    program = f"""
import resource, signal, sys
from pathlib import Path
from deepscaler.errors import JobError
from deepscaler.evaluation.partial import Partial
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
with Partial(Path({str(tmp_path / "drawn.jsonl")!r})) as partial:
    for number in range(1000):
        try:
            partial.keep({{"id": number, "response": "x" * 300}})
        except JobError as error:
            print(number, error)
            sys.exit(1)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    number = int(done.stdout.split()[0])
    assert "could not keep a sample: File too large" in done.stdout
    assert "what was kept stays; run it again" in done.stdout
    with Partial(tmp_path / "drawn.jsonl") as partial:
        assert [row["id"] for row in partial.rows()] == list(range(number))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 5000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("nothing", "no manifest of a model"),
        ("tokenizer", "no tokenizer can be loaded"),
        ("files", "not a model's manifest"),
    ],
)
def test_a_broken_model_is_refused_before_the_engine_starts(tokenizer, tmp_path, change, message):
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "qwen2"}')
    if change != "tokenizer":
        tokenizer.save_pretrained(model)
    if change != "nothing":
        files = {} if change == "files" else {"model.safetensors": "0" * 64}
        (model / "model.json").write_text(json.dumps({"files": files}))
    records.write(
        tmp_path / "set.parquet",
        [{**row, "answers": ["1"], "metadata": "{}"} for row in PROBLEMS],
        records.BENCHMARK_PROBLEM,
    )
    with pytest.raises(UserError, match=message):
        sample.sample(
            scale="mini",
            system="mini-base",
            model=model / "model.json",
            benchmarks=[tmp_path / "set.parquet"],
            shard=1,
            shards=1,
            output=tmp_path / "out.parquet",
        )
    assert not (tmp_path / "out.parquet").exists()


def test_a_tokenizer_is_loaded_from_its_folder_only(tmp_path, tokenizer):
    tokenizer.save_pretrained(tmp_path)
    assert load_tokenizer(tmp_path).chat_template == tokenizer.chat_template


@pytest.fixture
def suite(tmp_path, tokenizer):
    """Two shards of a suite's samples, as `sample` writes them."""
    rows = [{**row, "answers": ["1"], "metadata": "{}"} for row in PROBLEMS]
    records.write(tmp_path / "set.parquet", rows, records.BENCHMARK_PROBLEM)
    requests = plan(
        PROBLEMS, dataclasses.replace(HOW, samples=settings.load_scale("mini").evaluation.samples), tokenizer
    )
    for shard in (1, 2):
        part = [{k: completion(r)[k] for k in records.COMPLETION.names} for r in shard_of(requests, shard, 2)]
        records.write(tmp_path / f"{shard}.parquet", part, records.COMPLETION, {"model": "A"})
    return tmp_path


def grade(suite, *shards):
    paths = [suite / f"{shard}.parquet" for shard in shards]
    grade_samples.grade_samples(
        scale="mini",
        system="mini-base",
        samples=paths,
        benchmarks=[suite / "set.parquet"],
        output=suite / "grades.parquet",
        threads=1,
    )
    return records.read(suite / "grades.parquet", records.GRADE).to_pylist()


def test_grades_are_ordered_by_problem_and_sample_and_of_both_graders(suite):
    rows = grade(suite, 2, 1)
    assert [(row["problem_id"], row["sample"]) for row in rows[:17]][-1] == ("set/0001", 0)
    assert len(rows) == 25 * 16
    assert {row["paper_reason"] for row in rows} == {"format: think tags missing"}
    assert not any(row["paper"] or row["strict"] or row["well_formed"] for row in rows)


def test_a_missing_shard_is_said(suite):
    with pytest.raises(UserError, match=r"200 samples missing, first \('set/0000', 1\)"):
        grade(suite, 1)


def test_a_shard_given_twice_is_said(suite):
    with pytest.raises(UserError, match="samples occur twice"):
        grade(suite, 1, 2, 2)


def test_shards_of_different_models_do_not_mix(suite):
    rows = records.read(suite / "2.parquet", records.COMPLETION).to_pylist()
    records.write(suite / "2.parquet", rows, records.COMPLETION, {"model": "B"})
    with pytest.raises(UserError, match="shards of different models, settings or versions"):
        grade(suite, 1, 2)


def test_samples_of_another_benchmark_are_said(suite):
    rows = records.read(suite / "2.parquet", records.COMPLETION).to_pylist()
    records.write(suite / "2.parquet", [{**row, "problem_id": "other/0"} for row in rows], records.COMPLETION)
    with pytest.raises(UserError, match="in none of the benchmarks"):
        grade(suite, 2)
