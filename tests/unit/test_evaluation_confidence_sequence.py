"""Confidence sequences err no more often than they say, whenever one looks, and the plan's arithmetic of them holds."""

import numpy as np
import pytest
from deepscaler.evaluation.confidence_sequence import bets_of, confidence_sequence
from deepscaler.evaluation.sequential_design import Design, half_width, prospect

ERROR = 0.1
REPLAYS = 400
ROUNDS = 40
BOUND = ERROR + 2.6 * (ERROR * (1 - ERROR) / REPLAYS) ** 0.5
"""What 400 replays exceed once in 200 times if the error is as large as allowed."""


def even(count):
    return np.full(count, 1 / count)


def answers(random, chances, rounds=ROUNDS):
    return (random.random((rounds, len(chances))) < chances).astype(float)


def missed(values, weights, truth, low=0.0, high=1.0):
    """Whether the truth is ever outside, at whatever round."""
    capital = confidence_sequence(values, weights, low, high).log_capital(truth)
    return max(one.max() for one in capital) > np.log(2 / ERROR)


@pytest.mark.parametrize(
    "chances",
    [[0.5], [0.02] * 5, [0.97] * 20, [0.0, 0.0, 1.0, 0.5], [0.1, 0.9] * 8],
    ids=["one problem", "rare", "frequent", "settled", "halves"],
)
def test_whatever_the_problems_the_truth_is_seldom_missed(chances):
    random = np.random.default_rng(0)
    chances = np.array(chances)
    misses = sum(missed(answers(random, chances), even(len(chances)), chances.mean()) for _ in range(REPLAYS))
    assert misses / REPLAYS <= BOUND


def test_an_interval_for_one_look_does_not_survive_many():
    """What the confidence sequence is for: the usual interval, looked at each round, errs several times as often."""
    random, chances = np.random.default_rng(0), np.full(10, 0.1)
    misses = 0
    for _ in range(REPLAYS):
        values = answers(random, chances)
        means = np.array([values[: n + 1].mean() for n in range(1, ROUNDS)])
        errors = np.array([values[: n + 1].std() / values[: n + 1].size ** 0.5 for n in range(1, ROUNDS)])
        misses += bool((np.abs(means - 0.1) > 1.645 * errors).any())
    assert misses / REPLAYS > 3 * ERROR


def test_weights_of_sets_of_different_sizes():
    random = np.random.default_rng(1)
    chances, weights = np.array([0.2] * 3 + [0.8] * 60), np.array([1 / 6] * 3 + [1 / 120] * 60)
    truth = float(weights @ chances)
    values = [answers(random, chances) for _ in range(REPLAYS)]
    assert sum(missed(one, weights, truth) for one in values) / REPLAYS <= BOUND
    assert sum(missed(one, even(63), truth) for one in values) / REPLAYS > 0.9  # 0.77 is another question's answer


def test_a_difference_of_systems_that_have_their_luck_in_common():
    random = np.random.default_rng(2)
    ours, theirs = np.linspace(0.2, 0.9, 12), np.linspace(0.1, 0.6, 12)
    misses = 0
    for _ in range(REPLAYS):
        luck = random.random((ROUNDS, 12))
        values = (luck < ours).astype(float) - (luck < theirs)
        misses += missed(values, even(12), 0.2, -1)
    assert misses / REPLAYS <= BOUND
    together = confidence_sequence(values, even(12), -1, 1).limits(ERROR)
    values = answers(random, ours) - answers(random, theirs)
    apart = confidence_sequence(values, even(12), -1, 1).limits(ERROR)
    assert together[1][-1] - together[0][-1] < 0.8 * (apart[1][-1] - apart[0][-1])


def test_what_differs_between_problems_is_no_noise():
    random = np.random.default_rng(3)
    alike = confidence_sequence(answers(random, np.full(30, 0.5)), even(30), 0, 1).limits(ERROR)
    settled = confidence_sequence(answers(random, np.repeat([0.02, 0.98], 15)), even(30), 0, 1).limits(ERROR)
    assert settled[1][-1] - settled[0][-1] < 0.5 * (alike[1][-1] - alike[0][-1])


