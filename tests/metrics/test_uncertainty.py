"""Intervals against SciPy, standard errors against what they are the square root of."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, sem

from gradus.metrics import standard_error, wilson_interval


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0.5, 0.999))
def test_wilsons_interval_is_that_of_scipy(n, share, level):
    correct = round(share * n)
    expected = binomtest(correct, n).proportion_ci(level, method="wilson")
    found = wilson_interval(correct, n, level)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= found[0] <= correct / n <= found[1] <= 1


@pytest.mark.parametrize("given_", [(0, 0, 0.95), (-1, 3, 0.95), (4, 3, 0.95), (1, 3, 1.0)])
def test_what_is_no_share_is_refused(given_):
    with pytest.raises(ValueError, match=r"share|level"):
        wilson_interval(*given_)


def test_the_standard_error_of_a_mean_is_that_of_scipy():
    losses = np.random.default_rng(0).exponential(size=50)
    assert standard_error(losses) == pytest.approx(sem(losses), rel=1e-12)
    assert standard_error(3 * losses, np.full(50, 3.0)) == pytest.approx(sem(losses), rel=1e-12)


def test_the_standard_error_of_a_weighted_mean_is_that_of_its_linearisation():
    """The derivatives of the quotient by the weights of the examples, by automatic ones."""
    random = np.random.default_rng(1)
    masses = random.uniform(0.5, 2, 40)
    losses = masses * random.exponential(size=40)
    weights = torch.ones(40, dtype=torch.float64, requires_grad=True)
    total, mass = (weights * torch.from_numpy(values) for values in (losses, masses))
    (influence,) = torch.autograd.grad(total.sum() / mass.sum(), weights)
    expected = math.sqrt(40 / 39) * influence.norm().item()
    assert standard_error(losses, masses) == pytest.approx(expected, rel=1e-12)


def test_one_example_says_nothing_of_its_error():
    assert math.isnan(standard_error([1.0]))
    with pytest.raises(ValueError, match="one for each"):
        standard_error([1.0, 2.0], [1.0])
