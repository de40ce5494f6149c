"""The schedules against their formulas, and that methods follow them."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradus import minimize
from gradus.methods import (
    SGD,
    Adam,
    Constant,
    Cosine,
    Exponential,
    GradientDescent,
    InverseSqrt,
    InverseTime,
    Nesterov,
    OneCycle,
    Polyak,
    Polynomial,
    StableDecay,
    StepDecay,
    WarmRestarts,
    Warmup,
)

# One formula in two arrangements of the same few operations.
RELATIVE = 1e-12

rate = st.floats(1e-6, 10)
step = st.integers(0, 10**6)
count = st.integers(1, 10**4)
quick = settings(max_examples=80, deadline=None)


def near(value, absolute=1e-15):
    return pytest.approx(value, rel=RELATIVE, abs=absolute)


@given(rate, step)
@quick
def test_constant(lr, t):
    assert Constant(lr)(t) == lr


@given(rate, st.integers(1, 50), st.floats(0.1, 1.5), st.integers(0, 500))
@quick
def test_step_decay_multiplies_once_every_k_steps(lr, every, factor, t):
    expected = lr
    for passed in range(1, t + 1):
        if passed % every == 0:
            expected *= factor
    assert StepDecay(lr, every, factor)(t) == near(expected)


@given(rate, st.floats(0, 10), step)
@quick
def test_inverse_time_and_inverse_square_root(lr, gamma, t):
    assert lr / InverseTime(lr, gamma)(t) == near(1 + gamma * t)
    assert (lr / InverseSqrt(lr, gamma)(t)) ** 2 == near(1 + gamma * t)


def test_the_diminishing_steps_meet_the_conditions_of_robbins_and_monro():
    """Sum of alpha_t infinite, sum of its squares finite: here ln(T) and pi^2 / 6."""
    rates = [InverseTime(1.0, 1.0)(t) for t in range(10**5)]
    assert sum(rates) == pytest.approx(math.log(10**5) + 0.5772156649, abs=1e-5)
    assert sum(alpha**2 for alpha in rates) == pytest.approx(math.pi**2 / 6, abs=1.1e-5)


@given(rate, rate, count, step)
@quick
def test_cosine_is_the_chebyshev_point_between_its_ends(lr, final, steps, t):
    """(alpha - mean) / half the difference = cos(pi t / T) = 1 - 2 sin^2(pi t / 2T)."""
    sine = math.sin(math.pi / 2 * min(t / steps, 1))
    assert Cosine(lr, steps, final)(t) == near(lr - (lr - final) * sine**2, absolute=1e-14)


@given(rate, st.floats(0, 1), count)
@quick
def test_cosine_starts_at_its_first_rate_and_holds_its_last(lr, share, steps):
    schedule = Cosine(lr, steps, final_lr=share * lr)
    assert schedule(0) == near(lr)
    assert {schedule(steps + after) for after in (0, 1, 7, 10**6)} == {schedule(steps)}
    assert schedule(steps) == near(share * lr, absolute=1e-15 * lr)
    rates = [schedule(t) for t in range(min(steps, 300) + 1)]
    assert rates == sorted(rates, reverse=True)


@given(rate, st.integers(1, 300), step)
@quick
def test_warm_up_rises_linearly_and_then_leaves_the_schedule_alone(lr, steps, t):
    schedule = Warmup(InverseTime(lr, 0.01), steps)
    base = InverseTime(lr, 0.01)(t)
    assert schedule(t) == (near(base * (t + 1) / steps) if t < steps else base)
    assert schedule(steps - 1) == InverseTime(lr, 0.01)(steps - 1)
    assert schedule(0) > 0


TORCHS = torch.optim.lr_scheduler


@pytest.mark.parametrize(
    ("schedule", "theirs"),
    [
        (StepDecay(0.1, 7, 0.5), lambda o: TORCHS.StepLR(o, 7, 0.5)),
        (Exponential(0.1, 0.9), lambda o: TORCHS.ExponentialLR(o, 0.9)),
        (Polynomial(0.1, 25), lambda o: TORCHS.LinearLR(o, 1.0, 0.0, 25)),
        (Polynomial(0.1, 25, 2.5), lambda o: TORCHS.PolynomialLR(o, 25, 2.5)),
        (Polynomial(0.1, 25, final_lr=0.03), lambda o: TORCHS.LinearLR(o, 1.0, 0.3, 25)),
        (OneCycle(0.1, 40), lambda o: TORCHS.OneCycleLR(o, 0.1, 40)),
        (OneCycle(0.1, 40, 0.11, 3.0, 7.0), lambda o: TORCHS.OneCycleLR(
            o, 0.1, 40, pct_start=0.11, div_factor=3.0, final_div_factor=7.0)),
        (WarmRestarts(0.1, 9), lambda o: TORCHS.CosineAnnealingWarmRestarts(o, 9)),
        (WarmRestarts(0.1, 3, 2, 0.01), lambda o: TORCHS.CosineAnnealingWarmRestarts(
            o, 3, 2, eta_min=0.01)),
    ],
)  # fmt: skip
def test_the_rates_are_those_of_torch_step_by_step(schedule, theirs):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler, expected = theirs(optimizer), []
    for _ in range(40):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(expected) < 40:
            scheduler.step()
    assert [schedule(t) for t in range(40)] == near(expected)


@given(rate, st.floats(0, 1), count, st.floats(0.01, 1))
@quick
def test_stable_decay_is_constant_and_then_a_line(lr, share, steps, falling):
    schedule = StableDecay(lr, steps, falling, final_lr=share * lr)
    begins = steps - math.ceil(falling * steps)
    assert [schedule(t) for t in (0, begins // 2, begins)] == near([lr, lr, lr])
    middle = begins + (steps - begins) / 2
    assert schedule(middle) == near((lr + share * lr) / 2, absolute=1e-15 * lr)
    assert {schedule(steps + after) for after in (0, 1, 9)} == {share * lr}


SCHEDULES = [
    Constant(0.1),
    StepDecay(0.1, decay_every=2, decay_factor=0.5),
    InverseTime(0.1, gamma=0.7),
    InverseSqrt(0.1),
    Cosine(0.1, steps=6, final_lr=0.01),
    Warmup(Cosine(0.1, steps=6), steps=3),
    Exponential(0.1, decay_factor=0.7),
    Polynomial(0.1, steps=6, power=2.0),
    OneCycle(0.1, steps=8),
    WarmRestarts(0.1, period=2, period_factor=2),
    StableDecay(0.1, steps=6),
]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)


@every_schedule
def test_schedules_are_pure_values(schedule):
    forwards = [schedule(t) for t in range(12)]
    assert [schedule(t) for t in reversed(range(12))] == forwards[::-1]
    assert dataclasses.replace(schedule) == schedule
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.lr = 1.0


@every_schedule
@pytest.mark.parametrize(
    "make",
    [
        GradientDescent,
        lambda lr: Polyak(lr, 0.0),
        lambda lr: Nesterov(lr, 0.0),
        SGD,
    ],
    ids=["gradient-descent", "polyak", "nesterov", "sgd"],
)
def test_the_step_from_w_t_takes_alpha_t(schedule, make):
    """On a linear f with slope 1 the step is the learning rate itself."""
    w0 = torch.zeros(1, dtype=torch.float64)
    path = minimize(lambda w: w.sum(), w0, make(schedule), steps=9).points[:, 0]
    expected = torch.tensor([schedule(t) for t in range(9)], dtype=torch.float64)
    torch.testing.assert_close(path[:-1] - path[1:], expected, rtol=0, atol=1e-15)


@every_schedule
def test_a_step_of_adam_on_a_line_is_alpha_t_too(schedule):
    """With a constant gradient 1, m / (1 - b1^t) = v / (1 - b2^t) = 1."""
    w0 = torch.zeros(1, dtype=torch.float64)
    path = minimize(lambda w: w.sum(), w0, Adam(schedule, eps=0.0), steps=9).points[:, 0]
    expected = torch.tensor([schedule(t) for t in range(9)], dtype=torch.float64)
    torch.testing.assert_close(path[:-1] - path[1:], expected, rtol=1e-12, atol=1e-14)
