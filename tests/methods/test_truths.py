"""What the subject says of its methods, beyond quadratics: optima, variance, averages, cycles."""

import functools
import itertools
import math

import numpy as np
import pytest
import torch
from sklearn import linear_model

import gradus
from gradus import EmpiricalRisk, minimize
from gradus.data.sampling import Sampling
from gradus.methods import (
    LBFGS,
    SGD,
    Adam,
    GaussNewton,
    GradientDescent,
    LevenbergMarquardt,
    Nesterov,
    Newton,
    NewtonCG,
    Polyak,
    Proximal,
    ProximalGradient,
)
from gradus.risk.penalties import L1, SquaredL2

# The same sums of a few products, in another order.
TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}

N, D = 40, 5


# Where methods end: at the optimum that direct solvers find, to 1e-6.


def examples():
    random = torch.Generator().manual_seed(3)
    x = torch.randn(N, D, generator=random, dtype=torch.float64)
    w = torch.tensor([1.5, 0.0, -2.0, 0.0, 0.5], dtype=torch.float64)
    return x, x @ w + 0.5 * torch.randn(N, generator=random, dtype=torch.float64)


@functools.cache
def ridge():
    """The normal equations of 1/N |x w - y|^2 + 0.3 / 2 |w|^2."""
    x, y = examples()
    model = torch.nn.Linear(D, 1, bias=False, dtype=torch.float64)
    risk = EmpiricalRisk(model, gradus.MSELoss(), (x, y[:, None]), SquaredL2(0.3))
    fitted = linear_model.Ridge(alpha=N * 0.3 / 2, fit_intercept=False, solver="cholesky")
    curvature = 2 / N * torch.linalg.matrix_norm(x, 2).item() ** 2 + 0.3
    return risk, fitted.fit(x.numpy(), y.numpy()).coef_, curvature


@functools.cache
def lasso():
    """scikit-learn minimises half of our mean square; its tolerance is on the duality gap."""
    x, y = examples()
    model = torch.nn.Linear(D, 1, bias=False, dtype=torch.float64)
    risk = EmpiricalRisk(model, gradus.MSELoss(), (x, y[:, None]), L1(2 * 0.1))
    fitted = linear_model.Lasso(alpha=0.1, fit_intercept=False, tol=1e-14)
    curvature = 2 / N * torch.linalg.matrix_norm(x, 2).item() ** 2
    return risk, fitted.fit(x.numpy(), y.numpy()).coef_, curvature


@functools.cache
def logistic():
    """Three classes, each with its weights; scikit-learn adds the losses up, by 1 / C of Omega."""
    x, y = examples()
    classes = torch.bucketize(y, torch.tensor([-1.0, 1.0], dtype=torch.float64))
    model = torch.nn.Linear(D, 3, bias=False, dtype=torch.float64)
    risk = EmpiricalRisk(model, gradus.CrossEntropyLoss(), (x, classes), SquaredL2(0.1))
    fitted = linear_model.LogisticRegression(
        C=1 / (N * 0.1), fit_intercept=False, solver="newton-cg", tol=1e-10
    )
    curvature = torch.linalg.matrix_norm(x, 2).item() ** 2 / N / 2 + 0.1
    return risk, fitted.fit(x.numpy(), classes.numpy()).coef_.ravel(), curvature


SMOOTH = {
    "gradient-descent": (lambda L: GradientDescent(1 / L), 150),
    "polyak": (lambda L: Polyak(1 / L, 0.5), 150),
    "nesterov": (lambda L: Nesterov(1 / L, 0.5), 100),
    "proximal-gradient": (lambda L: ProximalGradient(1 / L), 150),
    "fista": (lambda L: ProximalGradient(1 / L, accelerated=True), 200),
    "newton": (lambda L: Newton(), 8),
    "newton-cg": (lambda L: NewtonCG(), 10),
    "gauss-newton": (lambda L: GaussNewton(), 8),
    "levenberg-marquardt": (lambda L: LevenbergMarquardt(), 10),
    "lbfgs": (lambda L: LBFGS(), 25),
}


