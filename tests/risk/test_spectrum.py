"""Eigenvalues and traces, against the matrix itself."""

import math
import re

import pytest
import torch
from torch import nn

import gradus
from gradus import EmpiricalRisk
from gradus.risk import curvature
from gradus.risk.penalties import SquaredL2
from tests.risk.curvature_cases import (
    ALL,
    CLASSES,
    FEATURES,
    INDICES,
    N,
    close,
    every_matrix,
    mlp,
    numbers,
    risk_of,
)

SIZES = (5, 63, 90)  # up to 64 from the matrix itself, beyond by Lanczos


def quadratic(d, seed=7):
    """1/2 w^T A w with eigenvalues of both signs, and some that are zero."""
    Q = torch.linalg.qr(numbers(d, d, seed=seed)).Q
    spectrum = torch.linspace(-3, 5, d, dtype=torch.float64)
    spectrum[d // 2 : d // 2 + 2] = 0
    A = Q @ torch.diag(spectrum) @ Q.T
    return (lambda w: 0.5 * w @ A @ w), (A + A.T) / 2


@pytest.mark.parametrize("d", SIZES)
@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("which", ["largest", "smallest", "both"])
def test_eigenvalues_are_those_of_the_matrix(d, k, which):
    f, A = quadratic(d)
    expected = torch.linalg.eigvalsh(A)
    at = {"largest": slice(d - k, d), "smallest": slice(k)}
    ends = ["smallest", "largest"] if which == "both" else [which]
    found = curvature.eigenvalues(f, numbers(d), k, which, vectors=True)
    # The tolerance asked of Lanczos, eps^(2/3), times the norm of the matrix.
    close = {"rtol": 0, "atol": 5 * 3.7e-11}
    torch.testing.assert_close(found.values, torch.cat([expected[at[e]] for e in ends]), **close)
    U = found.vectors
    torch.testing.assert_close(A @ U, U * found.values, rtol=0, atol=1e-8)
    torch.testing.assert_close(U.T @ U, torch.eye(U.shape[1], dtype=U.dtype), rtol=0, atol=1e-8)
    assert curvature.eigenvalues(f, numbers(d), k, which).vectors is None


@pytest.mark.parametrize("d", SIZES)
def test_sharpness_is_that_of_the_hessian_between_the_roots_of_a_diagonal(d):
    f, A = quadratic(d)
    diagonal = torch.linspace(0.01, 4, d, dtype=torch.float64)
    root = diagonal.rsqrt()
    for given, matrix in ((None, A), (diagonal, root[:, None] * A * root)):
        expected = float(torch.linalg.eigvalsh(matrix)[-1])
        assert curvature.sharpness(f, numbers(d), given) == pytest.approx(expected, rel=0.05)
    assert curvature.sharpness(f, numbers(d), torch.zeros_like(diagonal)) is None


@every_matrix
def test_eigenvalues_of_every_matrix_of_a_risk(matrix):
    model = nn.Sequential(nn.Linear(FEATURES, 9), nn.Tanh(), nn.Linear(9, CLASSES)).double()
    x = numbers(N, FEATURES, seed=3)
    risk = EmpiricalRisk(model, gradus.CrossEntropyLoss(), (x, INDICES))
    assert risk.dimension > 64
    for w in (risk.point, risk.parameters):
        for batch in (None, slice(0, 3)):
            found = curvature.eigenvalues(risk, w, 3, "both", batch=batch, matrix=matrix)
            expected = torch.linalg.eigvalsh(
                risk.curvature_at(risk.point, batch, matrix=matrix).matrix()
            )
            # Near zero to the tolerance asked, relative to a norm of order 1.
            torch.testing.assert_close(
                found.values, expected[[0, 1, 2, -3, -2, -1]], rtol=0, atol=1e-9
            )


def test_float32_eigenvalues_are_found_to_its_precision():
    A = quadratic(90)[1].float()
    found = curvature.eigenvalues(lambda w: 0.5 * w @ A @ w, numbers(90).float(), 2, "both")
    assert found.values.dtype == torch.float32
    expected = torch.linalg.eigvalsh(A)[[0, 1, -2, -1]]
    torch.testing.assert_close(found.values, expected, rtol=0, atol=5 * 2.5e-5)  # eps^(2/3)


def test_eigenvalues_of_nothing_and_of_everything():
    close(
        curvature.eigenvalues(lambda w: w.sum(), numbers(70), 2, "both").values,
        torch.zeros(4, dtype=torch.float64),
    )
    one = curvature.eigenvalues(lambda w: (w**2).sum(), numbers(1))
    close(one.values, torch.tensor([2.0], dtype=torch.float64))
    f, A = quadratic(70)
    close(curvature.eigenvalues(f, numbers(70), 70).values, torch.linalg.eigvalsh(A))


def test_the_same_seed_gives_the_same_eigenvalues_and_trace():
    f, _ = quadratic(90)
    one, same = (curvature.eigenvalues(f, numbers(90), seed=3, vectors=True) for _ in range(2))
    assert torch.equal(one.vectors, same.vectors)
    assert one.products == same.products > 5
    assert curvature.trace(f, numbers(90), seed=3) == curvature.trace(f, numbers(90), seed=3)
    assert curvature.trace(f, numbers(90), seed=3) != curvature.trace(f, numbers(90), seed=4)


def test_what_lanczos_cannot_give_is_said():
    f, _ = quadratic(90)
    said = r"^\d of the 2 largest eigenvalues were found to a tolerance of 1.0e-14 in 1 iterations:"
    with pytest.raises(RuntimeError, match=said):
        curvature.eigenvalues(f, numbers(90), 2, iterations=1, tolerance=1e-14)
    for k, which in ((91, "smallest"), (46, "both")):
        with pytest.raises(ValueError, match=rf"^k={k} {which} eigenvalues: .* has only 90$"):
            curvature.eigenvalues(f, numbers(90), k, which)
    with pytest.raises(ValueError, match=r"^which='most' is not one of 'largest', 'smallest', 'b"):
        curvature.eigenvalues(f, numbers(90), which="most")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"k": 0}, "k=0 must be a whole number of at least 1"),
        ({"k": 1.5}, "k=1.5 must be a whole number of at least 1"),
        ({"k": True}, "k=True must be a whole number of at least 1"),
        ({"seed": -1}, "seed=-1 must be a whole number of at least 0"),
        ({"iterations": 0}, "iterations=0 must be a whole number of at least 1"),
        ({"tolerance": 0}, "tolerance=0 must be a positive number"),
        ({"tolerance": -1e-3}, "tolerance=-0.001 must be a positive number"),
    ],
)
@pytest.mark.parametrize("d", [5, 90])
def test_what_eigenvalues_are_asked_for_is_checked(d, options, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        curvature.eigenvalues(quadratic(d)[0], numbers(d), **options)
    if "seed" in options:
        with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
            curvature.trace(quadratic(d)[0], numbers(d), **options)


@pytest.mark.parametrize("d", [5, 90])
def test_a_matrix_without_eigenvalues_that_can_be_told_is_refused(d):
    nowhere = torch.full((d,), math.nan, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"^the hessian matrix is not finite at w: it has no eig"):
        curvature.eigenvalues(lambda w: (w**3).sum(), nowhere)
    for dtype in (torch.bfloat16, torch.float16):
        with pytest.raises(ValueError, match=rf"^eigenvalues are not found in {dtype}: give w "):
            curvature.eigenvalues(lambda w: (w**3).sum(), numbers(d).to(dtype))


def test_the_smallest_eigenvalues_of_a_singular_risk_are_found():
    """Adding to all classes changes nothing: zeros, and many eigenvalues next to them."""
    model = nn.Linear(29, CLASSES).double()
    x = numbers(40, 29, seed=3) * torch.linspace(0, 1, 29, dtype=torch.float64) ** 8
    risk = EmpiricalRisk(model, gradus.CrossEntropyLoss(), (x, INDICES.repeat(8)))
    found = curvature.eigenvalues(risk, risk.point, 3, "smallest", vectors=True)
    expected = torch.linalg.eigvalsh(risk.hessian(risk.point))[:3]
    torch.testing.assert_close(found.values, expected, rtol=0, atol=1e-10)
    U = found.vectors
    torch.testing.assert_close(U.T @ U, torch.eye(3, dtype=U.dtype), rtol=0, atol=1e-10)
    assert found.products < 1000


@pytest.mark.parametrize("which", ["smallest", "largest"])
def test_where_the_matrix_is_too_large_more_vectors_are_kept(which):
    a = torch.linspace(-1, 1, 2100, dtype=torch.float64)
    found = curvature.eigenvalues(lambda w: 0.5 * (a * w * w).sum(), a, 1, which, tolerance=1e-5)
    expected = a[:1] if which == "smallest" else a[-1:]
    torch.testing.assert_close(found.values, expected, rtol=0, atol=5e-5)
    assert 200 < found.products < 2000


@pytest.mark.parametrize("seed", range(5))
def test_the_trace_is_within_four_standard_errors(seed):
    f, A = quadratic(20)
    found = curvature.trace(f, numbers(20), samples=400, seed=seed)
    assert abs(found.value - A.trace().item()) < 4 * found.standard_error
    variance = 2 * (A.square().sum() - A.diag().square().sum())
    # The standard deviation itself is estimated, from 400 samples: to some 4 %, here 5 times that.
    assert found.standard_error == pytest.approx(math.sqrt(variance / 400), rel=0.2)


@pytest.mark.parametrize("samples", [2, 10])
def test_the_trace_of_a_diagonal_matrix_is_exact(samples):
    a = numbers(30)
    found = curvature.trace(lambda w: 0.5 * (a * w * w).sum(), numbers(30, seed=1), samples)
    assert found.value == pytest.approx(a.sum().item(), rel=1e-12)
    assert found.standard_error == pytest.approx(0, abs=1e-12)
    assert found.samples == samples


def test_the_trace_of_every_matrix_of_a_risk():
    risk = risk_of(mlp, "cross-entropy", SquaredL2(0.1))
    for matrix in ALL:
        exact = risk.curvature_at(risk.point, matrix=matrix).matrix().trace().item()
        found, same = (
            curvature.trace(risk, w, 50, matrix=matrix) for w in (risk.point, risk.parameters)
        )
        assert abs(found.value - exact) < 4 * found.standard_error
        assert same.value == pytest.approx(found.value, rel=1e-10)


def test_a_trace_is_told_with_its_error():
    assert str(curvature.Trace(12.34567891, 0.4567, 100)) == "12.3457 ± 0.46 (100 samples)"
    with pytest.raises(ValueError, match=r"^samples=1 have no standard error; give at least 2$"):
        curvature.trace(torch.sum, numbers(3), 1)
