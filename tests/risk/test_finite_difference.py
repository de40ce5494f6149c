"""Derivatives by differences against closed forms and torch.func; gradients checked by them."""

import dataclasses
import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import gradus
from gradus.risk.finite_difference import (
    GradientCheck,
    check_gradient,
    derivative,
    gradient,
    hessian,
    second_derivative,
)
from gradus.risk.function import Function
from gradus.risk.penalties import L1, L2, ElasticNet, SquaredL2

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


# The check of a gradient: what passes.


def classes(*shape, seed=0):
    return torch.randint(5, shape, generator=torch.Generator().manual_seed(seed))


CLASS_WEIGHT = number([0.5, 2.0, 0.0, 1.25, 3.0])
LOGITS = normal(4, 5)
PROBABILITIES = normal(4, 5, seed=1).softmax(1)
LOSSES = [
    (kind, {"reduction": reduction, **options}, target)
    for kind, reductions, cases in [
        (gradus.MSELoss, ("mean", "sum"), [({}, normal(4, 5, seed=2))]),
        (gradus.L1Loss, ("mean", "sum"), [({}, normal(4, 5, seed=2))]),
        (
            gradus.NLLLoss,
            ("mean", "sum"),
            [
                ({}, classes(4)),
                ({"weight": CLASS_WEIGHT}, classes(4)),
                ({"weight": CLASS_WEIGHT, "ignore_index": 3}, number([3, 0, 4, 1]).long()),
            ],
        ),
        (
            gradus.CrossEntropyLoss,
            ("mean", "sum"),
            [
                ({}, classes(4)),
                ({"weight": CLASS_WEIGHT}, classes(4)),
                ({"ignore_index": 3}, number([3, 0, 4, 1]).long()),
                ({"label_smoothing": 0.2}, classes(4)),
                (
                    {"weight": CLASS_WEIGHT, "ignore_index": 3, "label_smoothing": 0.2},
                    number([3, 0, 4, 1]).long(),
                ),
                ({}, PROBABILITIES),
                ({"weight": CLASS_WEIGHT, "label_smoothing": 0.2}, PROBABILITIES),
            ],
        ),
        (
            gradus.KLDivLoss,
            ("mean", "sum", "batchmean"),
            [({}, PROBABILITIES), ({"log_target": True}, PROBABILITIES.log())],
        ),
    ]
    for reduction in reductions
    for options, target in cases
]


