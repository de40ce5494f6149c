"""Proximal methods against the lasso, the elastic net and ridge regression, and their theorems."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from sklearn import linear_model

import gradus
from gradus import EmpiricalRisk, minimize
from gradus.data.sampling import Sampling
from gradus.methods import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Cosine,
    GradientAtIterate,
    GradientDescent,
    InverseTime,
    Nesterov,
    Polyak,
    Proximal,
    ProximalGradient,
    RMSprop,
)
from gradus.risk.function import Function
from gradus.risk.penalties import L1, L2, ElasticNet, SquaredL2
from gradus.risk.tensors import Tensors

# The same sums of a few products, in another order.
TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}

N, D = 60, 8


@pytest.fixture(scope="module")
def data():
    """A linear target of three features out of eight, with noise."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(N, D, generator=random, dtype=torch.float64)
    w = torch.tensor([2.0, 0.0, -1.0, 0.0, 0.0, 0.5, 0.0, 0.0], dtype=torch.float64)
    y = x @ w + 0.3 * torch.randn(N, generator=random, dtype=torch.float64)
    return x, y


def risk_of(data, penalty):
    """The mean square error of a linear model: twice 1 / (2 N) |x w - y|^2, and so its penalty."""
    x, y = data
    model = torch.nn.Linear(D, 1, bias=False, dtype=torch.float64)
    return EmpiricalRisk(model, gradus.MSELoss(), (x, y[:, None]), penalty)


def lipschitz(data):
    """L of the gradient of the mean square error."""
    return 2 / N * torch.linalg.matrix_norm(data[0], 2).item() ** 2


def lasso(x, y):
    """The tolerance is on the duality gap, here far below what the comparison needs."""
    fitted = linear_model.Lasso(alpha=0.1, fit_intercept=False, tol=1e-14).fit(x, y)
    return fitted.coef_


def elastic_net(x, y):
    fitted = linear_model.ElasticNet(alpha=0.3, l1_ratio=0.7, fit_intercept=False, tol=1e-14)
    return fitted.fit(x, y).coef_


def ridge(x, y):
    return np.linalg.solve(x.T @ x / N + 0.4 * np.eye(D), x.T @ y / N)


