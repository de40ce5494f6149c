"""Gauss-Newton and Levenberg-Marquardt: least squares, exact where linear, damped where not."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares

import gradus
from gradus import EmpiricalRisk, minimize
from gradus.errors import NotPositiveDefiniteError
from gradus.methods.gauss_newton import GaussNewton, LevenbergMarquardt
from gradus.methods.line_search import ROUNDING
from gradus.methods.newton import Newton
from gradus.risk.function import LeastSquares
from gradus.risk.penalties import SquaredL2
from gradus.risk.tensors import Tensors

# The same sums of a few products, in another order or fused with one another.
TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}


def vector(*entries):
    return torch.tensor(entries, dtype=torch.float64)


class Decay(torch.nn.Module):
    """a exp(-b x) + c, for x [B, 1]."""

    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(vector(1.0, 1.0, 0.0))

    def forward(self, x):
        return self.w[0] * torch.exp(-self.w[1] * x) + self.w[2]


def curve(noise=0.05):
    random = torch.Generator().manual_seed(0)
    x = torch.linspace(0, 4, 30, dtype=torch.float64).unsqueeze(1)
    y = 2.5 * torch.exp(-1.3 * x) + 0.5
    return x, y + noise * torch.randn(30, 1, generator=random, dtype=torch.float64)


def curve_fit(noise=0.05):
    return EmpiricalRisk(Decay(), gradus.MSELoss(), curve(noise))


def line_fit(penalty=None, loss=None, d=4):
    random = torch.Generator().manual_seed(1)
    x = torch.randn(25, d, generator=random, dtype=torch.float64)
    y = x.sum(1, keepdim=True) + torch.randn(25, 1, generator=random, dtype=torch.float64)
    model = torch.nn.Linear(d, 1, dtype=torch.float64)
    return EmpiricalRisk(model, loss or gradus.MSELoss(), (x, y), penalty)


def classes(penalty=None):
    random = torch.Generator().manual_seed(2)
    x = torch.randn(30, 2, generator=random, dtype=torch.float64)
    y = torch.randint(3, (30,), generator=random)
    model = torch.nn.Linear(2, 3, dtype=torch.float64)
    return EmpiricalRisk(model, gradus.CrossEntropyLoss(), (x, y), penalty)


def walk(method, f, w, steps, batch=None):
    state = method.init(w)
    kept = [(w, state)]
    for _ in range(steps):
        kept.append(method.step(f, *kept[-1], batch))
    return kept


class Valley:
    """f(w) = r(w)^2 / 2 of one residual r, with its matrix r'^2: what a step does can be chosen."""

    def __init__(self, residual, slope):
        self.residual, self.slope = residual, slope

    def value(self, w, batch=None):
        return (self.residual(w) ** 2 / 2).sum()

    def value_and_gradient(self, w, batch=None):
        return self.value(w), self.residual(w) * self.slope(w)

    def gauss_newton(self, w, batch=None):
        return self.slope(w).square().unsqueeze(0)


