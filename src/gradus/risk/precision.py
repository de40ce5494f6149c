"""In which precision are numbers added up: float32 at least, whatever their own."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, TypeVar

from gradus.risk.tensors import Tensors

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Point = TypeVar("Point", "Tensor", Tensors)
AnyPoint = TypeVar("AnyPoint", "Tensor", Tensors, "Tensor | Tensors")


@cache
def narrow_dtypes() -> frozenset[torch.dtype]:
    """The dtypes in which sums are not taken: float16 and bfloat16."""
    import torch

    return frozenset({torch.float16, torch.bfloat16})


def is_narrow(dtype: torch.dtype) -> bool:
    """Whether sums are taken in float32 instead of this dtype.

    Sums over many examples leave the range of float16, which ends at 65,504, and in bfloat16 a term
    below a 256th of the sum so far adds nothing.
    """
    return dtype in narrow_dtypes()


def sum_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype of a sum: float32 for float16 and bfloat16, else that of the terms."""
    import torch

    return torch.float32 if is_narrow(dtype) else dtype


def total(values: Tensor) -> Tensor:
    """The sum of all values, a 0-d tensor of float32 at least."""
    return values.sum(dtype=sum_dtype(values.dtype))


def wide(w: AnyPoint) -> AnyPoint:
    """A point in float32 at least: float16 has no numbers for squares of what is above 256."""
    if not isinstance(w, Tensors):  # a tensor, or what stands for one where steps are recorded
        return w.to(sum_dtype(w.dtype))
    return Tensors([part.to(sum_dtype(part.dtype)) for part in w.values])


def narrow(w: Point, form: Point) -> Point:
    """A point in the dtype of another of its form, tensor by tensor."""
    if not isinstance(w, Tensors):
        return w.to(form.dtype)
    return Tensors([a.to(b.dtype) for a, b in zip(w.values, form.values, strict=True)])
