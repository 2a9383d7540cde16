"""`deepscaler verify` stops as soon as answers decide a claim, errs no more often than it says, draws nothing twice.

All of it runs but for vLLM, in whose place answers are right by a chance of the system's own.
"""

import json
import shutil
import sys
from contextlib import redirect_stdout

import numpy as np
import own_settings
import pytest
from deepscaler import records, settings
from deepscaler.errors import JobError, UserError
from deepscaler.evaluation import sample, sample_rounds
from deepscaler.miniature.tokenizer import build_tokenizer
from deepscaler.reporting.verdicts import answers as answers_module
from deepscaler.reporting.verdicts import hours as hours_module
from deepscaler.reporting.verdicts.evidence import Evidence
from deepscaler.reporting.verdicts.outlook import outlook
from deepscaler.reporting.verdicts.quantity import quantity_of
from deepscaler.reporting.verdicts.verify import verify
from deepscaler.settings.claims import Claim, claims
from sampling_checkout import forget

PROBLEMS = 4
"""Of each of the five sets."""


def claim_of(measure, expected, comparison="within", **further):
    common = {"id": "own", "statement": "s", "section": "s", "scales": ["mini"], "unit": "", "reason": "r"}
    own = {"counts": "as a measurement", "tolerance": 0, "errors": 0, "expected": expected, "comparison": comparison}
    return Claim.model_validate(common | own | {"measure": measure} | further)


def cell(system="deepscaler-24k", **further):
    return {"of": "table", "system": system, "column": "average", **further}


def tokens(system="mini-base", **further):
    return {"of": "tokens", "system": system, "column": "aime_2024", **further}


# --- what can be verified ---


def test_every_claim_that_is_a_mean_of_answers_is_verified_and_no_other(root):
    every = [(claim, scale) for claim in claims(root / "config/claims.yaml").claims for scale in claim.scales]
    refused = {claim.id: (claim.measure.of, message) for claim, scale in every if (message := refusal(claim, scale))}
    others = {"compute", "paper", "curve", "steps", "problems", "training", "significance", "completeness"}
    assert {kind for kind, _ in refused.values()} == others | {"malformed_right", "tokens"}
    tokens = {name for name, (kind, _) in refused.items() if kind == "tokens"}
    assert tokens == {"base-wrong-over-right", "mini-wrong-is-longer"}
    for name, (_, message) in refused.items():
        assert repr(name) in message
        assert "Hint: check it with `snakemake results/" in message


def refusal(claim, scale):
    try:
        quantity_of(claim, scale)
    except UserError as error:
        return str(error)
    return None


def test_a_claim_of_another_scale_is_refused_with_its_own(root):
    [claim] = [claim for claim in claims(root / "config/claims.yaml").claims if claim.id == "aime-gain"]
    with pytest.raises(UserError, match=r"it is checked at scale .*released or paper"):
        quantity_of(claim, "mini")


def test_a_scale_of_ones_own_verifies_the_claims_that_it_names(root, tmp_path, monkeypatch):
    """As those have that `deepscaler plan --write` makes."""
    [claim] = [claim for claim in claims(root / "config/claims.yaml").claims if claim.id == "aime-gain"]
    shutil.copytree(root / "config", tmp_path / "config")
    monkeypatch.setenv("DEEPSCALER_ROOT", str(tmp_path))
    forget()  # other tests may have scales of these names
    for name, named in (("mine", "[aime-gain]"), ("bare", "[]")):
        (tmp_path / f"config/scales/{name}.yaml").write_text(f"extends: headline\ndescription: d\nclaims: {named}\n")
    assert quantity_of(claim, "mine").systems == quantity_of(claim, "headline").systems
    with pytest.raises(UserError, match="it is checked at scale"):
        quantity_of(claim, "bare")


