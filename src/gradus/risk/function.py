"""What is minimised when it is not a risk but any function of a tensor."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, final

import torch
from torch import Tensor

from gradus.errors import InputError
from gradus.risk.curvature.functions import (
    Matrix,
    leaf_at,
    of_value,
    require_matrix,
    require_scalar,
)
from gradus.risk.curvature.matrix import LIMIT, Curvature, Summand
from gradus.risk.curvature.products import gauss_newton_product, twice_differentiable
from gradus.risk.penalties import Penalty
from gradus.risk.precision import wide


class Function:
    r"""A callable of a tensor as methods see it, with a penalty or without.

    $$f(w) = \text{call}(w) + \lambda\,\Omega(w)$$

    A value that does not depend on w, or not on some of its entries, has gradient 0 in them. What
    only seems not to, since automatic differentiation cannot follow it, is refused: where a value
    has no graph, it is compared with the value at a point beside w.

    Args:
        call: any function of a tensor that returns a scalar tensor, differentiable by autograd;
            called as ``call(w, batch)`` where a batch is given.
        penalty: $\lambda\,\Omega$, or None.

    Raises:
        ValueError: the function does not return a scalar tensor; or, where a gradient is asked
            for, its value changes with w unseen by automatic differentiation.

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
        with torch.enable_grad(), twice_differentiable() if differentiable else nullcontext():
            leaf = w if differentiable else w.detach().requires_grad_()
            value = self._called(leaf, batch)
            if value.requires_grad:
                (g,) = torch.autograd.grad(
                    value, leaf, create_graph=differentiable, materialize_grads=True
                )
            else:
                self._require_constant(value, leaf, batch)
                g = torch.zeros_like(leaf)
        if not differentiable:
            value = value.detach()
        if self.penalty is None:
            return value, g
        return value + self.penalty.value(w), g + self.penalty.gradient(w)

    def hvp(self, w: Tensor, v: Tensor, batch: Any = None) -> Tensor:
        """The Hessian at w times v; the matrix is never formed."""
        return self._curvature(w, batch, kept=False) @ v

    def hessian(self, w: Tensor, batch: Any = None, *, limit: float = LIMIT) -> Tensor:
        """The Hessian at w, ``[d, d]``; refused where it would take more than ``limit`` bytes."""
        return self._curvature(w, batch, kept=False).matrix(limit=limit)

    def gauss_newton(self, w: Tensor, batch: Any = None) -> Tensor:
        """Refused: a plain function does not say of what it is composed."""
        return self.curvature_at(w, batch, matrix="gauss-newton").matrix()

    def curvature_at(
        self, w: Tensor, batch: Any = None, *, matrix: Matrix = "hessian"
    ) -> Curvature[Tensor]:
        """The Hessian at w for many products ``curvature @ v``: the graph is built once."""
        require_matrix(matrix, ("hessian",), "a plain function")
        return self._curvature(w, batch, kept=True)

    def _curvature(self, w: Tensor, batch: Any, *, kept: bool) -> Curvature[Tensor]:
        return of_value(lambda leaf: self.value(leaf, batch), w, kept=kept)

    def _require_constant(self, value: Tensor, w: Tensor, batch: Any) -> None:
        """Refuse a value that moves with w unseen by automatic differentiation, so no constant."""
        w = w.detach()
        signs = 1 - 2 * (torch.arange(w.numel(), device=w.device) % 2).view(w.shape)
        with torch.no_grad():
            beside = self._called(w + signs * (w.abs() + 1) / 64, batch)
        if not torch.equal(value, beside) and not (value.isnan() and beside.isnan()):
            raise InputError(
                "f(w) changes with w, but automatic differentiation cannot see how: compute it by "
                "operations of torch on w itself, without detach, item, NumPy or no_grad"
            )

    def _called(self, w: Tensor, batch: Any) -> Tensor:
        return require_scalar(self.call(w) if batch is None else self.call(w, batch))


