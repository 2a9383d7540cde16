"""The statistics of an evaluation against closed forms and against simulation."""

from itertools import combinations
from math import comb, sqrt

import numpy as np
import pytest
from deepscaler.evaluation import statistics
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st


def simulated(random, problems, samples, ability=None):
    """Right and wrong answers to problems whose difficulty varies as on a hard set: mostly near 0 and near 1."""
    chances = random.beta(0.5, 0.9, size=problems) if ability is None else ability
    return (random.random((problems, samples)) < chances[:, None]).astype(float)


def test_pass_at_1_lies_on_the_grid_of_right_answers():
    random = np.random.default_rng(0)
    for _ in range(20):
        correct = simulated(random, 30, 16)
        assert statistics.pass_at_1(correct) * 480 == pytest.approx(correct.sum(), abs=1e-9)
    table = np.zeros((30, 16))
    table.reshape(-1)[:207] = 1
    assert round(100 * statistics.pass_at_1(table), 1) == 43.1  # the paper's number is 207 of 480


def test_standard_error_has_the_closed_forms():
    certain = np.repeat([[1.0], [0.0], [0.0], [1.0]], 16, axis=1)
    error = statistics.standard_error(certain)
    assert error.total == pytest.approx(sqrt((4 * 0.25 / 3) / 4))
    assert error.within == pytest.approx(1 / 65)  # no variation was seen within problems: as with a 65th answer
    alike = np.tile(np.repeat([1.0, 0.0], 8), (10, 1))
    error = statistics.standard_error(alike)
    assert error.within == pytest.approx(sqrt(0.25 / 15 / 10))
    assert error.total > error.within  # every problem at one half: as with an 11th and a 12th at the ends
    one = statistics.standard_error(alike[:1])
    assert (one.total, one.between) == (None, None)
    assert one.within == pytest.approx(sqrt(0.25 / 15))


def test_squared_errors_are_unbiased():
    """Over many evaluations the mean of each squared error is the variance that it stands for."""
    random = np.random.default_rng(1)
    problems, samples, runs = 30, 16, 3000
    chances = random.beta(0.5, 0.9, size=problems)
    same = [simulated(random, problems, samples, chances) for _ in range(runs)]
    within = np.mean([(t.mean(1) * (1 - t.mean(1)) / (samples - 1)).sum() / problems**2 for t in same])
    assert within == pytest.approx(np.var([t.mean() for t in same]), rel=0.1)
    drawn = [simulated(random, problems, samples) for _ in range(runs)]
    total = np.mean([statistics.standard_error(t).total ** 2 for t in drawn])
    assert total == pytest.approx(np.var([t.mean() for t in drawn]), rel=0.1)


@hypothesis_settings(deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=6), st.integers(1, 5))
def test_pass_at_k_is_the_mean_over_all_choices_of_k_samples(rows, k):
    correct = np.array(rows, dtype=float)
    chosen = [np.mean([max(row[i] for i in choice) for row in correct]) for choice in combinations(range(5), k)]
    assert len(chosen) == comb(5, k)
    assert statistics.pass_at_k(correct, k) == pytest.approx(np.mean(chosen))
    assert statistics.pass_at_k(correct, 1) == pytest.approx(statistics.pass_at_1(correct))


def test_pass_at_k_refuses_more_samples_than_there_are():
    with pytest.raises(ValueError, match="k = 17 of 16"):
        statistics.pass_at_k(np.zeros((2, 16)), 17)


def test_majority_counts_votes_not_samples_without_an_answer():
    answers = [["7", "7", None, "8"], [None, None, None, "3"], ["1", "2", "1", "2"], [None] * 4]
    correct = np.array([[1, 1, 0, 0], [0, 0, 0, 1], [1, 0, 1, 0], [0, 0, 0, 0]], dtype=float)
    # right; right by the only vote; a tie of a right and a wrong answer; no vote at all
    assert statistics.majority(answers, correct) == pytest.approx((1 + 1 + 0.5 + 0) / 4)
    assert statistics.majority([["( 3, 4)", "(3,4)", "5"]], np.array([[1.0, 1.0, 0.0]])) == 1


