"""Which numbers a method takes as hyper-parameters."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from gradus.importing import is_tensor
from gradus.risk.precision import is_narrow

if TYPE_CHECKING:
    from torch import Tensor

    Number = float | Tensor
else:
    Number = Any


def require(
    name: str, value: object, *, at_least: float = -math.inf, below: float = math.inf
) -> None:
    """Refuse what is not a finite number in ``[at_least, below)``.

    A tensor is taken as it is, unless its type has so few digits that a number just below the
    bound, as 0.999 below 1 in bfloat16, may be the bound itself.
    """
    if is_tensor(value):
        if below < math.inf and is_narrow(value.dtype):
            kind = str(value.dtype).removeprefix("torch.")
            raise TypeError(
                f"{name} must be a number or a tensor of float32 or float64, not of {kind}, which "
                f"has few numbers below {below:g}"
            )
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


def require_betas(betas: object) -> None:
    """Refuse what are not two numbers in [0, 1), the weights of the past in two averages."""
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise ValueError(f"betas must be two numbers, not {betas!r}")
    for name, beta in zip(("betas[0]", "betas[1]"), betas, strict=True):
        require(name, beta, at_least=0.0, below=1.0)


def require_whole(name: str, value: object, *, at_least: int = 1) -> None:
    """Refuse what is not a whole number that large."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < at_least:
        raise ValueError(f"{name} must be a whole number >= {at_least}, not {value!r}")


def is_set(value: Number) -> bool:
    """Whether a term with this factor is there; a tensor always is, since its rows may differ."""
    return is_tensor(value) or value != 0
