"""What is refused of second derivatives, and how it is said."""

import math
import re

import pytest
import torch
from torch import nn

import gradus
from gradus import EmpiricalRisk, InputError
from gradus.risk import curvature, dense
from gradus.risk.curvature import require_memory
from gradus.risk.function import Function, LeastSquares
from gradus.risk.tensors import Tensors
from tests.risk.curvature_cases import (
    CLASSES,
    FEATURES,
    INDICES,
    NUMBERS,
    WEIGHT,
    N,
    close,
    mlp,
    numbers,
    risk_of,
    somewhere,
)


def test_a_matrix_beyond_the_limit_is_refused_before_it_exists():
    model = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU())
    model.append(nn.Linear(512, 10))
    risk = EmpiricalRisk(
        model, gradus.CrossEntropyLoss(), (torch.rand(2, 784), torch.tensor([3, 4]))
    )
    said = (
        "^a Hessian of 669,706 x 669,706 float32 numbers would take 1.8 TB; the limit is 4 GB "
        r"\(limit=4000000000\): use hvp, which never forms it$"
    )
    with pytest.raises(InputError, match=said):
        risk.hessian(risk.parameters)
    with pytest.raises(InputError, match=said):
        curvature.hessian(risk, risk.point)
    for refused in (risk.gauss_newton, risk.curvature_at(risk.point).matrix):
        with pytest.raises(ValueError, match=r"would take 1\.8 TB"):
            refused(risk.point) if refused == risk.gauss_newton else refused()
    with pytest.raises(ValueError, match=r"3 x 3 float64 .* 72 B; the limit is 71 B \(limit=71\)"):
        curvature.hessian(lambda w: (w**2).sum(), numbers(3), limit=71)
    assert curvature.hessian(lambda w: (w**2).sum(), numbers(3), limit=72).shape == (3, 3)


@pytest.mark.parametrize(
    ("dimension", "dtype", "matrices", "said"),
    [
        (669_706, torch.float32, 2, "3.6 TB"),
        (100_000, torch.float32, 1, "40 GB"),
        (99_999, torch.float64, 1, "80 GB"),
        (10**6, torch.bfloat16, 1, "2 TB"),
        (10**9, torch.float64, 1, "8,000 PB"),
        (31_623, torch.float32, 1, "4 GB"),
    ],
)
def test_memory_is_told_in_decimal_units(dimension, dtype, matrices, said):
    with pytest.raises(InputError, match=rf" would take {re.escape(said)}; the limit is 4 GB: "):
        require_memory(dimension, dtype, matrices)
    require_memory(dimension, dtype, matrices, limit=math.inf)


def test_what_the_memory_is_for_and_what_to_do_instead_can_be_told():
    what, remedy = "a Hessian and its factor", "take L-BFGS"
    for limit, said in ((None, "4 GB"), (4e9, r"4 GB \(limit=4000000000\)")):
        with pytest.raises(InputError, match=f"^{what} of .*; the limit is {said}: {remedy}$"):
            require_memory(10**6, torch.float32, 2, limit=limit, what=what, remedy=remedy)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (gradus.CrossEntropyLoss(WEIGHT), "with class weights, CrossEntropyLoss is no "),
        (nn.NLLLoss(WEIGHT), "with class weights, NLLLoss is no "),
        (gradus.CrossEntropyLoss(label_smoothing=0.1), "with label smoothing, CrossEntropyLoss "),
        (nn.functional.cross_entropy, "not of cross_entropy: use the Gauss-Newton matrix"),
        (nn.SmoothL1Loss(), "not of SmoothL1Loss: use the Gauss-Newton matrix"),
    ],
)
def test_a_loss_that_is_no_known_likelihood_has_no_fisher_matrix(loss, said):
    y = NUMBERS if isinstance(loss, nn.SmoothL1Loss) else INDICES
    risk = EmpiricalRisk(mlp().double(), loss, (numbers(N, FEATURES), y))
    w = risk.point
    with pytest.raises(ValueError, match=said):
        risk.fisher_product(w, w)
    close(risk.gauss_newton(w) @ w, risk.gauss_newton_product(w, w))


def test_a_weighted_loss_of_torch_has_a_mean_only_in_one_chunk():
    x = numbers(N, FEATURES)
    risk = EmpiricalRisk(mlp().double(), nn.CrossEntropyLoss(WEIGHT), (x, INDICES))
    w = risk.point
    close(risk.hessian(w), dense.hessian(risk, w))
    close(risk.gauss_newton(w), dense.gauss_newton(risk, w))
    risk.chunk_size = 3
    for product in (risk.hvp, risk.gauss_newton_product):
        with pytest.raises(ValueError, match=r"cannot be averaged over chunks; give gradus\.Cross"):
            product(w, w)