def test_majority_does_not_depend_on_the_order_of_the_samples():
    random = np.random.default_rng(2)
    answers = [["1", "2", "1", "2", "3", None]]
    correct = np.array([[1.0, 0, 1.0, 0, 0, 0]])
    for _ in range(10):
        order = random.permutation(6)
        assert statistics.majority([[answers[0][i] for i in order]], correct[:, order]) == 0.5


@pytest.mark.parametrize(("problems", "low", "high"), [(30, 0.90, 0.97), (272, 0.925, 0.975)])
def test_intervals_cover_the_truth(problems, low, high):
    """95 % intervals hold the expected Pass@1 of new problems of the same kind about as often as they say."""
    random = np.random.default_rng(3)
    truth, runs = 0.5 / 1.4, 400
    held = 0
    for run in range(runs):
        shares = simulated(random, problems, 16).mean(axis=1)
        lower, upper = statistics.interval(statistics.bootstrap([shares], run, draws=500))
        held += lower <= truth <= upper
    assert low <= held / runs <= high


def test_bootstrap_of_several_sets_has_the_error_of_their_average():
    random = np.random.default_rng(4)
    shares = [simulated(random, n, 16).mean(axis=1) for n in (30, 83, 272)]
    expected = sqrt(sum(s.var() / len(s) for s in shares)) / 3
    assert statistics.bootstrap(shares, 0, draws=10_000).std() == pytest.approx(expected, rel=0.03)
    assert statistics.bootstrap(shares, 0, draws=10_000).mean() == pytest.approx(
        np.mean([s.mean() for s in shares]), abs=0.002
    )


def improved(chances, gain):
    return 1 / (1 + np.exp(-np.log(chances / (1 - chances)) - gain))


def difference_of(random, gain, problems=83, runs=200):
    """p-values of comparisons where the second system is better by `gain` in the log-odds of every problem."""
    found = []
    for run in range(runs):
        chances = random.beta(0.5, 0.9, size=problems)
        better = improved(chances, gain)
        second = simulated(random, problems, 16, better).mean(axis=1)
        first = simulated(random, problems, 16, chances).mean(axis=1)
        found.append(statistics.paired_difference([second], [first], run, draws=500))
    return found


@pytest.mark.parametrize("problems", [30, 83])
def test_a_difference_that_is_not_there_is_rarely_found(problems):
    found = difference_of(np.random.default_rng(5), gain=0.0, problems=problems)
    for p_values in ([d.p_bootstrap for d in found], [d.p_permutation for d in found]):
        assert 0.01 <= np.mean(np.array(p_values) < 0.05) <= 0.10


def test_a_difference_that_is_there_is_found():
    random = np.random.default_rng(6)
    found = difference_of(random, gain=1.0)
    chances = random.beta(0.5, 0.9, size=100_000)
    assert np.mean([d.p_permutation < 0.05 for d in found]) > 0.95
    assert np.mean([d.interval[0] > 0 for d in found]) > 0.95
    truth = np.mean(improved(chances, 1.0) - chances)
    assert np.mean([d.value for d in found]) == pytest.approx(truth, abs=0.005)


def test_pairing_sees_what_two_single_intervals_hide():
    """Two systems two points apart on the same problems: far within one error, and yet surely different."""
    random = np.random.default_rng(7)
    chances = random.beta(0.5, 0.9, size=500)
    first = simulated(random, 500, 16, chances).mean(axis=1)
    second = np.clip(first + random.choice([0, 1 / 16, 1 / 8], size=500, p=[0.8, 0.1, 0.1]), 0, 1)
    found = statistics.paired_difference([second], [first], 0, draws=10_000)
    single = statistics.standard_error(np.stack([first, first], axis=1)).total
    assert found.value < 1.5 * single
    assert found.p_bootstrap < 0.001
    assert found.interval[0] > 0


def test_the_same_system_twice_is_no_difference():
    shares = np.random.default_rng(8).random(40)
    found = statistics.paired_difference([shares], [shares], 0, draws=10_000)
    assert (found.value, found.p_bootstrap, found.p_permutation) == (0, 1, 1)
