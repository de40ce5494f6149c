"""What follows the linear layers of K runs: each curve of ``engine.activations`` on tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import gelu, mish, silu, softsign

from gradus.engine.activations import Activation

aten: Any = torch.ops.aten


class Curve(NamedTuple):
    """A function of every entry, and how a gradient passes back through it."""

    value: Callable[[Tensor], Tensor]
    back: Callable[[Tensor, Tensor, Tensor], Tensor]
    """Of the gradient after it, what it was given, and what it gave."""


def _softplus(beta: float, threshold: float) -> Curve:
    def value(z: Tensor) -> Tensor:
        smooth = torch.logaddexp(beta * z, z.new_zeros(())) / beta
        return torch.where(beta * z > threshold, z, smooth)

    def back(g: Tensor, z: Tensor, h: Tensor) -> Tensor:
        return torch.where(beta * z > threshold, g, g * torch.sigmoid(beta * z))

    return Curve(value, back)


def _exponential(above: float, below: float, rate: float) -> Curve:
    numbers = below / above, above, rate
    return Curve(
        lambda z: aten.elu(z, *numbers), lambda g, z, h: aten.elu_backward(g, *numbers, False, z)
    )


def _pieces(
    low: float,
    high: float,
    bow: float,
    slope: float,
    shift: float,
    slope_below: float,
    shift_below: float,
    slope_above: float,
    shift_above: float,
    is_closed: float,
) -> Curve:
    def outside(z: Tensor) -> tuple[Tensor, Tensor]:
        return (z < low, z > high) if is_closed else (z <= low, z >= high)

    def line(z: Tensor, slope: float, shift: float) -> Tensor | float:
        return slope * z + shift if slope else shift  # also where z is infinite

    def value(z: Tensor) -> Tensor:
        under, over = outside(z)
        inner = bow * z * z + slope * z + shift
        rest = torch.where(over, line(z, slope_above, shift_above), inner)
        return torch.where(under, line(z, slope_below, shift_below), rest)

    def back(g: Tensor, z: Tensor, h: Tensor) -> Tensor:
        under, over = outside(z)
        inner = g * (2 * bow * z + slope) if bow else g * slope
        return torch.where(under, g * slope_below, torch.where(over, g * slope_above, inner))

    return Curve(value, back)


CURVES: dict[str, Callable[..., Curve]] = {
    "identity": lambda: Curve(lambda z: z, lambda g, z, h: g),
    "relu": lambda: Curve(torch.relu, lambda g, z, h: aten.threshold_backward(g, h, 0)),
    "tanh": lambda: Curve(torch.tanh, lambda g, z, h: aten.tanh_backward(g, h)),
    "sigmoid": lambda: Curve(torch.sigmoid, lambda g, z, h: aten.sigmoid_backward(g, h)),
    "gelu": lambda: Curve(gelu, lambda g, z, h: aten.gelu_backward(g, z)),
    "gelu-tanh": lambda: Curve(
        partial(gelu, approximate="tanh"),
        lambda g, z, h: aten.gelu_backward(g, z, approximate="tanh"),
    ),
    "silu": lambda: Curve(silu, lambda g, z, h: aten.silu_backward(g, z)),
    "mish": lambda: Curve(mish, lambda g, z, h: aten.mish_backward(g, z)),
    "softsign": lambda: Curve(softsign, lambda g, z, h: g / (1 + z.abs()).square()),
    "tanhshrink": lambda: Curve(lambda z: z - z.tanh(), lambda g, z, h: g * z.tanh().square()),
    "softplus": _softplus,
    "exponential": _exponential,
    "pieces": _pieces,
}
"""By their names, of the numbers that belong to each."""


def curve_of(activation: Activation) -> Curve:
    """The activation on tensors."""
    return CURVES[activation.curve](*activation.numbers)
