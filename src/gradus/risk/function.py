"""What is minimised when it is not a risk but any function of a tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gradus.risk.curvature import LIMIT, Curvature, Summand, hessian_product
from gradus.risk.penalties import Penalty


class Function:
    r"""A callable of a tensor as methods see it, with a penalty or without.

    $$f(w) = \text{call}(w) + \lambda\,\Omega(w)$$

    Args:
        call: any function of a tensor that returns a scalar tensor, differentiable by autograd;
            called as ``call(w, batch)`` where a batch is given.
        penalty: $\lambda\,\Omega$, or None.

    Raises:
        ValueError: the function does not return a scalar tensor.

    Example:
        >>> import torch
        >>> from gradus.risk.function import Function
        >>> Function(lambda w: (w**2).sum()).gradient(torch.tensor([1.0, 2.0]))
        tensor([2., 4.])
    """

    def __init__(self, call: Callable[..., Tensor], penalty: Penalty | None = None) -> None:
        self.call = call
        self.penalty = penalty

    @property
    def smooth(self) -> Function:
        """The function without its penalty."""
        return self if self.penalty is None else Function(self.call)

    def value(self, w: Tensor, batch: Any = None) -> Tensor:
        """f(w), or f(w, batch) where a batch is given."""
        value = self._called(w, batch)
        return value if self.penalty is None else value + self.penalty.value(w)

    def gradient(self, w: Tensor, batch: Any = None) -> Tensor:
        """The gradient at w; differentiable in w if w requires gradients."""
        return self.value_and_gradient(w, batch)[1]

    def value_and_gradient(self, w: Tensor, batch: Any = None) -> tuple[Tensor, Tensor]:
        """f(w) and its gradient from one evaluation; a kink of the penalty gives a subgradient."""
        differentiable = torch.is_grad_enabled() and w.requires_grad
        with torch.enable_grad():
            leaf = w if differentiable else w.detach().requires_grad_()
            value = self._called(leaf, batch)
            (g,) = torch.autograd.grad(
                value, leaf, create_graph=differentiable, materialize_grads=True
            )
        if not differentiable:
            value = value.detach()
        if self.penalty is None:
            return value, g
        return value + self.penalty.value(w), g + self.penalty.gradient(w)

    def hvp(self, w: Tensor, v: Tensor, batch: Any = None) -> Tensor:
        """The Hessian at w times v; the matrix is never formed."""
        return self._curvature(w, batch, kept=False) @ v

    def hessian(self, w: Tensor, batch: Any = None, *, limit: float = LIMIT) -> Tensor:
        """The Hessian at w, ``[d, d]``; refused above ``limit`` bytes."""
        return self._curvature(w, batch, kept=False).matrix(limit=limit)

    def curvature_at(self, w: Tensor, batch: Any = None) -> Curvature[Tensor]:
        """The Hessian at w as an operator, for repeated products ``curvature @ v``."""
        return self._curvature(w, batch, kept=True)

    def _curvature(self, w: Tensor, batch: Any, *, kept: bool) -> Curvature[Tensor]:
        differentiable = torch.is_grad_enabled() and w.requires_grad
        leaf = w if differentiable else w.detach().requires_grad_()

        def summands() -> list[Summand]:
            value = self.value(leaf, batch)
            return [Summand(hessian_product(value, (leaf,), create_graph=differentiable), 0.0)]

        return Curvature(w, (w.shape,), summands, kept=kept)

    def _called(self, w: Tensor, batch: Any) -> Tensor:
        value = self.call(w) if batch is None else self.call(w, batch)
        if not isinstance(value, Tensor) or value.dim() != 0:
            shape = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
            raise ValueError(f"f must return a scalar tensor, but f(w) is {shape}")
        return value
