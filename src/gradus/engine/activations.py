"""Which activations the C++ kernels know, in their words: a curve, and the numbers of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import nn


class Activation(NamedTuple):
    """A function of every number by itself, as the kernels call it."""

    curve: str
    numbers: tuple[float, ...] = ()
    """In the order of the curve's struct in ``src/cpp/kernels.hpp``."""


IDENTITY = Activation("identity")

SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
"""Klambauer, Unterthiner, Mayr, Hochreiter (2017), "Self-normalizing neural networks"."""


def _pieces(
    low: float,
    high: float,
    inner: tuple[float, float, float],
    below: tuple[float, float],
    above: tuple[float, float],
    *,
    is_closed: bool = False,
) -> Activation:
    """Bow, slope and shift between two ends, and slope and shift of the lines outside.

    The ends belong to the inner piece where it is closed.
    """
    return Activation("pieces", (low, high, *inner, *below, *above, float(is_closed)))


def _flat_outside(low: float, high: float, slope: float = 1.0, shift: float = 0.0) -> Activation:
    ends = (0.0, slope * low + shift), (0.0, slope * high + shift)
    return _pieces(low, high, (0.0, slope, shift), *ends)


_ITSELF = (1.0, 0.0)

ACTIVATIONS: dict[type[nn.Module], Callable[[Any], Activation]] = {
    nn.Identity: lambda layer: IDENTITY,
    nn.ReLU: lambda layer: Activation("relu"),
    nn.Tanh: lambda layer: Activation("tanh"),
    nn.Sigmoid: lambda layer: Activation("sigmoid"),
    nn.GELU: lambda layer: Activation("gelu-tanh" if layer.approximate == "tanh" else "gelu"),
    nn.SiLU: lambda layer: Activation("silu"),
    nn.Mish: lambda layer: Activation("mish"),
    nn.Softsign: lambda layer: Activation("softsign"),
    nn.Tanhshrink: lambda layer: Activation("tanhshrink"),
    nn.Softplus: lambda layer: Activation("softplus", (layer.beta, layer.threshold)),
    # log(1 / (1 + exp(-z))) = log(1 + exp(-z)) / -1
    nn.LogSigmoid: lambda layer: Activation("softplus", (-1.0, math.inf)),
    nn.ELU: lambda layer: Activation("exponential", (1.0, layer.alpha, 1.0)),
    nn.CELU: lambda layer: Activation("exponential", (1.0, layer.alpha, 1 / layer.alpha)),
    nn.SELU: lambda layer: Activation("exponential", (SELU_SCALE, SELU_SCALE * SELU_ALPHA, 1.0)),
    nn.LeakyReLU: lambda layer: _pieces(
        0.0, math.inf, (0.0, *_ITSELF), (layer.negative_slope, 0.0), _ITSELF
    ),
    nn.Threshold: lambda layer: _pieces(
        layer.threshold, math.inf, (0.0, *_ITSELF), (0.0, layer.value), _ITSELF
    ),
    nn.Hardtanh: lambda layer: _flat_outside(layer.min_val, layer.max_val),
    nn.ReLU6: lambda layer: _flat_outside(0.0, 6.0),
    nn.Hardsigmoid: lambda layer: _flat_outside(-3.0, 3.0, 1 / 6, 0.5),
    nn.Hardswish: lambda layer: _pieces(-3.0, 3.0, (1 / 6, 0.5, 0.0), (0.0, 0.0), _ITSELF),
    nn.Softshrink: lambda layer: _pieces(
        -layer.lambd, layer.lambd, (0.0, 0.0, 0.0), (1.0, layer.lambd), (1.0, -layer.lambd),
        is_closed=True,
    ),
    nn.Hardshrink: lambda layer: _pieces(
        -layer.lambd, layer.lambd, (0.0, 0.0, 0.0), _ITSELF, _ITSELF, is_closed=True
    ),
}  # fmt: skip
"""By the classes of torch.nn; what derives from one may compute something else."""


def activation_of(layer: nn.Module) -> Activation | None:
    """The activation that a layer is; None where the kernels do not know it."""
    known = ACTIVATIONS.get(type(layer))
    return None if known is None else known(layer)
