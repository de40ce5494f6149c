"""Newton's method: a step to the minimum of the quadratic model of f."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradus.methods.hyperparameters import Number, is_set, require
from gradus.methods.line_search import Search, require_line_search, step_along
from gradus.methods.method import Batch, Oracle, Point
from gradus.methods.schedules import LearningRate, learning_rate, require_learning_rate
from gradus.methods.second_order import (
    Count,
    SecondOrder,
    damped,
    flat,
    like,
    not_positive_definite,
    require_matrices,
    rounding_of,
    solved,
)


@dataclass(frozen=True)
class Newton(SecondOrder):
    r"""$$w_{t+1} = w_t - \alpha_t \big(\nabla^2 f(w_t) + \mu I\big)^{-1} \nabla f(w_t)$$

    Newton's method. Near a minimum where the Hessian is positive definite the error is squared by
    every step; elsewhere the plain method is attracted by any stationary point, saddles included.

    With ``saddle_free`` each eigenvalue $\lambda_i$ of the Hessian, with its eigenvector $v_i$, is
    taken by its absolute value, so that near a saddle the step leads away from it along directions
    of negative curvature; exactly at one, where the gradient is 0, w stays:

    $$w_{t+1} = w_t - \alpha_t \sum_i \frac{v_i^T \nabla f(w_t)}{|\lambda_i| + \mu}\, v_i$$

    Where $|\lambda_i| + \mu$ is 0 to working precision, the quadratic model has no minimum and no
    maximum along $v_i$, and the step does not move along it.

    One step costs one gradient, the Hessian (d Hessian-vector products) and about $d^3/3$ flops,
    additions and multiplications, to factor it (some $9 d^3$ with ``saddle_free``). It holds 2
    matrices ``[d, d]`` at once, that is 2 d vectors of length d (4 d with ``saddle_free``). For
    many parameters take :class:`~gradus.methods.NewtonCG`, which needs no matrix.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule; the first step that a line search tries.
        damping: $\mu \ge 0$, added to the diagonal of the matrix.
        saddle_free: take the absolute values of the eigenvalues.
        line_search: how far to go along the direction: None, ``"backtracking"`` or
            ``"strong-wolfe"``; where the search finds no lower point, w stays.

    Raises:
        NotPositiveDefiniteError: the Hessian plus $\mu I$ is singular or not positive definite, and
            saddle_free is off.
        ValueError: a hyper-parameter is out of its range or not finite; the matrices would take
            more memory than :data:`gradus.risk.curvature.LIMIT`.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: 2 * w[0] ** 2 + 8 * w[1] ** 2
        >>> start = torch.tensor([8.0, -4.0])
        >>> gradus.minimize(f, start, gradus.methods.Newton(), steps=1).points[-1]
        tensor([0., 0.])

    - Cost: 1 gradient, d hvp, d³/3 flops.
    - Memory: 2 d, 4 d with ``saddle_free``.
    - Take it: few parameters, the last digit.
    - Leave it: d in the tens of thousands; far from a minimum without damping.

    Source: Nocedal, Wright (2006), "Numerical Optimization", equation (3.30); saddle-free: Dauphin
        et al. (2014), "Identifying and attacking the saddle point problem in high-dimensional
        non-convex optimization", algorithm 1.
    """

    lr: LearningRate = 1.0
    damping: Number = 0.0
    saddle_free: bool = False
    line_search: Search | None = None

    def __post_init__(self) -> None:
        require_learning_rate(self.lr)
        require("damping", self.damping, at_least=0.0)
        require_line_search(self.line_search)

    def begin(self, w: Point) -> Count:
        """Step 0, where there is room for the matrices."""
        if self.saddle_free:
            require_matrices(w, 4, "the Hessian and its eigenvectors")
        else:
            require_matrices(w, 2, "the Hessian and its factor")
        return Count()

    def advance(
        self, f: Oracle, w: Point, state: Count, batch: Batch = None
    ) -> tuple[Point, Count]:
        """To the minimum of the quadratic model, or along the line to it."""
        alpha = learning_rate(self.lr, state.step)
        value, g = f.value_and_gradient(w, batch)
        p = like(w, -self._solved(f.hessian(w, batch), flat(g), state.step))
        end = step_along(self.line_search, f, w, p, alpha, batch, value, g)
        return end.point, Count(state.step + 1)

    def _solved(self, hessian: Tensor, g: Tensor, step: int) -> Tensor:
        """The Hessian, damped or by absolute values, inverted and applied to the gradient."""
        if self.saddle_free:
            return _absolutely_solved(hessian, self.damping, g)
        if is_set(self.damping):
            hessian = damped(hessian, self.damping)
        solution = solved(hessian, g)
        if solution is None:
            remedies = "saddle_free=True, or take NewtonCG"
            raise not_positive_definite("Hessian", hessian, self.damping, step, remedies)
        return solution


def _absolutely_solved(matrix: Tensor, damping: Number, g: Tensor) -> Tensor:
    r"""$\sum_i v_i v_i^T g / (|\lambda_i| + \mu)$, without the terms whose divisor is 0."""
    if not matrix.isfinite().all():
        return g * torch.nan
    working = matrix.to(torch.promote_types(matrix.dtype, torch.float32))
    eigenvalues, vectors = torch.linalg.eigh(working)
    sizes = eigenvalues.abs()
    rounding = rounding_of(working) * sizes.max()
    divisors = torch.where(sizes + damping > rounding, sizes + damping, torch.inf)
    solution: Tensor = vectors @ ((vectors.T @ g.to(working.dtype)) / divisors)
    return solution.to(g.dtype)