@pytest.mark.parametrize(
    "method",
    [
        lambda lr: ProximalGradient(lr),
        lambda lr: ProximalGradient(lr, accelerated=True),
        lambda lr: Proximal(Nesterov(lr, 0.5)),
        lambda lr: Proximal(Polyak(lr, 0.3)),
    ],
    ids=["ista", "fista", "nesterov", "polyak"],
)
@pytest.mark.parametrize(
    ("penalty", "truth", "zeros"),
    [
        (L1(2 * 0.1), lasso, True),
        (ElasticNet(2 * 0.3, l1_ratio=0.7), elastic_net, True),
        (SquaredL2(2 * 0.4), ridge, False),
    ],
    ids=["lasso", "elastic-net", "ridge"],
)
def test_penalised_least_squares_end_where_others_solve_them(data, method, penalty, truth, zeros):
    expected = torch.from_numpy(truth(*(part.numpy() for part in data)))
    path = minimize(
        risk_of(data, penalty),
        torch.ones(D, dtype=torch.float64),
        method(1 / lipschitz(data)),
        steps=200,
    )
    torch.testing.assert_close(path.points[-1], expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(path.points[-1] == 0, expected == 0)
    assert bool((expected == 0).any()) == zeros


# A lasso with a solution in closed form, of the kind on which no first-order method is fast: a
# chain of CHAIN weights in which each is drawn to the next, the first to 1, the last to 0. (Its
# smooth part is Nesterov's "worst function in the world".) The penalty cuts the chain after HELD:
# its strength lies midway between those at which one weight more or less would not be 0.

CHAIN, HELD = 60, 40
STRENGTH = 1 / (HELD * (HELD + 1)) + 1 / ((HELD + 1) * (HELD + 2))


def chain(w):
    return ((w[0] - 1) ** 2 + (w[1:] - w[:-1]).square().sum() + w[-1] ** 2) / 2


# The gradient of a chain of six weights is HESSIAN w - FIRST.
HESSIAN = 2 * np.eye(6) - np.eye(6, k=1) - np.eye(6, k=-1)
FIRST = np.eye(6)[0]


def held():
    """Where the slope is -STRENGTH on the first HELD weights, and smaller on those that are 0."""
    i = torch.arange(1, HELD + 1, dtype=torch.float64)
    w = torch.zeros(CHAIN, dtype=torch.float64)
    w[:HELD] = 1 - i / (HELD + 1) - STRENGTH * i * (HELD + 1 - i) / 2
    return w


def test_the_closed_form_of_the_chain_is_its_minimiser():
    w, slope = held(), Function(chain).gradient(held())
    assert (w[:HELD] > 0).all()
    torch.testing.assert_close(slope[:HELD], torch.full_like(w[:HELD], -STRENGTH), **TOLERANCE)
    assert (slope[HELD:].abs() < STRENGTH).all()


def gaps(method, steps):
    """How far f is above its least value after 1, 2, ... steps, starting from 0."""
    penalty, w0 = L1(STRENGTH), torch.zeros(CHAIN, dtype=torch.float64)
    values = minimize(chain, w0, method, steps=steps, penalty=penalty).values[1:]
    return values - chain(held()) - penalty.value(held())


def test_f_falls_as_the_theorems_of_beck_and_teboulle_say():
    """At every step; and only the accelerated method keeps the second bound."""
    steps = 400
    k = torch.arange(1, steps + 1, dtype=torch.float64)
    constant = 4.0  # no row of the Hessian has absolute entries whose sum is larger
    apart = held().square().sum()
    first = constant * apart / (2 * k)
    second = 2 * constant * apart / (k + 1) ** 2
    plain = gaps(ProximalGradient(1 / constant), steps)
    accelerated = gaps(ProximalGradient(1 / constant, accelerated=True), steps)
    rounding = 1e-13  # of sums of 60 terms that come to at most 1
    assert (plain <= first + rounding).all()
    assert (accelerated <= second + rounding).all()
    assert (plain > second).any()
    assert (plain.diff() <= rounding).all(), "a plain proximal gradient step never climbs"


def test_the_accelerated_path_is_that_of_the_published_algorithm():
    """FISTA with constant step size, in NumPy, with the variables of the article."""
    strength, lr, steps = 0.05, 0.25, 30
    x = np.array([1.0, -2.0, 0.5, 3.0, -0.25, 0.0])
    y, t, expected = x, 1.0, [x]
    for _ in range(steps):
        moved = y - lr * (HESSIAN @ y - FIRST)
        x_next = np.sign(moved) * np.maximum(np.abs(moved) - lr * strength, 0)
        t_next = (1 + np.sqrt(1 + 4 * t**2)) / 2
        y = x_next + (t - 1) / t_next * (x_next - x)
        x, t = x_next, t_next
        expected.append(x)
    path = minimize(
        chain,
        torch.from_numpy(expected[0]),
        ProximalGradient(lr, accelerated=True),
        steps=steps,
        penalty=L1(strength),
    )
    torch.testing.assert_close(path.points, torch.from_numpy(np.stack(expected)), **TOLERANCE)


FIRST_ORDER = [
    GradientDescent(0.1),
    Polyak(0.1, 0.5),
    Nesterov(0.1, 0.5),
    SGD(0.1, momentum=0.5, weight_decay=0.1, nesterov=True),
    Adam(0.1, amsgrad=True),
    AdamW(0.1),
    RMSprop(0.1, momentum=0.5, centered=True),
    Adagrad(0.1),
    GradientDescent(InverseTime(0.1, gamma=0.5)),
]
W0 = torch.tensor([1.0, -2.0, 0.5, 3.0, -0.25, 0.0], dtype=torch.float64)


@pytest.mark.parametrize("penalty", [L1(0.0), L2(0.0), SquaredL2(0.0), ElasticNet(0.0)], ids=str)
@pytest.mark.parametrize("method", FIRST_ORDER, ids=lambda method: type(method).__name__)
def test_a_penalty_of_strength_0_leaves_the_method_as_it_is(method, penalty):
    path = minimize(chain, W0, method, steps=10)
    assert torch.equal(
        minimize(chain, W0, Proximal(method), steps=10, penalty=penalty).points, path.points
    )


@pytest.mark.parametrize("lr", [0.2, InverseTime(0.3, gamma=0.5)], ids=["number", "schedule"])
def test_the_proximal_gradient_method_is_proximal_gradient_descent(lr):
    penalty = ElasticNet(0.3)
    one = minimize(chain, W0, ProximalGradient(lr), steps=10, penalty=penalty)
    other = minimize(chain, W0, Proximal(GradientDescent(lr)), steps=10, penalty=penalty)
    assert torch.equal(one.points, other.points)


def test_nesterov_takes_its_gradient_ahead_and_its_momentum_between_proximal_points():
    lr, beta, strength = 0.2, 0.6, 0.3
    previous = w = W0
    expected = [w]
    for _ in range(10):
        ahead = w + beta * (w - previous)
        moved = ahead - lr * Function(chain).gradient(ahead)
        previous, w = w, moved - moved.clamp(-lr * strength, lr * strength)
        expected.append(w)
    path = minimize(chain, W0, Proximal(Nesterov(lr, beta)), steps=10, penalty=L1(strength))
    torch.testing.assert_close(path.points, torch.stack(expected), **TOLERANCE)


@pytest.mark.parametrize("accelerated", [False, True])
def test_the_penalty_is_weighed_with_the_learning_rate_of_the_step(accelerated):
    """Where the smooth part is flat, only the penalty moves w."""
    schedule = InverseTime(0.5, gamma=1.0)
    method = Proximal(GradientDescent(schedule))
    if accelerated:
        method = ProximalGradient(schedule, accelerated=True)
    path = minimize(lambda w: 0 * w.sum(), 8 * torch.ones(1), method, steps=2, penalty=L1(2.0))
    first, second = 2 * 0.5, 2 * 0.25
    assert path.points.flatten().tolist() == [8.0, 8.0 - first, 8.0 - first - second]


def test_after_adam_the_penalty_takes_the_euclidean_step():
    """The first step of Adam is lr * sign(g), whatever the scale of g; so is not the penalty's."""
    w = torch.tensor([1.0, -1.0, 0.55, -0.5], dtype=torch.float64)
    scales = torch.tensor([1e3, 1e-3, 1.0, 1.0], dtype=torch.float64)
    path = minimize(
        lambda w: (scales * w**2).sum(),
        w,
        Proximal(Adam(0.5, eps=0.0)),
        steps=1,
        penalty=L1(0.2),
    )
    expected = torch.tensor([0.4, -0.4, 0.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(path.points[1], expected, **TOLERANCE)


@pytest.mark.parametrize(
    ("method", "share"),
    [
        (GradientDescent(0.1), 1.0),
        (Polyak(0.1, 0.6), 1.0),
        (Nesterov(0.1, 0.6), 1.0),
        (SGD(0.1, momentum=0.6), 0.4),
        (SGD(0.1, momentum=0.6, nesterov=True), 0.4),
        (SGD(0.1, momentum=0.6, dampening=0.6), 1.0),
    ],
    ids=str,
)
def test_a_method_comes_to_rest_where_its_share_of_the_penalty_holds_it(method, share):
    """1/2 |w - c|^2 + share * strength * |w|_1 is least at c, each entry nearer to 0 by that."""
    c = torch.tensor([3.0, -2.0, 0.3, -0.1], dtype=torch.float64)
    path = minimize(
        lambda w: (w - c).square().sum() / 2,
        torch.zeros_like(c),
        Proximal(method),
        steps=300,
        penalty=L1(1.0),
    )
    torch.testing.assert_close(path.points[-1], L1(share).prox(c, 1.0), **TOLERANCE)


@pytest.mark.parametrize("method", [ProximalGradient(0.02), Proximal(Nesterov(0.01, 0.5))])
def test_mini_batches_leave_exact_zeros_where_the_subgradient_leaves_none(data, method):
    risk = risk_of(data, L1(2 * 0.1))
    sampling = Sampling("shuffle", n=N, batch_size=6, seed=1)
    batches = [batch for epoch in range(15) for batch in sampling.epoch(epoch)]
    w0 = torch.ones(D, dtype=torch.float64)
    path = minimize(risk, w0, method, steps=len(batches), batches=batches)
    assert ((path.points[-50:] == 0).sum(1) > 0).any()
    assert (path.points[-1][[0, 2]] != 0).all()
    plain = minimize(risk, w0, GradientDescent(0.02), steps=len(batches), batches=batches)
    assert (plain.points != 0).all()


class Chain:
    """The chain of six as a method sees it, for [d], [K, d] and lists of tensors."""

    def __init__(self, penalty):
        self.penalty, self.smooth = penalty, self

    def gradient(self, w, batch=None):
        if isinstance(w, Tensors):
            g = self.gradient(w.flat())
            pieces = g.split([value.numel() for value in w.values])
            rows = zip(pieces, w.values, strict=True)
            return Tensors([piece.view(value.shape) for piece, value in rows])
        return w @ torch.from_numpy(HESSIAN) - torch.from_numpy(FIRST)


def walk(method, f, w, steps):
    state, points = method.init(w), [w]
    for _ in range(steps):
        w, state = method.step(f, w, state)
        points.append(w)
    return points


FORMS = {
    "proximal-nesterov": lambda lr: Proximal(Nesterov(lr, 0.5)),
    "proximal-adam": lambda lr: Proximal(Adam(lr, eps=0.05)),
    "proximal-gradient": lambda lr: ProximalGradient(lr),
    "accelerated": lambda lr: ProximalGradient(lr, accelerated=True),
}
every_form = pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)


@every_form
@pytest.mark.parametrize("penalty", [L1, L2, SquaredL2, lambda strength: ElasticNet(strength, 0.3)])
def test_rows_have_learning_rates_and_strengths_of_their_own(make, penalty):
    lrs, strengths = (0.2, 0.05, 0.1), (0.5, 0.0, 2.0)
    rows = torch.stack([W0, W0.flip(0), 2 * W0])
    lr, strength = (torch.tensor(each, dtype=W0.dtype)[:, None] for each in (lrs, strengths))
    together = torch.stack(walk(make(lr), Chain(penalty(strength)), rows, steps=10))
    for k in range(3):
        alone = walk(make(lrs[k]), Chain(penalty(strengths[k])), rows[k], steps=10)
        torch.testing.assert_close(together[:, k], torch.stack(alone), **TOLERANCE)


@every_form
@pytest.mark.parametrize("penalty", [L1(0.5), L2(0.5), SquaredL2(0.5), ElasticNet(0.5)], ids=str)
def test_a_list_of_tensors_is_one_vector_to_the_penalty(make, penalty):
    listed = Tensors([W0[:4].clone().view(2, 2), W0[4].clone(), W0[5:].clone()])
    ours = [point.flat() for point in walk(make(0.1), Chain(penalty), listed, steps=10)]
    flat = walk(make(0.1), Chain(penalty), W0, steps=10)
    torch.testing.assert_close(torch.stack(ours), torch.stack(flat), **TOLERANCE)


@pytest.mark.parametrize("method", [ProximalGradient(0.1), Proximal(GradientDescent(0.1))])
@pytest.mark.parametrize("f", [chain, Function(chain)], ids=["callable", "oracle"])
def test_an_f_without_a_penalty_is_refused(method, f):
    name = type(method).__name__
    with pytest.raises(ValueError, match=r"^.*$") as caught:
        minimize(f, W0, method, steps=1)
    assert str(caught.value) == (
        f"{name} needs a penalty: EmpiricalRisk(..., penalty=...) or minimize(..., penalty=...)"
    )


@pytest.mark.parametrize(
    "method", [0.1, None, GradientDescent, ProximalGradient(0.1), Proximal(SGD(0.1))], ids=str
)
def test_only_a_first_order_method_is_made_proximal(method):
    with pytest.raises(TypeError, match=r"^method must be a first-order method, not "):
        Proximal(method)


def test_the_learning_rate_is_that_of_the_method():
    schedule = InverseTime(0.1, gamma=0.5)
    assert Proximal(SGD(0.3)).lr == 0.3
    assert Proximal(SGD(schedule)).lr == schedule


def test_a_method_whose_state_is_its_own_affair_takes_a_proximal_step():
    @dataclass(frozen=True)
    class SignDescent(GradientAtIterate):
        lr: object

        def init(self, w):
            return None

        def update(self, w, g, state):
            return w - 0.1 * g.sign(), state

    method = Proximal(SignDescent(Cosine(0.5, steps=10)))
    start = torch.tensor([1.0, 0.02], dtype=torch.float64)
    path = gradus.minimize(
        lambda w: (w**2).sum(), start, method, steps=2, penalty=gradus.penalties.L1(0.1)
    )
    assert path.points[1].tolist() == pytest.approx([0.9 - 0.05, -0.08 + 0.05])