def test_what_an_answer_counts():
    right, late = (
        {"right": True, "tokens": 100, "finish_reason": "stop"},
        {"right": True, "tokens": 150, "finish_reason": "length"},
    )
    [term] = quantity_of(claim_of(cell(limit=120), 1), "mini").terms
    assert (term.value(right), term.value(late), term.most) == (100.0, 0.0, 100.0)
    [term] = quantity_of(claim_of(tokens(answers="all", limit=120), 1), "mini").terms
    assert (term.value(right), term.value(late), term.most) == (100.0, 120.0, 120.0)
    [term] = quantity_of(claim_of(tokens(answers="truncated"), 1), "mini").terms
    assert (term.value(right), term.value(late)) == (0.0, 100.0)
    found = quantity_of(claim_of(tokens(answers="wrong", limit=120), 1), "mini")
    assert [term.value(late) for term in (*found.terms, *found.divisors)] == [120.0, 1.0]
    assert [term.value(right) for term in (*found.terms, *found.divisors)] == [0.0, 0.0]


def test_a_gain_over_a_quoted_system_and_the_difference_of_two_limits(root):
    every = {claim.id: claim for claim in claims(root / "config/claims.yaml").claims}
    over_o1 = quantity_of(every["beats-o1"], "released")
    assert (over_o1.systems, over_o1.constant, over_o1.range_of(over_o1.terms)) == (
        ["deepscaler-1.5b-preview"],
        -40.0,
        (0.0, 100.0),
    )
    drop = quantity_of(every["drop-at-8k"], "released")
    assert [term.factor for term in drop.terms] == [1.0, -1.0]
    assert drop.range_of(drop.terms) == (-100.0, 100.0)


# --- verdicts ---


def evidence_of(claim, numerator, denominator=None, error=0.05):
    quantity = quantity_of(claim, "mini")
    count = numerator.shape[1]
    return Evidence(claim, quantity, numerator, denominator, np.full(count, 1 / count), error)


def answers_of(random, chance, rounds=40, problems=30):
    return 100.0 * (random.random((rounds, problems)) < chance)


@pytest.mark.parametrize(
    ("chance", "verdict"), [(0.6, "met"), (0.3, "outside"), (0.9, "outside"), (0.5, "not decided")]
)
def test_within_outside_and_on_the_bound(chance, verdict):
    claim = claim_of(cell(), 60, tolerance=10)
    found = evidence_of(claim, answers_of(np.random.default_rng(0), chance))
    word, after = found.verdict()
    assert word == verdict
    assert (after == 40) == (verdict == "not decided")
    assert found.interval()[0] <= 100 * chance <= found.interval()[1]


@pytest.mark.parametrize(("comparison", "wrong"), [("at_least", "met"), ("at_most", "outside")])
def test_a_verdict_is_wrong_no_more_often_than_it_says(comparison, wrong):
    """The truth lies just below the bound, where most goes wrong; there is a look after every sample."""
    random, replays, error = np.random.default_rng(1), 300, 0.2
    claim, chances = claim_of(cell(), 50.001, comparison), np.linspace(0, 1, 12)
    values = (answers_of(random, chances, 60, 12) for _ in range(replays))
    mistakes = sum(evidence_of(claim, one, error=error).verdict()[0] == wrong for one in values)
    assert mistakes / replays <= error / 2 + 2.6 * (error * (1 - error) / replays) ** 0.5


def test_a_quotient_is_where_its_parts_put_it():
    """Tokens of right answers over the share of right ones: a mean of some answers only."""
    random, claim = np.random.default_rng(2), claim_of(tokens(answers="right"), 60, tolerance=15)
    right = random.random((64, 40)) < 0.5
    lengths = random.integers(40, 81, (64, 40)).astype(float)
    found = evidence_of(claim, right * lengths, right.astype(float))
    lower, upper = found.interval()
    assert found.estimate == pytest.approx(60, abs=1)
    assert 50 < lower < 60 < upper < 70
    assert found.verdict()[0] == "met"
    assert (
        evidence_of(claim_of(tokens(answers="right"), 90, tolerance=15), right * lengths, right * 1.0).verdict()[0]
        == "outside"
    )
    nobody = evidence_of(claim, 0 * lengths, 0 * lengths)
    assert (nobody.verdict()[0], nobody.interval()[1]) == ("not decided", float("inf"))


