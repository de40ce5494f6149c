"""Gradients that are right pass the check of differences, and wrong ones are caught and named."""

import dataclasses
import math
import warnings

import pytest
import torch
from torch import nn

import gradus
from gradus.risk.function import Function
from gradus.risk.gradient_check import GradientCheck, check_gradient
from gradus.risk.penalties import L1, L2, ElasticNet, SquaredL2

EPS = {torch.float32: 2.0**-23, torch.float64: 2.0**-52}


def number(value, dtype=torch.float64):
    return torch.tensor(value, dtype=dtype)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def rosenbrock(w):
    w = w.flatten()
    return ((1 - w[:-1]) ** 2).sum() + ((w[1:] - w[:-1] ** 2) ** 2).sum()


def log_sum_exp(w):
    return w.flatten().logsumexp(0) + (w.flatten()[0] * w.flatten()[-1]).sin()


# What passes.


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
        (gradus.HuberLoss, ("mean", "sum"), [({"delta": 0.5}, normal(4, 5, seed=2))]),
        (gradus.PinballLoss, ("mean", "sum"), [({"quantile": 0.9}, normal(4, 5, seed=2))]),
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


# What it catches.


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


def test_a_smooth_function_that_bends_within_the_step_is_told_to_take_a_smaller_one():
    w = number([1.0, 1e-8])

    def f(w):
        return (w**2 + 1e-14).sqrt().sum()

    check = check_gradient(f, w)
    assert str(check).startswith(
        "f seems to have a kink here, or bends within the step; give a smaller step=: largest"
    )
    assert check_gradient(f, w, step=2e-9)


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
        (torch.sum, None, {"step": True}, "step must be a positive number, not True"),
        (torch.sum, None, {"step": "0.1"}, "step must be a positive number, not '0.1'"),
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
