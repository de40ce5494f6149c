"""Modules of the user's own: read as chains of layers and run natively, or refused in one line."""

import random
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

import gradus
from gradus import kernels
from gradus.data.dataset import Dataset
from gradus.engine import choose, eager, native
from gradus.engine.dense import network_of
from gradus.methods import SGD, Adam, AdamW
from gradus.penalties import L2
from tests.engine.jobs import job, where

pytestmark = pytest.mark.skipif(kernels.core() is None, reason=str(kernels.absence()))

SIDE, HIDDEN, CLASSES, N = 4, 7, 3, 20


class Own(nn.Module):
    """Two linear layers and what a forward makes of them."""

    def __init__(self, forward, last=None):
        super().__init__()
        self.b = nn.Linear(HIDDEN, CLASSES)  # in another order than they are called
        self.a = nn.Linear(SIDE * SIDE, HIDDEN)
        self.act, self.flat, self.how = nn.ELU(0.5), nn.Flatten(), forward
        self.tail = nn.Identity() if last is None else last

    def forward(self, x):
        return self.how(self, x)


class Inherited(nn.Linear):
    """Nothing but a name of its own."""


class Block(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.inner = Inherited(inputs, outputs)

    def forward(self, x):
        return torch.sigmoid(self.inner(x))


def by_attributes(self, x):
    x = F.linear(x.flatten(1), self.a.weight, self.a.bias)
    return F.linear(x, weight=self.b.weight, bias=self.b.bias)


READ = {
    "functional": lambda self, x: self.b(F.relu(self.a(x.flatten(1)))),
    "of torch": lambda self, x: self.b(torch.tanh(self.a(torch.flatten(x, start_dim=1)))),
    "a method": lambda self, x: self.b(self.a(x.view(x.size(0), -1)).sigmoid()),
    "a layer": lambda self, x: self.b(self.act(self.a(self.flat(x)))),
    "in place": lambda self, x: self.b(F.leaky_relu(self.a(x.flatten(1)), 0.3, inplace=True)),
    "options": lambda self, x: self.b(F.softplus(self.a(x.flatten(1)), beta=2, threshold=3)),
    "gelu": lambda self, x: self.b(F.gelu(self.a(x.flatten(1)), approximate="tanh")),
    "a width": lambda self, x: self.b(self.a(x.reshape(-1, 16)).relu_()),
    "its shape": lambda self, x: self.b(self.a(x.view(x.shape[0], 16)).contiguous()),
    "its sizes": lambda self, x: self.b(self.a(x.reshape((x.size()[0], -1)))),
    "probabilities": lambda self, x: F.log_softmax(self.b(F.silu(self.a(x.flatten(1)))), dim=1),
    "attributes": by_attributes,
    "residual": lambda self, x: self.b((h := self.a(x.flatten(1))) + torch.sigmoid(h)),
    "dropout": lambda self, x: self.b(F.dropout(self.a(x.flatten(1)), 0.2, self.training)),
}


def examples(dtype=torch.float64):
    drawn = torch.Generator().manual_seed(3)
    x = torch.randn(N, 1, SIDE, SIDE, generator=drawn, dtype=dtype)
    return Dataset(
        x, torch.randint(CLASSES, (N,), generator=drawn), classes=("a", "b", "c"), dtype=dtype
    )


def given(make, **changes):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = make().double()
    return job(model=model, train=examples(), test=examples(), **changes)


def both_agree(make, **changes):
    """The engines, but for rounding; and the native one has moved the user's own parameters."""
    ours, theirs = given(make, **changes), given(make, **changes)
    start = where(ours.model)
    assert choose.chosen("auto", ours) == ("native", None)
    expected, got = eager.execute(theirs), native.execute(ours)
    assert not torch.equal(where(ours.model), start)
    torch.testing.assert_close(where(ours.model), where(theirs.model), rtol=1e-10, atol=1e-11)
    assert [row.loss for row in got.history] == pytest.approx(
        [row.loss for row in expected.history], rel=1e-10
    )


@pytest.mark.parametrize("forward", READ)
def test_a_chain_is_run_whatever_way_it_is_written(forward):
    both_agree(partial(Own, READ[forward]))


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: self.b(F.prelu(self.a(x.flatten(1)), self.tail.weight)),
        lambda self, x: self.tail(self.b(self.a(x.flatten(1)))),
        lambda self, x: self.b(self.a(x.flatten(1).prelu(weight=self.tail.weight))),
    ],
)
def test_a_slope_that_is_learned_is_that_of_the_module(forward):
    both_agree(lambda: Own(forward, nn.PReLU()))


