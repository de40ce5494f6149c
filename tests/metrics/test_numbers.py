"""Figures of numbers against scikit-learn; their intervals against simulation and SciPy."""

import math

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gradus.metrics import figures_of_numbers
from gradus.metrics.numbers import mae, r2, rmse
from gradus.metrics.uncertainty import median_ranks, positive_interval, student_quantile


def predictions(n, m, seed):
    random = np.random.default_rng(seed)
    targets = random.normal(100, 30, (n, m))
    return targets + random.standard_t(5, (n, m)) * 10, targets


def by_scikit_learn(given_, targets):
    return {
        "rmse": sk.root_mean_squared_error(targets, given_),
        "mae": sk.mean_absolute_error(targets, given_),
        "r2": sk.r2_score(targets, given_),
        "median_absolute_error": sk.median_absolute_error(targets, given_),
    }


@pytest.mark.parametrize("n", [3, 40, 1_001])
def test_the_figures_are_those_of_scikit_learn_beside_those_of_the_constant(n):
    given_, targets = predictions(n, 1, seed=n)
    found = figures_of_numbers(given_, targets, mean=[90.0], median=[85.0])
    assert {name: each.value for name, each in found.items()} == pytest.approx(
        by_scikit_learn(given_, targets)
    )
    mean, median = (by_scikit_learn(np.full_like(targets, c), targets) for c in (90, 85))
    assert {name: each.constant for name, each in found.items()} == pytest.approx(
        {name: (mean if name in ("rmse", "r2") else median)[name] for name in found}
    )


def test_of_several_targets_each_has_its_own():
    given_, targets = predictions(50, 2, seed=1)
    found = figures_of_numbers(given_, targets, names=("height", "weight"))
    for at, name in enumerate(("height", "weight")):
        expected = by_scikit_learn(given_[:, at], targets[:, at])
        for figure, value in expected.items():
            assert found[f"{figure} of {name}"].value == pytest.approx(value)
    assert len(found) == 8


@pytest.mark.parametrize(
    "figure", [lambda e, y: rmse(e), lambda e, y: mae(e), r2], ids=["rmse", "mae", "r2"]
)
def test_the_influence_of_an_example_is_the_derivative_by_its_weight(figure):
    given_, targets = (each[:, 0] for each in predictions(15, 1, seed=2))
    errors, copies = given_ - targets, 4_000
    base = figure(errors, targets)
    assert base.influence.sum() == pytest.approx(0, abs=1e-8)
    for at in range(15):
        values = []
        for change in (1, -1):
            weights = np.full(15, copies)
            weights[at] += change
            values.append(figure(np.repeat(errors, weights), np.repeat(targets, weights)).value)
        moved = (values[0] - values[1]) / 2 * 15 * copies
        assert moved == pytest.approx(base.influence[at], rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("n", [30, 300])
def test_the_intervals_hold_the_true_figures(n):
    """Normal errors of deviation 2 beside targets of deviation 5: all is known; 500 times."""
    random = np.random.default_rng(3)
    truth = {
        "rmse": 2.0,
        "mae": 2 * math.sqrt(2 / math.pi),
        "r2": 1 - 4 / 25,
        "median_absolute_error": 2 * stats.norm.ppf(0.75),
    }
    held = dict.fromkeys(truth, 0)
    for _ in range(500):
        targets = random.normal(0, 5, (n, 1))
        found = figures_of_numbers(targets + random.normal(0, 2, (n, 1)), targets)
        for name, value in truth.items():
            held[name] += found[name].low <= value <= found[name].high
    assert min(held.values()) >= 455, held


def test_what_cannot_be_computed_is_missing_and_says_why():
    same = figures_of_numbers([[1.0], [2.0], [3.0]], [[2.0], [2.0], [2.0]], mean=[2.0])
    assert (same["r2"].value, same["r2"].constant) == (None, None)
    assert "all the same" in same["r2"].reason
    two = figures_of_numbers([[1.0], [2.0]], [[2.0], [4.0]])
    assert all(each.low is None and "too few" in each.reason for each in two.values())
    right = figures_of_numbers([[1.0], [2.0], [4.0]], [[1.0], [2.0], [4.0]])
    assert (right["rmse"].value, right["rmse"].low, right["r2"].value) == (0.0, None, 1.0)
    assert "nothing to go by" in right["r2"].reason


@pytest.mark.parametrize("shapes", [((3, 1), (3, 2)), ((3,), (3,)), ((0, 1), (0, 1))])
def test_wrong_shapes_are_refused(shapes):
    with pytest.raises(ValueError, match="with an example at least"):
        figures_of_numbers(*map(np.zeros, shapes))


@given(st.integers(2, 10**6), st.floats(0.8, 0.99))
def test_students_quantile_is_that_of_scipy(freedom, level):
    expected = stats.t.ppf((1 + level) / 2, freedom)
    # The expansion is about the normal distribution: with few degrees the tail is far from it.
    allowed = 0.001 if freedom >= 5 else 0.08
    assert student_quantile(freedom, level) == pytest.approx(expected, rel=allowed)


@given(st.integers(1, 3_000), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_ranks_of_the_median_are_those_of_the_sign_test(n, level):
    ranks = median_ranks(n, level)
    below = int(stats.binom.ppf((1 - level) / 2, n, 0.5))
    # The most that may lie outside at either end, with a chance of half of what is left.
    while stats.binom.cdf(below, n, 0.5) > (1 - level) / 2:
        below -= 1
    assert ranks == ((below, n - 1 - below) if below >= 0 else None)


def test_a_positive_interval_is_students_of_the_logarithm():
    low, high = positive_interval(3.0, 0.6, 12)
    half = stats.t.ppf(0.975, 11) * 0.6 / 3.0
    assert (low, high) == pytest.approx((3 * math.exp(-half), 3 * math.exp(half)), rel=1e-3)
