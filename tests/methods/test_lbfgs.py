"""L-BFGS: the recursion against its matrix, against torch and SciPy, and its line searches."""

import math

import pytest
import torch
from scipy.optimize import minimize as peer
from torch.autograd import gradcheck

import gradus
from gradus import EmpiricalRisk, minimize
from gradus.methods.lbfgs import LBFGS, Pair, _two_loops
from gradus.methods.schedules import StepDecay
from gradus.risk.function import Function
from gradus.risk.penalties import SquaredL2

# The same sums of a few products, in another order or fused with one another.
TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}


def vector(*entries):
    return torch.tensor(entries, dtype=torch.float64)


def rosenbrock(w):
    return (100 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2).sum()


def positive_definite(d, seed, condition=1e2):
    random = torch.Generator().manual_seed(seed)
    vectors, _ = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=random))
    eigenvalues = torch.logspace(0, math.log10(condition), d, dtype=torch.float64)
    return vectors @ torch.diag(eigenvalues) @ vectors.T


def classes():
    random = torch.Generator().manual_seed(3)
    x = torch.randn(40, 3, generator=random, dtype=torch.float64)
    model = torch.nn.Linear(3, 3, dtype=torch.float64)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, generator=random)
    y = (x.argmax(1) + torch.randint(2, (40,), generator=random)) % 3
    return EmpiricalRisk(model, gradus.CrossEntropyLoss(), (x, y), SquaredL2(0.05))