def test_the_unit_makes_no_difference():
    values = answers(np.random.default_rng(4), np.linspace(0, 1, 9))
    shares = confidence_sequence(values, even(9), 0, 1).limits(ERROR)
    points = confidence_sequence(100 * values - 20, even(9), -20, 80).limits(ERROR)
    for one, other in zip(shares, points, strict=True):
        assert 100 * one - 20 == pytest.approx(other, abs=1e-6)


def test_intervals_narrow_and_agree_with_the_test_of_a_mean():
    values = answers(np.random.default_rng(5), np.linspace(0.2, 1, 9))
    sequence = confidence_sequence(values, even(9), 0, 1, guess=0.6)
    lower, upper = sequence.limits(ERROR)
    assert (np.diff(lower) >= 0).all()
    assert (np.diff(upper) <= 0).all()
    assert 0 <= lower[0] < 0.6 < upper[0] <= 1
    above, below = sequence.log_capital(lower[-1] - 0.01)
    assert above.max() > np.log(2 / ERROR) > below.max()
    above, below = sequence.log_capital(upper[-1] + 0.01)
    assert below.max() > np.log(2 / ERROR) > above.max()


def test_answers_that_never_vary():
    lower, upper = confidence_sequence(np.ones((64, 30)), even(30), 0, 1).limits(0.05)
    assert upper[-1] == pytest.approx(1)
    assert 0.98 < lower[-1] < 1
    assert (
        confidence_sequence(np.zeros((1, 1)), even(1), 0, 1).limits(0.05)[1] > 1 - 1e-9
    ).all()  # one answer says nothing


def test_larger_sets_have_smaller_bets():
    assert (bets_of(even(30)) <= 0.9).all()
    assert bets_of(even(1000))[0] < bets_of(even(30))[0]
    assert bets_of(np.array([0.5, *[0.5 / 1000] * 1000]))[0] == 0.9  # one problem decides


@pytest.mark.parametrize("shift", [0.0, 0.14, 0.06])
def test_the_expected_rounds_are_those_of_simulated_runs(shift):
    """A claim on 30 problems: 43 ± 6 points, if true, if it is 57, and if it is 49, on the bound itself."""
    random, most, runs = np.random.default_rng(6), 40, 60
    chances = np.linspace(0.43 + shift - 0.4, 0.43 + shift + 0.4, 30)
    error = float(np.sqrt((chances * (1 - chances)).sum())) / 30
    plan = prospect(Design(even(30), error, 1, 0.37, 0.49, 0.05), 0.43 + shift, most)
    taken, met, outside, widths = [], 0, 0, []
    for _ in range(runs):
        lower, upper = confidence_sequence(answers(random, chances, most), even(30), 0, 1).limits(0.05)
        inside, beyond = (lower >= 0.37) & (upper <= 0.49), (lower > 0.49) | (upper < 0.37)
        first = np.flatnonzero(inside | beyond)
        taken.append(first[0] + 1 if len(first) else most)
        met += bool(len(first) and inside[first[0]])
        outside += bool(len(first) and beyond[first[0]])
        widths.append((upper - lower) / 2)
    assert plan.rounds == pytest.approx(np.mean(taken), rel=0.2)
    assert plan.met == pytest.approx(met / runs, abs=0.2)
    assert plan.outside == pytest.approx(outside / runs, abs=0.2)
    half = half_width(Design(even(30), error, 1, 0.37, 0.49, 0.05), most)
    assert half == pytest.approx(np.mean(widths, axis=0)[-1], rel=0.12)


def test_nothing_can_be_excluded_at_once():
    assert half_width(Design((1.0,), 0.5, 1, 0.4, 0.6, 0.05), 1) == float("inf")
    assert prospect(Design((1.0,), 0.5, 1, 0.4, 0.6, 0.05), 0.5, 1).decided == 0
