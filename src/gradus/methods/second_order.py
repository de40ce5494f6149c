"""The form of a method that uses curvature, and the linear systems that such methods solve."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, final

import torch
from torch import Tensor

from gradus.errors import InputError, NotPositiveDefiniteError
from gradus.methods.hyperparameters import Number
from gradus.methods.method import Batch, Method, Oracle, Point, State
from gradus.risk.curvature import require_memory
from gradus.risk.penalties import L1, ElasticNet, Penalty
from gradus.risk.precision import sum_dtype, wide
from gradus.risk.tensors import Tensors


@dataclass(frozen=True)
class Count:
    """The number of steps taken."""

    step: int = 0


@dataclass(frozen=True)
class Rows:
    """The number of steps taken, and the state of each row of w."""

    step: int
    states: tuple[State, ...]


class SecondOrder(Method):
    r"""A method that uses the curvature of f: one run at a time.

    K runs ``[K, d]`` are K runs of their own, since what is solved within a step ends sooner for
    one row than for another: f is given one row ``[d]`` at a time, and of the hyper-parameters
    ``[K, 1]`` the entry of that row. A vector ``[d]`` and :class:`~gradus.risk.tensors.Tensors`
    are one run.

    A penalty with a kink wherever an entry of w is 0 (L1, ElasticNet with a part of it) is refused
    by every step: its Hessian says nothing of the kink. L2 has one at w = 0 alone; elsewhere it is
    smooth, and taken.

    A gradient that is not finite makes the next point so, and is not taken for a place to stay.

    The first evaluation of a step is f with its gradient, at w itself.
    """

    repeats = True

    @abstractmethod
    def begin(self, w: Point) -> State:
        """The state of one run before its first step, at w."""

    @abstractmethod
    def advance(
        self, f: Oracle, w: Point, state: State, batch: Batch = None
    ) -> tuple[Point, State]:
        """The next point and the next state of one run."""

    @final
    def init(self, w: Point) -> State:
        """The state before the first step: one for each row of ``[K, d]``."""
        if _are_rows(w):
            return Rows(0, tuple(_of_row(self, k).begin(row) for k, row in enumerate(w)))
        return self.begin(w)

    @final
    def step(self, f: Oracle, w: Point, state: State, batch: Batch = None) -> tuple[Point, State]:
        """The next point and the next state, row by row for ``[K, d]``.

        Raises:
            InputError: f has a penalty with kinks.
        """
        _require_no_kinks(type(self).__name__, getattr(f, "penalty", None))
        if not _are_rows(w):
            return self.advance(f, w, state, batch)
        ends = [
            _of_row(self, k).advance(f, row, own, batch)
            for k, (row, own) in enumerate(zip(w, state.states, strict=True))
        ]
        points, states = zip(*ends, strict=True)
        return torch.stack(points), Rows(state.step + 1, states)


def _require_no_kinks(method: str, penalty: Penalty | None) -> None:
    """Refuse a penalty whose kinks its Hessian does not show."""
    if isinstance(penalty, L1) or (isinstance(penalty, ElasticNet) and penalty.l1_ratio > 0):
        raise InputError(
            f"{method} takes no penalty with kinks, as {type(penalty).__name__} has where entries "
            "of w are 0: take ProximalGradient, or a first-order method in Proximal (--proximal)"
        )


def _are_rows(w: Point) -> bool:
    return isinstance(w, Tensor) and w.dim() == 2


def _of_row(method: Any, k: int) -> Any:
    """The method with the hyper-parameters of run k."""
    given = {field.name: getattr(method, field.name) for field in fields(method)}
    columns = {name: v for name, v in given.items() if isinstance(v, Tensor) and v.dim() == 2}
    return replace(method, **{name: column[k, 0] for name, column in columns.items()})


def _parts(w: Point) -> Sequence[Tensor]:
    """The tensors of a point."""
    found: Sequence[Tensor] = w.values if isinstance(w, Tensors) else (w,)
    return found


def flat(w: Point) -> Tensor:
    """The entries of one point as a vector ``[d]``."""
    return w.flat() if isinstance(w, Tensors) else w.reshape(-1)


def like(w: Point, entries: Tensor) -> Point:
    """The vector ``[d]`` in the form of w."""
    if not isinstance(w, Tensors):
        return entries.view(w.shape)
    parts = entries.split([value.numel() for value in w.values])
    return Tensors([part.view(value.shape) for part, value in zip(parts, w.values, strict=True)])


def eps_of(w: Point) -> float:
    """How far rounding moves an entry of a point, as a part of it; of its coarsest dtype."""
    return max(torch.finfo(part.dtype).eps for part in _parts(w))


def dot(a: Point, b: Point) -> Tensor:
    """The inner product of two points of one form, in float32 at least."""
    product: Tensor = (wide(a) * wide(b)).sum()
    return product


def products_at(f: Oracle, w: Point, batch: Batch) -> Callable[[Point], Point]:
    """The product with the Hessian at w, by one graph for all of them where the oracle keeps it."""
    if hasattr(f, "curvature_at"):
        curvature = f.curvature_at(w, batch)
        return lambda v: curvature @ v
    return lambda v: f.hvp(w, v, batch)


def require_matrices(w: Point, matrices: int, what: str) -> None:
    """Refuse to hold so many matrices ``[d, d]`` at once where that is more than there is room for.

    Raises:
        ValueError: they would take more than :data:`gradus.risk.curvature.LIMIT`.
    """
    parts = _parts(w)
    dimension = sum(part.numel() for part in parts)
    remedy = "take NewtonCG, which needs no matrix"
    require_memory(dimension, parts[0].dtype, matrices, what=what, remedy=remedy)


def damped(matrix: Tensor, damping: Number) -> Tensor:
    r"""$A + \mu I$, as a new matrix in float32 at least: beside 100, float16 has no 0.03."""
    shifted = matrix.to(sum_dtype(matrix.dtype), copy=True)
    shifted.diagonal().add_(damping)
    return shifted


def solved(matrix: Tensor, g: Tensor) -> Tensor | None:
    r"""$A^{-1} g$ by Cholesky's factor, or None where A is not positive definite.

    A is taken for singular, to working precision, where a pivot is no larger than what rounding
    may have left of the entry of the diagonal that it comes from. What is not finite gives what is
    not finite. Half precision is factored in float32.
    """
    if not matrix.isfinite().all():
        return g * torch.nan
    working = matrix.to(torch.promote_types(matrix.dtype, torch.float32))
    factor, info = torch.linalg.cholesky_ex(working)
    pivots, rounding = factor.diagonal().square(), rounding_of(working)
    if info > 0 or (pivots <= rounding * working.diagonal()).any():
        return None
    # Not by cholesky_solve, which copies the factor.
    half = torch.linalg.solve_triangular(factor, g.to(working.dtype).unsqueeze(1), upper=False)
    solution: Tensor = torch.linalg.solve_triangular(factor.mT, half, upper=True)
    return solution.squeeze(1).to(g.dtype)


def rounding_of(matrix: Tensor) -> float:
    """How far rounding moves the pivots of a matrix, as a part of its entries."""
    return 10 * math.sqrt(len(matrix)) * torch.finfo(matrix.dtype).eps


def not_positive_definite(
    name: str, matrix: Tensor, damping: Number, step: int, otherwise: str
) -> NotPositiveDefiniteError:
    """What to say of the matrix of f, given with its damping, that :func:`solved` refuses."""
    working = matrix.detach().to(torch.promote_types(matrix.dtype, torch.float32))
    eigenvalues = torch.linalg.eigvalsh(working) - float(damping)
    smallest, largest = eigenvalues[0].item(), eigenvalues.abs().max().item()
    rounding = rounding_of(working)
    fault = "not positive definite"
    if smallest >= -rounding * largest:
        fault = "singular to working precision"
    # Four times: the diagonal may be twice the largest eigenvalue, once it is damped, and what is
    # read of the eigenvalues is rounded too; in half precision, so is the diagonal.
    margin = 4 * (rounding + torch.finfo(matrix.dtype).eps) * (largest or 1.0)
    return NotPositiveDefiniteError(
        f"step {step}: the {name} is {fault}, its smallest eigenvalue is {smallest:.3g}: "
        f"give damping of at least {_rounded_up(max(-smallest, 0.0) + margin)}, {otherwise}"
    )


def _rounded_up(number: float) -> str:
    """A number > 0 in two digits, and no smaller than it is."""
    unit = 10.0 ** (math.floor(math.log10(number)) - 1)
    return f"{math.ceil(number / unit) * unit:.2g}"
