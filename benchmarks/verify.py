"""How often `deepscaler verify` errs, and how many samples it takes: 2,000 replays, with a look after every sample.

    python benchmarks/verify.py [--scale mini] [--replays 2000] [--rounds 64]

First, replays of a scale's kept grades: a round draws one of each problem's kept answers, for all systems the same one,
so that the truth is known: what all kept answers give. Every claim's interval is looked at after every round, and a
claim whose bound is the truth itself gets a verdict, which is where most goes wrong. Beside it the usual interval of
95 %, looked at as often.

Then answers to AIME 2024 as the paper's claim on DeepScaleR needs them, if the truth is what the paper says, what
others measured, and the base: samples until the verdict, beside what the plan foretells.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from math import log, sqrt
from typing import Any

import numpy as np
from deepscaler import records, settings
from deepscaler.evaluation.confidence_sequence import Array, confidence_sequence
from deepscaler.evaluation.sequential_design import Design, prospect
from deepscaler.reporting.file_names import path_of
from deepscaler.reporting.verdicts.answers import Answers
from deepscaler.reporting.verdicts.evidence import Evidence
from deepscaler.reporting.verdicts.inquiry import Inquiry, inquiry_of
from deepscaler.reporting.verdicts.verify import is_decided_by_sampling
from deepscaler.settings.claims import claims

ERROR = 0.05


def kept(scale: str, system: str) -> Answers:
    """A system's graded answers, from the scale's grades."""
    grader = settings.load_scale(scale).evaluation.grader
    columns = ["problem_id", "sample", grader, "tokens", "finish_reason"]
    rows = (
        records.read(path_of(f"work/{scale}/grades/{system}/table.parquet"), records.GRADE).select(columns).to_pylist()
    )
    found: dict[tuple[str, int], dict[str, Any]] = {
        (row["problem_id"], row["sample"]): {**row, "right": row[grader]} for row in rows
    }
    return Answers(scale, system, None, found)  # type: ignore[arg-type]


def replays(evidence: Evidence, count: int, rounds: int) -> Iterator[Evidence]:
    """Rounds of kept answers, each problem's drawn with replacement."""
    random, size = np.random.default_rng(0), evidence.numerator.shape
    for _ in range(count):
        drawn = random.integers(size[0], size=(rounds, size[1])), np.arange(size[1])
        below = None if evidence.denominator is None else evidence.denominator[drawn]
        yield replace(evidence, numerator=evidence.numerator[drawn], denominator=below, error=ERROR)


def usual_interval_missed(values: Array, weights: Array, truth: float) -> bool:
    """Whether mean ± 1.96 standard errors within problems ever misses the truth, looked at from the 4th round on."""
    for number in range(4, len(values) + 1):
        means = values[:number].mean(axis=0)
        error = sqrt(float(np.square(weights) @ (values[:number].var(axis=0, ddof=1) / number)))
        if abs(float(weights @ means) - truth) > 1.96 * error:
            return True
    return False


def of_kept_samples(scale: str, count: int, rounds: int) -> None:
    print(
        "| claim | truth | interval missed it | the usual one | wrong verdict with the bound there | samples as it is |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for claim in claims().claims:
        if not is_decided_by_sampling(claim, scale):
            continue
        inquiry: Inquiry = inquiry_of(claim, scale, ERROR)
        evidence = inquiry.evidence({system: kept(scale, system) for system in inquiry.quantity.systems})
        assert evidence is not None
        truth, threshold = evidence.estimate, log(2 / ERROR)
        missed = usual = wrong = 0
        taken = []
        for one in replays(evidence, count, rounds):
            above, below = (capital.max() >= threshold for capital in one.log_capital(truth))
            missed += bool(above or below)
            wrong += bool(
                above
            )  # "met" of a claim that the value is above the truth; "outside" is the same the other way
            values = one.numerator if one.denominator is None else one.numerator - truth * one.denominator
            usual += usual_interval_missed(values, one.weights, truth if one.denominator is None else 0.0)
            taken.append(one.verdict()[1])
        shares = " | ".join(f"{100 * number / count:.2f} %" for number in (missed, usual, wrong))
        print(f"| {claim.id} | {truth:.2f} | {shares} | {np.mean(taken):.1f} |", flush=True)


def of_aime(count: int, rounds: int) -> None:
    """43.1 ± 4.2 % on 30 problems, half of whose variance is within them (`within_share` of config/claims.yaml)."""
    print("\n| truth | met | outside | not decided | samples a problem | foretold |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    random, weights = np.random.default_rng(1), np.full(30, 1 / 30)
    for truth in (43.1, 41.0, 37.0, 34.0, 28.8):
        share = truth / 100
        chances = np.quantile(random.beta(share, 1 - share, 200_000), (np.arange(30) + 0.5) / 30)
        chances = np.clip(chances * share / chances.mean(), 0, 1)
        error = 100 * sqrt(float((chances * (1 - chances)).sum())) / 30
        met = outside = 0
        taken = []
        for _ in range(count):
            values = 100.0 * (random.random((rounds, 30)) < chances)
            sequence = confidence_sequence(values, weights, 0, 100, 43.1)
            (over_low, under_low), (over_high, under_high) = (
                [np.maximum.accumulate(capital) >= log(2 / ERROR) for capital in sequence.log_capital(bound)]
                for bound in (38.9, 47.3)
            )
            inside, beyond = over_low & under_high, under_low | over_high
            first = np.flatnonzero(inside | beyond)
            taken.append(first[0] + 1 if len(first) else rounds)
            met += bool(len(first) and inside[first[0]])
            outside += bool(len(first) and beyond[first[0]])
        plan = prospect(Design(tuple(weights), error, 100, 38.9, 47.3, ERROR), 100 * float(chances.mean()), rounds)
        shares = " | ".join(f"{100 * number / count:.1f} %" for number in (met, outside, count - met - outside))
        print(f"| {truth} | {shares} | {np.mean(taken):.1f} | {plan.rounds:.1f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", default="mini")
    parser.add_argument("--replays", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=64)
    given = parser.parse_args()
    of_kept_samples(given.scale, given.replays, given.rounds)
    of_aime(given.replays, given.rounds)
