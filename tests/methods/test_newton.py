"""Newton's method: exact on quadratics, quadratic near minima, and clear where it cannot step."""

import itertools
import math
import re

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.autograd import gradcheck

import gradus
from gradus import EmpiricalRisk, minimize
from gradus.errors import InputError, NotPositiveDefiniteError
from gradus.methods import Newton, StepDecay
from gradus.methods.second_order import damped, not_positive_definite, solved
from gradus.risk.function import Function
from gradus.risk.penalties import SquaredL2
from gradus.risk.tensors import Tensors

EPS = torch.finfo(torch.float64).eps

# The same sums of a few products, in another order or fused with one another.
TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}


def vector(*entries):
    return torch.tensor(entries, dtype=torch.float64)


def rotated(eigenvalues, seed=0):
    """A symmetric matrix with these eigenvalues and random eigenvectors."""
    random = torch.Generator().manual_seed(seed)
    d = len(eigenvalues)
    vectors, _ = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=random))
    return vectors @ torch.diag(eigenvalues) @ vectors.T, vectors


def quadratic(A, minimum):
    return lambda w: (w - minimum) @ A @ (w - minimum) / 2


def labelled(n=60, d=3, seed=1):
    """Two classes that no plane separates."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=random, dtype=torch.float64)
    noise = torch.randn(n, generator=random, dtype=torch.float64)
    return x, (x @ torch.arange(1.0, d + 1, dtype=torch.float64) + 2 * noise > 0).long()


def logistic(x, y, strength=0.0):
    """The binary logistic loss with labels 0 and 1, without an intercept."""
    signs = 2.0 * y - 1

    def f(w):
        loss = torch.nn.functional.softplus(-signs * (x @ w)).mean()
        return loss + strength / 2 * (w @ w)

    return f


def saddle(w):
    return (w[0] ** 2 - w[1] ** 2) / 2 + w[1] ** 4 / 4


class TestOnAQuadratic:
    @pytest.mark.parametrize("condition", [1.0, 1e3, 1e6])
    def test_one_step_ends_at_the_minimum(self, condition):
        eigenvalues = torch.logspace(0, math.log10(condition), 8, dtype=torch.float64)
        A, _ = rotated(eigenvalues)
        minimum = torch.arange(8, dtype=torch.float64) - 3.5
        path = minimize(quadratic(A, minimum), torch.zeros_like(minimum), Newton(), steps=1)
        error = (path.points[1] - minimum).norm() / minimum.norm()
        assert error < 100 * EPS * condition  # the solution's own condition, times d and a few sums

    @pytest.mark.parametrize("lr", [0.5, StepDecay(0.5, decay_every=100)])
    def test_lr_is_the_part_of_the_way_that_a_step_goes(self, lr):
        A, _ = rotated(vector(1.0, 2.0, 5.0))
        start, minimum = vector(1.0, 2.0, 3.0), vector(-1.0, 0.0, 4.0)
        path = minimize(quadratic(A, minimum), start, Newton(lr), steps=3)
        for t, point in enumerate(path.points):
            expected = minimum + (start - minimum) / 2**t
            torch.testing.assert_close(point, expected, **TOLERANCE)

    def test_damping_shortens_the_step_along_each_eigenvector_by_its_own_part(self):
        eigenvalues = vector(0.5, 1.0, 4.0)
        A, vectors = rotated(eigenvalues)
        start, mu = vector(1.0, -2.0, 3.0), 1.5
        path = minimize(quadratic(A, 0 * start), start, Newton(damping=mu), steps=1)
        remaining = mu / (eigenvalues + mu)
        expected = vectors @ (remaining * (vectors.T @ start))
        torch.testing.assert_close(path.points[1], expected, **TOLERANCE)

    @pytest.mark.parametrize("line_search", ["backtracking", "strong-wolfe"])
    def test_a_line_search_takes_the_whole_step(self, line_search):
        A, _ = rotated(vector(1.0, 2.0, 5.0))
        f, start = quadratic(A, vector(1.0, 1.0, 1.0)), vector(4.0, -5.0, 6.0)
        plain = minimize(f, start, Newton(), steps=2)
        searched = minimize(f, start, Newton(line_search=line_search), steps=2)
        assert torch.equal(plain.points[1], searched.points[1])


class TestNearAMinimum:
    def test_the_error_is_squared_by_every_step(self):
        """From below 1 to 1e-13, where rounding takes over; by three steps at least."""
        f, start = logistic(*labelled(), strength=1e-3), torch.zeros(3, dtype=torch.float64)
        path = minimize(f, start, Newton(), steps=12)
        errors = [(point - path.points[-1]).norm().item() for point in path.points]
        first = next(t for t, error in enumerate(errors) if error < 1)
        doubling = [error for error in errors[first:] if error > 1e-13]
        assert len(doubling) >= 4
        ratios = [after / before**2 for before, after in itertools.pairwise(doubling)]
        assert max(ratios) <= 1  # so that what is smaller than 1 is squared, at least
        assert errors[-2] < 1e-14

    @pytest.mark.parametrize("line_search", [None, "backtracking", "strong-wolfe"])
    def test_the_optimum_of_logistic_regression_is_that_of_scikit_learn(self, line_search):
        x, y = labelled(n=80, d=4)
        strength = 0.02
        path = minimize(
            logistic(x, y),
            torch.zeros(4, dtype=torch.float64),
            Newton(line_search=line_search),
            steps=12,
            penalty=SquaredL2(strength),
        )
        peer = LogisticRegression(
            C=1 / (strength * len(y)), fit_intercept=False, solver="newton-cholesky", tol=1e-12
        ).fit(x.numpy(), y.numpy())
        torch.testing.assert_close(
            path.points[-1], torch.from_numpy(peer.coef_[0]), rtol=1e-6, atol=1e-6
        )

    @pytest.mark.parametrize("listed", [False, True])
    def test_a_risk_of_several_classes_ends_where_its_gradient_is_zero(self, listed):
        x, y = labelled()
        model = torch.nn.Linear(3, 3, dtype=torch.float64)
        torch.nn.init.zeros_(model.weight)
        torch.nn.init.zeros_(model.bias)
        classes = y + (x[:, 0] > 1).long()
        risk = EmpiricalRisk(model, gradus.CrossEntropyLoss(), (x, classes), SquaredL2(0.01))
        w, method = risk.parameters if listed else risk.point, Newton()
        state = method.init(w)
        for _ in range(8):
            w, state = method.step(risk, w, state)
        g = risk.gradient(w)
        assert (g.flat() if listed else g).norm() < 1e-14
        assert state.step == 8


class TestWithoutAPositiveDefiniteHessian:
    @pytest.mark.parametrize(
        ("eigenvalues", "smallest", "enough"),
        [
            ((3.0, -2.0, 1.0), "-2", "2.1"),
            ((3.0, -2.0, -7.5), "-7.5", "7.6"),
            ((-1e-3, 5.0, 1.0), "-0.001", "0.0011"),
            ((1.0, 5.0, -2.4498), "-2.45", "2.5"),
            ((1.0, 5.0, -99.5), "-99.5", "1e+02"),
        ],
    )
    def test_an_indefinite_one_is_refused(self, eigenvalues, smallest, enough):
        f = quadratic(rotated(vector(*eigenvalues))[0], torch.zeros(3, dtype=torch.float64))
        with pytest.raises(NotPositiveDefiniteError) as refusal:
            minimize(f, vector(1.0, 2.0, 3.0), Newton(), steps=1)
        assert str(refusal.value) == (
            "step 0: the Hessian is not positive definite, its smallest eigenvalue is "
            f"{smallest}: give damping of at least {enough}, saddle_free=True, or take NewtonCG"
        )
        assert issubclass(NotPositiveDefiniteError, InputError)

    @pytest.mark.parametrize("eigenvalues", [(1.0, 0.0, 2.0), (0.0, 0.0, 0.0), (1e-17, 1.0, 2.0)])
    def test_a_singular_one_is_refused(self, eigenvalues):
        f = quadratic(rotated(vector(*eigenvalues))[0], torch.zeros(3, dtype=torch.float64))
        with pytest.raises(NotPositiveDefiniteError, match=r"^step 0: the Hessian is singular to"):
            minimize(f, vector(1.0, 2.0, 3.0), Newton(), steps=1)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
    @pytest.mark.parametrize("given", [0.0, 0.5, 0.9])
    def test_the_damping_that_is_advised_is_enough(self, dtype, given):
        """Over indefinite and singular matrices; given: the part of it that is damped already."""
        random = torch.Generator().manual_seed(0)
        for case in range(60):
            d, scale = 1 + case % 12, 10.0 ** (case % 5 - 2)
            factor = torch.randn(d, max(1, d - 1), generator=random, dtype=torch.float64)
            signs = (
                torch.ones(factor.shape[1])
                if case % 2
                else torch.randn(factor.shape[1], generator=random)
            )
            A = (scale * (factor * signs.to(factor)) @ factor.T).to(dtype)
            g = torch.ones(d, dtype=dtype)
            smallest = torch.linalg.eigvalsh(A.double())[0].item()
            damping = given * max(0.0, -smallest)
            matrix = damped(A, damping)
            if solved(matrix, g) is not None:
                continue
            refusal = not_positive_definite("Hessian", matrix, damping, 0, "or not")
            advised = re.search(r"of at least (\S+),", str(refusal))
            assert solved(damped(A, float(advised[1])), g) is not None

    def test_the_damping_that_is_advised_for_no_curvature_at_all_is_enough(self):
        f, start = quadratic(torch.zeros(2, 2).double(), vector(0.0, 0.0)), vector(1.0, 2.0)
        with pytest.raises(NotPositiveDefiniteError) as refusal:
            minimize(f, start, Newton(), steps=1)
        advised = float(re.search(r"of at least (\S+),", str(refusal.value))[1])
        assert torch.equal(minimize(f, start, Newton(damping=advised), steps=1).points[1], start)

    def test_the_scales_of_the_entries_of_w_do_not_make_it_singular(self):
        scales = vector(1.0, 1e-6, 1e6)
        minimum = vector(1.0, 2.0, 3.0) / scales
        A = torch.diag(scales) @ rotated(vector(1.0, 2.0, 3.0))[0] @ torch.diag(scales)
        path = minimize(quadratic(A, minimum), 0 * minimum, Newton(), steps=1)
        torch.testing.assert_close(path.points[1] * scales, minimum * scales, **TOLERANCE)

    def test_the_step_of_the_refusal_is_named(self):
        """f(w) = -exp(-w^2 / 2), convex for |w| < 1: a step ends at -w^3 / (1 - w^2)."""
        w = 0.72
        for _ in range(2):
            w = -(w**3) / (1 - w**2)
        smallest = re.escape(f"{(1 - w**2) * math.exp(-(w**2) / 2):.3g}")
        with pytest.raises(
            NotPositiveDefiniteError, match=rf"^step 2: .* eigenvalue is {smallest}: "
        ):
            minimize(lambda w: -(-(w**2) / 2).exp().sum(), vector(0.72), Newton(), steps=9)

    def test_the_smallest_eigenvalue_is_that_without_damping(self):
        f = quadratic(torch.diag(vector(1.0, -2.0)), vector(0.0, 0.0))
        with pytest.raises(
            NotPositiveDefiniteError, match=r"eigenvalue is -2: give damping of at least 2\.1,"
        ):
            minimize(f, vector(1.0, 1.0), Newton(damping=1.5), steps=1)
        path = minimize(f, vector(1.0, 1.0), Newton(damping=2.5), steps=1)
        torch.testing.assert_close(path.points[1], vector(1 - 1 / 3.5, 1 + 2 / 0.5), **TOLERANCE)

    def test_what_is_not_finite_goes_on_as_it_is(self):
        path = minimize(lambda w: (w**2).log().sum() / 0, vector(1.0, 2.0), Newton(), steps=2)
        assert len(path) == 3
        assert path.points[2].isnan().all()
        path = minimize(
            lambda w: (w * torch.inf).sum() * w.sum(),
            vector(1.0),
            Newton(saddle_free=True),
            steps=1,
        )
        assert path.points[1].isnan().all()


class TestSaddleFree:
    def test_it_leaves_the_saddle_that_attracts_the_plain_method(self):
        start = vector(0.5, 0.1)
        path = minimize(saddle, start, Newton(lr=0.5, saddle_free=True), steps=60)
        torch.testing.assert_close(path.points[-1], vector(0.0, 1.0), rtol=0, atol=1e-8)

    def test_one_step_goes_against_the_gradient_in_the_metric_of_the_absolute_hessian(self):
        eigenvalues = vector(2.0, -4.0, 0.5)
        A, vectors = rotated(eigenvalues)
        start = vector(1.0, 2.0, 3.0)
        path = minimize(
            quadratic(A, 0 * start), start, Newton(saddle_free=True, damping=0.25), steps=1
        )
        along = eigenvalues / (eigenvalues.abs() + 0.25)
        expected = start - vectors @ (along * (vectors.T @ start))
        torch.testing.assert_close(path.points[1], expected, **TOLERANCE)

    def test_it_does_not_move_where_there_is_no_curvature(self):
        def f(w):
            return w[0] ** 2 + 3 * w[1]

        start = vector(1.0, 2.0)
        path = minimize(f, start, Newton(saddle_free=True), steps=1)
        assert torch.equal(path.points[1], vector(0.0, 2.0))
        damped = minimize(f, start, Newton(saddle_free=True, damping=0.5), steps=1)
        torch.testing.assert_close(damped.points[1], vector(1 - 2 / 2.5, 2 - 6.0), **TOLERANCE)

    def test_on_a_convex_function_it_is_newtons_step(self):
        f, start = logistic(*labelled(), strength=0.1), vector(0.3, -0.2, 0.5)
        plain = minimize(f, start, Newton(damping=0.1), steps=3)
        free = minimize(f, start, Newton(damping=0.1, saddle_free=True), steps=3)
        torch.testing.assert_close(free.points, plain.points, **TOLERANCE)

    def test_plain_newton_is_attracted_by_the_saddle_once_its_hessian_is_inverted(self):
        """The step that Cholesky refuses, written out: it ends at the saddle."""
        w = vector(0.5, 0.1)
        oracle = Function(saddle)
        for _ in range(6):
            w = w - torch.linalg.solve(oracle.hessian(w), oracle.gradient(w))
        torch.testing.assert_close(w, vector(0.0, 0.0), **TOLERANCE)


class TestForms:
    def test_rows_are_separate_runs_with_hyper_parameters_of_their_own(self):
        f = logistic(*labelled(), strength=0.1)
        w = torch.stack([vector(0.0, 0.0, 0.0), vector(1.0, -1.0, 0.5)])
        lr, damping = (1.0, 0.5), (0.0, 0.3)
        together = Newton(vector(*lr).unsqueeze(1), vector(*damping).unsqueeze(1))
        state = together.init(w)
        for _ in range(3):
            w, state = together.step(Function(f), w, state)
        assert state.step == 3
        for k, start in enumerate((vector(0.0, 0.0, 0.0), vector(1.0, -1.0, 0.5))):
            alone = minimize(f, start, Newton(lr[k], damping[k]), steps=3)
            torch.testing.assert_close(w[k], alone.points[-1], **TOLERANCE)

    def test_a_list_of_tensors_moves_as_the_flat_vector(self):
        x, y = labelled()
        model = torch.nn.Linear(3, 2, dtype=torch.float64)
        torch.nn.init.zeros_(model.weight)
        torch.nn.init.ones_(model.bias)
        risk = EmpiricalRisk(model, gradus.CrossEntropyLoss(), (x, y), SquaredL2(0.1))
        method = Newton(line_search="backtracking")
        flat, listed = risk.point, risk.parameters
        for _ in range(3):
            flat, _ = method.step(risk, flat, method.init(flat), slice(0, 40))
            listed, _ = method.step(risk, listed, method.init(listed), slice(0, 40))
        assert isinstance(listed, Tensors)
        assert [value.shape for value in listed.values] == [(2, 3), (2,)]
        torch.testing.assert_close(listed.flat(), flat, **TOLERANCE)

    @pytest.mark.parametrize("line_search", [None, "backtracking", "strong-wolfe"])
    def test_a_step_changes_nothing_and_can_be_taken_again(self, line_search):
        f, w = Function(logistic(*labelled(), strength=0.1)), vector(0.3, -0.2, 0.5)
        method, before = Newton(line_search=line_search), w.clone()
        state = method.init(w)
        after, next_state = method.step(f, w, state)
        again, _ = method.step(f, w, state)
        assert torch.equal(w, before)
        assert torch.equal(after, again)
        assert (state.step, next_state.step) == (0, 1)

    @pytest.mark.parametrize("saddle_free", [False, True])
    def test_three_steps_are_differentiable_in_the_start_and_the_hyper_parameters(
        self, saddle_free
    ):
        class Waves:
            """f(w) = a·w^4 / 12 + c w^T w / 2 + w_0 w_1, with derivatives that have derivatives."""

            a, mixed = vector(1.0, 2.0), torch.tensor([[0.0, 1.0], [1.0, 0.0]]).double()

            def value(self, w, batch=None):
                return self.a @ w**4 / 12 + w @ w / 2 + w[0] * w[1]

            def value_and_gradient(self, w, batch=None):
                return self.value(w), self.a * w**3 / 3 + w + self.mixed @ w

            def hessian(self, w, batch=None):
                return torch.diag(self.a * w**2 + 1) + self.mixed

        def last_point(w, lr, damping):
            method, f = Newton(lr, damping, saddle_free), Waves()
            state = method.init(w)
            for _ in range(3):
                w, state = method.step(f, w, state)
            return w

        inputs = (vector(1.0, -2.0), vector(0.7)[0], vector(0.3)[0])
        assert gradcheck(last_point, [tensor.requires_grad_() for tensor in inputs])

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
    @pytest.mark.parametrize("saddle_free", [False, True])
    def test_points_keep_the_dtype(self, dtype, saddle_free):
        start = torch.tensor([1.0, -2.0], dtype=dtype)
        path = minimize(lambda w: (w**2).sum(), start, Newton(saddle_free=saddle_free), steps=1)
        assert path.points.dtype == dtype
        assert not path.points[1].any()


class TestRefusals:
    def test_more_parameters_than_the_memory_holds_are_refused_before_anything_is_formed(self):
        with pytest.raises(ValueError, match=r"3\.6 TB.*: take NewtonCG, which needs no matrix$"):
            Newton().init(torch.empty(669_706))
        layers = [torch.empty(512, 784), torch.empty(512, 512)]
        with pytest.raises(ValueError, match="the Hessian and its eigenvectors of 663,552 x"):
            Newton(saddle_free=True).init(Tensors(layers))

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"lr": -1.0}, r"lr must be a finite number >= 0, not -1\.0"),
            ({"damping": -0.5}, r"damping must be a finite number >= 0, not -0\.5"),
            ({"damping": math.nan}, r"damping must be a finite number >= 0, not nan"),
            (
                {"line_search": "wolfe"},
                r"line_search must be None or one of 'backtracking', 'strong-wolfe', not 'wolfe'",
            ),
        ],
    )
    def test_a_hyper_parameter_out_of_its_range_is_refused(self, given, said):
        with pytest.raises(ValueError, match=f"^{said}$"):
            Newton(**given)
