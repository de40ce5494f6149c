"""What methods and schedules refuse, and that they say so in one line."""

import math

import numpy as np
import pytest
import torch

from gradus.methods import (
    ADOPT,
    FTRL,
    LAMB,
    LARS,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Constant,
    Cosine,
    Exponential,
    GradientDescent,
    InverseSqrt,
    InverseTime,
    Lion,
    Muon,
    NAdam,
    Nesterov,
    OneCycle,
    Polyak,
    Polynomial,
    ProximalGradient,
    RAdam,
    RMSprop,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
    StepDecay,
    WarmRestarts,
    Warmup,
)

LATER = (LAMB, LARS, Muon, ScheduleFreeSGD, ScheduleFreeAdamW)

# Every number that is asked for: how to give it, its name in the message, and its interval.
NUMBERS = [
    (lambda value: GradientDescent(value), "lr", 0, math.inf),
    (lambda value: Polyak(value, 0.5), "lr", 0, math.inf),
    (lambda value: Polyak(0.1, value), "beta", 0, 1),
    (lambda value: Nesterov(value, 0.5), "lr", 0, math.inf),
    (lambda value: Nesterov(0.1, value), "beta", 0, 1),
    (lambda value: SGD(value), "lr", 0, math.inf),
    (lambda value: SGD(0.1, momentum=value), "momentum", 0, math.inf),
    (lambda value: SGD(0.1, momentum=0.5, dampening=value), "dampening", -math.inf, math.inf),
    (lambda value: SGD(0.1, weight_decay=value), "weight_decay", 0, math.inf),
    (lambda value: Adam(lr=value), "lr", 0, math.inf),
    (lambda value: Adam(betas=(value, 0.9)), "betas[0]", 0, 1),
    (lambda value: Adam(betas=(0.9, value)), "betas[1]", 0, 1),
    (lambda value: Adam(eps=value), "eps", 0, math.inf),
    (lambda value: Adam(weight_decay=value), "weight_decay", 0, math.inf),
    (lambda value: AdamW(lr=value), "lr", 0, math.inf),
    (lambda value: AdamW(betas=(value, 0.9)), "betas[0]", 0, 1),
    (lambda value: AdamW(betas=(0.9, value)), "betas[1]", 0, 1),
    (lambda value: AdamW(eps=value), "eps", 0, math.inf),
    (lambda value: AdamW(weight_decay=value), "weight_decay", 0, math.inf),
    *(
        (lambda value, kind=kind, name=name: kind(**{name: value}), name, 0, math.inf)
        for kind in (Adamax, NAdam, RAdam, ADOPT, Lion, Adadelta, *LATER)
        for name in ("lr", "weight_decay", "eps")
        if (kind, name) not in [(each, "eps") for each in (Lion, LARS, ScheduleFreeSGD)]
    ),
    *(
        (lambda value, kind=kind: kind(betas=(value, 0.9)), "betas[0]", 0, 1)
        for kind in (Adamax, NAdam, RAdam, ADOPT, Lion, LAMB, Muon, ScheduleFreeAdamW)
    ),
    (lambda value: ScheduleFreeSGD(beta=value), "beta", 0, 1),
    (lambda value: LARS(momentum=value), "momentum", 0, 1),
    (lambda value: LARS(trust=value), "trust", 0, math.inf),
    *(
        (lambda value, name=name: FTRL(**{name: value}), name, 0, math.inf)
        for name in ("beta", "l1", "l2")
    ),
    (lambda value: NAdam(momentum_decay=value), "momentum_decay", 0, math.inf),
    (lambda value: Adadelta(rho=value), "rho", 0, 1),
    (lambda value: RMSprop(lr=value), "lr", 0, math.inf),
    (lambda value: RMSprop(alpha=value), "alpha", 0, 1),
    (lambda value: RMSprop(eps=value), "eps", 0, math.inf),
    (lambda value: RMSprop(weight_decay=value), "weight_decay", 0, math.inf),
    (lambda value: RMSprop(momentum=value), "momentum", 0, math.inf),
    (lambda value: Adagrad(lr=value), "lr", 0, math.inf),
    (lambda value: Adagrad(lr_decay=value), "lr_decay", 0, math.inf),
    (lambda value: Adagrad(weight_decay=value), "weight_decay", 0, math.inf),
    (
        lambda value: Adagrad(initial_accumulator_value=value),
        "initial_accumulator_value",
        0,
        math.inf,
    ),
    (lambda value: Adagrad(eps=value), "eps", 0, math.inf),
    (lambda value: ProximalGradient(value), "lr", 0, math.inf),
    (lambda value: Constant(value), "lr", 0, math.inf),
    (lambda value: StepDecay(value, 3), "lr", 0, math.inf),
    (lambda value: StepDecay(0.1, 3, value), "decay_factor", 0, math.inf),
    (lambda value: InverseTime(value, 1.0), "lr", 0, math.inf),
    (lambda value: InverseTime(0.1, value), "gamma", 0, math.inf),
    (lambda value: Exponential(value, 0.5), "lr", 0, math.inf),
    (lambda value: Exponential(0.1, value), "decay_factor", 0, math.inf),
    (lambda value: Polynomial(0.1, 5, value), "power", 0, math.inf),
    (lambda value: OneCycle(0.1, 50, value), "rising_share", 0, 1),
    (lambda value: WarmRestarts(0.1, 5, 1, value), "final_lr", 0, math.inf),
    (lambda value: InverseSqrt(value), "lr", 0, math.inf),
    (lambda value: InverseSqrt(0.1, value), "gamma", 0, math.inf),
    (lambda value: Cosine(value, 10), "lr", 0, math.inf),
    (lambda value: Cosine(0.1, 10, value), "final_lr", 0, math.inf),
]
WHOLE = [
    (lambda value: StepDecay(0.1, value), "decay_every"),
    (lambda value: Cosine(0.1, value), "steps"),
    (lambda value: Warmup(Constant(0.1), value), "steps"),
]