class TestGaussNewton:
    def test_linear_least_squares_is_solved_in_one_step(self):
        risk = line_fit()
        x, y = risk.data.x, risk.data.y
        design = torch.cat([x, torch.ones(25, 1, dtype=torch.float64)], dim=1)
        path = minimize(risk, torch.zeros(5, dtype=torch.float64), GaussNewton(), steps=1)
        expected = torch.linalg.lstsq(design, y).solution.squeeze(1)
        torch.testing.assert_close(path.points[1], expected, **TOLERANCE)

    @pytest.mark.parametrize(
        "risk",
        [line_fit(), line_fit(SquaredL2(0.3)), classes(SquaredL2(0.1))],
        ids=["squares", "ridge", "classes"],
    )
    @pytest.mark.parametrize("options", [{}, {"lr": 0.5}, {"damping": 0.7}])
    def test_on_a_model_that_is_linear_its_step_is_newtons(self, risk, options):
        start = torch.linspace(-0.5, 0.5, risk.dimension, dtype=torch.float64)
        path = minimize(risk, start, GaussNewton(**options), steps=3)
        newton = minimize(risk, start, Newton(**options), steps=3)
        torch.testing.assert_close(path.points, newton.points, rtol=1e-10, atol=1e-10)

    @pytest.mark.parametrize("line_search", ["backtracking", "strong-wolfe"])
    def test_a_curve_is_fitted_as_scipy_fits_it(self, line_search):
        risk = curve_fit()
        method = GaussNewton(line_search=line_search)
        path = minimize(risk, vector(1.0, 1.0, 0.0), method, steps=20)
        torch.testing.assert_close(path.points[-1], fitted_by_scipy(), rtol=0, atol=1e-8)

    @pytest.mark.parametrize("method", [GaussNewton(), LevenbergMarquardt()])
    def test_any_residuals_are_fitted_as_scipy_fits_them(self, method):
        """A circle through points: how far each is from it."""
        random = torch.Generator().manual_seed(4)
        angles = 4 * torch.rand(15, generator=random, dtype=torch.float64)
        noise = 0.05 * torch.randn(2, 15, generator=random, dtype=torch.float64)
        points = torch.stack([1 + 2 * angles.cos(), -1 + 2 * angles.sin()]) + noise

        def residuals(w):
            return (points - w[:2, None]).square().sum(0).sqrt() - w[2]

        path = minimize(LeastSquares(residuals), vector(0.0, 0.0, 1.0), method, steps=25)
        found = least_squares(
            lambda w: residuals(torch.from_numpy(w)).numpy(),
            [0.0, 0.0, 1.0],
            method="lm",
            xtol=1e-15,
            ftol=1e-15,
        )
        expected = torch.from_numpy(found.x)
        torch.testing.assert_close(path.points[-1], expected, rtol=0, atol=1e-8)

    @pytest.mark.parametrize("method", [GaussNewton(), LevenbergMarquardt()])
    def test_a_plain_function_is_refused(self, method):
        with pytest.raises(ValueError, match=r"EmpiricalRisk\).*LeastSquares\)"):
            minimize(lambda w: (w**2).sum(), vector(1.0, 2.0), method, steps=1)

    def test_on_residuals_that_vanish_it_converges_quadratically(self):
        risk, truth = curve_fit(noise=0.0), vector(2.5, 1.3, 0.5)
        path = minimize(risk, vector(2.0, 1.0, 0.3), GaussNewton(), steps=8)
        errors = [(point - truth).norm().item() for point in path.points]
        small = [error for error in errors if 1e-12 < error < 1]
        assert len(small) >= 3
        assert all(b <= 2 * a**2 for a, b in itertools.pairwise(small))
        assert errors[-1] < 1e-12

    def test_a_singular_matrix_is_refused(self):
        risk = classes()  # adding a constant to all outputs changes nothing
        with pytest.raises(NotPositiveDefiniteError) as refusal:
            minimize(risk, risk.point, GaussNewton(), steps=1)
        said = str(refusal.value)
        assert said.startswith(
            "step 0: the Gauss-Newton matrix is singular to working precision, its"
        )
        assert said.endswith(", or take LevenbergMarquardt")
        minimize(risk, risk.point, GaussNewton(damping=1e-3), steps=1)


def fitted_by_scipy():
    x, y = (tensor.squeeze(1).numpy() for tensor in curve())

    def residuals(w):
        return w[0] * np.exp(-w[1] * x) + w[2] - y

    found = least_squares(residuals, [1.0, 1.0, 0.0], method="lm", ftol=1e-15, xtol=1e-15)
    return torch.from_numpy(found.x)


