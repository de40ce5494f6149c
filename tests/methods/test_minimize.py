"""The path that minimize keeps: its shape, its values, and what it accepts as f and as batches."""

import itertools

import pytest
import torch

import gradus
from gradus import EmpiricalRisk, minimize
from gradus.data.sampling import Sampling
from gradus.methods import LBFGS, SGD, Adam, GradientDescent, Nesterov, Newton, Polyak

W0 = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)

# The same sums, in another order.
TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}


def bowl(w):
    return (w**2).sum() / 2


@pytest.fixture
def risk():
    random = torch.Generator().manual_seed(0)
    x = torch.randn(11, 3, generator=random, dtype=torch.float64)
    y = torch.randn(11, 1, generator=random, dtype=torch.float64)
    model = torch.nn.Linear(3, 1, dtype=torch.float64)
    return EmpiricalRisk(model, gradus.MSELoss(), (x, y))


@pytest.mark.parametrize("steps", [0, 1, 5])
@pytest.mark.parametrize("shape", [(4,), (1,), (), (2, 2)])
def test_a_trajectory_has_one_point_more_than_steps(steps, shape):
    w0 = W0[: torch.Size(shape).numel()].reshape(shape)
    path = minimize(bowl, w0, GradientDescent(0.5), steps=steps)
    assert path.points.shape == (steps + 1, *shape)
    assert path.values.shape == (steps + 1,)
    assert len(path) == steps + 1
    for t, (point, value) in enumerate(zip(path.points, path.values, strict=True)):
        assert torch.equal(point, w0 * 0.5**t)
        assert torch.equal(value, bowl(point))


@pytest.mark.parametrize("method", [Polyak(0.1, 0.9), Nesterov(0.1, 0.9), SGD(0.1), Adam(0.1)])
def test_the_start_is_not_changed(method):
    w0 = W0.clone()
    path = minimize(bowl, w0, method, steps=3)
    assert torch.equal(w0, W0)
    assert w0.grad is None
    assert not w0.requires_grad
    assert not path.points.requires_grad
    assert not path.values.requires_grad


def test_a_path_that_starts_from_a_leaf_is_differentiable_in_it():
    w0 = W0.clone().requires_grad_()
    path = minimize(bowl, w0, GradientDescent(0.5), steps=3)
    (slope,) = torch.autograd.grad(path.points[-1].sum(), w0)
    assert torch.equal(slope, torch.full_like(W0, 0.5**3))
    assert w0.grad is None


def test_f_is_seen_under_no_grad_as_elsewhere():
    with torch.no_grad():
        path = minimize(bowl, W0, GradientDescent(0.5), steps=3)
        leaf = minimize(bowl, W0.clone().requires_grad_(), GradientDescent(0.5), steps=3)
    assert torch.equal(path.points[-1], W0 / 8)
    assert torch.equal(leaf.points[-1], W0 / 8)
    assert not leaf.points.requires_grad


def test_a_path_that_diverges_is_returned_as_it_is():
    path = minimize(lambda w: (w**4).sum(), W0, GradientDescent(10.0), steps=30)
    assert len(path) == 31
    assert not path.values[-1].isfinite()


def test_a_risk_is_moved_on_its_batches_and_valued_on_the_whole_data(risk):
    sampling = Sampling("shuffle", n=11, batch_size=4, seed=3)
    batches = list(itertools.chain(sampling.epoch(0), sampling.epoch(1)))
    assert [len(batch) for batch in batches] == [4, 4, 3, 4, 4, 3]
    path = minimize(risk, W0, GradientDescent(0.1), steps=6, batches=batches)
    x, y = risk.data.x, risk.data.y
    w = W0
    for t, batch in enumerate(batches):
        torch.testing.assert_close(path.points[t], w, **TOLERANCE)
        everywhere = (x @ w[:3] + w[3] - y[:, 0]).square().mean()
        torch.testing.assert_close(path.values[t], everywhere, **TOLERANCE)
        error = x[batch] @ w[:3] + w[3] - y[batch, 0]
        slopes = torch.cat([x[batch], torch.ones(len(batch), 1, dtype=w.dtype)], dim=1)
        w = w - 0.1 * 2 / len(batch) * error @ slopes
    torch.testing.assert_close(path.points[6], w, **TOLERANCE)


