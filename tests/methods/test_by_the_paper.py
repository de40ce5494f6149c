"""Methods that torch does not have, against their papers' programs written with NumPy."""

import numpy as np
import pytest
import torch

import gradus
from gradus.methods import ADOPT, LBFGS, SAM, Adam, Averaged, GradientDescent, Lion, Polyak


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


@pytest.mark.parametrize("method", [Polyak(0.1, 0.9), SAM(Adam(0.1)), LBFGS()])
@pytest.mark.parametrize("after", [0, 3])
def test_an_averaged_method_gives_the_mean_of_the_points_that_it_goes_through(method, after):
    def f(w):
        return (w**2).sum() + w.cos().sum()

    start = torch.tensor([3.0, -1.0], dtype=torch.float64)
    own = gradus.minimize(f, start, method, steps=8).points
    averaged = gradus.minimize(f, start, Averaged(method, after), steps=8).points
    torch.testing.assert_close(averaged[: after + 1], own[: after + 1])
    for t in range(after + 1, 9):
        torch.testing.assert_close(averaged[t], own[after + 1 : t + 1].mean(dim=0))


def test_the_mean_of_noisy_steps_is_as_near_as_the_mean_of_their_noise():
    """Of f = h w^2 / 2 with gradients of variance s^2 that of the mean is s^2 / (h^2 T)."""
    generator = torch.Generator().manual_seed(0)
    noise = 3.0 * torch.randn(500, 1000, generator=generator, dtype=torch.float64)
    h, start = 0.5, torch.zeros(1000, dtype=torch.float64)

    def f(w, batch=None):
        return h * (w**2).sum() / 2 + (0.0 if batch is None else (batch * w).sum())

    ends = {
        name: gradus.minimize(f, start, method, steps=500, batches=noise).points[-1]
        for name, method in (
            ("last", GradientDescent(0.4)),
            ("mean", Averaged(GradientDescent(0.4))),
            ("half", Averaged(GradientDescent(0.4), after=250)),
        )
    }
    least = 3.0**2 / h**2
    variance = {name: float((end**2).mean()) for name, end in ends.items()}
    assert variance["mean"] == pytest.approx(least / 500, rel=0.1)
    assert variance["half"] == pytest.approx(least / 250, rel=0.1)
    assert variance["last"] == pytest.approx(0.4 * 3.0**2 / (h * (2 - 0.4 * h)), rel=0.1)
