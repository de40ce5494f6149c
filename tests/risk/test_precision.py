"""Sums are taken in float32 at least: in float16 and bfloat16 they are the truth, rounded once."""

import math

import pytest
import torch
from torch import nn

import gradus
from gradus.penalties import L1, L2, ElasticNet, SquaredL2
from gradus.risk.function import LeastSquares
from gradus.risk.tensors import Tensors

N = 200_000
NARROW = [torch.float16, torch.bfloat16]

narrow_types = pytest.mark.parametrize("dtype", NARROW, ids=str)


def close(got, truth, dtype):
    """To a few units in the last place of the type in which the terms are."""
    got, truth = torch.as_tensor(got).double(), torch.as_tensor(truth).double()
    torch.testing.assert_close(got, truth, rtol=4 * torch.finfo(dtype).eps, atol=1e-6)


def alike(dtype):
    return torch.zeros(N, 3, dtype=dtype), torch.zeros(N, dtype=torch.long)


LOSSES = {
    "cross entropy": (gradus.CrossEntropyLoss(), 0.0, 0, math.log(3)),
    "smoothed": (gradus.CrossEntropyLoss(label_smoothing=0.1), 0.0, 0, math.log(3)),
    "weighted": (gradus.CrossEntropyLoss(torch.tensor([2.0, 1, 1])), 0.0, 0, math.log(3)),
    "some ignored": (gradus.CrossEntropyLoss(ignore_index=1), 0.0, 0, math.log(3)),
    "probabilities": (gradus.CrossEntropyLoss(), 0.0, [0.5, 0.25, 0.25], math.log(3)),
    "nll": (gradus.NLLLoss(), -2.0, 0, 2.0),
    "mse": (gradus.MSELoss(), 1.5, [0.0, 0, 0], 2.25),
    "l1": (gradus.L1Loss(), -1.5, [0.0, 0, 0], 1.5),
    "huber": (gradus.HuberLoss(delta=0.5), -1.5, [0.0, 0, 0], 0.625),
    "pinball": (gradus.PinballLoss(0.75), -1.5, [0.0, 0, 0], 1.125),
    "kl": (gradus.KLDivLoss(), -2.0, [1.0, 1, 1], 2.0),
    "kl, batchmean": (gradus.KLDivLoss(reduction="batchmean"), -2.0, [1.0, 1, 1], 6.0),
}


def example(loss, dtype):
    loss, output, y, truth = LOSSES[loss]
    x = torch.full((N, 3), output, dtype=dtype)
    if isinstance(y, list):
        return loss.to(dtype), x, torch.tensor(y, dtype=dtype).expand(N, 3), truth
    y = torch.full((N,), y)
    if getattr(loss, "ignore_index", -100) == 1:
        y[::2] = 1
    return loss.to(dtype), x, y, truth


@narrow_types
@pytest.mark.parametrize("loss", LOSSES)
def test_the_mean_over_many_rows_is_finite_and_true(loss, dtype):
    loss, x, y, truth = example(loss, dtype)
    value = loss(x, y)
    assert value.dtype == dtype
    close(value, truth, dtype)


@narrow_types
@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_cross_entropy_over_many_classes_is_finite_and_true(smoothing, dtype):
    loss = gradus.CrossEntropyLoss(label_smoothing=smoothing)
    close(loss(torch.zeros(2, N, dtype=dtype), torch.tensor([0, N - 1])), math.log(N), dtype)


@narrow_types
def test_squares_beyond_the_type_are_averaged(dtype):
    x = torch.tensor([[1000.0], *[[0.0]] * 999], dtype=dtype)
    close(gradus.MSELoss()(x, torch.zeros_like(x)), 1000.0, dtype)


