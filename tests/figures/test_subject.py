"""The facts of the pictures of the subject, against the mathematics."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso
from torch.autograd.functional import hessian

from gradus.figures.subject import (
    derivative,
    descent,
    losses,
    momentum,
    newton,
    paths,
    polyak_nesterov,
    variance,
)
from gradus.figures.subject.datasets import diabetes, iris_petals
from gradus.figures.subject.landscapes import LANDSCAPES
from gradus.methods import Polyak
from gradus.methods.minimize import minimize
from tests.figures.subject_facts import facts_of


class TestDerivative:
    @property
    def found(self):
        return facts_of("derivative")

    def test_secants_have_the_slopes_of_the_sine(self):
        x = self.found.x
        for eps, slope in zip(self.found.secants, self.found.slopes, strict=True):
            assert slope == pytest.approx((math.sin(x + eps) - math.sin(x)) / eps, rel=1e-12)
        assert self.found.exact == math.cos(x)
        distances = np.abs(self.found.slopes - self.found.exact)
        assert (np.diff(distances) < 0).all()

    @pytest.mark.parametrize(("scheme", "order"), [("forward", 1), ("central", 2)])
    def test_truncation_falls_with_its_order(self, scheme, order):
        measured = getattr(self.found, scheme)
        truncation, rounding = self.found.expected(scheme)
        falls = (self.found.eps < 0.01) & (truncation > 100 * rounding)
        slope = np.polyfit(np.log(self.found.eps[falls]), np.log(measured[falls]), 1)[0]
        assert slope == pytest.approx(order, abs=0.01)
        np.testing.assert_allclose(measured[falls], truncation[falls], rtol=0.02)

    @pytest.mark.parametrize("scheme", ["forward", "central"])
    def test_rounding_stays_below_what_is_expected(self, scheme):
        truncation, rounding = self.found.expected(scheme)
        measured = getattr(self.found, scheme)
        # The rounding of x + eps itself moves the slope by at most as much again.
        small = self.found.eps < 0.01
        assert (measured <= 1.01 * truncation + 3 * rounding)[small].all()
        rises = rounding > 10 * truncation
        assert np.median(measured[rises] / rounding[rises]) > 0.02

    @pytest.mark.parametrize("scheme", ["forward", "central"])
    def test_the_best_eps_has_the_smallest_expected_error(self, scheme):
        fine = np.geomspace(1e-12, 1, 100_001)
        shifted = derivative.Derivative(**{**self.found.__dict__, "eps": fine})
        best = fine[np.argmin(sum(shifted.expected(scheme)))]
        assert getattr(self.found, f"best_{scheme}") == pytest.approx(best, rel=1e-3)


class TestDescent:
    @property
    def found(self):
        return facts_of("descent")

    def test_the_minimum_is_that_of_least_squares(self):
        x, y = iris_petals()
        solution = np.linalg.lstsq(x.numpy(), y.numpy()[:, 0])[0]
        np.testing.assert_allclose(self.found.minimum, solution, rtol=1e-10)
        assert self.found.lowest == pytest.approx(
            np.mean((x.numpy() @ solution - y.numpy()[:, 0]) ** 2)
        )

    def test_gradient_descent_goes_down_at_every_step_and_stochastic_steps_need_not(self):
        whole, stochastic, _ = self.found.paths
        assert self.found.rates[0] < 2 / self.found.largest
        assert (np.diff(whole.values) < 0).all()
        assert (np.diff(stochastic.values) > 0).any()

    def test_gradient_descent_shrinks_the_error_by_its_matrix(self):
        x, _ = iris_petals()
        H = 2 / len(x) * (x.T @ x).numpy()
        errors = self.found.paths[0].points - self.found.minimum
        step = np.eye(2) - self.found.rates[0] * H
        np.testing.assert_allclose(errors[1:], errors[:-1] @ step, rtol=1e-9, atol=1e-12)

    def test_all_consume_the_same_number_of_samples(self):
        for path, samples in zip(self.found.paths, self.found.samples, strict=True):
            assert len(samples) == len(path.points)
            assert samples[-1] == self.found.total
            assert tuple(path.points[0]) == descent.START

    def test_fewer_examples_a_step_scatter_more(self):
        late = [path.values[len(path.values) // 2 :] for path in self.found.paths]
        assert np.std(late[1]) > np.std(late[2])


class TestVariance:
    @property
    def found(self):
        return facts_of("variance")

    def test_sigma_is_that_of_the_single_gradients(self):
        x, y = (t.numpy() for t in iris_petals())
        w = np.array(variance.POINT)
        singles = 2 * (x @ w - y[:, 0])[:, None] * x
        np.testing.assert_allclose(self.found.full, singles.mean(0), rtol=1e-12)
        spread = ((singles - singles.mean(0)) ** 2).sum(1).mean()
        assert self.found.sigma2 == pytest.approx(spread, rel=1e-10)

    def test_the_law_without_replacement_is_exact_over_all_pairs(self):
        x, y = (t.numpy() for t in iris_petals())
        w = np.array(variance.POINT)
        singles = 2 * (x @ w - y[:, 0])[:, None] * x
        pairs = np.array([(a + b) / 2 for a, b in itertools.combinations(singles, 2)])
        exact = ((pairs - singles.mean(0)) ** 2).sum(1).mean()
        at = self.found.sizes.tolist().index(2)
        assert self.found.law(replacement=False)[at] == pytest.approx(exact, rel=1e-9)

    @pytest.mark.parametrize("replacement", [True, False])
    def test_what_is_measured_follows_the_law(self, replacement):
        measured = self.found.with_replacement if replacement else self.found.without
        ratio = measured / self.found.law(replacement=replacement)
        # A squared length of few degrees of freedom and heavy tails, over 400 draws.
        assert (np.abs(ratio - 1) < 0.35).all()
        assert abs(ratio.mean() - 1) < 0.1

    def test_four_times_the_batch_has_a_quarter_of_the_variance(self):
        law = self.found.law(replacement=True)
        np.testing.assert_allclose(law[2:5] / law[0:3], 1 / 4)


class TestMomentum:
    @property
    def found(self):
        return facts_of("momentum")

    def test_rates_are_the_spectral_radii_of_the_iteration(self):
        random = np.random.default_rng(0)
        for alpha, beta in zip(
            random.uniform(0.001, 0.2, 200), random.uniform(0, 1, 200), strict=True
        ):
            radius = max(
                np.abs(np.linalg.eigvals([[1 + beta - alpha * value, -beta], [1, 0]])).max()
                for value in momentum.EIGENVALUES
            )
            assert momentum.rate(np.array(alpha), np.array(beta)) == pytest.approx(radius, rel=1e-6)

    def test_regimes_are_those_of_the_roots(self):
        random = np.random.default_rng(1)
        seen = set()
        for alpha, beta in zip(
            random.uniform(0.001, 0.2, 500), random.uniform(0, 1, 500), strict=True
        ):
            roots = np.concatenate(
                [np.roots([1, -(1 + beta - alpha * v), beta]) for v in momentum.EIGENVALUES]
            )
            regime = int(momentum.regime(np.array(alpha), np.array(beta)))
            expected = (
                momentum.DIVERGENT
                if np.abs(roots).max() > 1
                else momentum.MONOTONE
                if (np.abs(roots.imag) < 1e-12).all() and (roots.real >= 0).all()
                else momentum.OSCILLATING
            )
            assert regime == expected
            seen.add(regime)
        assert len(seen) == 3

    def test_the_optimum_has_the_lowest_rate(self):
        alpha, beta = momentum.optimum()
        low, high = (value**0.5 for value in momentum.EIGENVALUES)
        lowest = float(momentum.rate(np.array(alpha), np.array(beta)))
        # At the optimum the two roots coincide: rounding of size u moves them by its root.
        assert lowest == pytest.approx((high - low) / (high + low), abs=1e-7)
        assert lowest <= self.found.rates.min() + 1e-7

    def test_measured_rates_are_the_predicted_ones(self):
        for point in self.found.points:
            assert point.measured == pytest.approx(point.predicted, rel=0.01)
        assert [point.predicted > 1 for point in self.found.points] == [False] * 3 + [True]

    def test_oscillation_is_that_of_the_regime(self):
        for alpha, beta in ((0.02, 0.99), (0.01, 0.01)):
            run = minimize(
                momentum.quadratic,
                torch.tensor(momentum.START, dtype=torch.float64),
                Polyak(alpha, beta),
                steps=100,
            )
            crosses = bool((run.points[:, 1] < 0).any())
            regime = momentum.regime(np.array(alpha), np.array(beta))
            assert crosses == (regime == momentum.OSCILLATING)


class TestPolyakNesterov:
    @property
    def found(self):
        return facts_of("polyak-nesterov")

    def test_a_step_is_the_sum_of_its_parts(self):
        for parts in self.found.parts:
            np.testing.assert_allclose(parts.after, parts.at + parts.momentum + parts.gradient)
            np.testing.assert_allclose(
                parts.momentum, polyak_nesterov.BETA * (parts.at - parts.previous)
            )
            slope = np.array([1.0, 25.0]) * parts.query
            np.testing.assert_allclose(parts.gradient, -polyak_nesterov.LR * slope, atol=1e-12)

    def test_only_nesterov_looks_ahead(self):
        polyak, nesterov = self.found.parts
        np.testing.assert_array_equal(polyak.query, polyak.at)
        np.testing.assert_allclose(nesterov.query, nesterov.at + nesterov.momentum)

    def test_the_function_is_convex_between_m_and_l(self):
        x = torch.linspace(-4, 5, 181, dtype=torch.float64)
        slopes = torch.stack(
            [torch.func.grad(polyak_nesterov.carefully_built)(value[None])[0] for value in x]
        )
        by_definition = torch.where(x < 1, 25 * x, torch.where(x < 2, x + 24, 25 * x - 24))
        torch.testing.assert_close(slopes, by_definition)
        bends = (slopes.diff() / x.diff()).numpy()
        assert bends.min() >= polyak_nesterov.M - 1e-6
        assert bends.max() <= polyak_nesterov.L + 1e-6
        values = [float(polyak_nesterov.carefully_built(value[None])) for value in x]
        for kink in (1.0, 2.0):  # f is continuous there
            below, above = (
                float(
                    polyak_nesterov.carefully_built(torch.tensor([kink + d], dtype=torch.float64))
                )
                for d in (-1e-9, 1e-9)
            )
            assert below == pytest.approx(above, abs=1e-4)
        assert min(values) == pytest.approx(0, abs=1e-4)

    def test_the_three_points_are_a_cycle_of_polyak_exactly(self):
        polyak, _ = polyak_nesterov.tuned()
        alpha, beta = Fraction(1, 9), Fraction(4, 9)
        assert (polyak.lr, polyak.beta) == (pytest.approx(1 / 9), pytest.approx(4 / 9))
        p, q, r = Fraction(792, 1225), Fraction(-2208, 1225), Fraction(2592, 1225)
        assert tuple(map(float, (p, q, r))) == polyak_nesterov.CYCLE

        def slope(x):
            return 25 * x if x < 1 else x + 24 if x < 2 else 25 * x - 24

        for before, at, after in ((p, q, r), (q, r, p), (r, p, q)):
            assert at - alpha * slope(at) + beta * (at - before) == after

    def test_polyak_goes_round_and_nesterov_arrives(self):
        start = torch.tensor([polyak_nesterov.CYCLE_START], dtype=torch.float64)
        polyak, nesterov = (
            minimize(polyak_nesterov.carefully_built, start, method, steps=300).points[:, 0]
            for method in polyak_nesterov.tuned()
        )
        np.testing.assert_allclose(
            sorted(polyak[-3:].tolist()), sorted(polyak_nesterov.CYCLE), atol=1e-9
        )
        assert abs(float(nesterov[-1])) < 1e-12
        np.testing.assert_allclose(self.found.errors[0], polyak[: polyak_nesterov.CYCLE_STEPS + 1])


class TestNewton:
    @property
    def found(self):
        return facts_of("newton")

    def test_the_gradient_vanishes_at_the_minimum(self):
        w = torch.tensor(newton.MINIMUM, dtype=torch.float64)
        assert torch.func.grad(newton.f)(w).abs().max() < 1e-15

    def test_every_newton_step_squares_the_error(self):
        errors = self.found.errors[1]
        ratios = errors[2:6] / errors[1:5] ** 2
        assert (ratios < 2.0).all()
        digits = self.found.digits[2:6]
        assert (digits[1:] / digits[:-1] > 1.9).all()

    def test_gradient_descent_shrinks_the_error_by_a_constant_factor(self):
        w = torch.tensor(newton.MINIMUM, dtype=torch.float64)
        H = hessian(newton.f, w)
        factor = max(abs(1 - newton.LR * float(value)) for value in torch.linalg.eigvalsh(H))
        errors = self.found.errors[0]
        np.testing.assert_allclose(errors[-5:] / errors[-6:-1], factor, rtol=1e-3)


class TestPaths:
    @pytest.mark.parametrize("name", LANDSCAPES)
    def test_the_minima_are_minima(self, name):
        landscape = LANDSCAPES[name]
        for minimum in landscape.minima:
            w = torch.tensor(minimum, dtype=torch.float64)
            assert torch.func.grad(landscape.f)(w).abs().max() < 1e-8
            assert torch.linalg.eigvalsh(hessian(landscape.f, w)).min() > 0
            assert float(landscape.f(w)) == pytest.approx(landscape.lowest, abs=1e-12)

    def test_the_saddle_is_one(self):
        w = torch.zeros(2, dtype=torch.float64)
        eigenvalues = torch.linalg.eigvalsh(hessian(LANDSCAPES["saddle"].f, w))
        assert eigenvalues[0] < 0 < eigenvalues[1]

    def test_the_best_rate_of_the_grid_is_taken(self):
        ravine = LANDSCAPES["ravine"]
        found = paths.facts(ravine, steps=40)
        x0, x1, y0, y1 = ravine.box
        for rate in (0.01, 0.05, 0.2):
            same = paths.facts(ravine, lr=rate, steps=40)
            for path, other in zip(found.paths, same.paths, strict=True):
                x, y = other.points.T
                inside = ((x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)).all()
                late, other_late = (each.values[-10:].mean() for each in (path, other))
                assert not inside or late <= other_late * (1 + 1e-12)

    def test_a_method_that_no_rate_keeps_in_the_picture_stays_at_the_start(self):
        steep = paths.own(lambda w: 1e9 * (w**2).sum(), "steep", (-2, 2, -2, 2))
        found = paths.facts(steep, steps=20)
        descent, *_, adam = found.paths
        assert math.isnan(found.rates[0])
        assert descent.label == "SGD: no α stays in the picture"
        assert descent.steps == 0
        assert adam.steps == 20
        paths.draw(found)

    def test_every_path_is_that_of_its_method(self):
        found = paths.facts(LANDSCAPES["beale"], lr=0.01, steps=20)
        assert [path.name for path in found.paths] == list(paths.CONTENDERS)
        for path in found.paths:
            method = paths.CONTENDERS[path.name][1](0.01)
            start = torch.tensor(found.landscape.start, dtype=torch.float64)
            run = minimize(found.landscape.f, start, method, steps=20)
            np.testing.assert_array_equal(path.points, run.points.numpy())

    def test_a_share_of_the_steps(self):
        found = paths.facts(LANDSCAPES["saddle"], lr=0.1, steps=20)
        half = found.until(0.5)
        assert half.paths[0].steps == 10
        np.testing.assert_array_equal(half.paths[0].points, found.paths[0].points[:11])


class TestRegularization:
    @property
    def found(self):
        return facts_of("regularization")

    @property
    def paths(self):
        return {path.name: path for path in self.found.paths}

    def test_l1_is_the_lasso(self):
        x, y, _ = diabetes()
        path = self.paths["l1"]
        for at in range(0, len(path.strengths), 9):
            lasso = Lasso(
                alpha=path.strengths[at] / 2, fit_intercept=False, tol=1e-10, max_iter=10**5
            )
            solution = lasso.fit(x.numpy(), y.numpy()[:, 0]).coef_
            np.testing.assert_allclose(path.solutions[at], solution, atol=1e-5)
            clear = np.abs(solution) > 1e-3
            assert (path.solutions[at][clear] != 0).all()

    def test_squared_l2_is_ridge_regression(self):
        x, y = (t.numpy() for t in diabetes()[:2])
        path = self.paths["squared-l2"]
        for at, strength in enumerate(path.strengths):
            matrix = 2 / len(x) * x.T @ x + strength * np.eye(10)
            solution = np.linalg.solve(matrix, 2 / len(x) * x.T @ y[:, 0])
            np.testing.assert_allclose(path.solutions[at], solution, atol=1e-5)

    def test_l2_balances_the_gradient(self):
        x, y = (t.numpy() for t in diabetes()[:2])
        path = self.paths["l2"]
        for strength, w in zip(path.strengths, path.solutions, strict=True):
            gradient = 2 / len(x) * x.T @ (x @ w - y[:, 0])
            if np.any(w):
                np.testing.assert_allclose(gradient, -strength * w / np.linalg.norm(w), atol=1e-5)
            else:
                assert np.linalg.norm(gradient) <= strength

    @pytest.mark.parametrize("name", ["l1", "l2"])
    def test_all_vanishes_where_it_is_said_to(self, name):
        path = self.paths[name]
        empty = path.nonzero == 0
        np.testing.assert_array_equal(empty, path.strengths >= path.vanishing)
        assert 0 < empty.sum() < len(empty)

    def test_l1_has_exact_zeros_and_the_others_have_none(self):
        assert {*self.paths["l1"].nonzero.tolist()} >= {0, 2, 4, 7, 10}
        assert {*self.paths["l2"].nonzero.tolist()} == {0, 10}
        assert {*self.paths["squared-l2"].nonzero.tolist()} == {10}


LOSSES = {
    "MSE": (lambda e: e**2, lambda e: 2 * e),
    "L1": (np.abs, np.sign),
    "NLL": (lambda p: -np.log(p), lambda p: -1 / p),
    "cross entropy": (lambda m: np.log1p(np.exp(-m)), lambda m: -1 / (1 + np.exp(m))),
    "KL divergence": (
        lambda p: 0.3 * np.log(0.3 / p) + 0.7 * np.log(0.7 / (1 - p)),
        lambda p: -0.3 / p + 0.7 / (1 - p),
    ),
}


@pytest.mark.parametrize("curve", losses.facts(), ids=lambda curve: curve.name)
def test_losses_and_their_gradients(curve):
    value, gradient = LOSSES[curve.name]
    np.testing.assert_allclose(curve.value, value(curve.at), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(curve.gradient, gradient(curve.at), rtol=1e-6, atol=1e-9)
