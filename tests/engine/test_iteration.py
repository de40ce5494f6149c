"""The eager engine in place, by the kernels, against the pure equation on the same oracle."""

import copy
import dataclasses
import itertools
import math
import os
import signal

import pytest
import torch
from torch import nn

import gradus
from gradus import kernels, methods
from gradus.data.dataset import Dataset
from gradus.data.sampling import Sampling
from gradus.engine import eager, iteration
from gradus.engine.job import Job
from gradus.penalties import L1, SquaredL2

pytestmark = pytest.mark.skipif(
    kernels.core() is None or not hasattr(torch.Tensor, "__dlpack_c_exchange_api__"),
    reason="no kernels, or a torch that does not tell them where its tensors lie",
)

N, EPOCHS = 22, 3

# A bias before a normalisation has a gradient of mere roundings: eps keeps Adam from following it.
METHODS = {
    "gradient-descent": methods.GradientDescent(0.1),
    "polyak": methods.Polyak(0.1, 0.8),
    "nesterov": methods.Nesterov(methods.InverseTime(0.1, 0.2), 0.8),
    "sgd": methods.SGD(0.1),
    "sgd-all": methods.SGD(0.1, 0.9, dampening=0.2, weight_decay=0.05, maximize=True),
    "sgd-nesterov": methods.SGD(0.1, momentum=0.5, nesterov=True),
    "adam": methods.Adam(methods.Cosine(0.02, steps=20), eps=1e-3, weight_decay=0.05),
    "adam-amsgrad": methods.Adam(0.02, eps=1e-3, amsgrad=True, maximize=True),
    "adamw": methods.AdamW(0.02, eps=1e-3),
    "rmsprop": methods.RMSprop(0.02, eps=1e-3, momentum=0.5, centered=True),
    "adagrad": methods.Adagrad(0.02, lr_decay=0.1, initial_accumulator_value=0.01),
}


class Shared(nn.Module):
    """One layer twice, and a parameter whose gradient comes expanded."""

    def __init__(self):
        super().__init__()
        self.inner, self.shift = nn.Linear(16, 16), nn.Parameter(torch.zeros(3))
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        x = x.flatten(1)
        return self.head(torch.tanh(self.inner(torch.tanh(self.inner(x))))) + self.shift


class Attention(nn.Module):
    """A transformer whose tokens are the rows of the image."""

    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.1, batch_first=True)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.layer(x.flatten(1, 2)).flatten(1))


def convolutional(dropout=0.2):
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(dropout), nn.Flatten(),
        nn.Linear(16, 3),
    )  # fmt: skip


MODELS = {
    "convolutional": convolutional,
    # The equation does not keep the order in memory, and dropout draws in that order.
    "channels last": lambda: convolutional(0.0).to(memory_format=torch.channels_last),
    "transformer": Attention,
    "shared": Shared,
}


OTHER_MODELS = [name for name in MODELS if name != "convolutional"]


def job(**changes):
    random = torch.Generator().manual_seed(0)
    x = torch.randn(N, 1, 4, 4, generator=random, dtype=torch.float64)
    train = Dataset(x, torch.randint(3, (N,), generator=random), ("a", "b", "c"))
    given = {
        "model": convolutional(),
        "loss": gradus.CrossEntropyLoss(),
        "penalty": None,
        "method": methods.SGD(0.1, momentum=0.5),
        "train": train,
        "test": train.subset(slice(0, 7)),
        "sampling": Sampling("shuffle", n=N, batch_size=6, seed=7),
        "epochs": EPOCHS,
        "log_every": 2,
        "seed": 0,
        "device": torch.device("cpu"),
        "dtype": torch.float64,
    }
    return Job(**(given | changes))


def fresh(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MODELS[name]()


def pure(given):
    """The same run by the pure equation."""
    execution = eager._Execution(given, lambda progress: None)
    execution.iteration = iteration.PureIteration(
        given.method, execution.oracle, execution.risk.parameters
    )
    return execution.run()


def numbers(row):
    """A row as a tensor, NaN where there is no such number; no further figures are asked for."""
    there = [math.nan if x is None else x for x in row if x != {}]
    return torch.tensor(there, dtype=torch.float64)


def close(got, expected, dtype, roundings=2.0**10):
    # Two forms of one computation over a dozen steps of smooth problems.
    tolerance = roundings * torch.finfo(dtype).eps
    torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    ("name", "model"),
    # How a method moves, and how parameters lie, know nothing of each other.
    [(name, "convolutional") for name in METHODS]
    + [(name, model) for name in ("sgd-all", "adam") for model in OTHER_MODELS],
)
def test_in_place_the_record_is_that_of_the_pure_equation(name, model, dtype):
    """To the bit, but where the equation's new tensors lie in another order than the model's own:
    torch then sums a convolution in another order too.
    """
    roundings = 2.0**10 if model == "channels last" else 0
    given = job(method=METHODS[name], model=fresh(model).to(dtype), dtype=dtype)
    other = dataclasses.replace(given, model=copy.deepcopy(given.model))
    execution = eager._Execution(given, lambda progress: None)
    assert type(execution.iteration) is iteration.InPlaceIteration
    ours, theirs = execution.run(), pure(other)
    assert (ours.status, ours.step) == ("finished", theirs.step)
    for mine, expected in zip(
        ours.history + ours.evaluation, theirs.history + theirs.evaluation, strict=True
    ):
        close(numbers(mine), numbers(expected), dtype, roundings)
    close(given.model.state_dict(), other.model.state_dict(), dtype, roundings)


