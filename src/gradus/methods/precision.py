"""In which precision an update is computed: where a type has no number small enough, float32."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from gradus.importing import is_tensor
from gradus.methods.hyperparameters import Number
from gradus.methods.method import Point, State
from gradus.risk.precision import is_narrow, narrow, narrow_dtypes, wide
from gradus.risk.tensors import Tensors

if TYPE_CHECKING:
    import torch


def are_lost(w: Point, *numbers: Number) -> bool:
    r"""Whether any of some hyper-parameters is 0 in the type of w, though it is not 0.

    In float16 that is so of $\epsilon = 10^{-8}$, and a quotient $g / (\sqrt v + \epsilon)$ becomes
    0 / 0 where no gradient has come. A tensor is not looked into, as its device may have to be
    waited for: it is lost where it has more digits than w.
    """
    low = dtypes(w) & narrow_dtypes()
    return bool(low) and any(_is_lost(number, low) for number in numbers)


def are_narrow(w: Point) -> bool:
    """Whether w is in float16 or bfloat16, in which the square of a norm is soon out of range."""
    return bool(dtypes(w) & narrow_dtypes())


def _is_lost(number: Number, low: Iterable[torch.dtype]) -> bool:
    if is_tensor(number):
        return not is_narrow(number.dtype)
    return any(0 < abs(number) <= smallest(dtype) / 2 for dtype in low)


def in_float32(
    update: Callable[[Point, Point, State], tuple[Point, State]], w: Point, g: Point, state: State
) -> tuple[Point, State]:
    """An update computed in float32; the new point and state are rounded to the type of w.

    Args:
        update: the update of a method.
        w: the point.
        g: the gradient.
        state: its fields are points of the form of w, numbers, or None.
    """
    after, state = update(wide(w), wide(g), _converted(state, w, wide))
    return narrow(after, w), _converted(state, w, lambda point: narrow(point, w))


def _converted(state: Any, w: Point, convert: Callable[[Point], Point]) -> Any:
    """The state with its points converted; numbers, as the step's, stay."""
    kept = {field.name: getattr(state, field.name) for field in fields(state)}
    return replace(state, **{name: convert(p) for name, p in kept.items() if _is_like(p, w)})


def _is_like(value: Any, w: Point) -> bool:
    if is_tensor(w):
        return is_tensor(value) and value.shape == w.shape
    return isinstance(value, type(w))


def dtypes(w: Point) -> set[torch.dtype]:
    """The types of the tensors of a point."""
    return {value.dtype for value in w.values} if isinstance(w, Tensors) else {w.dtype}


def smallest(dtype: torch.dtype) -> float:
    """The smallest number > 0 of a type; at most half of it is rounded to 0."""
    import torch

    numbers = torch.finfo(dtype)
    return numbers.smallest_normal * numbers.eps