def test_a_weighted_loss_of_torch_over_probabilities_is_averaged_over_chunks():
    """Its mean divides by the number of examples."""
    options = {"label_smoothing": 0.1}
    y = nn.functional.one_hot(INDICES, CLASSES).double()
    data = (numbers(N, FEATURES), y)
    theirs, ours = (
        nn.CrossEntropyLoss(WEIGHT, **options),
        gradus.CrossEntropyLoss(WEIGHT, **options),
    )
    risk, same = (
        EmpiricalRisk(mlp().double(), loss, data, chunk_size=3) for loss in (theirs, ours)
    )
    whole = EmpiricalRisk(risk.model, theirs, data)
    w = somewhere(risk)
    for evaluated in ("value", "gradient", "hessian"):
        found = getattr(risk, evaluated)(w)
        close(found, getattr(same, evaluated)(w))
        close(found, getattr(whole, evaluated)(w))


def test_the_empirical_fisher_matrix_needs_one_row_per_example():
    model = nn.Sequential(nn.Linear(FEATURES, CLASSES), nn.Flatten(0)).double()
    risk = EmpiricalRisk(model, gradus.MSELoss(), (numbers(N, FEATURES), numbers(N * CLASSES)[:N]))
    pair = (numbers(N, FEATURES), numbers(N * CLASSES))
    risk.chunk_size = 100
    with pytest.raises(ValueError, match=r"output of shape \(15,\) from 5 examples; .* one row"):
        risk.fisher_product(risk.point, risk.point, pair, empirical=True)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_vector_of_the_wrong_length_is_refused(change):
    risk = risk_of(mlp, "mse")
    w = risk.point
    wrong = torch.zeros(len(w) + change, dtype=w.dtype)
    with pytest.raises(ValueError, match=rf"^v has shape \({len(wrong)},\), but must be \(27,\)$"):
        risk.hvp(w, wrong)
    with pytest.raises(ValueError, match=rf"^w has shape \({len(wrong)},\), but must be \(27,\)$"):
        risk.hvp(wrong, w)
    with pytest.raises(ValueError, match=r"^w has shape .* but must be \(27,\)$"):
        risk.hessian(Tensors([wrong]))


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (lambda w: w.to(torch.complex128), "w must be of real floating-point .* torch.complex128"),
        (lambda w: w.long(), "w must be of real floating-point numbers, not torch.int64"),
        (lambda w: w.numpy(), "w must be a tensor or Tensors, not ndarray"),
    ],
)
def test_a_point_that_is_not_of_real_numbers_is_refused(refused, said):
    risk = risk_of(mlp, "mse")
    squares = LeastSquares(torch.square)
    w = refused(risk.point)
    for curved in (risk.curvature_at, Function(torch.sum).curvature_at, squares.curvature_at):
        with pytest.raises(TypeError, match=f"^{said}$"):
            curved(w)
    with pytest.raises(TypeError, match=f"^{said}$"):
        squares.gauss_newton(w)


def test_vectors_and_points_of_another_kind_are_refused():
    risk = risk_of(mlp, "mse")
    w = risk.point
    with pytest.raises(ValueError, match=r"^v is of torch.float32, but w of torch.float64: they "):
        risk.hvp(w, w.float())
    with pytest.raises(TypeError, match=r"^v must be a tensor or Tensors, not list$"):
        risk.hvp(w, w.tolist())
    with pytest.raises(TypeError, match=r"^a plain function takes w as one tensor, not as Tensors"):
        curvature.hvp(torch.sum, risk.parameters, risk.parameters)


def test_a_matrix_that_is_unknown_or_not_defined_is_refused():
    risk = risk_of(mlp, "mse")
    with pytest.raises(ValueError, match=r"^matrix='hesse' is not one of 'hessian', 'gauss-newt"):
        risk.curvature_at(risk.point, matrix="hesse")
    for f in (Function(torch.sum), torch.sum):
        with pytest.raises(ValueError, match=r"^a plain function has no fisher matrix, only 'hess"):
            curvature.trace(f, numbers(3), matrix="fisher")
    with pytest.raises(ValueError, match=r"^a plain function has no gauss-newton matrix, only"):
        Function(torch.sum).gauss_newton(numbers(3))
    with pytest.raises(ValueError, match=r"^a sum of squares has no fisher matrix, only 'hessian'"):
        LeastSquares(torch.sin).curvature_at(numbers(3), matrix="fisher")
    with pytest.raises(ValueError, match=r"^f must return a scalar tensor, but f\(w\) is shape"):
        curvature.hessian(torch.sin, numbers(3))