def test_modules_within_modules_are_read_too():
    def make():
        return nn.Sequential(nn.Flatten(), Block(16, HIDDEN), nn.Sequential(Block(HIDDEN, CLASSES)))

    both_agree(make, method=SGD(0.1), penalty=L2(0.1))
    network = network_of(make())
    assert [activation.curve for activation in network.activations] == ["sigmoid"] * 2


def test_other_threads_call_their_modules_meanwhile():
    theirs = nn.Linear(3, 2)

    def forward(self, x):
        with ThreadPoolExecutor(1) as pool:
            assert type(pool.submit(theirs, torch.zeros(1, 3)).result()) is torch.Tensor
        return READ["functional"](self, x)

    assert network_of(Own(forward)).widths == [SIDE * SIDE, HIDDEN, CLASSES]


class Counting(Own):
    def forward(self, x):
        self.calls = getattr(self, "calls", 0) + 1
        return READ["functional"](self, x)


class Remembering(Own):
    def __init__(self):
        super().__init__(READ["functional"])
        self.seen = []
        self.register_buffer("total", torch.zeros(()))

    def forward(self, x):
        self.seen.append(x)
        self.total.add_(1)
        return super().forward(x)


class Called(Own):
    def __call__(self, x):
        return 2 * super().__call__(x)


class Two(Own):
    def forward(self, x, y=None):
        return READ["functional"](self, x)


def drawing(draw):
    def forward(self, x):
        draw()
        return READ["functional"](self, x)

    return forward


def by_mode(self, x):
    x = self.a(x.flatten(1))
    return self.b(F.relu(x) if self.training else x)


class Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x

    @staticmethod
    def backward(ctx, g):
        return -g


def within(manager):
    """What is called within is another function, or one without a gradient: no graph says so."""

    def forward(self, x):
        with manager():
            x = self.a(x.flatten(1))
        return self.b(F.relu(x))

    return forward


REFUSED = {
    "branches on values": (
        lambda self, x: READ["functional"](self, x if x.sum() > 0 else -x),
        "Own, whose forward cannot be read (symbolically traced variables cannot be used as inputs "
        "to control flow)",
    ),
    "a product of layers": (
        lambda self, x: self.b(self.a(x.flatten(1)) * F.relu(self.a(x.flatten(1)))),
        "Own, whose forward is no chain of layers (mul)",
    ),
    "a sum with itself": (
        lambda self, x: self.b((h := self.a(x.flatten(1))) + h),
        "Own, whose forward calls add",
    ),
    "a sum of other widths": (
        lambda self, x: self.b(h := self.a(x.flatten(1))) + h,
        "layer add (Sum) of 3 numbers and 7",
    ),
    "not used": (
        lambda self, x: (h := self.a(x.flatten(1)), self.b(h), self.b(F.relu(h)))[2],
        "layer b (Linear), which stands in the model twice",
    ),
    "changed in place": (
        lambda self, x: self.b((h := self.a(x.flatten(1))) + F.relu(h, inplace=True)),
        "Own, which has gradients of its own",
    ),
    "another function": (
        lambda self, x: self.b(torch.sin(self.a(x.flatten(1)))),
        "Own, whose forward calls sin",
    ),
    "arithmetic": (
        lambda self, x: self.b(2 * self.a(x.flatten(1))),
        "Own, whose forward calls mul",
    ),
    "other options": (
        lambda self, x: F.log_softmax(self.b(self.a(x.flatten(1))), 1, dtype=torch.float32),
        "Own, whose forward calls log_softmax with other options",
    ),
    "rows of a parameter": (
        lambda self, x: self.b(self.a(x.view(self.b.weight.shape[0], -1))),
        "Own, whose forward is no chain of layers (getattr",
    ),
    "an option of the batch": (
        lambda self, x: self.b(F.leaky_relu(self.a(x.flatten(1)), x.size(0))),
        "Own, whose forward calls leaky_relu with other options",
    ),
    "another shape": (
        lambda self, x: self.b(self.a(x.view(4, -1))),
        "Own, whose forward calls view into another shape",
    ),
    "other rows": (
        lambda self, x: self.b(self.a(x.view(-1, 8))),
        "Own, whose forward reshapes into rows of 8",
    ),
    "shared": (
        lambda self, x: self.b(self.act(self.a(x.flatten(1)))) + self.b.bias,
        "Own, whose forward calls add",
    ),
    "unused": (
        lambda self, x: self.a(x.flatten(1)),
        "the parameter b.weight: it is of no layer that is called",
    ),
    "a tensor that is no parameter": (
        lambda self, x: F.linear(x.flatten(1), self.a.weight.detach()),
        "Own, whose forward is no chain of layers (detach)",
    ),
    "two outputs": (
        lambda self, x: (self.a(x.flatten(1)), x),
        "Own, whose forward gives something else than one tensor",
    ),
    "its mode": (by_mode, "Own, whose forward does something else in eval mode"),
    "gradients of its own": (
        lambda self, x: self.b(Reversed.apply(self.a(x.flatten(1)))),
        "Own, which has gradients of its own",
    ),
    "no gradients": (within(torch.no_grad), "Own, whose forward turns gradients off"),
    "autocast": (
        within(partial(torch.autocast, "cpu", torch.bfloat16)),
        "Own, whose forward turns autocast on",
    ),
    "random": (drawing(random.random), "Own, whose forward draws random numbers"),
    "random of NumPy": (drawing(np.random.rand), "Own, whose forward draws random numbers"),
    "random of torch": (drawing(lambda: torch.rand(1)), "Own, whose forward draws random numbers"),
    "an error": (drawing(lambda: 1 / 0), "Own, whose forward cannot be read (division by zero)"),
    "dropout in eval mode too": (
        lambda self, x: self.b(F.dropout(self.a(x.flatten(1)))),
        "Own, whose forward does something else in eval mode",
    ),
    "dropout of a batch": (
        lambda self, x: self.b(F.dropout(self.a(x.flatten(1)), x.size(0), self.training)),
        "Own, whose forward calls dropout with other options",
    ),
}