def test_an_outlook_has_power_where_a_claim_is_clear(root):
    file = claims(root / "config/claims.yaml")
    every = {claim.id: claim for claim in file.claims}
    found = outlook(file, every["aime-deepscaler"], "released")
    assert 0.9 < found.honest.met <= 1
    assert found.null.rounds < 16 < found.honest.rounds
    assert found.power == min(found.honest.met, found.null.outside)
    assert outlook(file, every["aime-deepscaler"], "released", samples=8).power < 0.1
    assert outlook(file, every["aime-deepscaler"], "released", together=40).honest.rounds > found.honest.rounds
    assert 0.2 < found.hours < 3
    assert outlook(file, every["mini-learns"], "mini") is None


# --- the loop ---


class Machine:
    """A checkout with two systems, and an engine that is right by chance."""

    def __init__(self, root, folder, monkeypatch):
        self.folder, self.asked, self.fail_after = folder, [], None
        self.chances = {"mini-base": 0.1, "deepscaler-24k": 0.8}
        shutil.copytree(root / "config", folder / "config")
        monkeypatch.setenv("DEEPSCALER_ROOT", str(folder))
        monkeypatch.setattr(settings, "site", own_settings.site)
        monkeypatch.setattr(sample.vllm_engine, "prepare", lambda device: None)
        monkeypatch.setattr(sample.vllm_engine, "start", lambda model, engine: None)
        monkeypatch.setattr(sample, "draw", self.draw)
        monkeypatch.setattr(answers_module, "draw_rounds", self.draw_rounds)
        for name, manifest in {
            "mini-base": "models/mini-base/model.json",
            "24k": "checkpoints/24k-1/checkpoint.json",
        }.items():
            path = folder / "work/mini" / manifest
            path.parent.mkdir(parents=True)
            build_tokenizer(own_settings.prompting().suffix).save_pretrained(path.parent)
            (path.parent / "config.json").write_text('{"model_type": "qwen2"}')
            path.write_text(json.dumps({"files": {"model.safetensors": name}}))
        for name in settings.load_scale("mini").evaluation.suites["table"]:
            rows = [
                {
                    "id": f"{name}/{number}",
                    "benchmark": name,
                    "problem": f"add:a{number}b2",
                    "answers": ["1"],
                    "metadata": "{}",
                }
                for number in range(PROBLEMS)
            ]
            records.write(folder / f"work/mini/benchmarks/{name}.parquet", rows, records.BENCHMARK_PROBLEM)

    def draw_rounds(self, scale, system, model, wanted, output):
        """What runs in a process of its own, here in this one."""
        asked = sample.sampled(scale, system, model)
        store = sample_rounds.store_of(scale, system, output)
        with redirect_stdout(sys.stderr):
            sample.draw_kept(asked, store, sample_rounds.requests_of(asked, wanted))

    def draw(self, llm, requests, protocol, system):
        for request in requests:
            if len(self.asked) == self.fail_after:
                raise KeyboardInterrupt
            self.asked.append((system, request.id))
            right = np.random.default_rng([request.seed, len(system)]).random() < self.chances[system]
            yield (
                request,
                {
                    **{"system": system, "benchmark": request.benchmark, "problem_id": request.problem_id},
                    **{"sample": request.sample, "seed": request.seed, "response": f"</think>\\boxed{{{int(right)}}}"},
                    **{"tokens": 9, "prompt_tokens": len(request.prompt), "finish_reason": "stop"},
                },
            )

    def claim(self, expected, comparison="at_least"):
        """Another file of claims, with one about the trained system's average."""
        return self.file_with(claim_of(cell(), expected, comparison))

    def file_with(self, claim):
        text = (self.folder / "config/claims.yaml").read_text()
        own = claim.model_dump(mode="json", exclude_none=True)
        path = self.folder / "claims.yaml"
        path.write_text(text.replace("\nclaims:\n", f"\nclaims:\n  - {json.dumps(own)}\n"))
        return path

    def verify(self, *identifiers, claims=None, every=False, budget=None, samples=None, as_json=False):
        given = {"scale": "mini", "identifiers": list(identifiers), "every": every, "claims_file": claims}
        return verify(**given, budget=budget, samples=samples, threads=1, as_json=as_json)

    def record(self, name):
        return json.loads((self.folder / f"results/mini/verify/{name}.json").read_text())


