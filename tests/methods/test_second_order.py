"""What all methods that use curvature refuse, and what they let through."""

import pytest
import torch

import gradus
from gradus import EmpiricalRisk, InputError, minimize
from gradus.methods import LBFGS, GaussNewton, LevenbergMarquardt, Newton, NewtonCG
from gradus.risk.penalties import L1, L2, ElasticNet, SquaredL2

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
        "where entries of w are 0: take ProximalGradient (--method proximal-gradient), or a "
        "first-order method in Proximal (--proximal)"
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
