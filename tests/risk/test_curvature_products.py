"""What a matrix of second derivatives leaves unchanged, and its products as they are asked for."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gradus import EmpiricalRisk
from gradus.risk import curvature, dense
from gradus.risk.function import Function, LeastSquares
from gradus.risk.penalties import L2
from tests.risk.curvature_cases import (
    CLASSES,
    FEATURES,
    NUMBERS,
    Attention,
    Composed,
    as_list,
    checkpointed,
    close,
    every_matrix,
    linear,
    mlp,
    normalised,
    numbers,
    product_of,
    risk_of,
    somewhere,
    weight_normalised,
)


def test_batch_normalisation_in_training_couples_the_examples_of_a_chunk():
    risk = risk_of(normalised, "cross-entropy")
    risk.model.train()
    w = somewhere(risk)
    close(risk.hessian(w), dense.hessian(risk, w))
    close(risk.gauss_newton(w), dense.gauss_newton(risk, w))


@every_matrix
@pytest.mark.parametrize("update_buffers", [False, True])
def test_nothing_of_the_model_is_changed(matrix, update_buffers):
    """Not even where gradients move the buffers: a product is no step."""
    risk = risk_of(normalised, "cross-entropy", update_buffers=update_buffers, chunk_size=3)
    risk.model.train()
    for p in risk.model.parameters():
        p.grad = torch.full_like(p, 0.25)
    before = {name: value.clone() for name, value in risk.model.state_dict().items()}
    with torch.no_grad():
        for w in (risk.point, risk.parameters):
            product = product_of(risk, matrix, w, w)
            at = risk.curvature_at(w, slice(0, 3), matrix=matrix)
            at.matrix()
            assert not product.requires_grad
            assert not (at @ w).requires_grad
    torch.testing.assert_close(dict(risk.model.state_dict()), before, rtol=0, atol=0)
    assert all((p.grad == 0.25).all() and p.requires_grad for p in risk.model.parameters())


@pytest.mark.parametrize("matrix", ["hessian", "gauss-newton", "fisher"])
@pytest.mark.parametrize("penalty", [None, L2(0.3)])
@pytest.mark.parametrize("chunk_size", [3, 100])
def test_products_and_matrices_are_differentiable(matrix, penalty, chunk_size):
    risk = risk_of(mlp, "cross-entropy", penalty, chunk_size=chunk_size)
    w, v = somewhere(risk).requires_grad_(), somewhere(risk, seed=5).requires_grad_()
    u = somewhere(risk, seed=6)
    got = torch.autograd.grad(product_of(risk, matrix, w, v) @ u, (w, v))
    step = 1e-5  # central differences: rounding 1e-16 / 1e-5, truncation 1e-10 times a constant
    difference = [
        product_of(risk, matrix, w.detach() + sign * step * u, v.detach()) for sign in (1, -1)
    ]
    # d/dw of u^T A(w) v, along u, and its derivative in v, which is A u.
    torch.testing.assert_close(
        got[0] @ u, (difference[0] - difference[1]) @ u / (2 * step), rtol=1e-6, atol=1e-8
    )
    close(got[1], product_of(risk, matrix, w.detach(), u))
    A = risk.curvature_at(w, matrix=matrix).matrix()
    close(torch.autograd.grad(u @ A @ v.detach(), w)[0], got[0])
    with torch.no_grad():
        assert not risk.curvature_at(w, matrix=matrix).matrix().requires_grad
    assert not risk.curvature_at(w.detach(), matrix=matrix).matrix().requires_grad


vectors = st.lists(st.floats(-10, 10), min_size=27, max_size=27).map(
    lambda entries: torch.tensor(entries, dtype=torch.float64)
)


@given(vectors, vectors, st.floats(-3, 3))
@settings(max_examples=15, deadline=None)
@pytest.mark.parametrize("penalty", [None, L2(0.3)])
def test_a_product_is_linear_and_symmetric(penalty, u, v, a):
    risk = risk_of(mlp, "cross-entropy", penalty, chunk_size=3)
    w = somewhere(risk)
    of_u, of_v = risk.hvp(w, u), risk.hvp(w, v)
    tolerance = {"rtol": 1e-10, "atol": 1e-10}  # entries up to 10, and sums of 27 products of them
    torch.testing.assert_close(risk.hvp(w, u + a * v), of_u + a * of_v, **tolerance)
    torch.testing.assert_close(v @ of_u, u @ of_v, rtol=1e-10, atol=1e-8)
    torch.testing.assert_close(of_u, risk.hessian(w) @ u, **tolerance)


@pytest.mark.parametrize("chunk_size", [3, 100])
def test_a_checkpoint_is_evaluated_at_w_wherever_the_model_stands(chunk_size):
    risk = risk_of(checkpointed, "cross-entropy", chunk_size=chunk_size)
    same = Composed(lambda model, x: model.head(model.a(x.sin()).tanh())).double()
    other = EmpiricalRisk(same, risk.loss, risk.data)
    w, v = somewhere(risk), somewhere(risk, seed=5)
    close(risk.gradient(w), other.gradient(w))
    kept = risk.curvature_at(w)
    risk.assign(torch.zeros_like(w))
    for product in (risk.hvp(w, v), kept @ v, kept @ v, dense.hessian(risk, w) @ v):
        close(product, other.hvp(w, v))


@pytest.mark.parametrize("make", [Attention, weight_normalised])
def test_every_way_to_differentiate_twice_is_right_where_that_of_torch_is_not(make):
    risk = risk_of(make, "mse")
    w, v = somewhere(risk), somewhere(risk, seed=5)
    # The residuals of the mean square, so that f is the risk.
    y = NUMBERS

    def residuals(u):
        named = dict(zip(dict(risk.model.named_parameters()), as_list(risk, u).values, strict=True))
        return (torch.func.functional_call(risk.model, named, (risk.data.x,)) - y).flatten()

    of_value, squares = Function(risk.value), LeastSquares(residuals)
    expected = risk.hvp(w, v)
    for f in (of_value, squares, risk.value):
        close(curvature.hvp(f, w, v), expected)
        close(curvature.hessian(f, w) @ v, expected)
    close(squares.gauss_newton(w), dense.gauss_newton(risk, w))
    close(dense.hessian(risk, w) @ v, expected)
    for f in (risk, of_value, squares):
        leaf = w.clone().requires_grad_()
        close(torch.autograd.grad(f.gradient(leaf) @ v, leaf)[0], expected)


@pytest.mark.parametrize("chunk_size", [3, 100])
def test_all_products_are_with_one_matrix_though_units_are_dropped(chunk_size):
    def dropping():
        return nn.Sequential(nn.Linear(FEATURES, 9), nn.Dropout(0.5), nn.Linear(9, CLASSES))

    risk = risk_of(dropping, "cross-entropy", chunk_size=chunk_size)
    w, u, v = somewhere(risk), somewhere(risk, seed=5), somewhere(risk, seed=6)
    torch.manual_seed(3)
    risk.gradient(w)
    after_one_evaluation = torch.get_rng_state()
    torch.manual_seed(3)
    at = risk.curvature_at(w)
    of_u, of_v = at @ u, at @ v
    assert torch.equal(of_u, at @ u)
    close(u @ of_v, v @ of_u)
    close(at.matrix() @ u, of_u)
    assert torch.equal(torch.get_rng_state(), after_one_evaluation)
    assert not torch.equal(risk.curvature_at(w) @ u, of_u)


def test_a_function_that_does_not_depend_on_w_bends_nowhere():
    w, zeros = numbers(3), torch.zeros(3, 3, dtype=torch.float64)
    elsewhere = numbers(3).requires_grad_()
    for f in (
        lambda w: torch.ones((), dtype=w.dtype),
        lambda w: (elsewhere**2).sum(),
        lambda w: w.sum(),
    ):
        close(curvature.hessian(f, w), zeros)
        close(curvature.hvp(f, w, w), zeros[0])
    constant = LeastSquares(lambda w: torch.ones(2, dtype=w.dtype))
    close(constant.gauss_newton(w), zeros)


class Doubled(torch.autograd.Function):
    """2 x, whose derivative looks at the numbers: on a stack of them, torch refuses."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, g):
        return 2 * g if float(g.abs().sum()) > 0 else torch.zeros_like(g)


