"""Which numbers a method takes as hyper-parameters."""

from __future__ import annotations

import math
from numbers import Integral, Real

from torch import Tensor

Number = float | Tensor


def require(
    name: str, value: object, *, at_least: float = -math.inf, below: float = math.inf
) -> None:
    """Refuse what is not a finite number in ``[at_least, below)``; a tensor is taken as it is."""
    if isinstance(value, Tensor):
        return
    interval = "a finite number"
    if at_least > -math.inf:
        interval += f" >= {at_least:g}"
    if below < math.inf:
        interval += f" and < {below:g}"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be {interval}, not {value!r}")
    if not (math.isfinite(value) and at_least <= float(value) < below):
        raise ValueError(f"{name} must be {interval}, not {value!r}")


def require_whole(name: str, value: object) -> None:
    """Refuse what is not a whole number >= 1."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} must be a whole number >= 1, not {value!r}")


def is_set(value: Number) -> bool:
    """Whether a term with this factor is there; a tensor always is, since its rows may differ."""
    return isinstance(value, Tensor) or value != 0