@pytest.mark.parametrize("penalty", [L1(0.02), SquaredL2(0.1)])
@pytest.mark.parametrize("method", [METHODS["nesterov"], METHODS["adam"]])
def test_the_penalty_enters_by_its_gradient(method, penalty):
    given = job(method=method, penalty=penalty)
    other = dataclasses.replace(given, model=copy.deepcopy(given.model))
    eager.execute(given)
    pure(other)
    close(given.model.state_dict(), other.model.state_dict(), torch.float64)


class Expanded(nn.Module):
    """Its parameter's gradient is one number, expanded: no array of its own."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.linspace(-1, 1, 12).reshape(4, 3))

    def forward(self, x):
        return x.flatten(1)[:, :1] + self.w.sum()


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_gradient_that_lies_otherwise_is_copied(method):
    data = Dataset(torch.ones(N, 1, 4, 4), torch.zeros(N, 1))
    given = job(model=Expanded(), loss=gradus.MSELoss(), train=data, test=data, method=method)
    if getattr(method, "maximize", False):
        given = dataclasses.replace(given, epochs=1)
    other = dataclasses.replace(given, model=copy.deepcopy(given.model))
    eager.execute(given)
    pure(other)
    ours, theirs = given.model.w.detach(), other.model.w.detach()
    close(ours / theirs.abs().max(), theirs / theirs.abs().max(), torch.float64)


class Itself(torch.autograd.Function):
    """Half the sum of squares, whose gradient is handed out as w itself."""

    @staticmethod
    def forward(ctx, w):
        ctx.save_for_backward(w)
        return (w * w).sum() / 2

    @staticmethod
    def backward(ctx, _):
        return ctx.saved_tensors[0]


class MeanOutput(nn.Module):
    """A loss that no target moves."""

    def forward(self, output, y):
        return output.mean()


def lazily_negated(w):
    two = torch.full_like(w, 2)
    return (torch.complex(two, w).conj() * torch.complex(w.detach(), two)).real.sum()


@pytest.mark.parametrize("value", [Itself.apply, lazily_negated, lambda w: (-1j * w).imag.sum()])
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_gradient_that_is_not_written_out_counts_by_its_value(method, value):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(1))

        def forward(self, x):
            return x.flatten(1)[:, :1] + value(self.w)

    data = Dataset(torch.ones(N, 1, 4, 4), torch.zeros(N, 1))
    given = job(model=Model(), loss=MeanOutput(), train=data, test=data, method=method, epochs=1)
    other = dataclasses.replace(given, model=copy.deepcopy(given.model))
    eager.execute(given)
    pure(other)
    close(given.model.w.detach(), other.model.w.detach(), torch.float64)


class Own(methods.SGD):
    """Another equation under the fields of SGD."""

    def update(self, w, g, state):
        return w + self.lr * g, dataclasses.replace(state, step=state.step + 1)


@pytest.mark.parametrize(
    "method",
    [
        Own(0.1),
        methods.SGD(torch.tensor(0.1)),
        methods.Proximal(methods.SGD(0.1)),
        methods.NewtonCG(),
    ],
    ids=lambda method: type(method).__name__,
)
def test_what_the_kernels_do_not_know_is_left_to_the_equation(method):
    execution = eager._Execution(job(method=method), lambda progress: None)
    assert type(execution.iteration) is iteration.PureIteration


def test_without_the_kernels_the_equation_runs(monkeypatch):
    monkeypatch.setattr(kernels, "core", lambda: None)
    execution = eager._Execution(job(), lambda progress: None)
    assert type(execution.iteration) is iteration.PureIteration


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("at", [1, 5, 8])
@pytest.mark.parametrize("late", [False, True])
def test_an_interruption_within_a_step_comes_when_it_is_counted(method, at, late, monkeypatch):
    """Before w has moved or after: where w stands, the record says."""
    given = job(method=method)
    other = dataclasses.replace(given, model=copy.deepcopy(given.model))
    calls, apply = itertools.count(1), iteration.InPlaceUpdate.apply

    def interrupted(self, *args, **kwargs):
        now = next(calls) == at
        if now and not late:
            os.kill(os.getpid(), signal.SIGINT)
        apply(self, *args, **kwargs)
        if now and late:
            os.kill(os.getpid(), signal.SIGINT)
        return True

    monkeypatch.setattr(iteration.InPlaceUpdate, "apply", interrupted)
    outcome = eager.execute(given)
    assert (outcome.status, outcome.step) == ("interrupted", at)

    def stop(progress):
        if progress.step == at:
            raise KeyboardInterrupt

    monkeypatch.undo()
    assert eager.execute(other, stop).step == at
    for ours, theirs in zip(given.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_model_is_its_own_again_after_the_run():
    given = job()
    before = list(given.model.parameters())
    eager.execute(given)
    assert all(map(lambda p, q: p is q, given.model.parameters(), before))
    assert all(isinstance(p, nn.Parameter) and p.grad is None for p in before)
