"""What is said of the problems is true: derivatives, minima, curvatures, forms, precisions."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize as scipy_minimize

from gradus.risk import finite_difference
from gradus.risk.tensors import Tensors
from gradus.testing import PROBLEMS, problem

every_problem = pytest.mark.parametrize("name", PROBLEMS)


def around(start, count=20, scale=0.3):
    random = torch.Generator().manual_seed(5)
    away = torch.randn(count, len(start), generator=random, dtype=torch.float64)
    return start + scale * away


@every_problem
@pytest.mark.parametrize("smooth", [False, True])
def test_the_derivatives_are_those_of_the_value(name, smooth):
    """Differences of values, exact to about 1e-10 of f's own size and the next derivatives."""
    found = problem(name).scaled(0.3)
    f, w = (found.f.smooth if smooth else found.f), found.start
    v = torch.linspace(-1.0, 1.0, len(w), dtype=torch.float64)
    torch.testing.assert_close(
        f.gradient(w), finite_difference.gradient(f.value, w), rtol=1e-6, atol=1e-6
    )
    hessian = f.hessian(w)
    differences = finite_difference.hessian(f.value, w)
    torch.testing.assert_close(hessian, differences, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(f.hvp(w, v), hessian @ v, rtol=1e-12, atol=1e-12)
    value, g = f.value_and_gradient(w)
    assert torch.equal(value, f.value(w))
    assert torch.equal(g, f.gradient(w))


@pytest.mark.parametrize("name", ["quadratic", "badly-conditioned", "logistic"])
def test_where_outputs_are_linear_the_gauss_newton_matrix_is_the_hessian(name):
    f, w = problem(name).f, problem(name).start
    torch.testing.assert_close(f.gauss_newton(w), f.hessian(w), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["rosenbrock", "network"])
def test_the_gauss_newton_matrix_is_positive_semidefinite(name):
    f = problem(name).f
    for w in around(problem(name).start, count=5):
        assert torch.linalg.eigvalsh(f.gauss_newton(w)).min() > -1e-12


@pytest.mark.parametrize("name", [name for name in PROBLEMS if problem(name).minimum is not None])
def test_the_minimum_is_where_scipy_finds_it(name):
    found = problem(name)
    f = found.f
    end = scipy_minimize(
        lambda w: f.value(torch.from_numpy(w)).item(),
        found.start.numpy(),
        jac=lambda w: f.gradient(torch.from_numpy(w)).numpy(),
        options={"gtol": 1e-9},
    )
    np.testing.assert_allclose(end.fun, found.minimum, rtol=0, atol=1e-12)


@every_problem
def test_no_curvature_is_larger_than_said_where_f_is_no_higher_than_at_the_start(name):
    found = problem(name)
    highest = found.f.value(found.start)
    points = torch.cat([found.start[None], around(found.start)])
    points = [w for w in points if found.f.value(w) <= highest]
    points = points[:1] if name == "network" else points
    largest = max(torch.linalg.matrix_norm(found.f.hessian(w), 2).item() for w in points)
    assert largest <= 2 / found.largest_lr * (1 + 1e-12)
    assert largest > 0.1 / found.largest_lr, "the bound says nothing"


@every_problem
def test_convex_is_what_has_positive_curvature_everywhere(name):
    found = problem(name)
    smallest = min(
        torch.linalg.eigvalsh(found.f.hessian(w)).min().item()
        for w in around(found.start, scale=1.0)
    )
    assert (smallest > 0) == found.convex


def test_the_conditions_are_those_of_the_documentation():
    for name, condition in (("quadratic", 7 / 3), ("badly-conditioned", 50.5)):
        eigenvalues = torch.linalg.eigvalsh(problem(name).f.hessian(problem(name).start))
        assert (eigenvalues[-1] / eigenvalues[0]).item() == pytest.approx(condition)


@every_problem
def test_rows_and_lists_are_seen_as_vectors(name):
    found = problem(name)
    f, rows = found.f, around(found.start, count=3)
    listed = Tensors([rows[0][:1].view(1, 1), rows[0][1:]])
    assert torch.equal(f.value(rows), torch.stack([f.value(w) for w in rows]))
    assert torch.equal(f.gradient(rows), torch.stack([f.gradient(w) for w in rows]))
    assert torch.equal(f.hvp(rows, rows), torch.stack([f.hvp(w, w) for w in rows]))
    assert [value.shape for value in f.gradient(listed).values] == [(1, 1), (len(rows[0]) - 1,)]
    torch.testing.assert_close(f.gradient(listed).flat(), f.gradient(rows[0]))
    torch.testing.assert_close(f.hvp(listed, listed).flat(), f.hvp(rows[0], rows[0]))
    torch.testing.assert_close(f.value(listed), f.value(rows[0]))
    assert torch.equal(f.hessian(listed), f.hessian(rows[0]))


@every_problem
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_every_precision_is_the_same_problem(name, dtype):
    exact, rounded = problem(name), problem(name, dtype)
    w = rounded.start
    assert (w.dtype, rounded.f.gradient(w).dtype) == (dtype, dtype)
    assert rounded.f.value(w).dtype in (dtype, torch.float32)  # sums are taken in float32 at least
    # A sum of some ten products, each off by a few roundings of numbers of the size of its terms.
    tolerance = 100 * torch.finfo(dtype).eps
    for ours, theirs in (
        (rounded.f.value(w), exact.f.value(w.double())),
        (rounded.f.gradient(w), exact.f.gradient(w.double())),
        (rounded.f.hessian(w), exact.f.hessian(w.double())),
    ):
        apart = (ours.double() - theirs).abs().max()
        assert apart <= tolerance * (1 + theirs.abs().max())


@pytest.mark.parametrize("name", ["quadratic", "logistic", "network"])
def test_a_shorter_problem_has_the_same_curvature_where_all_lies_nearer(name):
    """A power of 2, by which products are exact."""
    plain, short = problem(name), problem(name).scaled(1.0, 0.25)
    w, near = plain.start, short.start
    assert torch.equal(near, 0.25 * w)
    for f, nearer in ((plain.f, short.f), (plain.f.smooth, short.f.smooth)):
        assert torch.equal(nearer.value(near), f.value(w) / 16)
        assert torch.equal(nearer.gradient(near), f.gradient(w) / 4)
        value, g = nearer.value_and_gradient(near)
        assert torch.equal(value, f.value(w) / 16)
        assert torch.equal(g, f.gradient(w) / 4)
        assert torch.equal(nearer.hvp(near, w), f.hvp(w, w))
        assert torch.equal(nearer.hessian(near), f.hessian(w))
        assert torch.equal(nearer.gauss_newton(near), f.gauss_newton(w))
    assert short.largest_lr == plain.largest_lr
    assert plain.minimum is None or short.minimum == plain.minimum / 16


RISKS = [name for name in PROBLEMS if problem(name).batches]


@pytest.mark.parametrize("name", RISKS)
def test_the_batches_are_all_the_examples_and_f_is_their_mean(name):
    found = problem(name).scaled(0.3, 0.5)
    w, parts = found.start, [found.f.on(batch) for batch in found.batches]
    value, g = (
        sum(kind) / 4 for kind in zip(*(f.value_and_gradient(w) for f in parts), strict=True)
    )
    torch.testing.assert_close(found.f.value(w), value, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.f.gradient(w), g, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", RISKS)
def test_even_the_signs_of_the_gradient_tell_the_first_batch_from_all_of_f(name):
    found = problem(name)
    on_batch = found.f.gradient(found.start, found.batches[0])
    assert (on_batch.sign() != found.f.gradient(found.start).sign()).any()


def test_scaling_scales_all_that_is_said():
    plain, scaled = problem("logistic"), problem("logistic").scaled(3.0)
    w = plain.start
    torch.testing.assert_close(scaled.f.value(w), 3 * plain.f.value(w))
    torch.testing.assert_close(scaled.f.gradient(w), 3 * plain.f.gradient(w))
    torch.testing.assert_close(scaled.f.hessian(w), 3 * plain.f.hessian(w))
    torch.testing.assert_close(scaled.f.penalty.value(w), 3 * plain.f.penalty.value(w))
    assert scaled.f.smooth.penalty is None
    assert scaled.minimum == 3 * plain.minimum
    assert scaled.largest_lr == plain.largest_lr / 3


def test_making_a_problem_draws_nothing_from_the_users_random_numbers():
    torch.manual_seed(0)
    expected = torch.randn(3)
    torch.manual_seed(0)
    for name in PROBLEMS:
        problem.__wrapped__(name)
    assert torch.equal(torch.randn(3), expected)


def test_only_the_minimum_of_the_network_is_not_known():
    assert [name for name in PROBLEMS if problem(name).minimum is None] == ["network"]


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"^there is no problem 'cubic': the problems are quadr"):
        problem("cubic")
