"""Outputs and targets of the tests of losses, and what they compare."""

import torch

from gradus.risk.losses import (
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
)

C = 5
FINAL = (MSELoss, L1Loss, HuberLoss, NLLLoss, CrossEntropyLoss, KLDivLoss)
REDUCTIONS = ("none", "mean", "sum")
CLASS_SHAPES = ((C,), (7, C), (4, C, 3), (2, C, 1, 2, 3))
ELEMENT_SHAPES = ((), (6,), (4, 3), (2, 3, 2), (2000,))
CLASS_WEIGHT = torch.tensor([0.5, 2.0, 0.0, 1.25, 3.0], dtype=torch.float64)

# Both sides sum the same few float64 terms in another order.
TOLERANCE = {"rtol": 1e-9, "atol": 1e-9}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=generator(seed), dtype=dtype)


def index_shape(shape):
    return () if len(shape) == 1 else (shape[0], *shape[2:])


def class_axis(shape):
    return 0 if len(shape) == 1 else 1


def class_index(shape, seed=0):
    return torch.randint(C, index_shape(shape), generator=generator(seed))


def theirs(ours):
    return getattr(torch.nn, ours.__name__)


def value_and_gradients(loss, output, target):
    """The loss, and its gradients for a random direction of the result."""
    leaves = [output.detach().clone().requires_grad_()]
    if target.is_floating_point() or target.is_complex():
        leaves.append(target.detach().clone().requires_grad_())
        target = leaves[1]
    value = loss(leaves[0], target)
    direction = normal(value.shape, seed=99)
    return value.detach(), torch.autograd.grad(value, leaves, direction)


def assert_same_as_torch(ours, output, target, **options):
    value, gradients = value_and_gradients(ours(**options), output, target)
    expected, expected_gradients = value_and_gradients(theirs(ours)(**options), output, target)
    torch.testing.assert_close(value, expected, **TOLERANCE)
    for got, wanted in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(got, wanted, **TOLERANCE)
