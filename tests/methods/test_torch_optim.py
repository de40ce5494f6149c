"""The methods that torch.optim has, against it: to rounding on [d], to the bit on a list."""

import itertools

import pytest
import torch

from gradus import minimize
from gradus.methods import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Constant,
    Cosine,
    InverseTime,
    NAdam,
    RAdam,
    RMSprop,
    StepDecay,
    Warmup,
)
from gradus.risk.tensors import Tensors

STEPS = 30

# The same operations, save that a flat tensor rounds products that torch fuses with a sum: a few
# units in the last place of numbers of order 1, over 30 steps.
TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}

# Sizes below, at and beyond the width of a vector register, and a scalar.
SHAPES = ((33, 17), (17,), (), (2, 3, 5), (64,))


def options(**values):
    return [
        dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())
    ]


def accepted(given):
    """What Gradus takes: dampening and Nesterov's form need momentum, and exclude each other."""
    if given["momentum"] == 0:
        return given["dampening"] == 0 and not given["nesterov"]
    return not (given["nesterov"] and given["dampening"])


SGD_OPTIONS = [
    given
    for given in options(
        lr=[0.05],
        momentum=[0.0, 0.9],
        dampening=[0.0, 0.3, -0.2],
        weight_decay=[0.0, 0.1],
        nesterov=[False, True],
        maximize=[False, True],
    )
    if accepted(given)
]
ADAM_OPTIONS = options(
    lr=[0.01],
    betas=[(0.9, 0.999), (0.0, 0.8)],
    eps=[1e-2],
    weight_decay=[0.0, 0.1],
    amsgrad=[False, True],
    maximize=[False, True],
)
RMSPROP_OPTIONS = options(
    lr=[0.01],
    alpha=[0.9],
    eps=[1e-2],
    weight_decay=[0.0, 0.1],
    momentum=[0.0, 0.9],
    centered=[False, True],
    maximize=[False, True],
)
ADAGRAD_OPTIONS = options(
    lr=[0.1],
    lr_decay=[0.0, 0.03],
    weight_decay=[0.0, 0.1],
    initial_accumulator_value=[0.0, 0.3],
    eps=[1e-2],
    maximize=[False, True],
)
ADADELTA_OPTIONS = options(
    lr=[0.5], rho=[0.8], eps=[1e-2], weight_decay=[0.0, 0.1], maximize=[False, True]
)
ADAMAX_OPTIONS = options(
    lr=[0.01], betas=[(0.8, 0.9)], eps=[1e-2], weight_decay=[0.0, 0.1], maximize=[False, True]
)
# With 0.8 the average is never long enough to be divided by; with 0.99 from the 6th step on.
RADAM_OPTIONS = options(
    lr=[0.01],
    betas=[(0.9, 0.99), (0.5, 0.8)],
    eps=[1e-2],
    weight_decay=[0.0, 0.1],
    decoupled_weight_decay=[False, True],
    maximize=[False, True],
)
NADAM_OPTIONS = [
    {**given, "momentum_decay": decay}
    for given in RADAM_OPTIONS[: len(RADAM_OPTIONS) // 2]
    for decay in (0.0, 0.3)
]
CASES = [
    (method, optimizer, given)
    for method, optimizer, every in (
        (SGD, torch.optim.SGD, [{"lr": 0.05}, *SGD_OPTIONS]),
        (Adam, torch.optim.Adam, [{}, {"eps": 0.0}, *ADAM_OPTIONS]),
        (AdamW, torch.optim.AdamW, [{}, {"eps": 0.0}, *ADAM_OPTIONS]),
        (RMSprop, torch.optim.RMSprop, [{}, {"eps": 0.0}, {"alpha": 0.0}, *RMSPROP_OPTIONS]),
        (Adagrad, torch.optim.Adagrad, [{}, {"eps": 0.0}, *ADAGRAD_OPTIONS]),
        (Adadelta, torch.optim.Adadelta, [{}, *ADADELTA_OPTIONS]),
        (Adamax, torch.optim.Adamax, [{}, *ADAMAX_OPTIONS]),
        (NAdam, torch.optim.NAdam, [{}, *NADAM_OPTIONS]),
        (RAdam, torch.optim.RAdam, [{}, *RADAM_OPTIONS]),
    )
    for given in every
]


def label(value):
    if isinstance(value, dict):
        return ",".join(f"{name}={given}" for name, given in value.items()) or "defaults"
    return value.__name__ if value.__module__.startswith("gradus") else ""


def wave(w):
    """Bounded and not convex: neither descending nor ascending leads to large numbers."""
    return w.sin() @ w.flip(0).cos()


# torch's two forms of RAdam round in another order, and ours in that of its lists.
FOREACH = (torch.optim.RAdam,)


@pytest.fixture(autouse=True)
def the_product_of_nadams_momenta_in_float64():
    """Which torch keeps in its default type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.parametrize(("method", "optimizer", "given"), CASES, ids=label)
def test_a_flat_vector_moves_as_torch_moves_it(method, optimizer, given):
    w0 = torch.linspace(-1.5, 2.0, 7, dtype=torch.float64)
    theirs = w0.clone().requires_grad_()
    stepper = optimizer([theirs], **given, foreach=False)
    expected = [w0]
    for _ in range(STEPS):
        stepper.zero_grad()
        wave(theirs).backward()
        stepper.step()
        expected.append(theirs.detach().clone())

    path = minimize(wave, w0, method(**given), steps=STEPS)

    assert not torch.equal(path.points[-1], w0)
    torch.testing.assert_close(path.points, torch.stack(expected), **TOLERANCE)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("method", "optimizer", "given"), CASES, ids=label)
def test_a_list_of_tensors_moves_as_torch_moves_it_to_the_bit(method, optimizer, given, dtype):
    """The engine's claim: what it does to a module's parameters is what the for-loop does."""
    random = torch.Generator().manual_seed(0)

    def drawn():
        return [torch.randn(shape, generator=random, dtype=dtype) for shape in SHAPES]

    theirs = [value.requires_grad_() for value in drawn()]
    stepper = optimizer(theirs, **given, foreach=optimizer in FOREACH)
    ours = method(**given)
    w = Tensors([p.detach().clone() for p in theirs])
    state = ours.init(w)
    for step in range(STEPS):
        gradients = drawn()
        for p, g in zip(theirs, gradients, strict=True):
            p.grad = g.clone()
        stepper.step()
        w, state = ours.update(w, Tensors(gradients), state)
        for mine, p in zip(w.values, theirs, strict=True):
            assert mine.dtype == dtype
            assert torch.equal(mine, p.detach()), f"differs after step {step + 1}"


@pytest.mark.parametrize(
    "schedule",
    [
        Constant(0.03),
        StepDecay(0.1, decay_every=7, decay_factor=0.5),
        InverseTime(0.1, gamma=0.2),
        Warmup(Cosine(0.1, steps=25), steps=5),
    ],
    ids=lambda schedule: type(schedule).__name__,
)
@pytest.mark.parametrize(
    ("method", "optimizer"),
    [
        (SGD, torch.optim.SGD),
        (Adam, torch.optim.Adam),
        (AdamW, torch.optim.AdamW),
        (RMSprop, torch.optim.RMSprop),
        (Adagrad, torch.optim.Adagrad),
    ],
    ids=label,
)
def test_a_schedule_is_what_lambda_lr_makes_of_it(method, optimizer, schedule):
    """torch counts as Gradus does: the first step takes the learning rate of step 0."""
    w0 = torch.linspace(-1.5, 2.0, 7, dtype=torch.float64)
    theirs = w0.clone().requires_grad_()
    stepper = optimizer([theirs], lr=1.0, foreach=False)
    scheduler = torch.optim.lr_scheduler.LambdaLR(stepper, schedule)
    for _ in range(STEPS):
        stepper.zero_grad()
        wave(theirs).backward()
        stepper.step()
        scheduler.step()
    path = minimize(wave, w0, method(lr=schedule), steps=STEPS)
    torch.testing.assert_close(path.points[-1], theirs.detach(), **TOLERANCE)


# One entry, so that the two orders of operations can be written out and seen to differ.


def test_maximize_negates_the_gradient_before_weight_decay_is_added():
    """So the decay pulls towards 0 while f is maximised; after it, it would push away."""
    w, g = torch.tensor([2.0], dtype=torch.float64), torch.tensor([3.0], dtype=torch.float64)
    lr, decay = 0.1, 0.5
    before = w - lr * (-g + decay * w)
    after = w - lr * -(g + decay * w)
    assert not torch.allclose(before, after)
    sgd = SGD(lr, weight_decay=decay, maximize=True)
    torch.testing.assert_close(sgd.update(w, g, sgd.init(w))[0], before, **TOLERANCE)

    # The first step of Adam is lr * sign, up to eps: here -g + decay w = -2 < 0, so w rises; with
    # w = 8 it is +1, so w falls, where the other order would let it rise.
    adam = Adam(lr, eps=0.0, weight_decay=decay, maximize=True)
    for start, moved in ((2.0, 2.1), (8.0, 7.9)):
        w = torch.tensor([start], dtype=torch.float64)
        torch.testing.assert_close(
            adam.update(w, g, adam.init(w))[0], torch.full_like(w, moved), **TOLERANCE
        )


def test_amsgrad_takes_the_maximum_of_v_before_bias_correction():
    """After a small second gradient, v falls and v / (1 - b2^t) falls faster: the orders differ."""
    b1, b2, lr, eps = 0.5, 0.9, 0.1, 1e-8
    gradients = (4.0, 0.1, 0.2)
    w, m, v, raw, corrected, last = 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for t, g in enumerate(gradients, start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        raw, corrected = max(raw, v), max(corrected, v / (1 - b2**t))
        last = lr / (1 - b1**t) * m
        w -= last / ((raw / (1 - b2**t)) ** 0.5 + eps)
    assert abs(last / ((raw / (1 - b2**t)) ** 0.5) - last / corrected**0.5) > 1e-3

    method = Adam(lr, betas=(b1, b2), eps=eps, amsgrad=True)
    ours = torch.ones(1, dtype=torch.float64)
    state = method.init(ours)
    for g in gradients:
        ours, state = method.update(ours, torch.tensor([g], dtype=torch.float64), state)
    torch.testing.assert_close(ours, torch.tensor([w], dtype=torch.float64), **TOLERANCE)