@narrow_types
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("chunk_size", [70_000, N])
def test_the_risk_of_many_rows_is_true_in_any_chunks(loss, chunk_size, dtype):
    """The value is of float32; the gradient in a shift of all outputs is its mean over the rows."""
    loss, x, y, truth = example(loss, dtype)
    risk = gradus.EmpiricalRisk(Shift().to(dtype), loss, (x, y), chunk_size=chunk_size)
    value, gradient = risk.value_and_gradient(torch.zeros(3, dtype=dtype))
    assert (value.dtype, gradient.dtype) == (torch.float32, dtype)
    close(value, truth, dtype)
    w = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    few = slice(0, 10)
    target = y[few].double() if y.is_floating_point() else y[few]
    loss.double()(x[few].double() + w, target).backward()
    # A row's part of the gradient is 1 / N of it, of which float16 has few digits where N is large.
    few_digits = dtype == torch.float16 and chunk_size == N
    tolerance = 0.02 if few_digits else 4 * torch.finfo(dtype).eps
    torch.testing.assert_close(gradient.double(), w.grad, rtol=tolerance, atol=tolerance / 10)


class Shift(nn.Module):
    """One parameter for each output."""

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(3))

    def forward(self, x):
        return x + self.shift


@narrow_types
def test_a_loss_of_torch_is_averaged_over_chunks_too(dtype):
    x, y = alike(dtype)
    risk = gradus.EmpiricalRisk(Shift().to(dtype), nn.CrossEntropyLoss(), (x, y), chunk_size=50_000)
    close(risk.value(risk.point), math.log(3), dtype)


@narrow_types
def test_a_sum_over_chunks_is_of_float32(dtype):
    x, y = alike(dtype)
    loss = gradus.CrossEntropyLoss(reduction="sum")
    risk = gradus.EmpiricalRisk(Shift().to(dtype), loss, (x, y), chunk_size=150_000)
    close(risk.value(risk.point), N * math.log(3), dtype)


@narrow_types
@pytest.mark.parametrize("matrix", ["hessian", "gauss-newton", "fisher"])
def test_curvature_over_many_rows_is_true(matrix, dtype):
    """Of cross entropy at equal outputs: diag(p) - p p^T, p = 1/3; all three are one matrix."""
    x, y = alike(dtype)
    risk = gradus.EmpiricalRisk(
        Shift().to(dtype), gradus.CrossEntropyLoss(), (x, y), chunk_size=50_000
    )
    curvature = risk.curvature_at(risk.point, matrix=matrix)
    v = torch.tensor([1.0, 2.0, -1.0], dtype=dtype)
    truth = torch.eye(3, dtype=torch.float64) / 3 - 1 / 9
    tolerance = {"rtol": 0.02, "atol": 0.01}  # a row's part is 1/50,000 of it
    assert (curvature @ v).dtype == curvature.matrix().dtype == dtype
    torch.testing.assert_close((curvature @ v).double(), truth @ v.double(), **tolerance)
    torch.testing.assert_close(curvature.matrix().double(), truth, **tolerance)


@narrow_types
@pytest.mark.parametrize("as_list", [False, True])
@pytest.mark.parametrize(
    ("penalty", "truth"),
    [(L1(1.0), N), (L2(1.0), math.sqrt(N)), (SquaredL2(1.0), N / 2), (ElasticNet(1.0), 0.75 * N)],
    ids=lambda case: type(case).__name__,
)
def test_a_penalty_of_many_entries_is_true(penalty, truth, as_list, dtype):
    w = torch.ones(N, dtype=dtype)
    w = Tensors(w.split(N // 4)) if as_list else w
    close(penalty.value(w), truth, dtype)
    for moved in (penalty.gradient(w), penalty.prox(w, 0.5)):
        flat = moved.flat() if as_list else moved
        assert flat.dtype == dtype
        assert flat.isfinite().all()


@narrow_types
def test_the_norm_and_the_sum_of_a_list_are_true(dtype):
    w = Tensors([torch.full((N,), 2.0, dtype=dtype), torch.full((3,), 300.0, dtype=dtype)])
    close(w.sum(), 2 * N + 900, dtype)
    close(w.norm(), math.sqrt(4 * N + 3 * 300**2), dtype)


@narrow_types
def test_the_mean_of_many_squared_residuals_is_true(dtype):
    f = LeastSquares(lambda w: w * torch.ones(N, dtype=dtype))
    close(f.value(torch.tensor([2.0], dtype=dtype)), 4.0, dtype)