class TestLevenbergMarquardt:
    @pytest.mark.parametrize("start", [(1.0, 1.0, 0.0), (10.0, 0.1, -5.0), (0.1, 4.0, 2.0)])
    def test_a_curve_is_fitted_as_scipy_fits_it(self, start):
        path = minimize(curve_fit(), vector(*start), LevenbergMarquardt(), steps=60)
        torch.testing.assert_close(path.points[-1], fitted_by_scipy(), rtol=0, atol=1e-8)

    @pytest.mark.parametrize("damping", [1e-6, 1e-3, 10.0])
    @pytest.mark.parametrize("start", [(1.0, 1.0, 0.0), (10.0, 0.1, -5.0), (0.1, 4.0, 2.0)])
    def test_f_never_rises(self, start, damping):
        path = minimize(curve_fit(), vector(*start), LevenbergMarquardt(damping=damping), steps=20)
        # To the rounding of a mean of 30 squares.
        assert (path.values.diff() <= 1e-15 * path.values[:-1]).all()

    @pytest.mark.parametrize("lr", [1.0, 2.0, 2.5, 10.0])
    def test_f_never_rises_by_more_than_its_rounding_whatever_the_learning_rate(self, lr):
        """A step of more than twice the way to the minimum of the model leads uphill."""
        risk = line_fit()
        start = torch.linspace(-3, 3, risk.dimension, dtype=torch.float64)
        path = minimize(risk, start, LevenbergMarquardt(lr), steps=40)
        rounding = ROUNDING * torch.finfo(torch.float64).eps
        assert (path.values.diff() <= rounding * path.values[:-1]).all()
        assert path.values[-1] < path.values[0]

    def test_a_step_that_promises_a_rise_is_damped(self):
        risk, start = line_fit(), torch.linspace(-3, 3, 5, dtype=torch.float64)
        (_, _), (after, state) = walk(LevenbergMarquardt(2.5), risk, start, steps=1)
        assert torch.equal(after, start)
        assert state.damping == 1e-2

    def test_one_step_is_the_damped_one(self):
        risk, start = line_fit(), torch.zeros(5, dtype=torch.float64)
        for lr, mu in ((1.0, 1e-3), (0.5, 0.7)):
            path = minimize(risk, start, LevenbergMarquardt(lr, mu), steps=1)
            damped = minimize(risk, start, GaussNewton(lr, mu), steps=1)
            torch.testing.assert_close(path.points, damped.points, **TOLERANCE)

    @pytest.mark.parametrize(
        ("residual", "slope", "taken", "factor"),
        [
            (lambda w: w, torch.ones_like, True, 0.1),  # the model is exact
            (lambda w: w**-0.5, lambda w: -0.5 * w**-1.5, True, 1),  # it gains 2/3 of its promise
            (lambda w: w, lambda w: -torch.ones_like(w), False, 10),  # it leads uphill
            (lambda w: w, lambda w: 0.05 * torch.ones_like(w), False, 10),  # far too far
            (lambda w: w / (w > 0.9), torch.ones_like, False, 10),  # to where f is not finite
        ],
    )
    def test_the_damping_follows_the_gain(self, residual, slope, taken, factor):
        f, w, mu = Valley(residual, slope), vector(1.0), 1e-3
        (_, _), (after, state) = walk(LevenbergMarquardt(damping=mu), f, w, steps=1)
        assert (not torch.equal(after, w)) == taken
        g, G = f.value_and_gradient(w)[1], f.gauss_newton(w)[0]
        p = -g / (G + mu)
        gain = (f.value(w) - f.value(w + p)) / (-g * p - p * G * p / 2)
        by_hand = 10 if not gain >= 0.25 else 0.1 if gain > 0.75 else 1
        assert state.damping == pytest.approx(mu * by_hand, rel=1e-12)
        assert factor == by_hand

    def test_the_damping_grows_until_a_step_gains(self):
        f, w = Valley(lambda w: w, lambda w: 0.05 * torch.ones_like(w)), vector(1.0)
        kept = walk(LevenbergMarquardt(damping=1e-3), f, w, steps=4)
        assert [state.damping for _, state in kept[:3]] == [1e-3, 1e-2, 1e-1]
        assert [float(point) for point, _ in kept[:2]] == [1.0, 1.0]
        assert abs(kept[4][0]) < 1

    def test_a_singular_matrix_is_damped(self):
        risk = classes()
        path = minimize(risk, risk.point, LevenbergMarquardt(damping=1e-300), steps=40)
        assert risk.gradient(path.points[-1]).norm() < 1e-9

    def test_at_a_perfect_fit_it_stays(self):
        risk, truth = curve_fit(noise=0.0), vector(2.5, 1.3, 0.5)
        kept = walk(LevenbergMarquardt(), risk, truth, steps=30)
        torch.testing.assert_close(kept[-1][0], truth, **TOLERANCE)
        assert 0 < kept[-1][1].damping < 1e-3

    def test_what_is_not_finite_goes_on_as_it_is(self):
        kept = walk(
            LevenbergMarquardt(), Valley(lambda w: w * torch.nan, torch.ones_like), vector(1.0), 3
        )
        assert kept[-1][0].isnan().all()