def test_without_batches_every_step_sees_the_whole_data(risk):
    whole = Sampling("full", n=11)
    batches = itertools.chain.from_iterable(whole.epoch(epoch) for epoch in itertools.count())
    by_batches = minimize(risk, W0, Polyak(0.1, 0.5), steps=5, batches=batches)
    path = minimize(risk, W0, Polyak(0.1, 0.5), steps=5)
    torch.testing.assert_close(path.points, by_batches.points, **TOLERANCE)


def test_a_callable_is_given_the_batches_and_valued_without():
    """f(w; xi) = (w - xi)^2 / 2 with lr 1 lands on each xi."""

    def f(w, batch=0.0):
        return ((w - batch) ** 2).sum() / 2

    w0 = torch.zeros(1, dtype=torch.float64)
    path = minimize(f, w0, GradientDescent(1.0), steps=3, batches=[5.0, -2.0, 4.0, 9.0])
    assert path.points[:, 0].tolist() == [0.0, 5.0, -2.0, 4.0]
    assert path.values.tolist() == [0.0, 12.5, 2.0, 8.0]


def test_only_as_many_batches_are_drawn_as_there_are_steps():
    source = iter([1.0, 2.0, 3.0, 4.0])
    minimize(lambda w, b=1.0: b * bowl(w), W0, GradientDescent(0.1), steps=3, batches=source)
    assert list(source) == [4.0]


def test_too_few_batches_are_refused(risk):
    sampling = Sampling("sequential", n=11, batch_size=4)
    with pytest.raises(ValueError, match=r"^the batches ran out after 3 of 4 steps$"):
        minimize(risk, W0, GradientDescent(0.1), steps=4, batches=sampling.epoch(0))


@pytest.mark.parametrize(
    ("f", "said"),
    [
        (lambda w: w**2, r"f must return a scalar tensor, but f\(w\) is shape \(4,\)"),
        (lambda w: w[:1] ** 2, r"f must return a scalar tensor, but f\(w\) is shape \(1,\)"),
        (lambda w: 1.0, r"f must return a scalar tensor, but f\(w\) is 1\.0"),
        (lambda w: None, r"f must return a scalar tensor, but f\(w\) is None"),
    ],
)
def test_an_f_that_is_not_a_scalar_is_refused(f, said):
    with pytest.raises(ValueError, match=f"^{said}$"):
        minimize(f, W0, GradientDescent(0.1), steps=1)


def test_an_f_that_does_not_depend_on_some_of_w_leaves_it_where_it_is():
    path = minimize(lambda w: (w[:2] ** 2).sum(), W0, GradientDescent(0.1), steps=2)
    assert torch.equal(path.points[-1][2:], W0[2:])
    path = minimize(lambda w: 0.0 * w[0] + 3.0, W0, GradientDescent(0.1), steps=2)
    assert torch.equal(path.points[-1], W0)


@pytest.mark.parametrize("method", [Adam(0.1), GradientDescent(0.1), Newton(), LBFGS()])
def test_a_complex_start_is_refused_with_what_to_give_instead(method):
    target = torch.tensor([1 + 2j, -0.5j])

    def f(z):
        return (z - target).abs().square().sum()

    w0 = torch.zeros(2, dtype=torch.complex64)
    with pytest.raises(TypeError, match=r"^w0 is complex, and .* torch\.view_as_real\(w0\)"):
        minimize(f, w0, method, steps=1)
    pairs = torch.view_as_real(w0).flatten()
    path = minimize(lambda w: f(torch.view_as_complex(w.view(-1, 2))), pairs, method, steps=1)
    assert path.values[1] < path.values[0]


