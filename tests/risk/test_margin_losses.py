"""Hinge and modified Huber losses against the definitions that scikit-learn has of them."""

import numpy as np
import pytest
import torch
from scipy.optimize import check_grad
from sklearn.linear_model._sgd_fast import Hinge, ModifiedHuber

from gradus.risk.losses import HingeLoss, ModifiedHuberLoss
from tests.risk.loss_cases import REDUCTIONS, normal

C = 4
PAIRS = {HingeLoss: Hinge, ModifiedHuberLoss: ModifiedHuber}
WEIGHT = torch.tensor([0.5, 2.0, 0.0, 1.25], dtype=torch.float64)
TARGET = torch.tensor([0, 1, 2, 3, 3, 1])


def theirs(ours, output, target):
    """A binary loss for each class against the rest, added up."""
    loss = PAIRS[ours](1.0) if ours is HingeLoss else PAIRS[ours]()
    sides = 2 * np.eye(C)[target] - 1
    return np.array(
        [
            sum(loss.py_loss(p, y) for p, y in zip(row, side, strict=True))
            for row, side in zip(output.numpy() * 1.0, sides, strict=True)
        ]
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["alike", "weighted"])
@pytest.mark.parametrize("ours", PAIRS)
def test_each_class_against_the_rest_has_the_loss_of_scikit_learn(ours, weight, reduction):
    output = 2 * normal((6, C), 1)
    output[0] = torch.tensor([1.0, -1.0, 1.0, -1.0])  # where the pieces meet
    values = theirs(ours, output, TARGET)
    counts = np.ones(6) if weight is None else weight.numpy()[TARGET]
    values = values * counts
    values[3:5] = 0  # of class 3, which is ignored
    mass = counts[[0, 1, 2, 5]].sum()
    expected = {"none": values, "sum": values.sum(), "mean": values.sum() / mass}[reduction]
    got = ours(weight, ignore_index=3, reduction=reduction)(output, TARGET)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.parametrize("ours", PAIRS)
def test_the_gradient_is_that_of_the_value(ours):
    output, loss = 2 * normal((6, C), 1), ours(WEIGHT)

    def value(flat):
        return loss(torch.from_numpy(flat).view(6, C), TARGET).item()

    def gradient(flat):
        x = torch.from_numpy(flat).view(6, C).requires_grad_()
        return torch.autograd.grad(loss(x, TARGET), x)[0].flatten().numpy()

    assert check_grad(value, gradient, output.flatten().numpy()) < 1e-6


@pytest.mark.parametrize("ours", PAIRS)
def test_pixels_are_classified_each_on_its_own(ours):
    output, target = normal((2, C, 3, 5), 1), torch.arange(30).view(2, 3, 5) % C
    whole = ours(WEIGHT, reduction="none")(output, target)
    rows = ours(WEIGHT, reduction="none")(output.movedim(1, -1).reshape(-1, C), target.flatten())
    torch.testing.assert_close(whole.flatten(), rows)
    one = ours(WEIGHT, reduction="none")(output[0, :, 0, 0], target[0, 0, 0])
    torch.testing.assert_close(one, whole[0, 0, 0])


def test_at_a_margin_of_one_nothing_pulls():
    x = torch.tensor([[1.0, -1.0]], requires_grad=True)
    HingeLoss()(x, torch.tensor([0])).backward()
    assert torch.equal(x.grad, torch.zeros(1, 2))
