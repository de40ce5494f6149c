"""Derivatives by differences against closed forms and torch.func."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradus.risk.finite_difference import (
    check_gradient,
    derivative,
    gradient,
    hessian,
    second_derivative,
)
from gradus.risk.function import Function
from gradus.risk.penalties import L2, SquaredL2

EPS = {torch.float32: 2.0**-23, torch.float64: 2.0**-52}

# name: f, f', f'', of tensors, with derivatives of order 1 near POINTS.
KNOWN = {
    "sin": (torch.sin, torch.cos, lambda x: -torch.sin(x)),
    "exp": (torch.exp, torch.exp, torch.exp),
    "cubic": (lambda x: x**3 - 2 * x, lambda x: 3 * x**2 - 2, lambda x: 6 * x),
    "tanh": (
        torch.tanh,
        lambda x: 1 - torch.tanh(x) ** 2,
        lambda x: -2 * torch.tanh(x) * (1 - torch.tanh(x) ** 2),
    ),
}
POINTS = [-1.3, -0.4, 0.0, 0.7, 1.1]
BY_NUMBER = {1: derivative, 2: second_derivative}
SCHEMES = [(s, r) for s in ("forward", "central") for r in (False, True)]
quick = settings(max_examples=60, deadline=None)


def number(value, dtype=torch.float64):
    return torch.tensor(value, dtype=dtype)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def order(scheme, richardson):
    return {"forward": 1, "central": 2}[scheme] * (2 if richardson else 1)


def accuracy(nth, scheme, richardson, dtype=torch.float64):
    """What the steps are chosen for; 40 times it is for derivatives of order 10."""
    p = order(scheme, richardson)
    return 40 * EPS[dtype] ** (p / (nth + p))


# Derivatives of one variable.


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("scheme", "richardson"), SCHEMES)
@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("name", KNOWN)
def test_derivatives_are_the_known_ones(name, nth, scheme, richardson, dtype):
    x = number(POINTS, dtype)
    got = BY_NUMBER[nth](KNOWN[name][0], x, scheme=scheme, richardson=richardson)
    assert got.dtype == dtype
    assert got.shape == x.shape
    error = (got.double() - KNOWN[name][nth](x.double())).abs().max()
    assert error < accuracy(nth, scheme, richardson, dtype)


@pytest.mark.parametrize(("scheme", "richardson"), SCHEMES)
@pytest.mark.parametrize("nth", [1, 2])
def test_the_error_falls_by_its_order_as_the_step_is_halved(nth, scheme, richardson):
    # exp, as all of its derivatives are positive and no term of the error vanishes.
    errors = [
        abs(BY_NUMBER[nth](math.exp, 0.5, scheme=scheme, richardson=richardson, step=h) - e)
        for h in (0.1, 0.05)
        for e in [math.exp(0.5)]
    ]
    # The next term of the error is smaller by the step, 0.1, times a factor of order 1.
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order(scheme, richardson), abs=0.25)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("scheme", "richardson"), SCHEMES)
@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("name", ["sin", "exp", "tanh"])
@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_the_chosen_step_is_near_the_best_of_all(name, nth, scheme, richardson, dtype, scale):
    """Over the points together, as at a single one some step is right by luck."""

    def f(x):
        return KNOWN[name][0](x / scale)

    x = number([-1.2, -0.7, 0.8, 1.1], dtype) * scale
    exact = KNOWN[name][nth](x.double() / scale) / scale**nth

    def error(step):
        got = BY_NUMBER[nth](f, x, scheme=scheme, richardson=richardson, step=step)
        return (got.double() - exact).abs().max()

    # Down to steps that nearly vanish beside the largest x.
    grid = [scale * 2.0**-k for k in range({torch.float32: 20, torch.float64: 45}[dtype])]
    assert error(None) <= 100 * min(error(step) for step in grid)


@pytest.mark.parametrize("scheme", ["forward", "central"])
@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("name", ["sin", "exp", "tanh"])
def test_extrapolation_is_better(name, nth, scheme):
    x = number(POINTS) + 0.1
    exact = KNOWN[name][nth](x)
    plain, extrapolated = (
        (BY_NUMBER[nth](KNOWN[name][0], x, scheme=scheme, richardson=on) - exact).abs().max()
        for on in (False, True)
    )
    assert extrapolated < plain / 4


@given(
    st.lists(st.floats(-10, 10), min_size=3, max_size=3),
    st.floats(-100, 100),
    st.floats(0.01, 10),
    st.booleans(),
)
@quick
def test_central_differences_of_quadratics_are_exact_up_to_rounding(c, x, step, richardson):
    def f(x):
        return c[0] + c[1] * x + c[2] * x**2

    largest = sum(abs(c[k]) * (abs(x) + step) ** k for k in range(3))
    # A few roundings of each value, halved steps and extrapolation included.
    rounding = 32 * EPS[torch.float64] * largest
    options = {"step": step, "richardson": richardson}
    assert abs(derivative(f, x, **options) - (c[1] + 2 * c[2] * x)) <= rounding / step
    assert abs(second_derivative(f, x, **options) - 2 * c[2]) <= 4 * rounding / step**2


@given(
    st.lists(st.floats(-3, 3), min_size=1, max_size=5), st.floats(-2, 2), st.sampled_from([1, 2])
)
@quick
def test_polynomials_have_the_derivatives_of_their_coefficients(coefficients, x, nth):
    def polynomial(c, x):
        return sum(a * x**k for k, a in enumerate(c))

    exact = coefficients
    for _ in range(nth):
        exact = [k * a for k, a in enumerate(exact)][1:]
    got = BY_NUMBER[nth](lambda x: polynomial(coefficients, x), x, richardson=True)
    # Values up to 93, derivatives of order 5 and more zero: rounding alone.
    assert abs(got - polynomial(exact, x)) <= 100 * accuracy(nth, "central", True)


def test_a_number_gives_a_number_and_a_tensor_a_tensor_of_its_shape():
    assert isinstance(derivative(math.sin, 1), float)
    assert isinstance(second_derivative(math.sin, 1.0, scheme="forward"), float)
    assert derivative(torch.sin, number(1.0)).shape == ()
    assert derivative(torch.sin, normal(2, 3)).shape == (2, 3)


# Gradients and Hessians.


def by_torch_func(f, w):
    """As torch.func.hessian, whose forward mode warns of a part of torch that is deprecated."""
    return torch.func.jacrev(torch.func.grad(f))(w)


def rosenbrock(w):
    w = w.flatten()
    return ((1 - w[:-1]) ** 2).sum() + ((w[1:] - w[:-1] ** 2) ** 2).sum()


def log_sum_exp(w):
    return w.flatten().logsumexp(0) + (w.flatten()[0] * w.flatten()[-1]).sin()


@pytest.mark.parametrize("shape", [(1,), (4,), (2, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("scheme", "richardson"), SCHEMES)
@pytest.mark.parametrize("f", [rosenbrock, log_sum_exp])
def test_gradients_and_hessians_are_those_of_torch_func(f, scheme, richardson, dtype, shape):
    w = 0.5 * normal(*shape, dtype=dtype)
    before = w.clone()
    options = {"scheme": scheme, "richardson": richardson}
    g, H = gradient(f, w, **options), hessian(f, w, **options)
    assert (g.dtype, H.dtype) == (dtype, dtype)
    assert g.shape == w.shape
    assert H.shape == (w.numel(), w.numel())
    assert torch.equal(H, H.T)
    assert torch.equal(w, before)
    exact = torch.func.grad(f)(w.double())
    exact_hessian = by_torch_func(f, w.double()).reshape(H.shape)
    # Values, third and fourth derivatives of rosenbrock are up to 24.
    assert (g - exact).abs().max() < 10 * accuracy(1, scheme, richardson, dtype)
    assert (H - exact_hessian).abs().max() < 10 * accuracy(2, scheme, richardson, dtype)


@pytest.mark.parametrize("scheme", ["forward", "central"])
def test_hessians_of_quadratics_are_their_matrix(scheme):
    A = normal(5, 5)
    A = A + A.T
    H = hessian(lambda w: w @ A @ w / 2, normal(5, seed=1), scheme=scheme, step=0.1)
    # Forward, too, has no error but rounding; values of order 10 over a squared step of 0.01.
    torch.testing.assert_close(H, A, rtol=0, atol=1e-11)


@pytest.mark.parametrize("scheme", ["forward", "central"])
def test_hessians_err_by_their_order(scheme):
    w = number([0.3, -0.2, 0.4])

    def f(w):
        return (w.sum().exp() * w[0].exp()).squeeze()

    exact = by_torch_func(f, w)
    errors = [(hessian(f, w, scheme=scheme, step=h) - exact).abs() for h in (0.02, 0.01)]
    orders = (errors[0] / errors[1]).log2()
    # The next term of the error is smaller by the step times a factor of about 4.
    torch.testing.assert_close(
        orders, torch.full_like(orders, order(scheme, False)), atol=0.1, rtol=0
    )


def test_an_oracle_a_function_and_a_penalty_are_differentiated_by_their_values():
    w = normal(4)
    for f in (Function(rosenbrock), Function(rosenbrock, SquaredL2(0.3)), L2(2.0)):
        torch.testing.assert_close(gradient(f, w), f.gradient(w), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(
        hessian(SquaredL2(0.3), w), 0.3 * torch.eye(4).double(), rtol=0, atol=1e-6
    )


def test_f_may_return_a_number_or_change_what_it_is_given():
    def f(w):
        w.mul_(2)
        return w.square().sum().item()

    w = number([1.0, -2.0])
    torch.testing.assert_close(gradient(f, w), 8 * w, rtol=1e-9, atol=0)
    assert w.tolist() == [1.0, -2.0]


def test_a_point_may_require_gradients_and_the_result_does_not():
    w = normal(3).requires_grad_()
    assert not gradient(rosenbrock, w).requires_grad
    assert not derivative(torch.sin, w).requires_grad
    assert check_gradient(rosenbrock, w)


@pytest.mark.parametrize("function", [derivative, second_derivative, gradient, hessian])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheme": "backward"}, 'scheme must be "forward" or "central", not \'backward\''),
        ({"step": 0.0}, "step must be a positive number, not 0.0"),
        ({"step": math.nan}, "step must be a positive number, not nan"),
        ({"step": 1e-17}, "a step of 1e-17 is lost beside 1 in torch.float64"),
    ],
)
def test_options_that_mean_nothing_are_refused(function, options, message):
    f = torch.sin if function in (derivative, second_derivative) else torch.sum
    with pytest.raises(ValueError, match="^" + message) as refusal:
        function(f, number([1.0]), **options)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("function", [gradient, hessian, check_gradient])
@pytest.mark.parametrize(
    ("f", "w", "error", "message"),
    [
        (torch.sum, [1.0], TypeError, "w must be a tensor, not list"),
        (torch.sum, torch.tensor([1]), TypeError, "w must be of real .*, not torch.int64"),
        (torch.sum, torch.ones(2) * 1j, TypeError, "w must be of real .*, not torch.complex64"),
        (torch.sum, torch.ones(0), ValueError, "w has no entries"),
        (torch.sum, torch.tensor([[1.0, math.inf]]), ValueError, r"w must be finite.*\[0, 1\]"),
        (torch.sin, torch.ones(3), ValueError, r"f must return one number.*\(3,\)"),
        (lambda w: None, torch.ones(3), TypeError, "f must return .*, not NoneType"),
        (lambda w: w.sum() * 1j, torch.ones(3), TypeError, "real numbers, not torch.complex64"),
        (lambda w: w.float().sum(), number([1.0]), ValueError, "f returns torch.float32"),
        (lambda w: w.log().sum(), torch.zeros(3), ValueError, "it is -inf at w$"),
        (lambda w: w.log().sum(), number([1e-9]), ValueError, "nan at w moved by -.* at entry 0"),
        (3.0, torch.ones(3), TypeError, "f must be a function or have .*, not float"),
    ],
)
def test_functions_and_points_without_a_derivative_are_refused(function, f, w, error, message):
    with pytest.raises(error, match=message) as refusal:
        function(f, w)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("function", [derivative, second_derivative])
@pytest.mark.parametrize(
    ("f", "x", "error", "message"),
    [
        (math.sin, "1", TypeError, "x must be a number or a tensor, not str"),
        (math.sin, math.nan, ValueError, "x must be finite"),
        (torch.sin, torch.arange(3), TypeError, "x must be of real .*, not torch.int64"),
        (torch.sum, torch.ones(3), ValueError, r"f must act on each entry.*\(\) and x \(3,\)"),
        (lambda x: 1 / x, number([1.0, 0.0]), ValueError, r"finite around x, but f\(0\) is not"),
        (lambda x: torch.tensor(x) ** 2, 1.0, ValueError, "f returns torch.float32"),
        (str, 1.0, TypeError, "f must return a tensor or a number, not str"),
    ],
)
def test_functions_of_one_variable_without_a_derivative_are_refused(function, f, x, error, message):
    with pytest.raises(error, match=message) as refusal:
        function(f, x)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("step", [True, "small", torch.ones(2, 2), math.nan, 1j])
@pytest.mark.parametrize("nth", [derivative, second_derivative, gradient, hessian])
def test_a_step_that_is_no_positive_number_is_refused(nth, step):
    def f(x):
        return x if nth in (derivative, second_derivative) else x.sum()

    with pytest.raises(ValueError, match=r"^step must be a positive number, not .*$") as refusal:
        nth(f, torch.ones(3), step=step)
    assert "\n" not in str(refusal.value)
