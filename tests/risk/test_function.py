"""Functions of a tensor as methods see them: derivatives against autograd and closed forms."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, least_squares

from gradus.methods import Newton, NewtonCG
from gradus.risk import curvature
from gradus.risk.function import Function, LeastSquares
from gradus.risk.penalties import L1, L2, ElasticNet, SquaredL2

# The same products of a handful of float64 numbers in another order.
TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}


def close(got, expected):
    torch.testing.assert_close(got, expected, **TOLERANCE)


def numbers(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def rosenbrock(w):
    return ((1 - w[:-1]) ** 2 + 100 * (w[1:] - w[:-1] ** 2) ** 2).sum()


def residuals_of_rosenbrock(w):
    return torch.cat([1 - w[:-1], 10 * (w[1:] - w[:-1] ** 2)])


def linear(w):
    return (w * torch.arange(len(w))).sum()


def quartic(w):
    return (w**2).sum() ** 2 + w.prod()


def softplus(w):
    return torch.nn.functional.softplus(w.cumsum(0)).sum()


FUNCTIONS = (rosenbrock, linear, quartic, softplus)
PENALTIES = (None, L1(0.3), L2(0.3), SquaredL2(0.3), ElasticNet(0.3))
every_function = pytest.mark.parametrize("call", FUNCTIONS, ids=lambda call: call.__name__)
every_penalty = pytest.mark.parametrize("penalty", PENALTIES, ids=lambda p: type(p).__name__)


@every_function
@every_penalty
def test_second_derivatives_are_those_of_autograd(call, penalty):
    f = Function(call, penalty)
    w, v = numbers(5), numbers(5, seed=1)
    expected = torch.autograd.functional.hessian(f.value, w)
    with torch.no_grad():
        close(f.hessian(w), expected)
        close(f.hvp(w, v), expected @ v)
        at = f.curvature_at(w)
        for _ in range(2):
            close(at @ v, expected @ v)
        close(at.matrix(), expected)
        close(curvature.hessian(f, w), expected)
        close(curvature.hvp(f, w, v), expected @ v)
    assert not f.hvp(w, v).requires_grad
    if penalty is None:
        close(curvature.hessian(call, w), expected)
        close(curvature.hvp(call, w, v), expected @ v)


entries = st.lists(st.floats(-5, 5), min_size=4, max_size=4).map(
    lambda entries: torch.tensor(entries, dtype=torch.float64)
)


@given(entries, entries, entries, st.floats(-3, 3))
@settings(max_examples=40, deadline=None)
def test_a_product_is_linear_and_symmetric(w, u, v, a):
    f = Function(softplus, SquaredL2(0.5))
    of_u, of_v = f.hvp(w, u), f.hvp(w, v)
    close(f.hvp(w, u + a * v), of_u + a * of_v)
    close(v @ of_u, u @ of_v)
    close(of_u, f.hessian(w) @ u)


def test_products_are_differentiable_where_w_is():
    """f = sum w^4: A = 12 diag(w^2), and the derivative of A v is 24 diag(w v)."""
    w, v = numbers(4).requires_grad_(), numbers(4, seed=1)
    product = Function(lambda w: (w**4).sum()).hvp(w, v)
    close(product, 12 * w**2 * v)
    close(torch.autograd.grad(product.sum(), w)[0], 24 * w.detach() * v)


@every_function
@pytest.mark.parametrize("penalty", [None, L2(0.3)])
def test_products_may_be_differentiated_again_and_again(call, penalty):
    """At one point, which is itself computed; a product is the direction of the next."""
    f, v = Function(call, penalty), numbers(4, seed=1)

    def twice(w):
        u = w.sin() + w
        first = f.hvp(u, v)
        return first + f.hvp(u, first)

    assert torch.autograd.gradcheck(twice, numbers(4).requires_grad_())


@every_function
def test_matrices_are_differentiable_where_w_is(call):
    w = numbers(4).requires_grad_()
    assert torch.autograd.gradcheck(Function(call, L2(0.3)).hessian, w)
    squares = LeastSquares(residuals_of_rosenbrock)
    assert torch.autograd.gradcheck(squares.gauss_newton, w)
    with torch.no_grad():
        assert not Function(call).hessian(w).requires_grad
    assert not Function(call).hessian(w.detach()).requires_grad


@pytest.mark.parametrize(
    "method",
    [Newton(), Newton(damping=0.5), Newton(saddle_free=True), NewtonCG(), NewtonCG(damping=0.5)],
    ids=repr,
)
def test_steps_that_take_second_derivatives_are_differentiable(method):
    f = Function(lambda w: (w**4).sum() + (w[1:] - w[:-1]).square().sum(), SquaredL2(0.3))

    def step(w):
        return method.step(f, w, method.init(w))[0]

    assert torch.autograd.gradcheck(step, numbers(3).requires_grad_())


def test_a_single_number_is_a_point():
    """f = w^4 at 2: its second derivative is 48."""
    f, w = Function(lambda w: w**4), torch.tensor(2.0, dtype=torch.float64)
    expected = torch.tensor([[48.0]], dtype=torch.float64)
    for matrix in (f.hessian(w), f.curvature_at(w).matrix(), curvature.hessian(f.call, w)):
        close(matrix, expected)
    close(f.hvp(w, w), 2 * expected[0, 0])
    close(curvature.eigenvalues(f, w).values, expected[0])
    assert curvature.trace(f, w).value == 48


def test_a_batch_is_passed_on():
    f = Function(lambda w, batch=2.0: batch * (w**2).sum(), SquaredL2(1.0))
    w, eye = numbers(3), torch.eye(3, dtype=torch.float64)
    for batch, factor in ((None, 5.0), (3.0, 7.0)):
        close(f.hessian(w, batch), factor * eye)
        close(f.hvp(w, w, batch), factor * w)
        close(f.curvature_at(w, batch) @ w, factor * w)
    squares = LeastSquares(lambda w, batch=2.0: batch * w)
    for batch, factor in ((None, 4.0), (3.0, 9.0)):
        for matrix in (squares.hessian, squares.gauss_newton):
            close(matrix(w, batch), factor * 2 / 3 * eye)
        close(squares.gauss_newton_product(w, w, batch), factor * 2 / 3 * w)
        close(squares.value(w, batch), factor * w.square().mean())


@every_penalty
def test_the_smooth_part_is_the_function_without_its_penalty(penalty):
    f = Function(rosenbrock, penalty)
    w = numbers(3)
    close(f.smooth.hessian(w), torch.autograd.functional.hessian(rosenbrock, w))
    assert f.smooth.penalty is None


# Least squares.


def test_least_squares_are_the_mean_of_squares():
    f, w, v = LeastSquares(residuals_of_rosenbrock), numbers(4), numbers(4, seed=1)
    m = 6
    plain = Function(lambda w: rosenbrock(w) / m)
    close(f.value(w), plain.value(w))
    close(f.gradient(w), plain.gradient(w))
    close(f.value_and_gradient(w), plain.value_and_gradient(w))
    close(f.hessian(w), plain.hessian(w))
    close(f.hvp(w, v), plain.hvp(w, v))
    close(f.curvature_at(w) @ v, plain.hvp(w, v))
    assert f.smooth is f
    assert f.penalty is None


def test_the_gauss_newton_matrix_is_that_of_the_jacobian():
    f, w, v = LeastSquares(residuals_of_rosenbrock), numbers(4), numbers(4, seed=1)
    J = torch.autograd.functional.jacobian(residuals_of_rosenbrock, w)
    expected = 2 / len(J) * J.T @ J
    with torch.no_grad():
        close(f.gauss_newton(w), expected)
        close(f.gauss_newton_product(w, v), expected @ v)
        at = f.curvature_at(w, matrix="gauss-newton")
        for _ in range(2):
            close(at @ v, expected @ v)
        close(at.matrix(), expected)

    def residuals(w):
        return residuals_of_rosenbrock(torch.from_numpy(w)).numpy()

    # SciPy's own Jacobian, by differences: to the root of the precision, times entries up to 100.
    jac = approx_fprime(w.numpy(), residuals)
    np.testing.assert_allclose(2 / len(jac) * jac.T @ jac, expected, rtol=1e-5, atol=1e-5)


def test_the_gauss_newton_matrix_of_linear_residuals_is_the_hessian():
    A, b = numbers(7, 3), numbers(7, seed=1)
    f, w = LeastSquares(lambda w: A @ w - b), numbers(3)
    close(f.gauss_newton(w), 2 / 7 * A.T @ A)
    close(f.hessian(w), f.gauss_newton(w))


def test_gauss_newton_steps_reach_the_minimum_that_scipy_finds():
    t = torch.linspace(0, 1, 8, dtype=torch.float64)
    y = 2 * torch.exp(-1.5 * t) + 0.01 * numbers(8)

    def residuals(w):
        return w[0] * torch.exp(-w[1] * t) - y

    f, w = LeastSquares(residuals), torch.ones(2, dtype=torch.float64)
    for _ in range(20):
        w = w - torch.linalg.solve(f.gauss_newton(w), f.gradient(w))
    found = least_squares(lambda w: residuals(torch.from_numpy(w)).numpy(), [1.0, 1.0], xtol=1e-14)
    # SciPy differentiates by differences: its minimum is good to the root of the precision.
    np.testing.assert_allclose(w, found.x, rtol=1e-7)


def test_what_is_no_function_is_refused():
    w = numbers(3)
    for call in (torch.sin, lambda w: 3.0):
        for ask in (Function(call).value, Function(call).hessian):
            with pytest.raises(ValueError, match=r"^f must return a scalar tensor, but f\(w\) is "):
                ask(w)
    for residuals, shape in ((torch.sum, r"\(\)"), (torch.diag, r"\(3, 3\)")):
        for ask in (LeastSquares(residuals).value, LeastSquares(residuals).gauss_newton):
            with pytest.raises(
                ValueError, match=rf"^the residuals must have shape \(m,\), not {shape}"
            ):
                ask(w)
    with pytest.raises(ValueError, match=r"^v has shape \(2,\), but must be \(3,\)$"):
        Function(rosenbrock).hvp(w, w[:2])
