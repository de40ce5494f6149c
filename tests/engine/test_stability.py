"""How far two engines end apart: as far as training carries a difference of one rounding.

The engines add in other orders, so that every step parts them by a rounding. A step of gradient
descent multiplies a difference by I - alpha H. Where alpha times the curvature stays below 2 (with
momentum beta, below 2 (1 + beta)), differences shrink; at the edge of stability, where training
swings from side to side, they grow with every swing. That is a matter of training, not of engines:
a run whose first parameters are one rounding away ends as far apart.

Source: Cohen et al. (2021), "Gradient descent on neural networks typically occurs at the edge of
stability".
"""

import functools

import pytest
import torch

from gradus import kernels, methods
from gradus.engine import eager, native, stacked
from tests.engine.jobs import job, where

EPOCHS = 100


@functools.cache
def by_eager(method):
    given = job(method=method, epochs=EPOCHS)
    assert eager.execute(given).status == "finished"
    return where(given.model)


def by_native(method):
    if kernels.core() is None:
        pytest.skip(str(kernels.absence()))
    given = job(method=method, epochs=EPOCHS)
    assert native.execute(given).status == "finished"
    return where(given.model)


def by_stacked(method):
    given = job(method=method, epochs=EPOCHS)
    assert [outcome.status for outcome in stacked.execute([given])] == ["finished"]
    return where(given.model)


def one_rounding_away(method):
    given = job(method=method, epochs=EPOCHS)
    with torch.no_grad():
        next(given.model.parameters()).mul_(1 + torch.finfo(torch.float64).eps)
    eager.execute(given)
    return where(given.model)


OTHERS = [by_native, by_stacked, one_rounding_away]


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize(
    "method",
    [methods.SGD(0.1, 0.9), methods.Nesterov(0.1, 0.9)],
    ids=lambda method: type(method).__name__,
)
def test_while_training_is_stable_engines_end_together(method, other):
    torch.testing.assert_close(other(method), by_eager(method), rtol=0, atol=1e-10)


@pytest.mark.parametrize("other", OTHERS)
def test_at_the_edge_of_stability_one_rounding_parts_them(other):
    method = methods.SGD(3.0, 0.9)
    assert float((other(method) - by_eager(method)).abs().max()) > 1e-3
