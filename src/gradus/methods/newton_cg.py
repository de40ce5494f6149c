"""Newton's step without a matrix: its equation solved by conjugate gradients, as far as needed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from gradus.methods.hyperparameters import Number, is_set, require, require_whole
from gradus.methods.line_search import Search, require_line_search, step_along
from gradus.methods.method import Batch, Oracle, Point
from gradus.methods.schedules import LearningRate, learning_rate, require_learning_rate
from gradus.methods.second_order import (
    Count,
    SecondOrder,
    dot,
    eps_of,
    products_at,
)
from gradus.risk.precision import narrow, wide
from gradus.risk.tensors import zeros_like


@dataclass(frozen=True)
class NewtonCG(SecondOrder):
    r"""$$
    w_{t+1} = w_t + \alpha_t p_t, \qquad
    \big\| \big(\nabla^2 f(w_t) + \mu I\big) p_t + \nabla f(w_t) \big\|
    < \min\big(\tfrac12, \|\nabla f(w_t)\|^{1/2}\big) \|\nabla f(w_t)\|
    $$

    Newton's method with each step solved by conjugate gradients from 0, only as exactly as its
    place deserves: roughly far from a minimum, ever more exactly near it, so that convergence is
    superlinear. Where a direction of negative curvature is met, the step goes as far as it has come
    (along $-\nabla f$ if that is the first direction); so p descends where the gradient is not 0.

    Near a saddle w moves away along negative curvature if the gradient has any part there, however
    small. Exactly at a saddle the gradient is 0, and w stays; and where the gradient and its
    products with the Hessian have no such part, as on a line that leads straight into a saddle, w
    ends there.

    One step costs one gradient, at most ``max_iterations`` Hessian-vector products (d of them are
    always enough on paper), each as much as about two gradients, and the evaluations of the line
    search (mostly one). It holds 6 vectors of length d beside what a product holds, and no matrix.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule; the first step that a line search tries.
        max_iterations: the most conjugate gradients of one step.
        damping: $\mu \ge 0$, added to the diagonal of the matrix.
        line_search: how far to go along the direction: None, ``"backtracking"`` or
            ``"strong-wolfe"``; where the search finds no lower point, w stays.

    Raises:
        ValueError: a hyper-parameter is out of its range or not finite.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: 2 * w[0] ** 2 + 8 * w[1] ** 2
        >>> path = gradus.minimize(
        ...     f, torch.tensor([8.0, -4.0]), gradus.methods.NewtonCG(max_iterations=2), steps=6
        ... )
        >>> path.values[-1] < 1e-6
        tensor(True)

    - Cost: 1 gradient, at most ``max_iterations`` hvp, the line search (mostly one value).
    - Memory: 6 beside what an hvp holds.
    - Take it: many parameters, badly conditioned, saddles.
    - Leave it: an hvp is not to be had: f has no second derivative.

    Source: Nocedal, Wright (2006), "Numerical Optimization", algorithm 7.1; Dembo, Steihaug (1983),
        "Truncated-Newton algorithms for large-scale unconstrained optimization".
    """  # noqa: D205

    lr: LearningRate = 1.0
    max_iterations: int = 100
    damping: Number = 0.0
    line_search: Search | None = "backtracking"

    def __post_init__(self) -> None:
        require_learning_rate(self.lr)
        require_whole("max_iterations", self.max_iterations)
        require("damping", self.damping, at_least=0.0)
        require_line_search(self.line_search)

    def begin(self, w: Point) -> Count:
        """Step 0."""
        return Count()

    def advance(
        self, f: Oracle, w: Point, state: Count, batch: Batch = None
    ) -> tuple[Point, Count]:
        """Along the direction that conjugate gradients find."""
        alpha = learning_rate(self.lr, state.step)
        value, g = f.value_and_gradient(w, batch)
        hessian_times = products_at(f, w, batch)

        def product(v: Point) -> Point:
            bent = wide(hessian_times(narrow(v, w)))
            return bent + self.damping * v if is_set(self.damping) else bent

        p = narrow(_conjugate_gradients(product, wide(g), eps_of(w), self.max_iterations), w)
        end = step_along(self.line_search, f, w, p, alpha, batch, value, g)
        return end.point, Count(state.step + 1)


def _conjugate_gradients(
    product: Callable[[Point], Point], g: Point, eps: float, max_iterations: int
) -> Point:
    r"""A direction p that descends and nearly solves $B p = -g$, with B given by its products.

    A curvature is taken for positive where it is more than what rounding, by eps of each entry of
    a product, leaves of 0.
    """
    p, residual, d = zeros_like(g), g, -g
    squared = dot(g, g)
    norm = math.sqrt(squared.item())
    tolerance = min(0.5, math.sqrt(norm)) * norm
    for iteration in range(max_iterations):
        bent = product(d)
        curvature = dot(d, bent)
        rounding = eps * dot(d, d).sqrt() * dot(bent, bent).sqrt()
        if not curvature > rounding:
            return d if iteration == 0 else p
        alpha = squared / curvature
        p, residual = p + alpha * d, residual + alpha * bent
        before, squared = squared, dot(residual, residual)
        if math.sqrt(squared.item()) < tolerance:
            return p
        d = -residual + (squared / before) * d
    return p
