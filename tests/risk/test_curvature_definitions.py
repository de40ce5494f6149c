"""Every product and matrix of second derivatives against its dense definition."""

import pytest
import torch
from torch import nn

import gradus
from gradus import EmpiricalRisk
from gradus.risk.penalties import L1, L2, ElasticNet, SquaredL2
from tests.risk.curvature_cases import (
    CLASSES,
    DENSE,
    FEATURES,
    INDICES,
    NUMBERS,
    PROBABILITIES,
    TOLERANCE,
    WITH_HOLES,
    Attention,
    Composed,
    N,
    as_list,
    close,
    every_case,
    every_matrix,
    every_model,
    every_odd_model,
    linear,
    mlp,
    numbers,
    product_of,
    risk_of,
    somewhere,
    weight_normalised,
)


@every_case
def test_every_product_and_matrix_is_its_definition(make, loss, matrix):
    """Flat and as a list, in one chunk and in two, by the graph kept and without."""
    risk = risk_of(make, loss, chunk_size=3)
    w, v = somewhere(risk), somewhere(risk, seed=5)
    expected = DENSE[matrix](risk, w)
    close(product_of(risk, matrix, w, v), expected @ v)
    close(risk.curvature_at(w, matrix=matrix) @ v, expected @ v)
    close(risk.curvature_at(w, matrix=matrix).matrix(), expected)
    risk.chunk_size = 100
    product = product_of(risk, matrix, as_list(risk, w), as_list(risk, v))
    assert [p.shape for p in product.values] == [p.shape for p in as_list(risk, w).values]
    close(product.flat(), expected @ v)
    kept = risk.curvature_at(w, matrix=matrix)
    for _ in range(2):
        close(kept @ v, expected @ v)
    close(kept.matrix(), expected)
    assert not (kept @ v).requires_grad
    if matrix == "hessian":
        close(risk.hessian(as_list(risk, w)), expected)
    if matrix == "gauss-newton":
        close(risk.gauss_newton(as_list(risk, w)), expected)


@pytest.mark.parametrize("make", [Attention, weight_normalised])
def test_a_model_that_torch_cannot_differentiate_twice_is(make):
    """Torch 2.13 refuses the one and is wrong on the other: against differences of gradients."""
    risk = risk_of(make, "cross-entropy")
    w, v = somewhere(risk), somewhere(risk, seed=5)
    step = 1e-5  # central differences: rounding 1e-16 / 1e-5, truncation 1e-10 times a constant
    difference = (risk.gradient(w + step * v) - risk.gradient(w - step * v)) / (2 * step)
    for product in (risk.hvp(w, v), risk.hessian(w) @ v, risk.curvature_at(w) @ v):
        torch.testing.assert_close(product, difference, rtol=1e-6, atol=1e-8)
    differentiable = risk.hvp(w.clone().requires_grad_(), v)
    torch.testing.assert_close(differentiable, risk.hvp(w, v), **TOLERANCE)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # by torch.func.jvp
@every_odd_model
def test_whatever_a_model_does_with_its_parameters_is_counted(make):
    risk = risk_of(make, "cross-entropy", ElasticNet(0.3))
    w, v = somewhere(risk), somewhere(risk, seed=5)
    for matrix, definition in DENSE.items():
        expected = definition(risk, w)
        for chunk_size in (3, 100):
            risk.chunk_size = chunk_size
            close(product_of(risk, matrix, w, v), expected @ v)
            close(risk.curvature_at(w, matrix=matrix).matrix(), expected)


@pytest.mark.parametrize("within", [False, True], ids=["around", "within"])
def test_a_model_in_mixed_precision_has_the_product_of_its_arithmetic(within):
    """Autocast about the call or in the model: as a plain second backward pass in bfloat16."""

    def evaluated(model, x):
        with torch.autocast("cpu", torch.bfloat16, enabled=within):
            return model.head(model.a(x).tanh()).float()

    model, x, y = Composed(evaluated), numbers(N, FEATURES).float(), INDICES
    risk = EmpiricalRisk(model if within else mlp(), gradus.CrossEntropyLoss(), (x, y))
    w, v = risk.point, numbers(risk.dimension).float()
    with torch.autocast("cpu", torch.bfloat16, enabled=not within):
        product = risk.hvp(w, v)
        leaf = w.clone().requires_grad_()
        (g,) = torch.autograd.grad(risk.value(leaf), leaf, create_graph=True)
        (expected,) = torch.autograd.grad((g * v).sum(), leaf)
    # Both round to 8 bits in each layer, at most in another order.
    torch.testing.assert_close(product, expected, rtol=0, atol=0.05 * float(expected.norm()))