class Steady(Own):
    """As one keeps the statistics of norms that were trained before."""

    def train(self, mode=True):
        super().train(mode)
        self.b.eval()
        return self


CLASSES_REFUSED = {
    "counting": (lambda: Counting(None), "Counting, whose forward changes calls"),
    "remembering": (Remembering, "Remembering, whose forward changes seen, total"),
    "called": (lambda: Called(READ["functional"]), "Called, which has a __call__ of its own"),
    "norms that stay": (lambda: Steady(READ["functional"]), "Steady, which has its own train()"),
    "two arguments": (lambda: Two(None), "Two, whose forward takes more than one argument"),
}


def obstacle_to(make):
    engine, why = choose.chosen("auto", given(make))
    assert engine == "eager"
    return why.removeprefix("the native engine does not run ")


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_chain_is_named(case):
    forward, said = REFUSED[case]
    assert obstacle_to(partial(Own, forward)).startswith(said)


@pytest.mark.parametrize("case", CLASSES_REFUSED)
def test_what_a_forward_does_beside_is_named(case):
    make, said = CLASSES_REFUSED[case]
    assert obstacle_to(make) == said


class Rows(nn.Module):
    def forward(self, x):
        return x.view(-1, 16)


def test_a_width_whose_layer_stands_elsewhere_is_not_guessed():
    said = obstacle_to(lambda: nn.Sequential(Rows(), nn.Linear(16, CLASSES)))
    assert said == "layer 0 (Rows), whose forward reshapes into rows of 16"


def test_reading_changes_nothing():
    for make, _ in CLASSES_REFUSED.values():
        model = make()
        model.b.eval()
        before, state = dict(vars(model)), torch.get_rng_state()
        with pytest.raises(Exception, match=r"forward|__call__|train"):
            network_of(model)
        assert vars(model) == before
        assert torch.equal(torch.get_rng_state(), state)
        assert (model.training, model.b.training) == (True, False)
        assert getattr(model, "seen", []) == []
        assert float(getattr(model, "total", 0.0)) == 0


def test_hooks_within_are_seen():
    model = Own(READ["functional"])
    model.b.register_forward_hook(lambda *_: None)
    assert obstacle_to(lambda: model) == "hooks (on b)"


FROZEN = {
    "the first layer": ("a.weight", "a.bias"),
    "the last layer": ("b.weight", "b.bias"),
    "a weight": ("a.weight",),
    "biases": ("a.bias", "b.bias"),
    "all but a bias": ("a.weight", "a.bias", "b.weight"),
}


@pytest.mark.parametrize("method", [SGD(0.1, 0.5), AdamW(0.01, eps=1e-4, weight_decay=0.1)])
@pytest.mark.parametrize("names", FROZEN.values(), ids=list(FROZEN))
def test_what_is_frozen_stays(names, method):
    def make():
        model = Own(READ["functional"])
        for name in names:
            model.get_parameter(name).requires_grad_(False)
        return model

    for penalty in (None, L2(0.1)):
        both_agree(make, method=method, penalty=penalty)
    proximal = gradus.methods.Proximal(method)
    both_agree(make, method=proximal, penalty=L2(0.1))
    ours = given(make, method=Adam(0.1))
    before = {name: ours.model.get_parameter(name).clone() for name in names}
    native.execute(ours)
    for name, value in before.items():
        assert torch.equal(ours.model.get_parameter(name), value)


def test_all_frozen_is_left_to_who_refuses_it():
    model = Own(READ["functional"]).requires_grad_(False)
    assert obstacle_to(lambda: model) == "layers that are all frozen"
