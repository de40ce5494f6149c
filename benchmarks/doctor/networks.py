"""The networks of the tasks, sound or with a flaw, each under a name that a run's record holds.

``benchmarks.doctor.networks:conv_8__end_softmax`` is the factory of a small convolutional network
that ends in a softmax: a run on it can be repeated from its record.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "identity": nn.Identity,
}

MEANING = {
    "logits": "logits",
    "softmax": "probabilities",
    "sigmoid": "probabilities",
    "relu": "logits",
    "logsoftmax": "logarithms",
    "naivelog": "logarithms",
}
"""What the outputs of a classifier are, by its end."""


@dataclass(frozen=True)
class Network:
    """A network as its author wrote it.

    Attributes:
        kind: dense (linear without hidden layers), conv, or transformer.
        widths: of the hidden layers, the channels, or the tokens.
        activation: between the layers.
        end: what stands behind the last layer.
        begin: how the parameters begin: usual, zero, symmetric (all the same), times and a factor
            (``times30``, ``times0p01``), or silent and by how much hidden biases lie below 0.
        frozen: layers that do not learn: none, body (all but the last), or last.
        dropout: the share of hidden outputs that is dropped.
        dropping: when: in training only, or always.
        bottleneck: units of one more hidden layer before the last, 0 for none.
        norm: of a batch norm before each activation the momentum, empty for none.
    """

    kind: Literal["dense", "conv", "transformer"] = "dense"
    widths: tuple[int, ...] = ()
    activation: str = "relu"
    end: str = "logits"
    begin: str = "usual"
    frozen: str = "none"
    dropout: float = 0.0
    dropping: Literal["training", "always"] = "training"
    bottleneck: int = 0
    norm: str = ""

    @property
    def name(self) -> str:
        """An identifier that says all of it."""
        parts = ["_".join([self.kind, *map(str, self.widths)])]
        for field in dataclasses.fields(self)[2:]:
            value = getattr(self, field.name)
            if value != field.default:
                parts.append(f"{field.name}_{str(value).replace('.', 'p')}")
        return "__".join(parts)

    @property
    def options(self) -> dict[str, Any]:
        """How a spec says it: as a shipped model, where it is one."""
        if self == Network(widths=self.widths):
            return {"hidden": self.widths} if self.widths else {"model": "linear"}
        return {"model": f"{__name__}:{self.name}"}

    @property
    def ships(self) -> bool:
        """Whether it is a shipped model, which ends as its loss wants it."""
        return not self.options.get("model", "").startswith(__name__)

    def with_(self, **changes: Any) -> Network:
        """The same with some changes."""
        return dataclasses.replace(self, **changes)


def network_of(name: str) -> Network:
    """The network that an identifier says.

    Example:
        >>> net = Network("conv", (4,), end="softmax", begin="times0p01", dropout=0.5)
        >>> network_of(net.name) == net
        True
    """
    (kind, *widths), *rest = (part.split("_") for part in name.split("__"))
    fields: dict[str, Any] = {"kind": kind, "widths": tuple(map(int, widths))}
    for field, value in rest:
        fields[field] = value
    if "dropout" in fields:
        fields["dropout"] = _number(fields["dropout"])
    if "bottleneck" in fields:
        fields["bottleneck"] = int(fields["bottleneck"])
    return Network(**fields)


def __getattr__(name: str) -> Callable[..., nn.Module]:
    if name.partition("_")[0] not in ("dense", "conv", "transformer"):
        raise AttributeError(name)

    def make(input_shape: Sequence[int], outputs: int) -> nn.Module:
        return build(network_of(name), input_shape, outputs)

    return make


def build(network: Network, input_shape: Sequence[int], outputs: int) -> nn.Module:
    """The module: flattened layers, of which the last is followed by the end."""
    layers = list(_KINDS[network.kind](network, input_shape))
    with torch.no_grad():
        width = nn.Sequential(*layers)(torch.zeros(2, *input_shape)).shape[1]
    if network.bottleneck:
        layers += [nn.Linear(width, network.bottleneck), ACTIVATIONS[network.activation]()]
        width = network.bottleneck
    if network.dropout:
        always = network.dropping == "always"
        layers.append(Always(network.dropout) if always else nn.Dropout(network.dropout))
    last = nn.Linear(width, outputs)
    body = nn.Sequential(*layers)
    _begin(network.begin, body, last)
    for module in {"none": (), "body": (body,), "last": (last,)}[network.frozen]:
        module.requires_grad_(False)
    return nn.Sequential(*layers, last, *_ENDS[network.end]())


def _number(written: str) -> float:
    """As it stands in a name: p is the point."""
    return float(written.replace("p", "."))


def _dense(network: Network, input_shape: Sequence[int]) -> Iterator[nn.Module]:
    yield nn.Flatten()
    for before, after in itertools.pairwise([math.prod(input_shape), *network.widths]):
        yield nn.Linear(before, after)
        if network.norm:
            yield nn.BatchNorm1d(after, momentum=_number(network.norm))
        yield ACTIVATIONS[network.activation]()


def _conv(network: Network, input_shape: Sequence[int]) -> Iterator[nn.Module]:
    for before, after in itertools.pairwise([input_shape[0], *network.widths]):
        yield nn.Conv2d(before, after, 3, stride=2, padding=1)
        if network.norm:
            yield nn.BatchNorm2d(after, momentum=_number(network.norm))
        yield ACTIVATIONS[network.activation]()
    yield nn.Flatten()


def _transformer(network: Network, input_shape: Sequence[int]) -> Iterator[nn.Module]:
    yield Tokens(input_shape[-2], input_shape[-1], network.widths[0])
    for width in network.widths:
        yield nn.TransformerEncoderLayer(
            width, 2, 2 * width, dropout=0.0, batch_first=True, norm_first=True,
            activation=ACTIVATIONS[network.activation](),
        )  # fmt: skip
    yield Mean()


_KINDS: dict[str, Callable[[Network, Sequence[int]], Iterator[nn.Module]]] = {
    "dense": _dense,
    "conv": _conv,
    "transformer": _transformer,
}


class Tokens(nn.Module):
    """A row as a token: one linear map of all, and what stands where."""

    def __init__(self, length: int, features: int, width: int) -> None:
        super().__init__()
        self.embed = nn.Linear(features, width)
        self.place = nn.Parameter(0.1 * torch.randn(length, width))

    def forward(self, x: Tensor) -> Tensor:
        """[N, 1, length, features] to [N, length, width]."""
        embedded: Tensor = self.embed(x.squeeze(1))
        return embedded + self.place


class Mean(nn.Module):
    """The mean of the tokens."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, length, width] to [N, width]."""
        return x.mean(dim=1)


