"""How a module's parameters, left where they lie, are one vector w."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

Scalar = float | Tensor


class Tensors:
    r"""A vector $w \in R^d$ kept as a list of tensors, with the arithmetic of one flat tensor.

    A method written as ``w - lr * g`` moves a flat vector or the parameters of a module by the
    same line: here every operation is one multi-tensor (``torch._foreach_*``) call. No operation
    changes its operands.

    A product or quotient is a term ``factor * a``, ``factor * a * b`` or ``factor * a / b`` that is
    put off until it is added to something. So ``w - lr * g`` and ``w - lr * m / d`` are one pass
    over memory each, and the same operations as ``w.add_(g, alpha=-lr)`` and
    ``w.addcdiv_(m, d, value=-lr)``, which torch.optim uses, to the bit.

    Args:
        values: the tensors, of any shapes.

    Example:
        >>> import torch
        >>> from gradus.risk.tensors import Tensors
        >>> w = Tensors([torch.ones(2, 2), torch.ones(3)])
        >>> (w - 0.5 * w).sum()
        tensor(3.5000)
    """

    __slots__ = ("_factor", "_operator", "_other", "_values")

    def __init__(
        self,
        values: Sequence[Tensor],
        _factor: float = 1.0,
        _operator: Literal["", "*", "/"] = "",
        _other: Sequence[Tensor] = (),
    ) -> None:
        self._values = tuple(values)
        self._factor, self._operator, self._other = _factor, _operator, tuple(_other)

    @property
    def values(self) -> tuple[Tensor, ...]:
        """The tensors, with what was put off carried out."""
        if self._is_put_off:
            self._values = self._carried_out()
            self._factor, self._operator, self._other = 1.0, "", ()
        return self._values

    @property
    def requires_grad(self) -> bool:
        """Whether any of the tensors takes part in automatic differentiation."""
        return any(value.requires_grad for value in (*self._values, *self._other))

    @property
    def _is_put_off(self) -> bool:
        return self._factor != 1.0 or self._operator != ""

    def _carried_out(self) -> tuple[Tensor, ...]:
        """The term in fresh tensors."""
        if not self._operator:
            return torch._foreach_mul(self._values, self._factor)
        multiply_or_divide = {"*": torch._foreach_mul, "/": torch._foreach_div}[self._operator]
        fresh = multiply_or_divide(self._values, self._other)
        return fresh if self._factor == 1.0 else torch._foreach_mul(fresh, self._factor)

    def __add__(self, other: Tensors | float) -> Tensors:
        if not isinstance(other, Tensors):
            return Tensors(torch._foreach_add(self.values, other))
        if not self._is_put_off:
            return Tensors(_sum(self._values, other))
        return Tensors(_sum(self._carried_out(), other))

    __radd__ = __add__

    def __neg__(self) -> Tensors:
        return self * -1.0

    def __sub__(self, other: Tensors | float) -> Tensors:
        return self + (-other)

    def __mul__(self, other: Tensors | Scalar) -> Tensors:
        if isinstance(other, Tensors):
            values, factor = self._without_factor()
            return Tensors(values, factor, "*", other.values)
        if isinstance(other, Tensor):
            # One by one: torch cannot differentiate its multi-tensor form in a factor (2.13).
            return Tensors([value * other for value in self.values])
        return Tensors(self._values, self._factor * other, self._operator, self._other)

    __rmul__ = __mul__

    def __truediv__(self, other: Tensors | Scalar) -> Tensors:
        if isinstance(other, Tensors):
            values, factor = self._without_factor()
            return Tensors(values, factor, "/", other.values)
        if isinstance(other, Tensor):
            return Tensors([value / other for value in self.values])
        return Tensors(torch._foreach_div(self.values, other))

    def _without_factor(self) -> tuple[tuple[Tensor, ...], float]:
        """A term of one list, as that list and its factor."""
        return (self.values, 1.0) if self._operator else (self._values, self._factor)

    def lerp(self, end: Tensors, weight: float) -> Tensors:
        """``(1 - weight) * self + weight * end``."""
        return Tensors(torch._foreach_lerp(self.values, end.values, weight))

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


def _sum(values: tuple[Tensor, ...], term: Tensors) -> tuple[Tensor, ...]:
    """One pass: the values, plus a term that may have been put off."""
    if not term._operator:
        return torch._foreach_add(values, term._values, alpha=term._factor)
    if term._operator == "/" and term.requires_grad:
        # One by one: torch cannot differentiate its multi-tensor form where a tensor is 0-d (2.13).
        rows = zip(values, term._values, term._other, strict=True)
        return tuple(w.addcdiv(a, b, value=term._factor) for w, a, b in rows)
    fused = {"*": torch._foreach_addcmul, "/": torch._foreach_addcdiv}[term._operator]
    return fused(values, term._values, term._other, value=term._factor)