@every_matrix
@pytest.mark.parametrize(
    "penalty",
    [L1(0.3), L2(0.3), SquaredL2(0.3), ElasticNet(0.3, 0.4)],
    ids=lambda p: type(p).__name__,
)
def test_the_hessian_of_the_penalty_is_added_once(penalty, matrix):
    for chunk_size in (3, 100):
        risk = risk_of(mlp, "cross-entropy-ignore", penalty, chunk_size=chunk_size)
        w, v = somewhere(risk), somewhere(risk, seed=5)
        expected = DENSE[matrix](risk, w)
        close(product_of(risk, matrix, w, v), expected @ v)
        close(product_of(risk, matrix, as_list(risk, w), as_list(risk, v)).flat(), expected @ v)
        close(risk.curvature_at(w, matrix=matrix).matrix(), expected)
        smooth = risk.smooth.curvature_at(w, matrix=matrix).matrix()
        eye, norm = torch.eye(len(w), dtype=w.dtype), w.norm()
        added = {
            "L1": 0 * eye,
            "L2": 0.3 * (eye / norm - torch.outer(w, w) / norm**3),
            "SquaredL2": 0.3 * eye,
            "ElasticNet": 0.3 * 0.6 * eye,
        }
        close(expected - smooth, added[type(penalty).__name__])


@every_matrix
def test_every_form_of_a_batch_is_the_same_examples(matrix):
    risk = risk_of(mlp, "cross-entropy", chunk_size=2)
    w, v = somewhere(risk), somewhere(risk, seed=5)
    x, y = risk.data.x, risk.data.y
    for batch, at in (
        (torch.tensor([4, 0, 4]), [4, 0, 4]),
        (slice(0, 5, 2), [0, 2, 4]),
        ((x[2:5], y[2:5]), [2, 3, 4]),
    ):
        expected = DENSE[matrix](risk, w, (x[at], y[at])) @ v
        close(product_of(risk, matrix, w, v, batch), expected)
        close(risk.curvature_at(w, batch, matrix=matrix) @ v, expected)


@pytest.mark.parametrize(
    ("theirs", "ours", "y"),
    [
        (nn.MSELoss(), gradus.MSELoss(), NUMBERS),
        (nn.MSELoss(reduction="sum"), gradus.MSELoss(reduction="sum"), NUMBERS),
        (nn.L1Loss(), gradus.L1Loss(), NUMBERS),
        (nn.HuberLoss(delta=0.7), gradus.HuberLoss(delta=0.7), NUMBERS),
        (nn.CrossEntropyLoss(), gradus.CrossEntropyLoss(), INDICES),
        (
            nn.CrossEntropyLoss(ignore_index=1),
            gradus.CrossEntropyLoss(ignore_index=1),
            INDICES,
        ),
        (nn.NLLLoss(), gradus.NLLLoss(), INDICES),
        (
            nn.KLDivLoss(reduction="batchmean", log_target=True),
            gradus.KLDivLoss(reduction="batchmean", log_target=True),
            PROBABILITIES.log(),
        ),
    ],
)
@every_matrix
def test_the_losses_of_torch_have_the_matrices_of_ours(theirs, ours, y, matrix):
    risk = risk_of(mlp, "mse")
    w, v = somewhere(risk), somewhere(risk, seed=5)
    one, other = (EmpiricalRisk(risk.model, loss, (risk.data.x, y)) for loss in (theirs, ours))
    close(product_of(one, matrix, w, v), product_of(other, matrix, w, v))


@pytest.mark.parametrize(
    "loss", ["mse", "mse-sum", "cross-entropy", "cross-entropy-ignore", "cross-entropy-ignore-1"]
)
@every_model
def test_fisher_is_gauss_newton_for_cross_entropy_and_mse(make, loss):
    risk = risk_of(make, loss, SquaredL2(0.1), chunk_size=3)
    w = somewhere(risk)
    close(risk.curvature_at(w, matrix="fisher").matrix(), risk.gauss_newton(w))


def test_gauss_newton_is_the_hessian_of_a_linear_model():
    for loss in ("mse", "cross-entropy", "cross-entropy-weight", "callable"):
        risk = risk_of(linear, loss, L2(0.2))
        w = somewhere(risk)
        close(risk.gauss_newton(w), risk.hessian(w))


@pytest.mark.parametrize("matrix", ["gauss-newton", "fisher", "empirical-fisher"])
def test_outputs_of_more_dimensions_have_their_matrices(matrix):
    """Outputs [N, C, 2]: two independent positions an example, each with the head of the other."""
    model = nn.Sequential(nn.Linear(FEATURES, 2 * CLASSES), nn.Unflatten(1, (CLASSES, 2))).double()
    y = torch.stack([INDICES, WITH_HOLES], dim=1)
    loss = gradus.CrossEntropyLoss(ignore_index=-1)
    risk = EmpiricalRisk(model, loss, (numbers(N, FEATURES), y), chunk_size=3)
    w = somewhere(risk)
    got = risk.curvature_at(w, matrix=matrix).matrix()
    close(got, DENSE["gauss-newton" if matrix == "fisher" else matrix](risk, w))


def test_an_output_of_one_number_for_each_example_has_its_matrices():
    model = nn.Sequential(nn.Linear(FEATURES, 1), nn.Flatten(0)).double()
    risk = EmpiricalRisk(model, gradus.MSELoss(), (numbers(N, FEATURES), numbers(N)))
    w = somewhere(risk)
    for matrix in ("hessian", "gauss-newton", "empirical-fisher"):
        close(risk.curvature_at(w, matrix=matrix).matrix(), DENSE[matrix](risk, w))
    close(risk.curvature_at(w, matrix="fisher").matrix(), risk.gauss_newton(w))
