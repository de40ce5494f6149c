r"""Newton's method with the Gauss-Newton matrix, which is never indefinite, for the Hessian.

For $f(w) = \frac{1}{N} \sum_i L(h_w(x_i), y_i)$ the matrix is the mean of $J_i^T L_i'' J_i$: J is
the Jacobian of the outputs in w, and L'' the Hessian of the loss in them. It leaves out the
curvature of the model, which matters little where the outputs are near their targets.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gradus.methods.hyperparameters import Number, is_set, require
from gradus.methods.line_search import ROUNDING, Search, require_line_search, step_along
from gradus.methods.method import Batch, Oracle, Point
from gradus.methods.schedules import LearningRate, learning_rate, require_learning_rate
from gradus.methods.second_order import (
    Count,
    SecondOrder,
    damped,
    dot,
    flat,
    like,
    not_positive_definite,
    require_matrices,
    solved,
)


@dataclass(frozen=True)
class GaussNewton(SecondOrder):
    r"""$$w_{t+1} = w_t - \alpha_t \big(G(w_t) + \mu I\big)^{-1} \nabla f(w_t)$$

    The Gauss-Newton method, with G the Gauss-Newton matrix of f. On linear least squares it is
    Newton's method; elsewhere its direction descends wherever it is defined.

    f is an :class:`~gradus.EmpiricalRisk` or a :class:`~gradus.LeastSquares`; any
    other callable has no Gauss-Newton matrix.

    One step costs one gradient, the matrix (d products with it, each as much as about two
    gradients) and about $d^3/3$ flops to factor it. It holds 2 matrices ``[d, d]`` at once,
    that is 2 d vectors of length d.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule; the first step that a line search tries.
        damping: $\mu \ge 0$, added to the diagonal of the matrix; without it the matrix must not
            be singular, as it is wherever there are more parameters than outputs to fit.
        line_search: how far to go along the direction: None, ``"backtracking"`` or
            ``"strong-wolfe"``; where the search finds no lower point, w stays.

    Raises:
        NotPositiveDefiniteError: the matrix plus $\mu I$ is singular.
        ValueError: f has no Gauss-Newton matrix; a hyper-parameter is out of its range or not
            finite; the matrices would take more memory than
            :data:`gradus.risk.curvature.LIMIT`.

    Example:
        >>> import torch, gradus
        >>> x = torch.tensor([[1.0], [2.0], [3.0]])
        >>> risk = gradus.EmpiricalRisk(torch.nn.Linear(1, 1), gradus.MSELoss(), (x, 2 * x + 1))
        >>> path = gradus.minimize(risk, risk.point, gradus.methods.GaussNewton(), steps=2)
        >>> path.points[-1].round(decimals=3)
        tensor([2., 1.])

    - Cost: 1 gradient, d hvp, d³/3 flops.
    - Memory: 2 d.
    - Take it: least squares near a good fit; convex losses.
    - Leave it: more parameters than outputs to fit, undamped.

    Source: Nocedal, Wright (2006), "Numerical Optimization", equation (10.23); with any convex
        loss: Schraudolph (2002), "Fast curvature matrix-vector products for second-order gradient
        descent".
    """

    lr: LearningRate = 1.0
    damping: Number = 0.0
    line_search: Search | None = None

    def __post_init__(self) -> None:
        require_learning_rate(self.lr)
        require("damping", self.damping, at_least=0.0)
        require_line_search(self.line_search)

    def begin(self, w: Point) -> Count:
        """Step 0, where there is room for the matrices."""
        require_matrices(w, 2, "the Gauss-Newton matrix and its factor")
        return Count()

    def advance(
        self, f: Oracle, w: Point, state: Count, batch: Batch = None
    ) -> tuple[Point, Count]:
        """To the minimum of the quadratic model, or along the line to it."""
        alpha = learning_rate(self.lr, state.step)
        value, g = f.value_and_gradient(w, batch)
        matrix = f.gauss_newton(w, batch)
        if is_set(self.damping):
            matrix = damped(matrix, self.damping)
        solution = solved(matrix, flat(g))
        if solution is None:
            name, otherwise = "Gauss-Newton matrix", "or take LevenbergMarquardt"
            raise not_positive_definite(name, matrix, self.damping, state.step, otherwise)
        p = like(w, -solution)
        end = step_along(self.line_search, f, w, p, alpha, batch, value, g)
        return end.point, Count(state.step + 1)


@dataclass(frozen=True)
class LevenbergMarquardt(SecondOrder):
    r"""Gauss-Newton steps, damped as much as their last gain asked for.

    $$\begin{aligned}
    p_t &= -\alpha_t \big(G(w_t) + \mu_t I\big)^{-1} \nabla f(w_t) \\
    \rho_t &= \frac{f(w_t) - f(w_t + p_t)}
                   {-\nabla f(w_t)^T p_t - \tfrac12 p_t^T G(w_t)\, p_t} \\
    w_{t+1} &= w_t + p_t \ \text{if}\ \rho_t > 0, \ \text{else}\ w_t \\
    \mu_{t+1} &= \mu_t / 10 \ \text{if}\ \rho_t > \tfrac34, \quad
      10\,\mu_t \ \text{if}\ \rho_t < \tfrac14, \quad \text{else}\ \mu_t
    \end{aligned}$$

    The gain ratio $\rho$ compares what the step gained with what the quadratic model promised. A
    step that would raise f is not taken (nor one that promises a rise, as with $\alpha_t > 2$, nor
    one to where f is not finite, nor one whose matrix is singular to working precision): w stays,
    and the next step is shorter. A change of f that is within its rounding counts as the one
    promised. $\mu$ is never taken smaller than what can be
    seen beside the largest entry of the diagonal of G.

    f is an :class:`~gradus.EmpiricalRisk` or a :class:`~gradus.LeastSquares`; any
    other callable has no Gauss-Newton matrix.

    One step costs one gradient, one value (on the same batch), the matrix (d products with it, each
    as much as one or two gradients) and about $d^3/3$ flops to factor it, whether it is taken or
    not. It holds 3 matrices ``[d, d]`` at once, that is 3 d vectors of length d.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule.
        damping: $\mu_0 > 0$, with which the first step begins.

    Raises:
        ValueError: f has no Gauss-Newton matrix; a hyper-parameter is out of its range or not
            finite; the matrices would take more memory than
            :data:`gradus.risk.curvature.LIMIT`.

    Example:
        >>> import torch, gradus
        >>> x = torch.tensor([[1.0], [2.0], [3.0]])
        >>> risk = gradus.EmpiricalRisk(torch.nn.Linear(1, 1), gradus.MSELoss(), (x, 2 * x + 1))
        >>> path = gradus.minimize(risk, risk.point, gradus.methods.LevenbergMarquardt(), steps=4)
        >>> path.points[-1].round(decimals=3)
        tensor([2., 1.])

    - Cost: 1 gradient, 1 value, d hvp, d³/3 flops.
    - Memory: 3 d.
    - Take it: least squares from far away.
    - Leave it: d in the tens of thousands.

    Source: Levenberg (1944); Marquardt (1963), "An algorithm for least-squares estimation of
        nonlinear parameters", for the factor 10; Nocedal, Wright (2006), "Numerical Optimization",
        section 10.3 and algorithm 4.1, for the thresholds of the gain ratio.
    """

    lr: LearningRate = 1.0
    damping: Number = 1e-3

    @dataclass(frozen=True)
    class State:
        r"""The number of steps taken, and $\mu$ for the next."""

        step: int
        damping: Number

    def __post_init__(self) -> None:
        require_learning_rate(self.lr)
        require("damping", self.damping, at_least=0.0)
        if not is_set(self.damping):
            raise ValueError("damping must be > 0, or it cannot grow; without it take GaussNewton")

    def begin(self, w: Point) -> State:
        r"""Step 0, with $\mu_0$, where there is room for the matrices."""
        require_matrices(w, 3, "the Gauss-Newton matrix, damped, and its factor")
        return self.State(0, self.damping)

    def advance(
        self, f: Oracle, w: Point, state: State, batch: Batch = None
    ) -> tuple[Point, State]:
        """A damped step, taken if it gains, and the damping for the next."""
        alpha = learning_rate(self.lr, state.step)
        value, gradient = f.value_and_gradient(w, batch)
        g, matrix = flat(gradient), f.gauss_newton(w, batch)
        if not (g.isfinite().all() and matrix.isfinite().all()):
            return w + like(w, g * torch.nan), self.State(state.step + 1, state.damping)
        visible = torch.finfo(matrix.dtype).eps * matrix.diagonal().max().item()
        mu = max(state.damping, visible)
        solution = solved(damped(matrix, mu), g)
        if solution is None:
            return w, self.State(state.step + 1, 10 * mu)
        p = -alpha * solution
        after = w + like(w, p)
        numbers = torch.finfo(value.dtype)
        rounding = ROUNDING * numbers.eps * value.abs() + numbers.tiny
        gained = value - f.value(after, batch)
        promised = -dot(g, p) - dot(p, matrix @ p) / 2
        gain = ((gained + rounding) / (promised + rounding)).item() if promised >= 0 else 0.0
        if not gain >= 0.25:
            mu = 10 * mu
        elif gain > 0.75:
            mu = mu / 10
        return (after if gain > 0 else w), self.State(state.step + 1, mu)
