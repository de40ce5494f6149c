"""Methods that torch does not have, against their papers' programs written with NumPy."""

import numpy as np
import pytest
import torch

from gradus.methods import ADOPT, Lion


def adopt(gradients, w, lr, betas, eps, weight_decay):
    """Taniguchi et al. (2024), algorithm 2: the first gradient only begins v."""
    (first, *rest), (b1, b2) = gradients, betas
    m, v = np.zeros_like(w), first**2
    for t, g in enumerate(rest, start=1):
        bound = t**0.25
        m = b1 * m + (1 - b1) * np.clip(g / np.maximum(np.sqrt(v), eps), -bound, bound)
        w = w - lr * weight_decay * w - lr * m
        v = b2 * v + (1 - b2) * g**2
    return w


def lion(gradients, w, lr, betas, weight_decay):
    """Chen et al. (2023), algorithm 2."""
    m, (b1, b2) = np.zeros_like(w), betas
    for g in gradients:
        w = w - lr * (np.sign(b1 * m + (1 - b1) * g) + weight_decay * w)
        m = b2 * m + (1 - b2) * g
    return w


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
@pytest.mark.parametrize(
    ("method", "program", "options"),
    [
        (ADOPT, adopt, {"lr": 0.1, "betas": (0.8, 0.9), "eps": 0.05}),
        (ADOPT, adopt, {"lr": 0.02, "betas": (0.0, 0.999), "eps": 1e-6}),
        (Lion, lion, {"lr": 0.1, "betas": (0.6, 0.9)}),
        (Lion, lion, {"lr": 0.02, "betas": (0.9, 0.99)}),
    ],
)
def test_a_method_moves_as_its_paper_says(method, program, options, weight_decay):
    random = np.random.default_rng(0)
    start, gradients = random.normal(size=9), random.normal(size=(30, 9)) * 0.3 + 0.1
    ours = method(**options, weight_decay=weight_decay)
    w = torch.from_numpy(start)
    state = ours.init(w)
    for g in torch.from_numpy(gradients):
        w, state = ours.update(w, g, state)
    expected = program(gradients, start, weight_decay=weight_decay, **options)
    np.testing.assert_allclose(w.numpy(), expected, rtol=1e-12, atol=1e-12)
    assert not np.allclose(w.numpy(), start, atol=0.05)
