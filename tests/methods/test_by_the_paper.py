"""Methods that torch does not have, against their papers' programs written with NumPy."""

import math

import numpy as np
import pytest
import torch

import gradus
from gradus.methods import (
    ADOPT,
    FTRL,
    LAMB,
    LARS,
    LBFGS,
    SAM,
    Adagrad,
    Adam,
    Averaged,
    GradientDescent,
    Layer,
    Layout,
    Lion,
    Muon,
    Polyak,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
)
from gradus.risk.tensors import Tensors


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


def schedule_free_sgd(gradients, z, lr, beta, weight_decay):
    """Defazio et al. (2024), equations (3) to (5), the mean of all z but the first."""
    x = z
    for t, g in enumerate(gradients, start=1):
        y = (1 - beta) * z + beta * x
        z = z - lr * (g + weight_decay * y)
        x = (1 - 1 / t) * x + z / t
    return x


def schedule_free_adamw(gradients, z, lr, betas, eps, weight_decay):
    """Defazio et al. (2024), algorithm 1, without a warm-up."""
    x, v, total, (b1, b2) = z, np.zeros_like(z), 0.0, betas
    for t, g in enumerate(gradients, start=1):
        y = (1 - b1) * z + b1 * x
        v = b2 * v + (1 - b2) * g**2
        rate = lr * np.sqrt(1 - b2**t)
        z = z - rate * g / (np.sqrt(v) + eps) - rate * weight_decay * y
        total += rate**2
        x = (1 - rate**2 / total) * x + rate**2 / total * z
    return x


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
@pytest.mark.parametrize(
    ("method", "program", "options"),
    [
        (ADOPT, adopt, {"lr": 0.1, "betas": (0.8, 0.9), "eps": 0.05}),
        (ADOPT, adopt, {"lr": 0.02, "betas": (0.0, 0.999), "eps": 1e-6}),
        (Lion, lion, {"lr": 0.1, "betas": (0.6, 0.9)}),
        (ScheduleFreeSGD, schedule_free_sgd, {"lr": 0.1, "beta": 0.7}),
        (
            ScheduleFreeAdamW,
            schedule_free_adamw,
            {"lr": 0.1, "betas": (0.7, 0.9), "eps": 0.01},
        ),
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


FTRL_OPTIONS = [{"l1": 0.0, "l2": 0.0}, {"l1": 1.5, "l2": 0.7}]


@pytest.mark.parametrize("options", FTRL_OPTIONS)
def test_ftrl_stands_where_what_it_follows_is_least(options):
    """The minimum of the sum in the docstring, found among the roots of its two halves."""
    random = np.random.default_rng(0)
    w0, gradients = random.normal(size=9), random.normal(size=(30, 9))
    lr, beta, l1, l2 = 0.2, 0.5, options["l1"], options["l2"]
    method = FTRL(lr, beta, **options)
    w = torch.from_numpy(w0)
    state = method.init(w)
    points = [w0]
    for g in torch.from_numpy(gradients):
        w, state = method.update(w, g, state)
        points.append(w.numpy())
    roots = np.sqrt(np.cumsum(gradients**2, axis=0))
    sigmas = np.diff(np.vstack([np.zeros((1, 9)), roots]), axis=0) / lr
    # A coordinate's centres and their weights: w_0 before any step, then where each was taken.
    linear = gradients.sum(axis=0) - beta / lr * w0
    linear -= sum(sigma * at for sigma, at in zip(sigmas, points, strict=False))
    curve = beta / lr + sigmas.sum(axis=0) + l2
    right, left = np.maximum(-(linear + l1) / curve, 0), np.minimum(-(linear - l1) / curve, 0)
    np.testing.assert_allclose(w.numpy(), right + left, rtol=1e-12, atol=1e-12)
    assert (l1 > 0) == bool((w == 0).any())


def test_ftrl_without_penalties_is_adagrad():
    random = torch.Generator().manual_seed(0)
    w = torch.randn(9, generator=random, dtype=torch.float64)
    gradients = torch.randn(30, 9, generator=random, dtype=torch.float64)
    ends = []
    for method in (FTRL(0.2, 0.5), Adagrad(0.2, eps=0.5)):
        at, state = w, method.init(w)
        for g in gradients:
            at, state = method.update(at, g, state)
        ends.append(at)
    torch.testing.assert_close(*ends, rtol=1e-12, atol=1e-12)


# The layers of w: two hidden matrices, one of a kernel, a vector, a number, and a head.
LAYOUT = Layout(
    (
        Layer((3, 5), hidden=True),
        Layer((4, 2, 2), hidden=True),
        Layer((4,), hidden=False),
        Layer((), hidden=False),
        Layer((2, 3), hidden=False),
    )
)
SIZES = [math.prod(layer.shape) for layer in LAYOUT.layers]


def lars(gradients, w, lr, momentum, weight_decay, trust):
    """You, Gitman, Ginsburg (2017), algorithm 1, of one layer."""
    v = np.zeros_like(w)
    for g in gradients:
        size, slope = np.linalg.norm(w), np.linalg.norm(g)
        local = trust * size / (slope + weight_decay * size) if size and slope else 1.0
        v = momentum * v + lr * local * (g + weight_decay * w)
        w = w - v
    return w


def lamb(gradients, w, lr, betas, eps, weight_decay):
    """You et al. (2020), algorithm 2, of one layer."""
    m, v, (b1, b2) = np.zeros_like(w), np.zeros_like(w), betas
    for t, g in enumerate(gradients, start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        r = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps) + weight_decay * w
        size, step = np.linalg.norm(w), np.linalg.norm(r)
        w = w - lr * (size / step if size and step else 1.0) * r
    return w


@pytest.mark.parametrize(
    ("method", "program", "options"),
    [
        (LARS, lars, {"lr": 0.5, "momentum": 0.8, "weight_decay": 0.1, "trust": 0.2}),
        (LARS, lars, {"lr": 2.0, "momentum": 0.0, "weight_decay": 0.0, "trust": 0.01}),
        (LAMB, lamb, {"lr": 0.05, "betas": (0.8, 0.9), "eps": 0.01, "weight_decay": 0.1}),
    ],
)
def test_each_layer_moves_as_its_paper_says(method, program, options):
    """The flat vector, the rows of [K, d] and the list; a layer of zeros begins with ratio 1."""
    random = np.random.default_rng(0)
    start, gradients = random.normal(size=(2, sum(SIZES))), random.normal(size=(9, 2, sum(SIZES)))
    start[:, -6:] = 0.0
    cuts = np.cumsum(SIZES)[:-1]
    expected = [
        np.concatenate(
            [
                program(gs, w, **options)
                for gs, w in zip(
                    np.split(gradients[:, run], cuts, axis=-1),
                    np.split(start[run], cuts),
                    strict=True,
                )
            ]
        )
        for run in range(2)
    ]
    ours = method(**options)
    rows = torch.from_numpy(start)
    ends = [moved(ours, rows, torch.from_numpy(gradients))]
    for run in range(2):
        w, gs = rows[run], torch.from_numpy(gradients[:, run])
        alone = moved(ours, w, gs)
        together = moved(ours, in_layers(w), [in_layers(g) for g in gs]).flat()
        for end in (ends[0][run], alone, together):
            np.testing.assert_allclose(end.numpy(), expected[run], rtol=1e-12, atol=1e-12)


def in_layers(w):
    parts = w.split(SIZES)
    return Tensors([p.reshape(each.shape) for p, each in zip(parts, LAYOUT.layers, strict=True)])


def moved(method, w, gradients):
    state = method.init(w, LAYOUT)
    for g in gradients:
        w, state = method.update(w, g, state)
    return w


def test_muon_moves_hidden_matrices_as_torchs_and_all_else_as_adamw(monkeypatch):
    """Whose products are in bfloat16: here they are made in the type of w."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    random = torch.Generator().manual_seed(0)
    start = torch.randn(sum(SIZES), generator=random, dtype=torch.float64)
    gradients = torch.randn(6, sum(SIZES), generator=random, dtype=torch.float64)
    options = {"lr": 0.05, "weight_decay": 0.3}
    parts = [p.clone() for p in in_layers(start).values]
    matrices = [p.reshape(len(p), -1) for p in parts[:2]]
    muon = torch.optim.Muon(matrices, momentum=0.9, adjust_lr_fn="match_rms_adamw", **options)
    adamw = torch.optim.AdamW(parts[2:], betas=(0.9, 0.99), **options)
    for g in gradients:
        for p, own in zip((*matrices, *parts[2:]), in_layers(g).values, strict=True):
            p.grad = own.reshape(p.shape)
        muon.step()
        adamw.step()
    expected = torch.cat([p.flatten() for p in (*matrices, *parts[2:])])
    ours = Muon(betas=(0.9, 0.99), **options)
    torch.testing.assert_close(moved(ours, start, gradients), expected, rtol=1e-11, atol=1e-11)
    end = moved(ours, in_layers(start), [in_layers(g) for g in gradients])
    torch.testing.assert_close(end.flat(), expected, rtol=1e-11, atol=1e-11)


def test_embeddings_the_head_and_what_is_frozen_are_no_hidden_matrices():
    net = torch.nn.Sequential(
        torch.nn.Embedding(7, 4),
        torch.nn.Linear(4, 6),
        torch.nn.Linear(6, 5),
        torch.nn.Linear(5, 2),
    )
    net[1].weight.requires_grad_(False)
    shapes = [(7, 4), (6,), (5, 6), (5,), (2, 5), (2,)]
    layers = Layout.of_model(net).layers
    assert [layer.shape for layer in layers] == shapes
    assert [layer.shape for layer in layers if layer.hidden] == [(5, 6)]


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
