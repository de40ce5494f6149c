"""How a module's parameters, left where they lie, are one vector w."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Scalar = float | Tensor


class Tensors:
    r"""A vector $w \in R^d$ kept as a list of tensors, with the arithmetic of one flat tensor.

    A method written as ``w - lr * g`` moves a flat vector or the parameters of a module by the
    same line: here every operation is one multi-tensor (``torch._foreach_*``) call. Values are
    never changed in place.

    Multiplying by a number is put off until the next operation (``factor``), so that
    ``w - lr * g`` is one pass over memory, and is the same fused multiply-add, to the bit, as
    ``w.add_(g, alpha=-lr)``.

    Args:
        values: the tensors, of any shapes.
        factor: the number by which all of them are still to be multiplied.

    Example:
        >>> import torch
        >>> from gradus.risk.tensors import Tensors
        >>> w = Tensors([torch.ones(2, 2), torch.ones(3)])
        >>> (w - 0.5 * w).sum()
        tensor(3.5000)
    """

    __slots__ = ("_values", "factor")

    def __init__(self, values: Sequence[Tensor], factor: float = 1.0) -> None:
        self._values = tuple(values)
        self.factor = factor

    @property
    def values(self) -> tuple[Tensor, ...]:
        """The tensors, multiplied out."""
        if self.factor == 1.0:
            return self._values
        return tuple(torch._foreach_mul(self._values, self.factor))

    @property
    def requires_grad(self) -> bool:
        """Whether any of the tensors takes part in automatic differentiation."""
        return any(value.requires_grad for value in self._values)

    def __add__(self, other: Tensors | float) -> Tensors:
        if not isinstance(other, Tensors):
            return Tensors(torch._foreach_add(self.values, other))
        if self.factor == 1.0 or self.requires_grad:
            return Tensors(torch._foreach_add(self.values, other._values, alpha=other.factor))
        fresh = torch._foreach_mul(self._values, self.factor)
        torch._foreach_add_(fresh, other._values, alpha=other.factor)
        return Tensors(fresh)

    __radd__ = __add__

    def __neg__(self) -> Tensors:
        return Tensors(self._values, -self.factor)

    def __sub__(self, other: Tensors | float) -> Tensors:
        return self + (-other)

    def __mul__(self, other: Tensors | Scalar) -> Tensors:
        if isinstance(other, Tensors):
            products = torch._foreach_mul(self._values, other._values)
            return Tensors(products, self.factor * other.factor)
        if isinstance(other, Tensor):
            return Tensors(torch._foreach_mul(self.values, other))
        return Tensors(self._values, self.factor * other)

    __rmul__ = __mul__

    def __truediv__(self, other: Tensors | Scalar) -> Tensors:
        if isinstance(other, Tensors):
            quotients = torch._foreach_div(self._values, other._values)
            return Tensors(quotients, self.factor / other.factor)
        return Tensors(torch._foreach_div(self.values, other))

    def square(self) -> Tensors:
        """The elementwise square."""
        return self * self

    def sqrt(self) -> Tensors:
        """The elementwise square root."""
        return Tensors(torch._foreach_sqrt(self.values))

    def abs(self) -> Tensors:
        """The elementwise absolute value."""
        return Tensors(torch._foreach_abs(self.values))

    def sign(self) -> Tensors:
        """The elementwise sign, 0 at 0."""
        return Tensors(torch._foreach_sign(self.values))

    def clamp(self, *, min: float) -> Tensors:  # noqa: A002  (torch's own name for it)
        """The elementwise maximum with a number."""
        return Tensors(torch._foreach_clamp_min(self.values, min))

    def maximum(self, other: Tensors) -> Tensors:
        """The elementwise maximum."""
        return Tensors(torch._foreach_maximum(self.values, other.values))

    def sum(self) -> Tensor:
        """The sum of all entries of all tensors, a 0-d tensor."""
        return torch.stack([value.sum() for value in self.values]).sum()

    def detach(self) -> Tensors:
        """The same values, outside of automatic differentiation."""
        return Tensors([value.detach() for value in self.values])

    def flat(self) -> Tensor:
        """All entries as one tensor ``[d]`` (a copy)."""
        return torch.cat([value.reshape(-1) for value in self.values])

    def __repr__(self) -> str:
        return f"Tensors({[tuple(value.shape) for value in self._values]})"


def zeros_like(w: Any) -> Any:
    """The zero vector of the space in which w lies: a tensor, or :class:`Tensors`."""
    if isinstance(w, Tensors):
        return Tensors([torch.zeros_like(value) for value in w.values])
    return torch.zeros_like(w)
