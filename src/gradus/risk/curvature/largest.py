"""How much f bends at most, as it is or as a method that scales its gradient sees it."""

from __future__ import annotations

from typing import Any, final

from torch import Tensor

from gradus.risk.curvature.functions import Matrix, curvature_at
from gradus.risk.curvature.spectrum import eigenvalues

LARGEST = 10**6
"""Parameters at which the curvature is measured, at most: 20 vectors as long are kept."""


def sharpness(f: Any, w: Tensor, diagonal: Tensor | None = None) -> float | None:
    r"""The largest eigenvalue of the Hessian, to about 5 %; None where it cannot be had.

    $$\lambda_{\max}\big(P^{-1/2}\, \nabla^2 f(w)\, P^{-1/2}\big)$$

    which is that of $P^{-1} \nabla^2 f(w)$, and of a symmetric matrix. It cannot be had of more
    than ``LARGEST`` parameters, of what is not differentiable twice or bends without bound, and
    where a few restarts of the Lanczos method do not find it.

    Args:
        f: an oracle, or any callable of a tensor that returns a scalar tensor.
        w: the point, ``[d]``.
        diagonal: that of P, ``[d]``, positive; None for the identity.

    Example:
        >>> import torch
        >>> w = torch.tensor([1.0, 1.0])
        >>> f = lambda w: w[0] ** 2 + 4 * w[1] ** 2
        >>> sharpness(f, w), sharpness(f, w, torch.tensor([1.0, 8.0]))
        (8.0, 2.0)
        >>> sharpness(lambda w: w.sqrt().sum(), torch.zeros(2)) is None
        True

    Source: Cohen et al. (2022), "Adaptive gradient methods at the edge of stability".
    """
    if w.numel() > LARGEST:
        return None
    at = f if diagonal is None else _Scaled(f, diagonal.rsqrt())
    try:
        found = eigenvalues(at, w, tolerance=0.05, iterations=5)
    except (RuntimeError, ValueError):  # no second derivative, not found, or not finite
        return None
    return float(found.values[-1])


@final
class _Scaled:
    """What has the second derivatives of f between two diagonal matrices."""

    def __init__(self, f: Any, root: Tensor) -> None:
        self.f, self.root = f, root

    def curvature_at(self, w: Tensor, batch: Any, *, matrix: Matrix) -> _Product:
        """Known by its products."""
        return _Product(curvature_at(self.f, w, batch, matrix=matrix), self.root)


@final
class _Product:
    def __init__(self, curvature: Any, root: Tensor) -> None:
        self.curvature, self.root = curvature, root
        self.dimension, self.like = curvature.dimension, curvature.like

    def __matmul__(self, v: Tensor) -> Tensor:
        product: Tensor = self.root * (self.curvature @ (self.root * v))
        return product

    def matrix(self) -> Tensor:
        """All of it, ``[d, d]``."""
        matrix: Tensor = self.root[:, None] * self.curvature.matrix() * self.root
        return matrix