@pytest.mark.parametrize(("kind", "options", "target"), LOSSES)
def test_the_gradients_of_all_losses_pass(kind, options, target):
    loss = kind(**options)
    check = check_gradient(lambda output: loss(output, target), LOGITS)
    assert check, check


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("penalty", [L1(0.7), L2(1.3), SquaredL2(0.4), ElasticNet(0.9, 0.3)])
def test_the_gradients_of_all_penalties_pass_away_from_kinks(penalty, dtype):
    check = check_gradient(penalty, number([0.7, -1.2, 30.0, -0.2], dtype))
    assert check, check


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
@pytest.mark.parametrize("penalty", [None, L1(0.1), SquaredL2(0.4), ElasticNet(0.9, 0.3)])
def test_the_gradient_of_a_risk_passes_with_and_without_a_penalty(penalty, activation):
    """A network of rectifiers has kinks within the first step of many coordinates."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 6), activation(), nn.Linear(6, 5)).double()
    data = normal(40, 3), classes(40)
    risk = gradus.EmpiricalRisk(model, gradus.CrossEntropyLoss(), data, penalty, chunk_size=16)
    check = check_gradient(risk, risk.point)
    assert check, check


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("f", "w"),
    [
        (rosenbrock, [1.0, 1.0]),
        (lambda w: 1e6 * rosenbrock(w), [1.0, 1.0]),
        (lambda w: (w**5).sum() + 3, [0.0, 1.0]),
        (lambda w: w.exp().sum() - w.sum() - 2, [0.0, 0.0]),
        (lambda w: w[0] ** 2, [3.0, 1.0]),
        (lambda w: (w**2).sum(), [1e6, 1e-6]),
        (lambda w: (w**2).prod(), [1e3, 0.0]),
    ],
)
def test_where_entries_of_the_gradient_are_zero_the_check_passes_all_the_same(f, w, dtype):
    check = check_gradient(f, number(w, dtype))
    assert check, check


def test_a_function_that_varies_fast_is_looked_at_with_a_shorter_step():
    def f(w):
        return (1000 * w).sin().sum()

    assert check_gradient(f, normal(5))
    assert not check_gradient(f, normal(5), lambda w: 1001 * (1000 * w).cos())


def test_the_gradient_may_be_a_function_its_value_or_that_of_an_oracle():
    w = normal(4)
    g = torch.func.grad(rosenbrock)
    for f, given_gradient in [
        (rosenbrock, g),
        (rosenbrock, g(w)),
        (lambda w: rosenbrock(w).item(), g),
        (Function(rosenbrock), None),
        (Function(rosenbrock), g),
    ]:
        assert check_gradient(f, w, given_gradient)


# The check of a gradient: what it catches.


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("wrong", "error"), [(lambda g: -g, 2.0), (lambda g: 2 * g, 0.5), (lambda g: 0 * g, 1.0)]
)
def test_a_wrong_sign_a_factor_and_a_missing_gradient_are_caught(wrong, error, dtype):
    w = number([0.3, -0.6, 0.2], dtype)
    check = check_gradient(log_sum_exp, w, lambda w: wrong(torch.func.grad(log_sum_exp)(w)))
    assert not check
    assert not check.kink
    # The relative error itself is as exact as the differences are.
    assert check.largest_relative_error == pytest.approx(error, rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("wrong", [-1.0, 0.0, 2.0, 1.1])
def test_one_wrong_coordinate_of_a_thousand_is_caught_and_named(wrong, dtype):
    w = normal(1000, dtype=dtype)
    right = w.cos() / 2
    right[617] *= wrong
    check = check_gradient(lambda w: w.sin().sum() / 2, w, right)
    assert not check
    assert check.coordinate == 617
    assert check.analytic == right[617].item()
    assert check.numeric == pytest.approx(w[617].cos().item() / 2, rel=0.01)


@pytest.mark.parametrize("at", [0.0, 1e-8, -1e-8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("f", [lambda w: w.abs().sum(), lambda w: w.relu().sum() + (w**2).sum()])
def test_a_kink_is_reported_whichever_subgradient_is_given(f, dtype, at):
    w = number([1.0, at, -2.0], dtype)
    for subgradient in (-1.0, 0.0, 0.5, 1.0):
        g = torch.func.grad(f)(w)
        g[1] = subgradient
        check = check_gradient(f, w, g)
        assert not check
        assert check.kink
        assert check.coordinate == 1
        assert "kink" in str(check)


@pytest.mark.parametrize("penalty", [L1(0.7), ElasticNet(0.9, 0.3)])
def test_penalties_are_reported_at_their_kinks(penalty):
    check = check_gradient(penalty, number([0.7, 0.0]))
    assert check.kink
    assert not check


@pytest.mark.parametrize("at", [1e-5, -1e-4, 5e-4])
def test_a_kink_nearby_but_not_at_w_does_no_harm(at):
    assert check_gradient(lambda w: w.abs().sum(), number([1.0, at]))


def test_a_function_that_is_not_deterministic_is_refused():
    with pytest.raises(ValueError, match=r"f is not deterministic: at w it gave .* and then"):
        check_gradient(lambda w: w.sum() + torch.rand(()), normal(3))
    dropped = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1)).double()
    risk = gradus.EmpiricalRisk(dropped, gradus.MSELoss(), (normal(9, 3), normal(9, 1)))
    with pytest.raises(ValueError, match="not deterministic"):
        check_gradient(risk, risk.point)


@pytest.mark.parametrize(
    ("f", "given_gradient", "options", "message"),
    [
        (torch.sum, lambda w: w[:2], {}, r"must have the shape of w, \(3,\), not shape \(2,\)"),
        (torch.sum, lambda w: 1.0, {}, r"must have the shape of w, \(3,\), not 1.0"),
        (lambda w: w.detach().sum(), None, {}, "automatic differentiation cannot follow f"),
        (torch.sum, None, {"tolerance": 0.0}, "tolerance must be a positive number, not 0.0"),
        (torch.sum, None, {"step": -1.0}, "step must be a positive number, not -1.0"),
        (torch.sum, None, {"step": 0.0}, "step must be a positive number, not 0.0"),
    ],
)
def test_what_cannot_be_checked_is_refused(f, given_gradient, options, message):
    with pytest.raises(ValueError, match=message) as refusal:
        check_gradient(f, torch.ones(3), given_gradient, **options)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_is_infinitely_wrong(value):
    check = check_gradient(torch.sum, normal(3), lambda w: number([1.0, value, 1.0]))
    assert (check.largest_relative_error, check.coordinate) == (math.inf, 1)
    assert not check


def test_the_tolerance_and_the_step_may_be_given():
    w = normal(3)
    nearly = torch.func.grad(rosenbrock)(w) * 1.001
    assert not check_gradient(rosenbrock, w, nearly)
    assert check_gradient(rosenbrock, w, nearly, tolerance=0.01)
    assert check_gradient(rosenbrock, w, step=1e-5)
    assert check_gradient(lambda w: w.log().sum(), number([1e-5]), step=1e-8)


def test_the_default_tolerance_follows_from_the_arithmetic():
    for dtype, eps in EPS.items():
        check = check_gradient(torch.sum, torch.ones(2, dtype=dtype))
        assert check.tolerance == pytest.approx(4 * eps**0.4)


@pytest.mark.parametrize(
    ("shape", "coordinate", "where"),
    [((3,), 2, "w[2]"), ((2, 3), (1, 2), "w[1, 2]"), ((), (), "w")],
)
def test_a_coordinate_is_an_index_into_w(shape, coordinate, where):
    w = torch.ones(shape, dtype=torch.float64)
    g = w.clone().view(-1)
    g[-1] = 3.0
    check = check_gradient(torch.sum, w, g.view(shape))
    assert check.coordinate == coordinate
    assert str(check) == (
        "the gradient disagrees with differences: largest relative error 0.67 (tolerance 2.2e-06)\n"
        f"at {where}: gradient 3, by differences 1"
    )


def test_a_check_is_a_value():
    passed = GradientCheck(1e-9, 3, 1.5, 1.5, tolerance=1e-6)
    assert passed
    assert passed.passed is True
    assert str(passed).startswith(
        "the gradient agrees with differences: largest relative error 1e-"
    )
    assert passed == dataclasses.replace(passed)
    assert not dataclasses.replace(passed, tolerance=1e-12)
    with pytest.raises(dataclasses.FrozenInstanceError):
        passed.tolerance = 1.0


def test_a_risk_is_left_as_it_was():
    model = nn.Linear(3, 1).double()
    risk = gradus.EmpiricalRisk(model, gradus.MSELoss(), (normal(5, 3), normal(5, 1)))
    before = risk.point
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_gradient(risk, before)
    assert torch.equal(risk.point, before)
    assert all(p.grad is None for p in model.parameters())
