"""What a claim's verdict is worth: its chances, against simulated runs, and the rule for what may count."""

import re

import numpy as np
import pytest
from deepscaler.maintenance.claim_blocks import chances_of
from deepscaler.reporting.claims.chances import Chances, chances, together
from deepscaler.reporting.claims.counts import by_chance, summary
from deepscaler.reporting.claims.results import Estimate
from deepscaler.settings.claims import Claim, ProblemCount, claims
from numpy.typing import NDArray

RUNS = 4000
PROBLEMS, SAMPLES = 30, 16
SPREAD = 1.0
"""a + b of Beta(a, b): of an answer's variance (a + b) / (a + b + 1) lies within problems, a half."""


def named(identifier: str) -> Claim:
    return next(one for one in claims().claims if one.id == identifier)


def of(identifier: str) -> Chances:
    return chances(claims(), named(identifier))


def aime_runs(percent: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Pass@1 in percent, in many runs on the same 30 problems: their chances of a right answer average `percent`."""
    shares = random.beta(SPREAD * percent / 100, SPREAD * (1 - percent / 100), PROBLEMS)
    for _ in range(200):  # the same problems in every run, and just as hard as asked for
        shares = np.clip(shares + percent / 100 - shares.mean(), 0, 1)
    return 100 * random.binomial(SAMPLES, shares, (RUNS, PROBLEMS)).mean(axis=1) / SAMPLES


# --- what may count --------------------------------------------------------------------------------------------------


def test_what_counts_is_not_met_by_what_it_rules_out() -> None:
    """At most one run of ten; and what counts for nothing is met more often, or has nothing to be judged by."""
    counted = 0
    for one in claims().claims:
        if one.kind not in ("measured", "illustrative") or isinstance(one.measure, ProblemCount):
            continue
        found = chances_of(one)
        assert found.discriminates is not None, one.id
        if one.kind == "measured":
            assert found.discriminates, f"{one.id}: {found}"
            counted += 1
        elif "mini" not in one.scales:
            assert not found.discriminates, f"{one.id} could count: {found}"
    assert counted > 60


def test_what_is_met_by_construction_does_not_count() -> None:
    checks = {one.id for one in claims().claims if one.kind == "by construction"}
    names = {
        "format-reward",
        "unique",
        "no-overlap",
        "steps",
        "dollars",
        "mini-steps",
        "mini-complete",
        "mini-lora-steps",
        "lora-complete",
    }
    assert names | {f"{what}-{stage}" for what in ("steps", "gpus") for stage in ("8k", "16k", "24k")} == checks


def test_the_papers_about_is_two_sided() -> None:
    found = 0
    for one in claims().claims:
        numbers = [float(text.replace(",", "")) for text in re.findall(r"about \$?([\d,.]+)", one.statement)]
        if one.expected in numbers and one.kind != "not measurable":
            assert one.comparison == "within", one.id
            found += 1
    assert found >= 4


# --- the chances, against simulated runs -----------------------------------------------------------------------------


def test_errors_are_those_of_simulated_runs() -> None:
    random = np.random.default_rng(1)
    simulated = [aime_runs(43.1, random).std() for _ in range(40)]
    assert of("aime-deepscaler").error == pytest.approx(np.mean(simulated), rel=0.1)


def test_a_value_within_a_tolerance() -> None:
    random = np.random.default_rng(2)
    met = np.mean([abs(aime_runs(38.1, random) - 43.1) <= 4.2 for _ in range(40)])
    assert of("aime-deepscaler").worse_met == pytest.approx(met, abs=0.03)
    honest = np.mean([abs(aime_runs(43.1, random) - aime_runs(43.1, random)) > 4.2 for _ in range(40)])
    assert of("aime-deepscaler").honest_fails == pytest.approx(honest, abs=0.02)


def test_a_sign_with_the_papers_own_error() -> None:
    random = np.random.default_rng(3)
    fails = np.mean([aime_runs(43.1, random) + random.normal(0, 1.6, RUNS) < 40.0 for _ in range(40)])
    assert of("beats-o1").honest_fails == pytest.approx(fails, abs=0.03)


def test_a_significant_gain_is_ruled_out_at_half_its_level() -> None:
    assert of("beats-base-aime").null_met == pytest.approx(0.025, abs=1e-6)


def test_known_trainings_give_the_miniatures_chances() -> None:
    gains = [run.averages["deepscaler-24k"] - run.averages["mini-base"] for run in claims().varies.runs
             if {"deepscaler-24k", "mini-base"} <= set(run.averages)]  # fmt: skip
    found = chances(claims(), named("mini-learns"), Estimate(30.0, 2.0))
    random = np.random.default_rng(4)
    width = np.std(gains, ddof=1) * np.sqrt(1 + 1 / len(gains))
    assert found.honest_fails == pytest.approx(np.mean(random.normal(np.mean(gains), width, 200_000) < 20), abs=0.005)
    assert found.null_met == pytest.approx(np.mean(random.normal(0, width, 200_000) >= 20), abs=0.005)


# --- what the audit found --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("identifier", ["aime-gain-8k", "aime-8k", "aime-16k", "aime-24k", "aime-24k-early"])
def test_a_stages_gain_on_aime_alone_counts_for_nothing(identifier: str) -> None:
    assert named(identifier).kind == "illustrative"
    assert (of(identifier).null_met or 0) > 0.4


def test_training_is_part_of_what_varies() -> None:
    file = claims()
    steady = file.varies.training.model_copy(update={"columns": {"other": 1e-6}})
    without = file.model_copy(update={"varies": file.varies.model_copy(update={"training": steady})})
    one = named("average-gain-at-8k")
    varying, still = chances(file, one), chances(without, one)
    assert (varying.null_met or 0) > 10 * (still.null_met or 0)
    assert (varying.honest_fails or 0) > 5 * (still.honest_fails or 0)


def test_without_an_error_there_are_no_chances() -> None:
    assert chances(claims(), named("mini-wrong-is-longer"), None) == Chances()
    assert chances(claims(), named("mini-wrong-is-longer"), Estimate(2.0, None)) == Chances()


def test_a_value_that_nothing_varies_has_none() -> None:
    assert of("problems") == Chances()
    assert of("steps-8k") == Chances()
    assert of("o1-aime") == Chances()


# --- how they are counted --------------------------------------------------------------------------------------------


def row(kind: str, verdict: str, fails: str = "", null: str = "") -> dict[str, str]:
    return {"kind": kind, "verdict": verdict, "honest_fails": fails, "null_met": null}


def test_kinds_are_counted_apart() -> None:
    rows = [
        row("measured", "met", "0.1", "0.05"), row("measured", "outside", "0.2", ""), row("measured", "not run", "0.3"),
        row("by construction", "met"), row("illustrative", "met", "0.9", "0.9"), row("arithmetic", "met"),
        row("not measurable", "not measurable"),
    ]  # fmt: skip
    assert summary(rows) == (
        "measured: 1 met, 1 outside; by the paper's arithmetic: 1 met, 0 outside; by construction: 1 met, 0 outside; "
        "illustrations, which count for nothing: 1 met, 0 outside; 1 not run; 1 not measurable"
    )
    said = by_chance(rows)
    assert said is not None
    assert said.startswith("Of the 2 measured claims, chance alone would put 0.3 outside")
    assert "meet 0.1 of the 1 that" in said
    assert by_chance(rows[2:]) is None


def test_chances_of_many_add_up() -> None:
    sums = together([Chances(1.0, 0.1, 0.02, None), Chances(1.0, 0.3, None, 0.5), Chances()])
    assert (sums.claims, sums.with_null) == (3, 1)
    assert (sums.honest_outside, sums.false_met) == pytest.approx((0.4, 0.02))