every_number = pytest.mark.parametrize(
    ("make", "name", "low", "high"), NUMBERS, ids=[f"{i}-{row[1]}" for i, row in enumerate(NUMBERS)]
)


def refused(error, make, value, *said):
    with pytest.raises(error) as caught:
        make(value)
    message = str(caught.value)
    assert "\n" not in message
    for part in said:
        assert part in message


@every_number
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused(make, name, low, high, value):
    refused(ValueError, make, value, f"{name} must be a finite number", repr(value))


@every_number
@pytest.mark.parametrize("value", [True, False, "0.1", None, [0.1], 0.1j])
def test_what_is_no_number_is_refused(make, name, low, high, value):
    refused(TypeError, make, value, f"{name} must be a finite number", repr(value))


@every_number
def test_the_interval_is_closed_below_and_open_above(make, name, low, high):
    if low == 0:
        make(0)
        make(0.0)
        for value in (-1, -1e-300):
            refused(ValueError, make, value, name, ">= 0", repr(value))
    else:
        make(-3.0)
    if high == 1:
        make(math.nextafter(1.0, 0.0))
        for value in (1, 1.0, 2.5):
            refused(ValueError, make, value, name, "< 1", repr(value))
    else:
        make(1e300)


@every_number
def test_tensors_and_numpy_numbers_are_taken(make, name, low, high):
    make(np.float64(0.5))
    make(torch.tensor([[0.5], [0.25]]))


@pytest.mark.parametrize(("make", "name"), WHOLE)
@pytest.mark.parametrize("value", [0, -1, 2.0, 1.5, math.nan, True, "3", None])
def test_counts_are_whole_numbers_of_at_least_one(make, name, value):
    make(1)
    refused(ValueError, make, value, f"{name} must be a whole number >= 1", repr(value))


@pytest.mark.parametrize("method", [Adam, AdamW])
@pytest.mark.parametrize("betas", [(), (0.9,), (0.9, 0.99, 0.999), 0.9, "ab", None])
def test_betas_are_two(method, betas):
    refused(ValueError, lambda value: method(betas=value), betas, "betas must be two numbers")


@pytest.mark.parametrize("schedule", [0.1, "cosine", None])
def test_a_warm_up_needs_a_schedule(schedule):
    refused(TypeError, lambda value: Warmup(value, 3), schedule, "schedule", repr(schedule))


@pytest.mark.parametrize("schedule", [Constant(0.1), Warmup(Cosine(0.1, 5), 2)])
def test_a_schedule_is_taken_for_a_learning_rate(schedule):
    simple = (
        *(GradientDescent, SGD, Adam, AdamW, RMSprop, Adagrad, ProximalGradient),
        *(Adadelta, Adamax, NAdam, RAdam, ADOPT, Lion, *LATER),
    )
    for make in (*simple, lambda lr: Polyak(lr, 0.5)):
        assert make(schedule).lr == schedule


@pytest.mark.parametrize("lr", [lambda step: 0.1, GradientDescent(0.1)])
def test_a_function_is_no_schedule(lr):
    refused(TypeError, GradientDescent, lr, "lr must be")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"dampening": 0.1}, "dampening needs momentum > 0"),
        ({"nesterov": True}, "nesterov needs momentum > 0 and dampening 0"),
        ({"nesterov": True, "momentum": 0.0}, "nesterov needs momentum > 0 and dampening 0"),
        (
            {"nesterov": True, "momentum": 0.9, "dampening": 0.1},
            "nesterov needs momentum > 0 and dampening 0",
        ),
    ],
)
def test_sgd_refuses_options_that_would_do_nothing_or_contradict(given, said):
    refused(ValueError, lambda options: SGD(0.1, **options), given, said)
