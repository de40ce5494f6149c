"""What is added to a risk to keep w small: penalties, their gradients and their proximal steps.

Each penalty sees ``w`` as a flat tensor [d]; as [K, d], where each row is a vector of its own and
``strength`` may be a tensor [K, 1]; or as :class:`~gradus.risk.tensors.Tensors`, which together are
one vector. Hence the arithmetic by methods.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, final

from gradus.importing import is_tensor
from gradus.risk.precision import narrow, wide
from gradus.risk.tensors import Tensors

if TYPE_CHECKING:
    from torch import Tensor

    Scalar = float | Tensor
else:
    Scalar = Any

V = TypeVar("V", "Tensor", Tensors)


class Penalty(ABC):
    r"""A regulariser with its weight, $\lambda \Omega(w)$."""

    @abstractmethod
    def value(self, w: Tensor | Tensors) -> Tensor:
        r"""Return $\lambda \Omega(w)$: a scalar, or [K] for ``w`` [K, d]; float32 at least."""

    @abstractmethod
    def gradient(self, w: V) -> V:
        """Return the gradient at ``w``; where there is a kink, a subgradient, 0 at 0."""

    @abstractmethod
    def prox(self, w: V, step: Scalar) -> V:
        r"""Return $\arg\min_u \frac{1}{2\,step} \|u - w\|^2 + \lambda \Omega(u)$."""


@final
@dataclass(frozen=True)
class L1(Penalty):
    r"""The sum of absolute values, which makes entries of w exactly zero.

    $$\lambda \sum_i |w_i|, \qquad
      \mathrm{prox}(w)_i = \mathrm{sign}(w_i) \max(|w_i| - step\,\lambda, 0)$$

    Args:
        strength: $\lambda \ge 0$.

    Raises:
        ValueError: strength is negative or not finite.

    Example:
        >>> import torch
        >>> from gradus.risk.penalties import L1
        >>> w = torch.tensor([3.0, -4.0, 0.5])
        >>> L1(2.0).value(w)
        tensor(15.)
        >>> L1(2.0).prox(w, step=0.5)
        tensor([ 2., -3.,  0.])

    Source: Tibshirani, Regression shrinkage and selection via the lasso (1996); proximal step:
    Parikh and Boyd, Proximal algorithms (2014), section 6.5.2.
    """

    strength: Scalar

    def __post_init__(self) -> None:
        _require_strength(self.strength)

    def value(self, w: Tensor | Tensors) -> Tensor:
        """Return the strength times the sum of absolute values."""
        return (_sum(wide(w).abs()) * self.strength).squeeze(-1)

    def gradient(self, w: V) -> V:
        """Return the strength times the sign, 0 at 0."""
        return w.sign() * self.strength

    def prox(self, w: V, step: Scalar) -> V:
        """Return w with every entry moved towards 0 by step * strength."""
        return _shrink(w, step * self.strength)


@final
@dataclass(frozen=True)
class L2(Penalty):
    r"""The Euclidean norm, not squared: it makes all of w zero, or nothing.

    $$\lambda \Big(\sum_i w_i^2\Big)^{1/2}, \qquad
      \mathrm{prox}(w) = \max\Big(1 - \frac{step\,\lambda}{\|w\|}, 0\Big)\, w$$

    Args:
        strength: $\lambda \ge 0$.

    Raises:
        ValueError: strength is negative or not finite.

    Example:
        >>> import torch
        >>> from gradus.risk.penalties import L2
        >>> w = torch.tensor([3.0, -4.0])
        >>> L2(2.0).value(w)
        tensor(10.)
        >>> L2(2.0).prox(w, step=0.5)
        tensor([ 2.4000, -3.2000])

    Source: proximal step: Parikh and Boyd, Proximal algorithms (2014), section 6.5.1.
    """

    strength: Scalar

    def __post_init__(self) -> None:
        _require_strength(self.strength)

    def value(self, w: Tensor | Tensors) -> Tensor:
        """Return the strength times the norm."""
        return (_norm(w) * self.strength).squeeze(-1)

    def gradient(self, w: V) -> V:
        """Return the strength times w / norm(w), 0 at 0."""
        return narrow(wide(w) / _nonzero(_norm(w)) * self.strength, w)

    def prox(self, w: V, step: Scalar) -> V:
        """Return w with its norm shortened by step * strength."""
        shrunk = wide(w) * (1 - step * self.strength / _nonzero(_norm(w))).clamp(min=0)
        return narrow(shrunk, w)


@final
@dataclass(frozen=True)
class SquaredL2(Penalty):
    r"""Half the squared norm, whose gradient is weight decay.

    $$\frac{\lambda}{2} \sum_i w_i^2, \qquad
      \mathrm{prox}(w) = \frac{w}{1 + step\,\lambda}$$

    Args:
        strength: $\lambda \ge 0$.

    Raises:
        ValueError: strength is negative or not finite.

    Example:
        >>> import torch
        >>> from gradus.risk.penalties import SquaredL2
        >>> w = torch.tensor([3.0, -4.0])
        >>> SquaredL2(2.0).value(w)
        tensor(25.)
        >>> SquaredL2(2.0).prox(w, step=0.5)
        tensor([ 1.5000, -2.0000])

    Source: Hoerl and Kennard, Ridge regression (1970); Krogh and Hertz, A simple weight decay can
    improve generalization (1991).
    """

    strength: Scalar

    def __post_init__(self) -> None:
        _require_strength(self.strength)

    def value(self, w: Tensor | Tensors) -> Tensor:
        """Return half the strength times the sum of squares."""
        return (_sum(wide(w).square()) * self.strength / 2).squeeze(-1)

    def gradient(self, w: V) -> V:
        """Return the strength times w."""
        return w * self.strength

    def prox(self, w: V, step: Scalar) -> V:
        """Return w divided by 1 + step * strength."""
        return w / (1 + step * self.strength)


@final
@dataclass(frozen=True)
class ElasticNet(Penalty):
    r"""The L1 and the squared L2 penalty, mixed.

    $$\lambda \Big(\rho \sum_i |w_i| + \frac{1 - \rho}{2} \sum_i w_i^2\Big), \qquad
      \mathrm{prox}(w)_i = \frac{\mathrm{sign}(w_i) \max(|w_i| - step\,\lambda \rho, 0)}
      {1 + step\,\lambda (1 - \rho)}$$

    Args:
        strength: $\lambda \ge 0$.
        l1_ratio: $\rho$ in [0, 1]; 1 is L1, 0 is squared L2. Like the strength, a number or [K, 1].

    Raises:
        ValueError: strength is negative or not finite, or l1_ratio is outside [0, 1].

    Example:
        >>> import torch
        >>> from gradus.risk.penalties import ElasticNet
        >>> w = torch.tensor([3.0, -4.0])
        >>> ElasticNet(2.0).value(w)
        tensor(19.5000)
        >>> ElasticNet(2.0).prox(w, step=1.0)
        tensor([ 1.0000, -1.5000])

    Source: Zou and Hastie, Regularization and variable selection via the elastic net (2005);
    proximal step: Parikh and Boyd, Proximal algorithms (2014), section 6.5.3.
    """

    strength: Scalar
    l1_ratio: Scalar = 0.5

    def __post_init__(self) -> None:
        _require_strength(self.strength)
        inside = (self.l1_ratio >= 0) & (self.l1_ratio <= 1)
        if not (inside.all() if is_tensor(inside) else inside):
            raise ValueError(f"l1_ratio={self.l1_ratio} is outside [0, 1]")

    def value(self, w: Tensor | Tensors) -> Tensor:
        """Return the strength times the mixture of absolute values and squares."""
        absolute, squared = _sum(wide(w).abs()), _sum(wide(w).square())
        mixture = absolute * self.l1_ratio + squared * ((1 - self.l1_ratio) / 2)
        return (mixture * self.strength).squeeze(-1)

    def gradient(self, w: V) -> V:
        """Return the strength times the mixture of sign (0 at 0) and w."""
        return (w.sign() * self.l1_ratio + w * (1 - self.l1_ratio)) * self.strength

    def prox(self, w: V, step: Scalar) -> V:
        """Return w moved towards 0 by the L1 part, then divided by the squared L2 part."""
        scale = step * self.strength
        return _shrink(w, scale * self.l1_ratio) / (1 + scale * (1 - self.l1_ratio))


def _require_strength(strength: Scalar) -> None:
    if is_tensor(strength):
        accepted = bool((strength.isfinite() & (strength >= 0)).all())
    else:
        accepted = math.isfinite(strength) and strength >= 0
    if not accepted:
        raise ValueError(f"strength={strength} must be finite and not negative")


def _sum(w: Tensor | Tensors) -> Tensor:
    # The last dimension is kept, so that a row's sum meets a strength of [K, 1] and the row itself.
    return w.sum(-1, keepdim=True) if is_tensor(w) else w.sum()


def _norm(w: Tensor | Tensors) -> Tensor:
    # The slope of the root is infinite at 0; kept away from it, automatic differentiation gives the
    # subgradient 0 there.
    squared = _sum(wide(w).square())
    return _nonzero(squared).sqrt().masked_fill(squared == 0, 0)


def _nonzero(norm: Tensor) -> Tensor:
    import torch

    return torch.where(norm == 0, 1, norm)


def _shrink(w: V, threshold: Any) -> V:
    remaining: V = (w.abs() - threshold).clamp(min=0)
    return w.sign() * remaining
