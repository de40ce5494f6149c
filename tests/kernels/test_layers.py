"""What stands between dense layers, in every variant and with several threads: see test_network."""

import dataclasses
import itertools

import pytest
import torch
from torch import nn

from gradus import kernels, methods
from gradus.engine import eager
from gradus.engine.iteration import PureIteration
from gradus.risk.penalties import L2, SquaredL2
from tests.kernels.test_network import SIZES, it_agrees, job

pytestmark = pytest.mark.skipif(kernels.core() is None, reason=str(kernels.absence()))


@pytest.fixture(autouse=True)
def _pure(monkeypatch):
    """The eager engine by the pure equations, whose updates are not those of the kernels."""
    monkeypatch.setattr(eager, "iteration_of", PureIteration)


class Residual(nn.Module):
    """A side that three read, a sum of two ways, and one that goes past it."""

    def __init__(self, before, after):
        super().__init__()
        self.a, self.b = nn.Linear(before, after), nn.Linear(after, after, bias=False)
        self.past, self.drop = nn.Linear(before, after), nn.Dropout(0.2)

    def forward(self, x):
        h = nn.functional.gelu(self.a(x))
        h = torch.relu(h + self.drop(torch.tanh(self.b(h))))
        return h + torch.sigmoid(h) + self.past(x)


def layered(*between):
    return lambda before, after: nn.Sequential(
        nn.Linear(before, after), *(make(after) for make in between)
    )


relu, gelu = lambda _: nn.ReLU(), lambda _: nn.GELU()
LAYERS = {
    "dropout": layered(relu, lambda _: nn.Dropout(0.3)),
    "dropout before": layered(lambda _: nn.Dropout(0.6), gelu),
    "layer norm": layered(nn.LayerNorm, relu),
    "plain layer norm": layered(lambda n: nn.LayerNorm(n, elementwise_affine=False), gelu),
    "layer norm of weights": layered(lambda n: nn.LayerNorm(n, bias=False), gelu, relu),
    "batch norm": layered(nn.BatchNorm1d, relu),
    "plain batch norm": layered(gelu, lambda n: nn.BatchNorm1d(n, 1e-3, None, affine=False), gelu),
    "slope": layered(lambda _: nn.PReLU(init=0.3), gelu),
    "slopes": layered(nn.PReLU),
    "residual": Residual,
}
METHODS = [methods.Nesterov(0.05, 0.8), methods.Adam(1e-3, eps=1e-2), methods.SGD(0.05, 0.8)]
PENALTIES = [None, L2(0.05), SquaredL2(0.1)]
# Every kind at every size, methods and penalties in turn: none with a kink, where what has no
# gradient (a shift before a norm) stays.
CASES = list(
    zip(
        itertools.product(LAYERS, [size for size in SIZES if size != "one wide layer"]),
        itertools.cycle(METHODS),
        itertools.cycle([*PENALTIES, None]),
        strict=False,
    )
)


def with_layers(kind, size, method, penalty):
    given = job(size, method, penalty)
    widths = SIZES[size][0]
    with torch.random.fork_rng():
        torch.manual_seed(2)
        blocks = [LAYERS[kind](*pair) for pair in itertools.pairwise(widths[:-1])]
        first = [nn.BatchNorm1d(widths[0])] if kind == "batch norm" else []
        model = nn.Sequential(*first, *blocks, nn.Linear(*widths[-2:])).double()
    return dataclasses.replace(given, model=model, epochs=2)


@pytest.mark.parametrize(("case", "method", "penalty"), CASES, ids=lambda case: str(case)[:60])
def test_layers_between_in_every_variant(case, method, penalty, monkeypatch):
    kind, size = case
    it_agrees(with_layers(kind, size, method, penalty), SIZES[size][-1], monkeypatch)