@pytest.fixture
def machine(root, tmp_path, monkeypatch):
    yield Machine(root, tmp_path / "checkout", monkeypatch)
    forget()


ROUND = 5 * PROBLEMS


def test_a_clear_claim_stops_after_a_batch(machine, capsys):
    assert machine.verify("mini-learns") == 0
    assert len(machine.asked) == 2 * 4 * ROUND
    record = machine.record("mini-learns")
    assert (record["verdict"], record["samples"], record["met_from"], record["met_to"]) == ("met", 4, 20, None)
    assert record["interval"][0] > 20
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(
        "mini-learns: Training lifts the average by at least 20 points: ≥ 20 points (chance of a wrong"
    )
    assert lines[1].startswith("drawing samples 1 to 4 of deepscaler-24k, samples 1 to 4 of mini-base: about 0.0")
    assert lines[-2].startswith("mini-learns: met by ")


def test_outside_has_a_code_of_its_own(machine):
    assert machine.verify("own", claims=machine.claim(99)) == 3
    assert machine.record("own")["verdict"] == "outside"


def test_a_close_claim_is_not_decided_and_goes_on_where_it_was(machine, capsys):
    close = machine.claim(80)
    assert machine.verify("own", claims=close, samples=8) == 4
    assert len(machine.asked) == 8 * ROUND
    said = capsys.readouterr().out
    assert "own: not decided by 8 samples a problem: " in said
    assert "8 samples a problem are the most that is allowed" in said
    assert machine.verify("own", claims=close, samples=12) == 4
    assert len(machine.asked) == len(set(machine.asked)) == 12 * ROUND


def test_a_mean_of_answers_of_which_there_are_none(machine):
    """Nobody is right: the mean length of right answers is not known, and said to be so."""
    machine.chances["mini-base"] = 0.0
    lengths = machine.file_with(claim_of(tokens(answers="right"), 60, tolerance=15))
    assert machine.verify("own", claims=lengths, samples=8) == 4
    assert (machine.record("own")["estimate"], machine.record("own")["interval"][1]) == (None, None)


def test_a_killed_run_resumes_and_ends_alike(machine, tmp_path, root, monkeypatch):
    close = machine.claim(80)
    machine.fail_after = 5 * ROUND + 7
    with pytest.raises(KeyboardInterrupt):
        machine.verify("own", claims=close, samples=12)
    assert machine.record("own")["samples"] == 4
    ledger = (machine.folder / "results/mini/verify/drawn.jsonl").read_text().splitlines()
    assert [json.loads(line)["rounds"]["mini-aime-2024"] for line in ledger] == [[0, 4], [4, 8]], "the killed one, too"
    machine.fail_after = None
    machine.verify("own", claims=close, samples=12)
    assert len(machine.asked) == len(set(machine.asked)) == 12 * ROUND
    interrupted = machine.record("own")
    other = Machine(root, tmp_path / "other", monkeypatch)
    other.verify("own", claims=other.claim(80), samples=12)
    same = ("estimate", "interval", "verdict", "samples")
    assert [interrupted[key] for key in same] == [other.record("own")[key] for key in same]