class Squared(torch.autograd.Function):
    """x^2."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return g * Doubled.apply(ctx.saved_tensors[0])


def test_a_model_that_cannot_be_stacked_is_taken_row_by_row():
    w = numbers(4)
    leaf = w.clone().requires_grad_()
    eye = torch.eye(4, dtype=w.dtype)
    with pytest.raises(RuntimeError):
        torch.autograd.grad(Doubled.apply(leaf), leaf, eye, is_grads_batched=True)
    others = w.prod() / torch.outer(w, w) * (1 - eye)
    close(curvature.hessian(lambda w: Squared.apply(w).sum() + w.prod(), w), others + 2 * eye)


def test_a_graph_that_is_kept_is_that_of_its_own_point():
    """The model may move meanwhile: the matrix stays the one at w."""
    risk = risk_of(mlp, "cross-entropy")
    w, v = somewhere(risk), somewhere(risk, seed=5)
    at = risk.curvature_at(w)
    before = at @ v
    risk.assign(torch.zeros_like(w))
    assert torch.equal(at @ v, before)


def test_at_its_kink_a_penalty_adds_nothing():
    risk = risk_of(linear, "mse", L2(0.3))
    w = torch.zeros(risk.dimension, dtype=torch.float64)
    close(risk.hessian(w), risk.smooth.hessian(w))
    close(risk.hvp(w, w + 1), risk.smooth.hvp(w, w + 1))