both = pytest.mark.parametrize(
    "method", [GaussNewton(damping=0.1), LevenbergMarquardt()], ids=lambda m: type(m).__name__
)


@both
def test_a_list_of_tensors_moves_as_the_flat_vector_on_batches(method):
    risk = classes()
    flat, listed = risk.point, risk.parameters
    one, other = method.init(flat), method.init(listed)
    for t in range(4):
        batch = slice(5 * t, 5 * t + 12)
        flat, one = method.step(risk, flat, one, batch)
        listed, other = method.step(risk, listed, other, batch)
        torch.testing.assert_close(listed.flat(), flat, **TOLERANCE)
    assert [value.shape for value in listed.values] == [(3, 2), (3,)]
    assert one == other


@pytest.mark.parametrize("cls", [GaussNewton, LevenbergMarquardt])
def test_rows_are_separate_runs_with_hyper_parameters_of_their_own(cls):
    risk, lr, damping = curve_fit(), (1.0, 0.5), (0.1, 0.01)
    starts = torch.stack([vector(1.0, 1.0, 0.0), vector(2.0, 1.0, 0.3)])
    together = cls(vector(*lr).unsqueeze(1), vector(*damping).unsqueeze(1))
    end = walk(together, risk, starts, steps=5)[-1]
    assert end[1].step == 5
    for k, start in enumerate(starts):
        alone = walk(cls(lr[k], damping[k]), risk, start, steps=5)[-1]
        torch.testing.assert_close(end[0][k], alone[0], **TOLERANCE)


@both
def test_a_step_changes_nothing_and_can_be_taken_again(method):
    risk, w = curve_fit(), vector(1.0, 1.0, 0.0)
    before, state = w.clone(), method.init(w)
    after, next_state = method.step(risk, w, state)
    again, _ = method.step(risk, w, state)
    assert torch.equal(w, before)
    assert torch.equal(after, again)
    assert (state.step, next_state.step) == (0, 1)


@both
def test_more_parameters_than_the_memory_holds_are_refused(method):
    with pytest.raises(ValueError, match=r"TB.*: take NewtonCG, which needs no matrix$"):
        method.init(Tensors([torch.empty(512, 784), torch.empty(512)]))


@pytest.mark.parametrize(
    ("cls", "given", "said"),
    [
        (GaussNewton, {"lr": -1.0}, r"lr must be a finite number >= 0, not -1\.0"),
        (GaussNewton, {"damping": -1}, r"damping must be a finite number >= 0, not -1"),
        (
            GaussNewton,
            {"line_search": "wolfe"},
            r"line_search must be None or one of 'backtracking', 'strong-wolfe', not 'wolfe'",
        ),
        (LevenbergMarquardt, {"lr": -1.0}, r"lr must be a finite number >= 0, not -1\.0"),
        (
            LevenbergMarquardt,
            {"damping": math.inf},
            r"damping must be a finite number >= 0, not inf",
        ),
        (
            LevenbergMarquardt,
            {"damping": 0.0},
            r"damping must be > 0, or it cannot grow; without it take GaussNewton",
        ),
    ],
)
def test_a_hyper_parameter_out_of_its_range_is_refused(cls, given, said):
    with pytest.raises(ValueError, match=f"^{said}$"):
        cls(**given)