def test_samples_are_shared_with_the_scale_both_ways(machine):
    """What verify drew `sample` finds, and what the scale has sampled decides without an engine."""
    machine.verify("mini-learns")
    before = len(machine.asked)
    tables = [
        machine.folder / f"work/mini/benchmarks/{name}.parquet"
        for name in settings.load_scale("mini").evaluation.suites["table"]
    ]
    sample.sample(
        scale="mini",
        system="mini-base",
        model=machine.folder / "work/mini/models/mini-base/model.json",
        benchmarks=tables,
        shard=1,
        shards=1,
        output=machine.folder / "work/mini/samples/mini-base/table-1of1.parquet",
    )
    new = machine.asked[before:]
    assert len(new) == 12 * ROUND
    assert not set(new) & set(machine.asked[:before])
    machine.asked.clear()
    machine.verify("own", claims=machine.claim(30), budget=0.0)
    assert machine.asked == []


def test_a_budget_ends_it_without_a_verdict(machine, capsys):
    assert machine.verify("own", claims=machine.claim(80), budget=0.001) == 4
    assert machine.asked == []
    assert "the next samples take about 0.00" in (said := capsys.readouterr().out)
    assert "core-hours, beyond the budget" in said
    assert machine.record("own")["estimate"] is None


def test_what_batches_took_counts_against_the_approval(machine, monkeypatch):
    machine.verify("own", claims=machine.claim(80), samples=4)
    ledger = [
        json.loads(line) for line in (machine.folder / "results/mini/verify/drawn.jsonl").read_text().splitlines()
    ]
    assert [(row["system"], row["rounds"]["mini-aime-2024"]) for row in ledger] == [("deepscaler-24k", [0, 4])]
    monkeypatch.setattr(hours_module, "allowed", lambda scale: ledger[0]["hours"] + 0.0001)
    with pytest.raises(UserError, match=r"0\.0001 of the approved hours are left.*approve --scale mini --gpu-hours"):
        machine.verify("own", claims=machine.claim(80))


def test_claims_that_are_verified_together_share_the_error(machine, capsys):
    assert machine.verify("mini-learns", "own", claims=machine.claim(80), samples=8, as_json=True) == 4
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert [(record["claim"], record["error"], record["samples"]) for record in found] == [
        ("mini-learns", 0.025, 4),
        ("own", 0.025, 8),
    ]
    assert "drawing samples 5 to 8 of deepscaler-24k: about" in printed.err  # of the claim that is still open alone


def test_all_of_a_scale_names_what_is_missing(machine):
    with pytest.raises(UserError, match=r"2 files are missing.*8k-2/checkpoint.json work/mini/checkpoints/16k-1"):
        machine.verify(every=True)


def test_without_weights_the_command_that_brings_them_is_said(machine):
    (machine.folder / "work/mini/checkpoints/24k-1/checkpoint.json").unlink()
    with pytest.raises(UserError, match=r"snakemake work/mini/checkpoints/24k-1/checkpoint\.json`"):
        machine.verify("mini-learns")


def test_an_engines_process_that_fails_has_said_why(tmp_path, capfd):
    wanted = {tmp_path / "first.parquet": range(4)}
    with pytest.raises(JobError, match=r"sampling mini-base failed.*its own message stands above"):
        sample_rounds.draw_rounds("mini", "mini-base", tmp_path / "model.json", wanted, tmp_path / "samples.parquet")
    printed = capfd.readouterr()
    assert f"deepscaler: no manifest of a model [{tmp_path}/model.json]" in printed.err
    assert printed.out == ""


def test_unknown_claims_and_no_claims_at_all(machine):
    with pytest.raises(UserError, match=r"unknown claim 'mini-lerns'.*did you mean 'mini-learns'"):
        machine.verify("mini-lerns")
    with pytest.raises(UserError, match="name claims, or give --all"):
        machine.verify()
    with pytest.raises(UserError, match="name claims, or give --all"):
        machine.verify("mini-learns", every=True)