@final
class LeastSquares:
    r"""The mean of squared residuals as methods see it.

    $$f(w) = \frac{1}{m} \sum_{i=1}^{m} r_i(w)^2, \qquad
      \nabla f = \frac{2}{m} J^\top r, \qquad G = \frac{2}{m} J^\top J$$

    where J is the Jacobian ``[m, d]`` of the residuals. The Gauss-Newton matrix G is the Hessian
    without the second derivatives of the residuals.

    Args:
        residuals: any function of a tensor ``[d]`` that returns a tensor ``[m]``, differentiable by
            autograd; called as ``residuals(w, batch)`` where a batch is given.

    Raises:
        ValueError: the residuals are no tensor ``[m]``.

    Example:
        >>> import torch
        >>> from gradus.risk.function import LeastSquares
        >>> f = LeastSquares(lambda w: torch.stack([w[0] - 1, w[0] * w[1]]))
        >>> f.value(torch.tensor([2.0, 3.0]))
        tensor(18.5000)
        >>> f.gauss_newton(torch.tensor([2.0, 3.0]))
        tensor([[10.,  6.],
                [ 6.,  4.]])

    Source: Gauss (1809), "Theoria motus"; Nocedal and Wright (2006), "Numerical Optimization",
        section 10.3.
    """

    penalty = None

    def __init__(self, residuals: Callable[..., Tensor]) -> None:
        self.residuals = residuals
        self._mean_square = Function(self._called)

    @property
    def smooth(self) -> LeastSquares:
        """The function itself: it has no penalty."""
        return self

    def value(self, w: Tensor, batch: Any = None) -> Tensor:
        """f(w)."""
        return self._mean_square.value(w, batch)

    def gradient(self, w: Tensor, batch: Any = None) -> Tensor:
        """The gradient at w; differentiable in w if w requires gradients."""
        return self._mean_square.gradient(w, batch)

    def value_and_gradient(self, w: Tensor, batch: Any = None) -> tuple[Tensor, Tensor]:
        """f(w) and its gradient from one evaluation."""
        return self._mean_square.value_and_gradient(w, batch)

    def hvp(self, w: Tensor, v: Tensor, batch: Any = None) -> Tensor:
        """The Hessian at w times v; the matrix is never formed."""
        return self._mean_square.hvp(w, v, batch)

    def hessian(self, w: Tensor, batch: Any = None, *, limit: float = LIMIT) -> Tensor:
        """The Hessian at w, ``[d, d]``; refused where it would take more than ``limit`` bytes."""
        return self._mean_square.hessian(w, batch, limit=limit)

    def gauss_newton_product(self, w: Tensor, v: Tensor, batch: Any = None) -> Tensor:
        """G v, without forming G."""
        return self._gauss_newton(w, batch, kept=False) @ v

    def gauss_newton(self, w: Tensor, batch: Any = None, *, limit: float = LIMIT) -> Tensor:
        """G at w, ``[d, d]``; refused where it would take more than ``limit`` bytes."""
        return self._gauss_newton(w, batch, kept=False).matrix(limit=limit)

    def curvature_at(
        self, w: Tensor, batch: Any = None, *, matrix: Matrix = "hessian"
    ) -> Curvature[Tensor]:
        """The Hessian or G at w for many products ``curvature @ v``: the graph is built once."""
        require_matrix(matrix, ("hessian", "gauss-newton"), "a sum of squares")
        if matrix == "hessian":
            return self._mean_square.curvature_at(w, batch)
        return self._gauss_newton(w, batch, kept=True)

    def _gauss_newton(self, w: Tensor, batch: Any, *, kept: bool) -> Curvature[Tensor]:
        leaf, differentiable = leaf_at(w)

        def summands() -> list[Summand]:
            with twice_differentiable():
                r = self._residuals(leaf, batch)
            product = gauss_newton_product(
                r, (leaf,), lambda s, stacked: s * (2 / len(r)), create_graph=differentiable
            )
            return [Summand(product, 0.0)]

        return Curvature(w, (w.shape,), summands, kept=kept)

    def _called(self, w: Tensor, batch: Any = None) -> Tensor:
        return wide(self._residuals(w, batch)).square().mean()

    def _residuals(self, w: Tensor, batch: Any) -> Tensor:
        r = self.residuals(w) if batch is None else self.residuals(w, batch)
        if r.dim() != 1 or not len(r):
            raise ValueError(f"the residuals must have shape (m,), not {tuple(r.shape)}")
        return r
