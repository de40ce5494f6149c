"""What else holds of methods that see only gradients, beside what gradus.testing checks of all.

Their step may be counted by a tensor, no step waits for a number, and steps are differentiable in
all that they are given.
"""

import dataclasses

import pytest
import torch
from torch.autograd import gradcheck

from gradus import minimize
from gradus.methods import (
    ADOPT,
    FTRL,
    LAMB,
    LARS,
    SAM,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Averaged,
    GradientDescent,
    Lion,
    Lookahead,
    Muon,
    NAdam,
    Nesterov,
    Polyak,
    Proximal,
    ProximalGradient,
    RAdam,
    RMSprop,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
)
from gradus.risk.penalties import SquaredL2
from gradus.risk.tensors import Tensors

# A class, and its hyper-parameters.
MAKERS = {
    "gradient-descent": (GradientDescent, {"lr": 0.1}),
    "polyak": (Polyak, {"lr": 0.1, "beta": 0.9}),
    "nesterov": (Nesterov, {"lr": 0.1, "beta": 0.9}),
    "sgd": (SGD, {"lr": 0.1}),
    "sgd-momentum": (SGD, {"lr": 0.1, "momentum": 0.9}),
    "sgd-all": (
        SGD,
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.2, "maximize": True},
    ),
    "sgd-nesterov": (
        SGD,
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.2, "nesterov": True},
    ),
    "adam": (Adam, {"lr": 0.1, "betas": (0.9, 0.999)}),
    "adam-amsgrad": (
        Adam,
        {
            "lr": 0.1,
            "betas": (0.9, 0.999),
            "eps": 1e-2,
            "weight_decay": 0.2,
            "amsgrad": True,
            "maximize": True,
        },
    ),
    "adamw": (AdamW, {"lr": 0.1, "betas": (0.9, 0.999), "weight_decay": 0.1}),
    "rmsprop": (RMSprop, {"lr": 0.1, "alpha": 0.9}),
    "rmsprop-all": (
        RMSprop,
        {
            "lr": 0.1,
            "alpha": 0.9,
            "eps": 1e-2,
            "weight_decay": 0.2,
            "momentum": 0.9,
            "centered": True,
            "maximize": True,
        },
    ),
    "adagrad": (Adagrad, {"lr": 0.1}),
    "adagrad-all": (
        Adagrad,
        {
            "lr": 0.1,
            "lr_decay": 0.3,
            "weight_decay": 0.2,
            "initial_accumulator_value": 0.5,
            "eps": 1e-2,
            "maximize": True,
        },
    ),
    "adadelta": (Adadelta, {"lr": 1.0, "rho": 0.9, "weight_decay": 0.2}),
    "adamax": (Adamax, {"lr": 0.1, "betas": (0.9, 0.99), "weight_decay": 0.2}),
    "nadam": (
        NAdam,
        {"lr": 0.1, "betas": (0.9, 0.99), "weight_decay": 0.2, "momentum_decay": 0.1},
    ),
    "radam": (RAdam, {"lr": 0.1, "betas": (0.9, 0.9), "weight_decay": 0.2}),
    "radam-divides": (
        RAdam,
        {
            "lr": 0.1,
            "betas": (0.9, 0.999),
            "weight_decay": 0.2,
            "decoupled_weight_decay": True,
        },
    ),
    "adopt": (ADOPT, {"lr": 0.1, "betas": (0.9, 0.99), "weight_decay": 0.2}),
    "ftrl": (FTRL, {"lr": 0.1, "beta": 0.5, "l1": 0.02, "l2": 0.3}),
    "lion": (Lion, {"lr": 0.1, "betas": (0.9, 0.99), "weight_decay": 0.2}),
    "lars": (LARS, {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.2, "trust": 0.3}),
    "lamb": (LAMB, {"lr": 0.1, "betas": (0.9, 0.99), "weight_decay": 0.2}),
    "schedule-free-sgd": (ScheduleFreeSGD, {"lr": 0.1, "beta": 0.8, "weight_decay": 0.2}),
    "schedule-free-adamw": (
        ScheduleFreeAdamW,
        {"lr": 0.1, "betas": (0.8, 0.99), "weight_decay": 0.2},
    ),
    "muon": (Muon, {"lr": 0.1, "betas": (0.9, 0.99), "weight_decay": 0.2}),
    "sam": (
        lambda lr, beta, rho: SAM(Nesterov(lr, beta), rho),
        {"lr": 0.1, "beta": 0.9, "rho": 0.1},
    ),
    "asam": (
        lambda lr, beta, rho: SAM(Polyak(lr, beta), rho, adaptive=True),
        {"lr": 0.1, "beta": 0.9, "rho": 0.1},
    ),
    "lookahead": (
        lambda lr, momentum, share: Lookahead(SGD(lr, momentum), 2, share),
        {"lr": 0.1, "momentum": 0.9, "share": 0.5},
    ),
    "averaged": (
        lambda lr, momentum: Averaged(SGD(lr, momentum), after=2),
        {"lr": 0.1, "momentum": 0.9},
    ),
    "proximal-nesterov": (
        lambda **given: Proximal(Nesterov(**given)),
        {"lr": 0.1, "beta": 0.9},
    ),
    "proximal-gradient": (ProximalGradient, {"lr": 0.1}),
    "proximal-gradient-accelerated": (ProximalGradient, {"lr": 0.1, "accelerated": True}),
}


