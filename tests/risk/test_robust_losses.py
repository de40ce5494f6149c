"""Huber and pinball losses against torch.nn and scikit-learn."""

import pytest
import torch
from sklearn.linear_model import QuantileRegressor
from sklearn.metrics import mean_pinball_loss
from torch.autograd.functional import hessian

from gradus.risk.losses import HuberLoss, L1Loss, MSELoss, PinballLoss
from tests.risk.loss_cases import (
    ELEMENT_SHAPES,
    REDUCTIONS,
    TOLERANCE,
    assert_same_as_torch,
    normal,
    value_and_gradients,
)


@pytest.mark.parametrize("delta", [1e-3, 0.5, 2.0, 1e3])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_huber_loss_of_any_delta(delta, reduction):
    output, target = normal((2000,), 1), normal((2000,), 2)
    target[:2] = output[:2] + torch.tensor([delta, -delta])  # where both cases meet
    assert_same_as_torch(HuberLoss, output, target, delta=delta, reduction=reduction)


@pytest.mark.parametrize("u", [0.0, 0.3, -0.3, 2.0])
def test_the_second_derivative_of_huber_is_1_within_delta_also_where_nothing_is_wrong(u):
    loss = HuberLoss(delta=0.5)
    second = hessian(lambda x: loss(x, torch.zeros(())), torch.tensor(u))
    assert second == (abs(u) < 0.5)


def test_huber_goes_over_into_the_losses_on_either_side_of_it():
    output, target = normal((30,), 1), normal((30,), 2)
    torch.testing.assert_close(2 * HuberLoss(delta=1e9)(output, target), MSELoss()(output, target))
    tiny = HuberLoss(delta=1e-12)(output, target) / 1e-12
    torch.testing.assert_close(tiny, L1Loss()(output, target))


@pytest.mark.parametrize("tau", [0.01, 0.5, 0.9])
@pytest.mark.parametrize("shape", ELEMENT_SHAPES[1:3])
def test_pinball_loss_is_that_of_scikit_learn(tau, shape):
    output, target = normal(shape, 1), normal(shape, 2)
    target[0] = output[0]
    expected = mean_pinball_loss(target, output, alpha=tau)
    assert PinballLoss(tau)(output, target).item() == pytest.approx(expected, rel=1e-12)
    assert PinballLoss(tau, "none")(output, target).shape == shape


def test_pinball_loss_of_one_half_is_half_of_l1_also_in_its_gradient():
    output, target = normal((4, 3), 1), normal((4, 3), 2)
    target[0] = output[0]
    value, gradients = value_and_gradients(PinballLoss(0.5), output, target)
    expected, expected_gradients = value_and_gradients(L1Loss(), output, target)
    torch.testing.assert_close(2 * value, expected, **TOLERANCE)
    for got, wanted in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(2 * got, wanted, **TOLERANCE)


@pytest.mark.parametrize("tau", [0.1, 0.5, 0.8])
def test_the_quantile_regression_of_scikit_learn_is_the_minimum_of_the_pinball_loss(tau):
    """It solves a linear program; no step from there, in any direction, finds less."""
    x, noise = normal((40, 2), 1), normal((40,), 2)
    y = x @ torch.tensor([1.0, -2.0], dtype=torch.float64) + noise
    theirs = QuantileRegressor(quantile=tau, alpha=0).fit(x, y)
    best = torch.tensor([*theirs.coef_, theirs.intercept_])
    design = torch.cat([x, torch.ones(40, 1, dtype=torch.float64)], dim=1)
    least = PinballLoss(tau)(design @ best, y)
    for step in normal((200, 3), 3):
        for length in (1e-6, 1e-3, 1.0):
            assert PinballLoss(tau)(design @ (best + length * step), y) >= least * (1 - 1e-12)