@pytest.mark.parametrize("problem", [ridge, logistic])
@pytest.mark.parametrize(("make", "steps"), SMOOTH.values(), ids=SMOOTH)
def test_a_smooth_regression_ends_where_direct_solvers_end(problem, make, steps):
    risk, expected, curvature = problem()
    w0 = torch.zeros(risk.dimension, dtype=torch.float64)
    path = minimize(risk, w0, make(curvature), steps=steps)
    torch.testing.assert_close(path.points[-1], torch.from_numpy(expected), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda lr: ProximalGradient(lr),
        lambda lr: Proximal(SGD(lr, momentum=0.5, dampening=0.5)),
    ],
    ids=["ista", "momentum-with-dampening"],
)
def test_the_lasso_ends_where_coordinate_descent_ends(make):
    risk, expected, curvature = lasso()
    w0 = torch.zeros(D, dtype=torch.float64)
    path = minimize(risk, w0, make(1 / curvature), steps=150)
    torch.testing.assert_close(path.points[-1], torch.from_numpy(expected), rtol=1e-6, atol=1e-6)
    assert (path.points[-1] == 0).tolist() == (expected == 0).tolist()
    assert 0 < (expected == 0).sum() < D


# The variance of the gradient of a mini-batch, over the batches that a sampling draws.


def single_gradients(risk, w):
    return torch.stack([risk.gradient(w, torch.tensor([i])) for i in range(len(risk.data))])


@functools.cache
def drawn(name, n, size, draws):
    """The first two batches of each of many epochs, ``[draws, 2, B]``."""
    sampling = Sampling(name, n=n, batch_size=size, seed=7)
    epochs = (itertools.islice(sampling.epoch(epoch), 2) for epoch in range(draws))
    return torch.stack([torch.stack(list(epoch)) for epoch in epochs])


@pytest.mark.parametrize("size", [1, 10, 20])
@pytest.mark.parametrize("which", [0, 1], ids=["first", "second"])
@pytest.mark.parametrize("name", ["replacement", "shuffle"])
def test_the_variance_of_a_mini_batch_gradient_is_that_of_its_sampling(name, size, which):
    r"""sigma^2 / B with replacement, sigma^2 / B (N - B) / (N - 1) without.

    The squared distance of a drawn gradient from the full one is averaged over the draws; such a
    mean is within five of its own standard errors but once in a million, and so many draws tell
    the one formula from the other.
    """
    risk, _, _ = ridge()
    w = torch.linspace(-1.0, 1.0, D, dtype=torch.float64)
    singles, full = single_gradients(risk, w), risk.gradient(w)
    sigma2 = (singles - full).square().sum(dim=1).mean()
    batches = drawn(name, N, size, 1000)[:, which]
    gradients = singles[batches].mean(dim=1)
    torch.testing.assert_close(risk.gradient(w, batches[0]), gradients[0], **TOLERANCE)
    squares = (gradients - full).square().sum(dim=1)
    error = squares.std() / math.sqrt(len(squares))
    shares = {"replacement": 1.0, "shuffle": (N - size) / (N - 1)}
    for sampling, share in shares.items():
        agrees = abs(squares.mean() - share * sigma2 / size) < 5 * error
        assert agrees == (sampling == name or size == 1)


@pytest.mark.parametrize(("n", "size"), [(2, 1), (4, 2)])
@pytest.mark.parametrize("name", ["replacement", "shuffle"])
def test_all_batches_that_there_are_come_equally_often(name, n, size):
    """So that the variance over all of them, exact in tests/risk/test_empirical.py, is the truth.

    The number of times that one of m batches comes in T draws is binomial; five deviations.
    """
    ways = list(
        itertools.product(range(n), repeat=size)
        if name == "replacement"
        else itertools.permutations(range(n), size)
    )
    batches = drawn(name, n, size, 1000)
    for which in (0, 1):
        counts = dict.fromkeys(ways, 0)
        for batch in batches[:, which].tolist():
            counts[tuple(batch)] += 1
        p = 1 / len(ways)
        deviation = math.sqrt(len(batches) * p * (1 - p))
        assert max(abs(count - len(batches) * p) for count in counts.values()) < 5 * deviation


# Momentum averages gradients, each with a weight that falls exponentially with its age.

STEPS = 12


def noise():
    random = torch.Generator().manual_seed(4)
    return torch.randn(STEPS, 3, generator=random, dtype=torch.float64)


