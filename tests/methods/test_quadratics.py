"""The methods on f(w) = 1/2 w^T A w, where every iterate is known in closed form."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradus import minimize
from gradus.methods import SGD, GradientDescent, Nesterov, Polyak

CURVATURES = torch.tensor([0.1, 0.5, 1.0, 4.0, 10.0], dtype=torch.float64)
START = torch.tensor([1.0, -2.0, 3.0, -0.5, 1.5], dtype=torch.float64)
STEPS = 60

# A step rounds to half a unit in the last place of numbers of order 1, and none of the iterations
# tried here lets an error grow by more than a factor of 1,000 over its steps.
TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}

# Momentum, learning rate: complex roots, real roots, a negative real root, none.
SETTINGS = [(0.9, 0.02), (0.5, 0.2), (0.1, 0.19), (0.99, 0.02), (0.0, 0.15)]


def quadratic(curvatures):
    return lambda w: 0.5 * (curvatures * w**2).sum()


def powers(companion, w0):
    """The first component of companion^t (w_0, w_-1) for t = 0, 1, .., with w_-1 = w_0."""
    pair = torch.stack([w0, w0], dim=-1).unsqueeze(-1)
    points = [torch.linalg.matrix_power(companion, t) @ pair for t in range(STEPS + 1)]
    return torch.stack(points)[..., 0, 0]


def companion(trace, determinant):
    """The recursion w_{t+1} = trace w_t - determinant w_{t-1} as one matrix per curvature."""
    one, zero = torch.ones_like(trace), torch.zeros_like(trace)
    rows = [torch.stack([trace, -determinant], -1), torch.stack([one, zero], -1)]
    return torch.stack(rows, dim=-2)


@pytest.mark.parametrize("lr", [0.01, 0.1, 0.19, 0.2])
def test_gradient_descent_multiplies_every_coordinate_by_a_constant(lr):
    path = minimize(quadratic(CURVATURES), START, GradientDescent(lr), steps=STEPS)
    t = torch.arange(STEPS + 1, dtype=torch.float64).unsqueeze(1)
    torch.testing.assert_close(path.points, (1 - lr * CURVATURES) ** t * START, **TOLERANCE)


@pytest.mark.parametrize(("beta", "lr"), SETTINGS)
def test_polyak_is_the_power_of_its_companion_matrix(beta, lr):
    path = minimize(quadratic(CURVATURES), START, Polyak(lr, beta), steps=STEPS)
    matrix = companion(1 + beta - lr * CURVATURES, torch.full_like(CURVATURES, beta))
    torch.testing.assert_close(path.points, powers(matrix, START), **TOLERANCE)


@pytest.mark.parametrize(("beta", "lr"), SETTINGS)
def test_nesterov_is_the_power_of_its_companion_matrix(beta, lr):
    path = minimize(quadratic(CURVATURES), START, Nesterov(lr, beta), steps=STEPS)
    shrunk = 1 - lr * CURVATURES
    matrix = companion((1 + beta) * shrunk, beta * shrunk)
    torch.testing.assert_close(path.points, powers(matrix, START), **TOLERANCE)


@pytest.mark.parametrize(
    ("method", "coefficients"),
    [
        (Polyak, lambda shrunk, beta: (beta + shrunk, beta)),
        (Nesterov, lambda shrunk, beta: ((1 + beta) * shrunk, beta * shrunk)),
    ],
)
def test_momentum_is_the_sum_of_the_powers_of_its_two_roots(method, coefficients):
    """w_t = a r_1^t + b r_2^t with the (here complex) roots of r^2 - trace r + determinant."""
    beta, lr, curvature = 0.9, 0.02, 4.0
    trace, determinant = coefficients(1 - lr * curvature, beta)
    root = complex(trace**2 / 4 - determinant) ** 0.5
    r1, r2 = trace / 2 + root, trace / 2 - root
    assert r1.imag != 0
    # a + b = w_0 = 1 and a / r1 + b / r2 = w_-1 = 1
    a = (1 - 1 / r2) / (1 / r1 - 1 / r2)
    expected = [(a * r1**t + (1 - a) * r2**t).real for t in range(STEPS + 1)]
    f = quadratic(torch.tensor([curvature], dtype=torch.float64))
    path = minimize(f, torch.ones(1, dtype=torch.float64), method(lr, beta), steps=STEPS)
    torch.testing.assert_close(
        path.points[:, 0], torch.tensor(expected, dtype=torch.float64), **TOLERANCE
    )


@pytest.mark.parametrize("method", [Polyak(0.05, 0.0), Nesterov(0.05, 0.0), SGD(0.05)])
def test_without_momentum_every_method_is_gradient_descent(method):
    f = quadratic(CURVATURES)
    descent = minimize(f, START, GradientDescent(0.05), steps=STEPS)
    assert torch.equal(minimize(f, START, method, steps=STEPS).points, descent.points)


def test_polyak_and_sgd_with_momentum_are_one_method_at_a_constant_learning_rate():
    f = quadratic(CURVATURES)
    polyak = minimize(f, START, Polyak(0.05, 0.8), steps=STEPS)
    sgd = minimize(f, START, SGD(0.05, momentum=0.8), steps=STEPS)
    torch.testing.assert_close(sgd.points, polyak.points, **TOLERANCE)


def test_nesterov_and_torchs_form_of_it_see_the_same_queries():
    """torch.optim.SGD keeps the point at which the gradient is taken: its w is our query."""
    f, lr, beta = quadratic(CURVATURES), 0.05, 0.8
    path = minimize(f, START, Nesterov(lr, beta), steps=STEPS).points
    queries = path[1:] + beta * (path[1:] - path[:-1])
    sgd = minimize(f, START, SGD(lr, momentum=beta, nesterov=True), steps=STEPS)
    torch.testing.assert_close(sgd.points[1:], queries, **TOLERANCE)


@pytest.mark.parametrize("kappa", [2.0, 10.0, 1000.0])
def test_at_the_best_step_gradient_descent_converges_at_kappa_minus_over_kappa_plus_one(kappa):
    """alpha = 2 / (mu + L); both extreme coordinates then shrink by exactly this factor."""
    curvatures = torch.tensor([1.0, kappa], dtype=torch.float64)
    w0 = torch.tensor([1.0, 1.0], dtype=torch.float64)
    path = minimize(quadratic(curvatures), w0, GradientDescent(2 / (1 + kappa)), steps=20)
    norms = path.points.norm(dim=1)
    rate = torch.full((20,), (kappa - 1) / (kappa + 1), dtype=torch.float64)
    # A ratio of small numbers: their absolute error of 20 roundings counts relative to them.
    torch.testing.assert_close(norms[1:] / norms[:-1], rate, rtol=1e-12 / norms[-1].item(), atol=0)


@pytest.mark.parametrize("kappa", [4.0, 100.0])
def test_at_its_best_setting_polyak_converges_at_the_rate_of_the_square_root(kappa):
    """Both roots then coincide at r = +-(sqrt(kappa) - 1) / (sqrt(kappa) + 1) =: +-rho.

    From w_-1 = w_0 = 1 that gives w_t = (1 + (1 - r) t) r^t, at either end of the curvatures.
    """
    rho = (math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1)
    method = Polyak(lr=4 / (1 + math.sqrt(kappa)) ** 2, beta=rho**2)
    curvatures = torch.tensor([1.0, kappa], dtype=torch.float64)
    path = minimize(quadratic(curvatures), torch.ones_like(curvatures), method, steps=STEPS)
    t = torch.arange(STEPS + 1, dtype=torch.float64).unsqueeze(1)
    r = torch.tensor([rho, -rho], dtype=torch.float64)
    torch.testing.assert_close(path.points, (1 + (1 - r) * t) * r**t, **TOLERANCE)


curvature = st.floats(0.01, 100)


@given(st.lists(curvature, min_size=2, max_size=5), st.floats(0.02, 0.98), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_gradient_descent_lowers_f_at_each_step_below_two_over_l(values, share, seed):
    """In any basis, not only along the axes: A = Q diag(values) Q^T."""
    random = torch.Generator().manual_seed(seed)
    square = torch.randn(len(values), len(values), generator=random, dtype=torch.float64)
    basis, _ = torch.linalg.qr(square)
    a = basis @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ basis.T
    w0 = basis.sum(dim=1)  # (1, .., 1) along the eigenvectors
    method = GradientDescent(share * 2 / max(values))
    path = minimize(lambda w: 0.5 * w @ a @ w, w0, method, steps=30)
    # f falls by the factor (1 - alpha lambda)^2 along each eigenvector, until it is rounding.
    falling = path.values[:-1] > 1e-12 * path.values[0]
    assert (path.values[1:] < path.values[:-1])[falling].all()


@given(st.lists(curvature, min_size=1, max_size=5), st.floats(1.02, 3))
@settings(max_examples=50, deadline=None)
def test_gradient_descent_diverges_above_two_over_l(values, share):
    """Along the steepest eigenvector |1 - alpha L| = 2 share - 1 > 1, exactly geometrically."""
    a = torch.tensor(values, dtype=torch.float64)
    steepest = int(a.argmax())
    method = GradientDescent(share * 2 / max(values))
    path = minimize(quadratic(a), torch.ones_like(a), method, steps=40)
    growth = (2 * share - 1) ** torch.arange(41, dtype=torch.float64)
    torch.testing.assert_close(path.points[:, steepest].abs(), growth, rtol=1e-9, atol=0)


def test_momentum_allows_a_larger_range_of_learning_rates():
    """Polyak is stable up to alpha = 2 (1 + beta) / L, gradient descent up to 2 / L."""
    f, w0, beta = quadratic(torch.ones(1, dtype=torch.float64)), torch.ones(1).double(), 0.5
    assert minimize(f, w0, GradientDescent(2.5), steps=200).values[-1] > 1e30
    assert minimize(f, w0, Polyak(2.5, beta), steps=200).values[-1] < 1e-12
    assert minimize(f, w0, Polyak(2 * (1 + beta) * 1.02, beta), steps=200).values[-1] > 1e3


def test_polyak_cycles_for_ever_where_nesterov_converges():
    """Lessard, Recht, Packard (2016), section 4.6: convex, curvature between 1 and 25.

    Polyak with the setting that is best for quadratics of those curvatures ends in a cycle of
    three points known exactly; Nesterov with its own setting reaches the minimum at 0.
    """

    def f(w):
        inner = 12.5 * w**2
        middle = 0.5 * w**2 + 24 * w - 12
        outer = 12.5 * w**2 - 24 * w + 36
        return torch.where(w < 1, inner, torch.where(w < 2, middle, outer)).sum()

    w0 = torch.tensor([3.3], dtype=torch.float64)
    polyak = minimize(f, w0, Polyak(lr=1 / 9, beta=4 / 9), steps=300)
    cycle = torch.tensor([-2208, 792, 2592], dtype=torch.float64) / 1225
    for end in (298, 299, 300):
        last = polyak.points[end - 2 : end + 1, 0].sort().values
        torch.testing.assert_close(last, cycle, **TOLERANCE)
    nesterov = minimize(f, w0, Nesterov(lr=1 / 25, beta=(5 - 1) / (5 + 1)), steps=300)
    assert abs(nesterov.points[-1].item()) < 1e-12