@pytest.mark.parametrize(
    ("w0", "method", "said"),
    [
        ([1.0, 2.0], GradientDescent(0.1), "w0 must be a tensor of floating point numbers, not li"),
        (torch.ones(2, dtype=torch.int64), GradientDescent(0.1), "numbers, not torch.int64"),
        (torch.ones(2), "lbfgs", r"method must be a method, such as .*, not 'lbfgs'"),
        (torch.ones(2), GradientDescent, r"method must be a method, such as .*, not <class"),
    ],
)
def test_what_is_no_start_or_no_method_is_refused(w0, method, said):
    with pytest.raises(TypeError, match=said):
        minimize(lambda w: (w**2).sum(), w0, method, steps=1)


METHODS = (
    gradus.methods.GradientDescent(0.1),
    gradus.methods.Nesterov(0.1, 0.9),
    gradus.methods.Adam(0.1),
    gradus.methods.LBFGS(),
    gradus.methods.NewtonCG(),
    gradus.methods.Newton(damping=1.0),
    gradus.methods.Newton(saddle_free=True),
)
LEAST_SQUARES = (gradus.methods.GaussNewton(damping=1.0), gradus.methods.LevenbergMarquardt())
# Each as a value, and as the residuals of a mean of squares.
CONSTANT = {
    "a number": (lambda w: torch.tensor(3.0), lambda w: torch.tensor([3.0, 1.0])),
    "a leaf": (lambda w: torch.ones((), requires_grad=True), lambda w: torch.ones(2)),
    "steps": (lambda w: w.ceil().detach().sum(), lambda w: w.ceil().detach()),
    "no number": (lambda w: torch.tensor(torch.nan), lambda w: torch.full((2,), torch.nan)),
}
UNSEEN = {
    "detach": (lambda w: (w.detach() ** 2).sum(), lambda w: w.detach()),
    "item": (lambda w: torch.tensor(w[1].item()), lambda w: torch.tensor(w.tolist())),
    "numpy": (lambda w: torch.tensor(w.detach().numpy().sum()), lambda w: w.data),
}
START = torch.tensor([1.25, -2.5])


def forms(functions, method):
    call, residuals = functions
    found = [gradus.LeastSquares(residuals)]
    return found if method in LEAST_SQUARES else [call, *found]


@pytest.mark.parametrize("functions", CONSTANT.values(), ids=CONSTANT)
@pytest.mark.parametrize("method", METHODS + LEAST_SQUARES, ids=lambda m: type(m).__name__)
def test_a_constant_has_gradient_0_and_w_stays(method, functions):
    for f in forms(functions, method):
        path = gradus.minimize(f, START, method, steps=2)
        assert torch.equal(path.points, START.expand(3, 2))
        assert len(path.values.nan_to_num(0.5).unique()) == 1


@pytest.mark.parametrize("functions", UNSEEN.values(), ids=UNSEEN)
@pytest.mark.parametrize("method", METHODS + LEAST_SQUARES, ids=lambda m: type(m).__name__)
def test_what_only_seems_constant_is_refused_in_one_line(method, functions):
    for f in forms(functions, method):
        with pytest.raises(ValueError, match="automatic differentiation cannot see how") as caught:
            gradus.minimize(f, START, method, steps=2)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_entries_on_which_f_does_not_depend_stay(method):
    path = gradus.minimize(lambda w: w[0] ** 2, START, method, steps=2)
    assert torch.equal(path.points[:, 1], START[1].expand(3))
    assert path.values[-1] < path.values[0]


def test_a_constant_under_a_penalty_shrinks_as_the_penalty_says():
    """w (1 - lr strength) a step."""
    path = gradus.minimize(
        lambda w: torch.tensor(3.0),
        START,
        gradus.methods.GradientDescent(0.5),
        steps=1,
        penalty=gradus.penalties.SquaredL2(0.5),
    )
    torch.testing.assert_close(path.points[1], 0.75 * START)