class Always(nn.Module):
    """Dropout that forgets that it is for training only."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """The same with some outputs at 0, the others larger."""
        return functional.dropout(x, self.share)


class NaiveLog(nn.Module):
    """The logarithm of a softmax as its definition says it, which overflows."""

    def forward(self, x: Tensor) -> Tensor:
        """log(e^x / Σ e^x)."""
        grown = x.exp()
        return (grown / grown.sum(dim=1, keepdim=True)).log()


_ENDS: dict[str, Callable[[], list[nn.Module]]] = {
    "logits": list,
    "softmax": lambda: [nn.Softmax(dim=1)],
    "logsoftmax": lambda: [nn.LogSoftmax(dim=1)],
    "sigmoid": lambda: [nn.Sigmoid()],
    "relu": lambda: [nn.ReLU()],
    "tanh": lambda: [nn.Tanh()],
    "naivelog": lambda: [NaiveLog()],
}


@torch.no_grad()
def _begin(begin: str, body: nn.Module, last: nn.Module) -> None:
    weights = [p for part in (body, last) for p in part.parameters() if p.ndim > 1]
    biases = [p for part in (body, last) for p in part.parameters() if p.ndim == 1]
    if begin == "zero":
        for parameter in weights + biases:
            parameter.zero_()
    elif begin == "symmetric":
        for parameter in weights:
            parameter.fill_(1 / parameter[0].numel() ** 0.5)
    elif begin.startswith("times"):
        for parameter in weights:
            parameter.mul_(_number(begin.removeprefix("times")))
    elif begin.startswith("silent"):
        for module in body.modules():
            if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
                module.bias.sub_(_number(begin.removeprefix("silent")))
