"""Finite-difference formulas: at which points f is evaluated, and at which step."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any, Literal, Protocol, cast

import torch
from torch import Tensor

Scheme = Literal["forward", "central"]


class Valued(Protocol):
    """Anything that has a value at w: a risk, a function as methods see it, a penalty."""

    def value(self, w: Tensor, /) -> Tensor:
        """f(w)."""


ScalarFunction = Callable[[Tensor], Tensor] | Callable[[Tensor], float] | Valued


class Neighbourhood:
    """A scalar function around a point w, whose d entries are moved one by one or in pairs."""

    def __init__(self, f: ScalarFunction, w: Tensor) -> None:
        if not isinstance(w, Tensor):
            raise TypeError(f"w must be a tensor, not {type(w).__name__}")
        require_point(w, "w")
        self._call = callable_of(f)
        self._w = w.detach()
        self.entries = self._w.reshape(-1).cpu()
        self.centre = self.value()

    def value(self, *moves: tuple[int, float]) -> float:
        """The value at w, with each coordinate i moved by its offset."""
        entries = self.entries.clone()
        for i, offset in moves:
            entries[i] += offset
        value = value_like(self._call(entries.view(self._w.shape).to(self._w.device)), self._w)
        if value.dim() != 0:
            raise ValueError(f"f must return one number, but f(w) has shape {tuple(value.shape)}")
        number = float(value)
        if not math.isfinite(number):
            moved = " and ".join(f"{offset:+.2g} at entry {i}" for i, offset in moves)
            where = f"w moved by {moved}; a smaller step may help" if moves else "w"
            raise ValueError(f"f must be finite around w, but it is {number} at {where}")
        return number

    def along_axes(self, offsets: Tensor, coordinates: Tensor | None = None) -> Tensor:
        """The values with one coordinate moved, for each of these coordinates (all): float64."""
        at = range(len(offsets)) if coordinates is None else coordinates.tolist()
        moves = zip(at, offsets.tolist(), strict=True)
        return torch.tensor([self.value(move) for move in moves], dtype=torch.float64)


def first_difference(
    along: Callable[[Tensor], Tensor], centre: Tensor | float, h: Tensor, scheme: Scheme
) -> Tensor:
    """The slope at the centre, from the values at offsets from it."""
    if order_of(scheme) == 1:
        return (along(h) - centre) / h
    return (along(h) - along(-h)) / (2 * h)


def second_difference(
    along: Callable[[Tensor], Tensor], centre: Tensor | float, h: Tensor, scheme: Scheme
) -> Tensor:
    """The change of the slope at the centre, from the values at offsets from it."""
    if order_of(scheme) == 1:
        return (along(2 * h) - 2 * along(h) + centre) / (h * h)
    return (along(h) - 2 * centre + along(-h)) / (h * h)


def estimated(
    estimate: Callable[[Tensor], Tensor],
    x: Tensor,
    nth: int,
    scheme: Scheme,
    step: float | None,
    richardson: bool,
) -> Tensor:
    """The estimate of the nth derivative at its step, or extrapolated from it and its half."""
    order = order_of(scheme)
    eps = torch.finfo(x.dtype).eps
    if not richardson:
        return estimate(representable(x, intended(x, best_step(eps, nth, order), step)))
    nominal = intended(x, 2 * best_step(eps, nth, 2 * order), step)
    wide, narrow = (estimate(representable(x, h)) for h in (nominal, nominal / 2))
    return extrapolated(wide, narrow, order)


def extrapolated(wide: Tensor, narrow: Tensor, order: int) -> Tensor:
    """What estimates at h and at h / 2, with errors of order ``order``, tend to."""
    gain = float(2**order)
    return (gain * narrow - wide) / (gain - 1)


def order_of(scheme: Scheme) -> int:
    """The power of the step that the error falls with."""
    orders = {"forward": 1, "central": 2}
    if scheme not in orders:
        raise ValueError(f'scheme must be "forward" or "central", not {scheme!r}')
    return orders[scheme]


def best_step(eps: float, nth: int, order: int) -> float:
    """The step at which the terms left out and the rounding are equal, for x of order 1."""
    return float(eps ** (1 / (nth + order)))


def intended(x: Tensor, size: float, step: float | None) -> Tensor:
    """The step at each entry: the one given, or this size for x of order 1."""
    if step is None:
        return size * x.abs().clamp(min=1)
    require_step(step)
    return torch.full_like(x, step)


def require_step(step: Any) -> None:
    """Refuse what is no positive number."""
    positive = isinstance(step, Real) and step is not True and 0 < float(step) < math.inf
    if not positive:
        given = f"a tensor of shape {tuple(step.shape)}" if isinstance(step, Tensor) else repr(step)
        raise ValueError(f"step must be a positive number, not {given}")


def representable(x: Tensor, nominal: Tensor) -> Tensor:
    """The step as it is once it has been added to x and rounded."""
    h = (x.abs() + nominal) - x.abs()
    if (lost := ~((h > 0) & h.isfinite())).any():
        raise ValueError(
            f"a step of {nominal[lost][0].item():.2g} is lost beside {x[lost][0].item():.9g} "
            f"in {x.dtype}; give a larger one"
        )
    return h


def callable_of(f: Any) -> Callable[[Any], Any]:
    """The values of f, which is a function or has a method ``value``."""
    call = getattr(f, "value", f)
    if not callable(call):
        raise TypeError(f"f must be a function or have a method value, not {type(f).__name__}")
    return cast(Callable[[Any], Any], call)


def require_point(x: Tensor, name: str) -> None:
    """Refuse a point around which there is nothing to differentiate."""
    if not x.is_floating_point():
        raise TypeError(f"{name} must be of real floating-point numbers, not {x.dtype}")
    if not x.numel():
        raise ValueError(f"{name} has no entries: there is nothing to differentiate by")
    if not (finite := x.isfinite()).all():
        position = finite.logical_not().nonzero()[0].tolist()
        raise ValueError(f"{name} must be finite, but is {x[tuple(position)].item()} at {position}")


def value_like(value: Any, x: Tensor) -> Tensor:
    """What f returned, in the dtype of x, in which its differences are then taken."""
    if isinstance(value, Real):
        return torch.tensor(float(value), dtype=x.dtype)
    if not isinstance(value, Tensor):
        raise TypeError(f"f must return a tensor or a number, not {type(value).__name__}")
    if value.is_complex():
        raise TypeError(f"f must return real numbers, not {value.dtype}")
    if value.is_floating_point() and torch.finfo(value.dtype).eps > torch.finfo(x.dtype).eps:
        raise ValueError(
            f"f returns {value.dtype} at a point of {x.dtype}: the differences would be lost in "
            "its rounding; compute f in the dtype of the point"
        )
    return value.detach().to(x.dtype)
