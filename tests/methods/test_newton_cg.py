"""Newton-CG: Newton's step by products alone, as exactly as its place deserves."""

import math
from functools import partial

import pytest
import torch
from torch.autograd import gradcheck

import gradus
from gradus import EmpiricalRisk, minimize
from gradus.methods.newton import Newton
from gradus.methods.newton_cg import NewtonCG
from gradus.risk.function import Function
from gradus.risk.penalties import SquaredL2

EPS = torch.finfo(torch.float64).eps

# The same sums of a few products, in another order or fused with one another.
TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}


def vector(*entries):
    return torch.tensor(entries, dtype=torch.float64)


def positive_definite(d, seed, condition=1e2):
    random = torch.Generator().manual_seed(seed)
    vectors, _ = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=random))
    eigenvalues = torch.logspace(0, math.log10(condition), d, dtype=torch.float64)
    return vectors @ torch.diag(eigenvalues) @ vectors.T


def quadratic(A, scale=1.0):
    return lambda w: scale * (w @ A @ w) / 2


def saddle(w):
    """A saddle at (0, 0) and minima at (0, 1) and (0, -1)."""
    return (w[0] ** 2 - w[1] ** 2) / 2 + w[1] ** 4 / 4


def classes(strength=0.05):
    random = torch.Generator().manual_seed(3)
    x = torch.randn(40, 3, generator=random, dtype=torch.float64)
    model = torch.nn.Linear(3, 3, dtype=torch.float64)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, generator=random)
    y = (x.argmax(1) + torch.randint(2, (40,), generator=random)) % 3
    return EmpiricalRisk(model, gradus.CrossEntropyLoss(), (x, y), SquaredL2(strength))


class Counting(Function):
    """A function that counts the products with its Hessian."""

    products = 0

    def curvature_at(self, w, batch=None):
        curvature, counting = super().curvature_at(w, batch), self

        class Counted:
            def __matmul__(self, v):
                counting.products += 1
                return curvature @ v

        return Counted()

    def hessian(self, w, batch=None, **limit):
        raise AssertionError("Newton-CG forms no matrix")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("damping", [0.0, 2.0])
def test_run_to_the_end_it_takes_newtons_step(seed, damping):
    """The gradient is scaled to be tiny, which asks for a residual of 1e-13 of it."""
    scale = 1e-28
    f = quadratic(positive_definite(8, seed), scale)
    start = torch.arange(1.0, 9.0, dtype=torch.float64)
    method = NewtonCG(damping=damping * scale, line_search=None)
    path = minimize(f, start, method, steps=1)
    newton = minimize(f, start, Newton(damping=damping * scale), steps=1)
    # The condition 100 times the residual, on entries up to 8.
    torch.testing.assert_close(path.points, newton.points, rtol=0, atol=1e-10)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scale", [1e3, 1.0, 1e-6])
def test_the_step_solves_newtons_equation_as_exactly_as_the_gradient_is_small(seed, scale):
    A = scale * positive_definite(12, seed)
    start = torch.linspace(-1, 1, 12, dtype=torch.float64)
    p = minimize(quadratic(A), start, NewtonCG(line_search=None), steps=1).points[1] - start
    g = A @ start
    residual = (A @ p + g).norm()
    assert residual < min(0.5, g.norm().sqrt()) * g.norm()


@pytest.mark.parametrize("most", [1, 3, 5])
def test_at_most_max_iterations_products_are_taken(most):
    f = Counting(quadratic(positive_definite(12, seed=0), scale=1e-28))
    w = torch.linspace(-1, 1, 12, dtype=torch.float64)
    method = NewtonCG(max_iterations=most)
    after, _ = method.step(f, w, method.init(w))
    assert f.products == most
    assert f.value(after) < f.value(w)


def test_one_iteration_is_the_exact_line_search_along_the_gradient():
    A, start = positive_definite(5, seed=1), torch.linspace(-1, 2, 5, dtype=torch.float64)
    method = NewtonCG(max_iterations=1, line_search=None)
    g = A @ start
    expected = start - (g @ g) / (g @ A @ g) * g
    path = minimize(quadratic(A), start, method, steps=1)
    torch.testing.assert_close(path.points[1], expected, **TOLERANCE)


def test_where_the_gradient_has_negative_curvature_the_step_goes_against_it():
    start = vector(0.01, 0.2)
    path = minimize(saddle, start, NewtonCG(line_search=None), steps=1)
    g = vector(0.01, -0.2 + 0.2**3)
    torch.testing.assert_close(path.points[1], start - g, **TOLERANCE)


def test_where_negative_curvature_is_met_later_the_step_goes_as_far_as_it_has_come():
    start = vector(0.2, 0.01)
    path = minimize(saddle, start, NewtonCG(line_search=None), steps=1)
    g, bend = vector(0.2, -0.01 + 1e-6), vector(1.0, -1 + 3e-4)
    expected = start - (g @ g) / (g @ (bend * g)) * g
    torch.testing.assert_close(path.points[1], expected, **TOLERANCE)