class Recording(Function):
    """A function that keeps the batches of its gradients and values, in order."""

    def __init__(self, call):
        super().__init__(call)
        self.seen = []

    def value(self, w, batch=None):
        self.seen.append(("value", batch))
        return super().value(w, batch)

    def value_and_gradient(self, w, batch=None):
        self.seen.append(("gradient", batch))
        return super().value_and_gradient(w, batch)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_the_two_loops_apply_the_matrix_that_the_update_defines(count):
    """The update of BFGS, written out on matrices."""
    random = torch.Generator().manual_seed(count)
    A, d = positive_definite(6, seed=count), 6
    steps = torch.randn(count, d, dtype=torch.float64, generator=random)
    pairs = tuple(Pair(s, A @ s) for s in steps)
    identity = torch.eye(d, dtype=torch.float64)
    H = identity
    if pairs:
        H = pairs[-1].product / (pairs[-1].y @ pairs[-1].y) * identity
    for pair in pairs:
        V = identity - torch.outer(pair.y, pair.s) / pair.product
        H = V.T @ H @ V + torch.outer(pair.s, pair.s) / pair.product
    g = torch.randn(d, dtype=torch.float64, generator=random)
    torch.testing.assert_close(_two_loops(pairs, g), H @ g, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("history", [1, 3, 10])
@pytest.mark.parametrize("lr", [1.0, 0.3])
def test_without_a_line_search_the_path_is_that_of_torch(history, lr):
    """As long as s·y > 1e-10: what is less torch does not keep, in whatever units f is."""
    f, method = classes(), LBFGS(lr, history, line_search=None)
    w, state = f.point, method.init(f.point)
    moved = f.point.requires_grad_()
    options = {"max_iter": 1, "tolerance_grad": 0, "tolerance_change": 0}
    optimizer = torch.optim.LBFGS([moved], lr, history_size=history, **options)

    def closure():
        optimizer.zero_grad()
        value = f.value(moved)
        value.backward()
        return value

    while state.step < 12 and not (state.pairs and state.pairs[-1].product < 1e-10):
        w, state = method.step(f, w, state)
        optimizer.step(closure)
        # Rounding grows along the path: it is in every pair that later steps are made of.
        torch.testing.assert_close(w, moved.detach(), rtol=1e-8, atol=1e-8)
    assert state.step >= 6


@pytest.mark.parametrize("line_search", ["strong-wolfe", "backtracking"])
@pytest.mark.parametrize("d", [2, 6])
def test_rosenbrocks_function_is_minimised_where_scipy_finds_its_minimum(line_search, d):
    start = torch.tensor([-1.2, 1.0] * (d // 2), dtype=torch.float64)
    path = minimize(rosenbrock, start, LBFGS(line_search=line_search), steps=100)
    f = Function(rosenbrock)

    def with_gradient(w):
        value, g = f.value_and_gradient(torch.from_numpy(w))
        return value.item(), g.numpy()

    options = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 1000}
    found = peer(with_gradient, start.numpy(), jac=True, method="L-BFGS-B", options=options)
    torch.testing.assert_close(path.points[-1], torch.from_numpy(found.x), rtol=0, atol=1e-6)
    assert path.values[-1] < 1e-20
    assert (path.values.diff() <= 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_a_quadratic_is_minimised_in_a_few_times_d_steps(seed):
    """In d steps with exact line searches; these are within nine tenths of the slope."""
    d = 6
    A, start = positive_definite(d, seed), torch.linspace(-1, 2, d, dtype=torch.float64)
    path = minimize(lambda w: w @ A @ w / 2, start, LBFGS(history=3 * d), steps=6 * d)
    reached = (path.values < 1e-12 * path.values[0]).nonzero()[0].item()
    assert reached <= 4 * d


def test_a_pair_without_positive_curvature_is_not_kept():
    f, method = Function(lambda w: -(w**2).sum() / 2), LBFGS(0.1, line_search=None)
    w = vector(0.5, -0.25)
    state = method.init(w)
    for _ in range(3):
        w, state = method.step(f, w, state)
    assert state.pairs == ()
    assert state.step == 3


def test_only_the_latest_pairs_are_kept():
    f, method = Function(rosenbrock), LBFGS(history=3)
    w = vector(-1.2, 1.0)
    state, points = method.init(w), [w]
    for kept in (1, 2, 3, 3, 3):
        w, state = method.step(f, w, state)
        points.append(w)
        assert len(state.pairs) == kept
    for pair, before, after in zip(state.pairs, points[2:], points[3:], strict=False):
        assert torch.equal(pair.s, after - before)
        assert torch.equal(pair.y, f.gradient(after) - f.gradient(before))
        assert pair.product > 0


@pytest.mark.parametrize("start", [(3.0, -4.0), (0.3, -0.4)])
def test_the_first_step_is_no_longer_than_1_in_the_sum_of_its_entries(start):
    w = vector(*start)
    path = minimize(lambda w: (w**2).sum() / 2, w, LBFGS(0.5, line_search=None), steps=1)
    expected = w - 0.5 * w / max(1.0, w.abs().sum())
    torch.testing.assert_close(path.points[1], expected, **TOLERANCE)


@pytest.mark.parametrize(
    ("line_search", "kinds"),
    [
        (None, ["gradient", "gradient"]),
        ("backtracking", ["gradient", "value", "gradient"]),
        ("strong-wolfe", ["gradient", "gradient"]),
    ],
)
def test_a_step_sees_f_on_its_own_batch_alone_and_as_often_as_it_says(line_search, kinds):
    f = Recording(lambda w, batch: batch * (w**2 + w**4).sum())
    method, w = LBFGS(0.1, line_search=line_search), vector(0.25)
    state = method.init(w)
    w, state = method.step(f, w, state, 1.0)
    f.seen.clear()
    method.step(f, w, state, 2.0)
    # Function.value_and_gradient does not call value: each entry is one evaluation.
    assert f.seen == [(kind, 2.0) for kind in kinds]


def test_where_no_point_is_lower_it_stays_and_forgets():
    class Lying(Function):
        """Its gradient points uphill."""

        def value_and_gradient(self, w, batch=None):
            value, g = super().value_and_gradient(w, batch)
            return value, -g

    method, w = LBFGS(), vector(1.0, 2.0)
    pair = Pair(vector(1.0, 0.0), vector(1.0, 0.0))
    after, state = method.step(Lying(lambda w: (w**2).sum()), w, LBFGS.State(4, (pair,)))
    assert torch.equal(after, w)
    assert state == LBFGS.State(5)


def test_at_a_minimum_it_stays():
    path = minimize(lambda w: (w**2).sum(), vector(0.0, 0.0), LBFGS(), steps=3)
    assert not path.points.any()


def test_a_schedule_scales_the_step():
    f, start = classes(), classes().point
    schedule = StepDecay(0.5, decay_every=1, decay_factor=0.1)
    path = minimize(f, start, LBFGS(schedule, line_search=None), steps=2)
    constant = minimize(f, start, LBFGS(0.5, line_search=None), steps=2)
    assert torch.equal(path.points[1], constant.points[1])
    second, whole = path.points[2] - path.points[1], constant.points[2] - constant.points[1]
    torch.testing.assert_close(second, 0.1 * whole, **TOLERANCE)


def test_rows_are_separate_runs_with_a_learning_rate_of_their_own():
    f, lr = Function(rosenbrock), (1.0, 0.5, 0.1)
    starts = torch.stack([vector(-1.2, 1.0), vector(0.5, 0.3), vector(2.0, 2.0)])
    together = LBFGS(vector(*lr).unsqueeze(1))
    w, state = starts, together.init(starts)
    for _ in range(12):
        w, state = together.step(f, w, state)
    assert state.step == 12
    for k, start in enumerate(starts):
        alone = minimize(rosenbrock, start, LBFGS(lr[k]), steps=12)
        torch.testing.assert_close(w[k], alone.points[-1], **TOLERANCE)


def test_a_list_of_tensors_moves_as_the_flat_vector():
    risk, method = classes(), LBFGS()
    flat, listed = risk.point, risk.parameters
    one, other = method.init(flat), method.init(listed)
    for t in range(6):
        batch = slice(3 * t, 3 * t + 20)
        flat, one = method.step(risk, flat, one, batch)
        listed, other = method.step(risk, listed, other, batch)
        # Rounding grows along the path: it is in every pair that later steps are made of.
        torch.testing.assert_close(listed.flat(), flat, rtol=1e-9, atol=1e-9)
    assert [value.shape for value in listed.values] == [(3, 3), (3,)]


@pytest.mark.parametrize("line_search", [None, "backtracking", "strong-wolfe"])
def test_a_run_continues_from_any_kept_point_and_state(line_search):
    f, method = Function(rosenbrock), LBFGS(0.1, 4, line_search)
    w = vector(-1.2, 1.0)
    kept = [(w, method.init(w))]
    for _ in range(8):
        kept.append(method.step(f, *kept[-1]))
    again = [kept[3]]
    for _ in range(5):
        again.append(method.step(f, *again[-1]))
    for (w, state), (known, known_state) in zip(again, kept[3:], strict=True):
        assert torch.equal(w, known)
        assert len(state.pairs) == len(known_state.pairs)
        for pair, known_pair in zip(state.pairs, known_state.pairs, strict=True):
            assert torch.equal(pair.s, known_pair.s)
            assert torch.equal(pair.y, known_pair.y)


def test_the_whole_of_a_risk_is_minimised_to_rounding():
    risk = classes()
    path = minimize(risk, risk.point, LBFGS(), steps=40)
    assert risk.gradient(path.points[-1]).norm() < 1e-9


def test_three_steps_are_differentiable_in_the_start_and_the_learning_rate():
    def last_point(w0, lr):
        return minimize(rosenbrock, w0, LBFGS(lr, line_search=None), steps=3).points[-1]

    inputs = (vector(-1.2, 1.0, 0.5), vector(0.1)[0])
    assert gradcheck(last_point, [tensor.requires_grad_() for tensor in inputs])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"lr": -1.0}, r"lr must be a finite number >= 0, not -1\.0"),
        ({"history": 0}, r"history must be a whole number >= 1, not 0"),
        (
            {"line_search": "wolfe"},
            r"line_search must be None or one of 'backtracking', 'strong-wolfe', not 'wolfe'",
        ),
    ],
)
def test_a_hyper_parameter_out_of_its_range_is_refused(given, said):
    with pytest.raises(ValueError, match=f"^{said}$"):
        LBFGS(**given)


@pytest.mark.parametrize("bend", [0.0, -1.0])
def test_where_the_trials_run_out_a_pair_without_positive_curvature_is_not_kept(bend):
    """f falls for ever, and its slope never flattens: no step meets the strong Wolfe conditions."""
    f, method, w = Function(lambda w: (bend * w**2 - w).sum()), LBFGS(), vector(1.0)
    after, state = method.step(f, w, method.init(w))
    assert f.value(after) < f.value(w)
    assert state.pairs == ()