def as_list(w):
    return Tensors([w[:3].clone().view(3, 1), w[3].clone(), w[4:].clone()])


every_form = pytest.mark.parametrize("form", [torch.clone, as_list], ids=["flat", "list"])
every_method = pytest.mark.parametrize(("cls", "values"), MAKERS.values(), ids=MAKERS)

# The same sums of a few products, in another order or fused with one another.
TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}


PENALTY = SquaredL2(0.2)


class Bowl:
    """f(w) = 1/2 sum a_i w_i^2 + sum cos(w_i) + penalty, for [d] and lists of tensors.

    The i-th tensor of a list takes the i-th piece of a: the same f in both forms.
    """

    def __init__(self, device="cpu", penalty=PENALTY):
        self.a = torch.linspace(0.3, 2.8, 6, dtype=torch.float64, device=device)
        self.penalty = penalty

    @property
    def smooth(self):
        return Bowl(self.a.device, penalty=None)

    def value(self, w, batch=None):
        value = (0.5 * self.a * w**2 + w.cos()).sum()
        return value if self.penalty is None else value + self.penalty.value(w)

    def gradient(self, w, batch=None):
        g = piecewise(lambda a, w: a * w - w.sin(), self.a, w)
        return g if self.penalty is None else g + self.penalty.gradient(w)


def piecewise(function, a, w):
    """The function of a and of w, piece by piece if it is a list."""
    if not isinstance(w, Tensors):
        return function(a, w)
    pieces = a.split([value.numel() for value in w.values])
    rows = zip(pieces, w.values, strict=True)
    return Tensors([function(piece.view(value.shape), value) for piece, value in rows])


def start():
    return torch.tensor([1.0, -2.0, 0.5, 3.0, -0.25, 0.0], dtype=torch.float64)


def walk(method, f, w, steps, state=None):
    """The points of a method, and its last state."""
    state = method.init(w) if state is None else state
    points = [w]
    for _ in range(steps):
        w, state = method.step(f, w, state)
        points.append(w)
    return points, state


def tensors_in(point):
    return point.values if isinstance(point, Tensors) else (point,)


@every_method
@every_form
def test_the_step_may_be_counted_by_a_tensor(cls, values, form):
    f, method = Bowl(), cls(**values)
    counted, _ = walk(method, f, form(start()), steps=5)
    state = method.init(form(start()))
    state = dataclasses.replace(state, step=torch.tensor(0.0, dtype=torch.float64))
    points, state = walk(method, f, form(start()), steps=5, state=state)
    assert torch.equal(state.step, torch.tensor(5.0, dtype=torch.float64))
    for one, other in zip(points, counted, strict=True):
        for mine, expected in zip(tensors_in(one), tensors_in(other), strict=True):
            torch.testing.assert_close(mine, expected, **TOLERANCE)


@every_method
@every_form
def test_no_step_asks_a_tensor_for_its_number(cls, values, form):
    """A captured CUDA graph allows none to; a tensor on the meta device has none."""
    f, method, w = Bowl(device="meta"), cls(**values), form(start().to("meta"))
    state = dataclasses.replace(method.init(w), step=torch.tensor(0.0, device="meta"))
    points, _ = walk(method, f, w, steps=3, state=state)
    assert {tensor.device.type for tensor in tensors_in(points[-1])} == {"meta"}


@every_method
def test_three_steps_are_differentiable_in_the_start_and_the_hyper_parameters(cls, values):
    """Against central differences.

    Away from eps = 0 and from g = 0, where the root of v has no slope.
    """
    scaling = cls in (Adagrad, Adam, AdamW, RMSprop)
    named = ({"eps": 0.05} if scaling else {}) | values
    betas = named.pop("betas", ())
    numbers = [name for name, value in named.items() if not isinstance(value, bool)]

    def last_point(w0, *given):
        options = named | dict(zip(numbers, given, strict=False))
        if betas:
            options["betas"] = given[len(numbers) :]
        f, method = Bowl(), cls(**options)
        return minimize(f.smooth.value, w0, method, steps=3, penalty=f.penalty).points[-1]

    given = [*(named[name] for name in numbers), *betas]
    inputs = [start() + 0.1, *(torch.tensor(value, dtype=torch.float64) for value in given)]
    assert gradcheck(last_point, [tensor.requires_grad_() for tensor in inputs])