def updated(method, gradients):
    """The points and states of a method that is given these gradients, whatever w."""
    w = torch.zeros_like(gradients[0])
    state = method.init(w)
    points, states = [w], [state]
    for g in gradients:
        w, state = method.update(w, g, state)
        points.append(w)
        states.append(state)
    return torch.stack(points), states


def weights(beta, t):
    """beta^age of the gradients 0, .., t."""
    return torch.tensor([beta ** (t - i) for i in range(t + 1)], dtype=torch.float64)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.99])
def test_the_step_of_momentum_is_the_sum_of_all_gradients_by_their_age(beta):
    gradients, lr = noise(), 0.1
    for method in (Polyak(lr, beta), SGD(lr, momentum=beta)):
        points, _ = updated(method, gradients)
        for t in range(STEPS):
            step = -lr * weights(beta, t) @ gradients[: t + 1]
            torch.testing.assert_close(points[t + 1] - points[t], step, **TOLERANCE)


@pytest.mark.parametrize("beta", [0.5, 0.9])
def test_with_as_much_dampening_the_buffer_is_an_average(beta):
    """The weights are (1 - beta) beta^age, but beta^t for the first; they sum to 1."""
    gradients = noise()
    _, states = updated(SGD(0.1, momentum=beta, dampening=beta), gradients)
    for t in range(STEPS):
        own = (1 - beta) * weights(beta, t)
        own[0] = beta**t
        assert own.sum().item() == pytest.approx(1)
        expected = own @ gradients[: t + 1]
        torch.testing.assert_close(states[t + 1].buffer, expected, **TOLERANCE)


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.9), (0.0, 0.0)])
def test_the_moments_of_adam_are_averages_once_their_bias_is_corrected(betas):
    gradients = noise()
    _, states = updated(Adam(0.1, betas), gradients)
    for t in range(STEPS):
        for beta, moment, terms in (
            (betas[0], states[t + 1].m, gradients),
            (betas[1], states[t + 1].v, gradients.square()),
        ):
            own = weights(beta, t) / weights(beta, t).sum()
            corrected = moment / (1 - beta ** (t + 1))
            # The correction divides what was rounded at 1e-16 by no less than 1e-3.
            torch.testing.assert_close(corrected, own @ terms[: t + 1], **TOLERANCE)


@pytest.mark.parametrize("beta", [0.5, 0.9])
def test_averaging_leaves_a_part_of_the_variance_of_independent_gradients(beta):
    r"""(1 - beta) / (1 + beta) of it: the sum of the squared weights (1 - beta)^2 beta^(2 age).

    Over 4,000 sequences of Gaussian gradients; the mean of n squares of Gaussians has the standard
    error sqrt(2 / n), relative.
    """
    steps, count = math.ceil(math.log(1e-8) / math.log(beta)), 4000
    random = np.random.default_rng(8)
    gradients = torch.from_numpy(random.standard_normal((steps, count)))
    _, states = updated(SGD(0.1, momentum=beta, dampening=beta), gradients)
    variance = states[-1].buffer.square().mean().item()
    expected = (1 - beta) / (1 + beta)
    assert abs(variance / expected - 1) < 5 * math.sqrt(2 / count)


# Where Polyak's momentum with its best setting for quadratics cycles (test_quadratics.py).


@pytest.mark.parametrize(
    "method",
    [GradientDescent(1 / 25), GradientDescent(2 / 26), Nesterov(1 / 25, 2 / 3), LBFGS()],
    ids=["gradient-descent", "best-gradient-descent", "nesterov", "lbfgs"],
)
@pytest.mark.parametrize("start", [3.3, 3.07, 2592 / 1225, -5.0])
def test_the_function_on_which_polyak_cycles_is_minimised_by_others(method, start):
    """Lessard, Recht, Packard (2016), section 4.6; also from a point of the cycle itself."""

    def f(w):
        inner = 12.5 * w**2
        middle = 0.5 * w**2 + 24 * w - 12
        outer = 12.5 * w**2 - 24 * w + 36
        return torch.where(w < 1, inner, torch.where(w < 2, middle, outer)).sum()

    w0 = torch.tensor([start], dtype=torch.float64)
    path = minimize(f, w0, method, steps=200)
    assert abs(path.points[-1].item()) < 1e-6
