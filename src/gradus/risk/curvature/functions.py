"""Hessians and other matrices of any f: an oracle of this package, or any callable of a tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar, get_args

import torch
from torch import Tensor

from gradus.risk.curvature.matrix import LIMIT, Curvature, Summand, split_parameters
from gradus.risk.curvature.products import hessian_product, twice_differentiable
from gradus.risk.tensors import Tensors

Point = TypeVar("Point", Tensor, Tensors)
Matrix = Literal["hessian", "gauss-newton", "fisher", "empirical-fisher"]


def curvature_at(
    f: Any, w: Any, batch: Any = None, *, matrix: Matrix = "hessian"
) -> Curvature[Any]:
    """A matrix of second derivatives of f at w, known by its products.

    Args:
        f: an oracle (a risk, a function), or any callable of a tensor that returns a scalar tensor.
        w: the point, ``[d]`` or :class:`~gradus.risk.tensors.Tensors`.
        batch: the batch, as f takes it.
        matrix: "hessian", "gauss-newton", "fisher" or "empirical-fisher".

    Raises:
        ValueError: f has no such matrix.
    """
    if hasattr(f, "curvature_at"):
        curvature: Curvature[Any] = f.curvature_at(w, batch, matrix=matrix)
        return curvature
    require_matrix(matrix, ("hessian",), "a plain function")
    return of_value(lambda leaf: f(leaf) if batch is None else f(leaf, batch), w, kept=True)


def require_matrix(matrix: str, known: Sequence[str], owner: str) -> None:
    """Refuse a matrix that f does not have.

    Raises:
        ValueError: the name is unknown, or f has no such matrix.
    """
    if matrix not in get_args(Matrix):
        raise ValueError(
            f"matrix={matrix!r} is not one of {', '.join(map(repr, get_args(Matrix)))}"
        )
    if matrix not in known:
        raise ValueError(
            f"{owner} has no {matrix} matrix, only {' and '.join(map(repr, known))}: that takes a "
            "model and a loss (EmpiricalRisk), or residuals (LeastSquares)"
        )


def hvp(f: Any, w: Point, v: Point, batch: Any = None) -> Point:
    r"""The Hessian of f at w times v.

    $$\nabla^2 f(w)\, v = \nabla_w \big( \nabla f(w)^\top v \big)$$

    Args:
        f: an oracle, or any callable of a tensor that returns a scalar tensor.
        w: the point.
        v: the direction, of w's form.
        batch: the batch, as f takes it.

    Example:
        >>> import torch
        >>> from gradus.risk import curvature
        >>> w, v = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.0])
        >>> curvature.hvp(lambda w: w.prod() ** 2, w, v)
        tensor([8., 8.])

    Source: Pearlmutter (1994), "Fast exact multiplication by the Hessian".
    """
    if hasattr(f, "hvp"):
        product: Point = f.hvp(w, v, batch)
    else:
        product = curvature_at(f, w, batch) @ v
    return product


def hessian(f: Any, w: Tensor | Tensors, batch: Any = None, *, limit: float = LIMIT) -> Tensor:
    r"""The Hessian of f at w, ``[d, d]`` over the flat vector w.

    $$\big(\nabla^2 f(w)\big)_{ij} = \frac{\partial^2 f}{\partial w_i \partial w_j}(w)$$

    Args:
        f: an oracle, or any callable of a tensor that returns a scalar tensor.
        w: the point.
        batch: the batch, as f takes it.
        limit: how many bytes the matrix may take.

    Raises:
        InputError: it would take more.

    Example:
        >>> import torch
        >>> from gradus.risk import curvature
        >>> curvature.hessian(lambda w: w.prod() ** 2, torch.tensor([1.0, 2.0]))
        tensor([[8., 8.],
                [8., 2.]])
    """
    if hasattr(f, "hessian"):
        matrix: Tensor = f.hessian(w, batch, limit=limit)
        return matrix
    return curvature_at(f, w, batch).matrix(limit=limit)


def of_value(value: Callable[[Tensor], Tensor], w: Tensor, *, kept: bool) -> Curvature[Tensor]:
    """The Hessian at w of a callable that returns a scalar tensor."""
    leaf, differentiable = leaf_at(w)

    def summands() -> list[Summand]:
        with twice_differentiable():
            found = require_scalar(value(leaf))
        return [Summand(hessian_product(found, (leaf,), create_graph=differentiable), 0.0)]

    return Curvature(w, (w.shape,), summands, kept=kept)


def leaf_at(w: Tensor | Tensors) -> tuple[Tensor, bool]:
    """The point as what is differentiated in, and whether w itself asks for gradients.

    Raises:
        TypeError: w is no tensor of real floating-point numbers.
    """
    if isinstance(w, Tensors):
        raise TypeError("a plain function takes w as one tensor, not as Tensors: give w.flat()")
    split_parameters(w, (w.shape,))
    differentiable = torch.is_grad_enabled() and w.requires_grad
    return w if differentiable else w.detach().requires_grad_(), differentiable


def require_scalar(value: object) -> Tensor:
    """Refuse what a function returns unless it is a scalar tensor."""
    if not isinstance(value, Tensor) or value.dim() != 0:
        shape = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
        raise ValueError(f"f must return a scalar tensor, but f(w) is {shape}")
    return value
