"""What all methods that use curvature refuse, and what they let through."""

import pytest
import torch

import gradus
from gradus import EmpiricalRisk, InputError, minimize
from gradus.methods import LBFGS, GaussNewton, LevenbergMarquardt, Newton, NewtonCG
from gradus.methods.second_order import damped, flat, like, solved
from gradus.risk.function import Function
from gradus.risk.penalties import L1, L2, ElasticNet, SquaredL2
from gradus.risk.tensors import Tensors

# Methods with all their line searches, of which any may find no lower point and stay.
SEARCHES = [
    *(Newton(line_search=each) for each in (None, "backtracking", "strong-wolfe")),
    *(Newton(saddle_free=True, line_search=each) for each in ("backtracking", "strong-wolfe")),
    *(NewtonCG(line_search=each) for each in (None, "backtracking", "strong-wolfe")),
    *(LBFGS(line_search=each) for each in (None, "backtracking", "strong-wolfe")),
]
METHODS = (
    Newton(damping=0.1),
    NewtonCG(),
    GaussNewton(damping=0.1),
    LevenbergMarquardt(),
    LBFGS(),
)
every_method = pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)


def line_fit(penalty=None):
    random = torch.Generator().manual_seed(1)
    x = torch.randn(25, 3, generator=random, dtype=torch.float64)
    model = torch.nn.Linear(3, 1, dtype=torch.float64)
    return EmpiricalRisk(model, gradus.MSELoss(), (x, x.sum(1, keepdim=True)), penalty)


class Bowl:
    """f(w) = a·w^2 / 2 for a vector and for a list of tensors, with every kind of curvature."""

    penalty = None

    def __init__(self, a):
        self.a = a

    def value(self, w, batch=None):
        return (self.a * flat(w) ** 2).sum() / 2

    def value_and_gradient(self, w, batch=None):
        return self.value(w), self.gradient(w)

    def gradient(self, w, batch=None):
        return self.hvp(w, w)

    def hvp(self, w, v, batch=None):
        return like(v, self.a * flat(v))

    def hessian(self, w, batch=None):
        return torch.diag(self.a)

    gauss_newton = hessian


@every_method
@pytest.mark.parametrize("penalty", [L1(0.1), ElasticNet(0.1), ElasticNet(0.1, 1e-3)])
@pytest.mark.parametrize("listed", [False, True])
def test_a_penalty_with_kinks_is_refused_in_one_line(method, penalty, listed):
    risk = line_fit(penalty)
    w = risk.parameters if listed else risk.point
    with pytest.raises(InputError) as refusal:
        method.step(risk, w, method.init(w))
    assert str(refusal.value) == (
        f"{type(method).__name__} takes no penalty with kinks, as {type(penalty).__name__} has "
        "where entries of w are 0: take ProximalGradient, or a first-order method in Proximal "
        "(--proximal)"
    )


@every_method
def test_it_is_refused_to_rows_and_to_functions_too(method):
    risk = line_fit(L1(0.1))
    rows = torch.stack([risk.point, 2 * risk.point])
    with pytest.raises(InputError, match="no penalty with kinks, as L1 has"):
        method.step(risk, rows, method.init(rows))
    with pytest.raises(InputError, match="no penalty with kinks, as L1 has"):
        minimize(lambda w: (w**2).sum(), rows[0], method, steps=1, penalty=L1(0.1))


@every_method
@pytest.mark.parametrize("penalty", [L2(0.1), SquaredL2(0.1), ElasticNet(0.1, 0.0)])
def test_a_penalty_that_is_smooth_away_from_0_is_taken(method, penalty):
    risk = line_fit(penalty)
    path = minimize(risk, torch.ones(4, dtype=torch.float64), method, steps=30)
    assert risk.gradient(path.points[-1]).norm() < 1e-6


@pytest.mark.parametrize("method", SEARCHES, ids=str)
@pytest.mark.parametrize("slope", [torch.nan, torch.inf])
def test_a_gradient_that_is_not_finite_shows_in_the_point(method, slope):
    """At a finite value: the slope of a root at 0."""

    class Rooted(Function):
        def value_and_gradient(self, w, batch=None):
            value, g = super().value_and_gradient(w, batch)
            return value, torch.where(w == 0, slope, g)

    def roots(w):
        return w.abs().clamp(min=1e-12).sqrt().sum() + 10 * ((w - 1) ** 2).sum()

    start = torch.tensor([0.0, 3.0], dtype=torch.float64)
    path = minimize(Rooted(roots), start, method, steps=2)
    assert not path.points[1].isfinite().all()
    assert not path.points[2].isfinite().all()
    assert not path.values[2].isfinite()


@pytest.mark.parametrize("method", [GaussNewton(damping=0.1), LevenbergMarquardt()], ids=str)
def test_so_it_does_in_least_squares(method):
    f = gradus.LeastSquares(lambda w: torch.cat([w.abs().sqrt(), w - 1]))
    path = minimize(f, torch.tensor([0.0, 3.0], dtype=torch.float64), method, steps=2)
    assert path.values[0].isfinite()
    assert path.values[1:].isnan().all()


@pytest.mark.parametrize("method", [*SEARCHES, *METHODS], ids=str)
@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_descends_where_squares_of_the_gradient_overflow(method, listed, dtype):
    """The gradient has norm 646 and 1-norm 1020, of which float16 has no squares."""
    a = torch.tensor([1.0, 5.0, 10.0, 1.0], dtype=dtype)
    f = Bowl(a)
    w = torch.full((4,), 60.0, dtype=dtype)
    w = Tensors([w[:2].clone().view(2, 1), w[2].clone(), w[3:].clone()]) if listed else w
    state = method.init(w)
    before = f.value(w)
    for _ in range(12):
        w, state = method.step(f, w, state)
    assert {part.dtype for part in (w.values if listed else [w])} == {dtype}
    assert f.value(w) < 0.01 * before


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_damping_counts_beside_entries_of_any_size(dtype):
    """100 + 0.02 is 100 in half precision, and the matrix of four such entries is singular."""
    matrix, mu = torch.full((2, 2), 100.0, dtype=dtype), 0.02
    across = torch.tensor([1.0, -1.0], dtype=dtype)  # where the curvature is mu alone
    solution = solved(damped(matrix, mu), mu * across)
    assert solution is not None
    torch.testing.assert_close(solution, across, rtol=1e-2, atol=1e-2)
    assert torch.equal(matrix, torch.full((2, 2), 100.0, dtype=dtype))