@pytest.mark.parametrize("line_search", [None, "backtracking", "strong-wolfe"])
@pytest.mark.parametrize("kind", [NewtonCG, partial(Newton, saddle_free=True)], ids=["cg", "free"])
class TestSaddles:
    @pytest.mark.parametrize("start", [(0.5, 0.01), (0.001, -1e-6), (2.0, 1e-6), (1.0, 1e-12)])
    def test_it_leaves_the_neighbourhood_of_one_for_a_minimum(self, kind, line_search, start):
        path = minimize(saddle, vector(*start), kind(line_search=line_search), steps=60)
        minimum = vector(0.0, math.copysign(1.0, start[1]))
        torch.testing.assert_close(path.points[-1], minimum, rtol=0, atol=1e-8)
        if line_search:
            assert (path.values.diff() <= 4 * EPS * path.values[:-1].abs()).all()

    @pytest.mark.parametrize("start", [(0.0, 0.0), (1.0, 0.0), (-3.0, 0.0)])
    def test_it_stays_at_one_and_arrives_there_on_the_line_that_leads_into_it(
        self, kind, line_search, start
    ):
        path = minimize(saddle, vector(*start), kind(line_search=line_search), steps=60)
        torch.testing.assert_close(path.points[-1], vector(0.0, 0.0), rtol=0, atol=1e-12)
        assert (path.points[:, 1] == 0).all()


@pytest.mark.parametrize("line_search", [None, "backtracking", "strong-wolfe"])
def test_a_risk_ends_where_newtons_method_ends(line_search):
    risk = classes()
    path = minimize(risk, risk.point, NewtonCG(line_search=line_search), steps=12)
    newton = minimize(risk, risk.point, Newton(line_search="backtracking"), steps=12)
    torch.testing.assert_close(path.points[-1], newton.points[-1], rtol=0, atol=1e-10)


@pytest.mark.parametrize("line_search", [None, "backtracking", "strong-wolfe"])
def test_at_a_stationary_point_it_stays(line_search):
    path = minimize(saddle, vector(0.0, 0.0), NewtonCG(line_search=line_search), steps=2)
    assert not path.points.any()


def test_what_is_not_finite_goes_on_as_it_is():
    path = minimize(lambda w: (w * torch.nan).sum(), vector(1.0, 2.0), NewtonCG(), steps=2)
    assert len(path) == 3
    assert path.values.isnan().all()


def test_rows_are_separate_runs_with_hyper_parameters_of_their_own():
    f = Function(saddle)
    starts = torch.stack([vector(0.5, 0.3), vector(1.0, -2.0), vector(-1.0, 1e-3)])
    lr, damping = (1.0, 0.5, 1.0), (0.0, 0.3, 0.1)
    together = NewtonCG(vector(*lr).unsqueeze(1), damping=vector(*damping).unsqueeze(1))
    w, state = starts, together.init(starts)
    for _ in range(4):
        w, state = together.step(f, w, state)
    for k, start in enumerate(starts):
        alone = minimize(saddle, start, NewtonCG(lr[k], damping=damping[k]), steps=4)
        torch.testing.assert_close(w[k], alone.points[-1], **TOLERANCE)


def test_a_list_of_tensors_moves_as_the_flat_vector():
    risk, method = classes(), NewtonCG()
    flat, listed = risk.point, risk.parameters
    state = method.init(flat)
    for t in range(3):
        batch = slice(10 * t, 10 * t + 20)
        flat, _ = method.step(risk, flat, state, batch)
        listed, state = method.step(risk, listed, state, batch)
        torch.testing.assert_close(listed.flat(), flat, rtol=1e-9, atol=1e-9)  # over iterations
    assert [value.shape for value in listed.values] == [(3, 3), (3,)]
    assert state.step == 3


def test_a_step_changes_nothing_and_can_be_taken_again():
    f, w, method = Function(saddle), vector(0.5, 0.3), NewtonCG()
    before, state = w.clone(), method.init(w)
    after, next_state = method.step(f, w, state)
    again, _ = method.step(f, w, state)
    assert torch.equal(w, before)
    assert torch.equal(after, again)
    assert (state.step, next_state.step) == (0, 1)


def test_three_steps_are_differentiable_in_the_start_and_the_hyper_parameters():
    class Quartic:
        """f(w) = a·w^4 / 12 + w^T w / 2, with derivatives that have derivatives."""

        a = vector(1.0, 2.0, 0.5)

        def value_and_gradient(self, w, batch=None):
            return self.a @ w**4 / 12 + w @ w / 2, self.a * w**3 / 3 + w

        def hvp(self, w, v, batch=None):
            return (self.a * w**2 + 1) * v

    def last_point(w, lr, damping):
        method, f = NewtonCG(lr, damping=damping, line_search=None), Quartic()
        state = method.init(w)
        for _ in range(3):
            w, state = method.step(f, w, state)
        return w

    inputs = (vector(1.0, -2.0, 0.5), vector(0.7)[0], vector(0.3)[0])
    assert gradcheck(last_point, [tensor.requires_grad_() for tensor in inputs])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"lr": -1.0}, r"lr must be a finite number >= 0, not -1\.0"),
        ({"max_iterations": 0}, r"max_iterations must be a whole number >= 1, not 0"),
        ({"damping": -0.5}, r"damping must be a finite number >= 0, not -0\.5"),
        (
            {"line_search": "armijo"},
            r"line_search must be None or one of 'backtracking', 'strong-wolfe', not 'armijo'",
        ),
    ],
)
def test_a_hyper_parameter_out_of_its_range_is_refused(given, said):
    with pytest.raises(ValueError, match=f"^{said}$"):
        NewtonCG(**given)
