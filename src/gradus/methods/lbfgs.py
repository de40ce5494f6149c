"""Curvature learnt from the gradients of the last steps, in a few vectors: L-BFGS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from gradus.methods.hyperparameters import require_whole
from gradus.methods.line_search import Search, require_line_search, step_along
from gradus.methods.method import Batch, Oracle, Point
from gradus.methods.schedules import LearningRate, learning_rate, require_learning_rate
from gradus.methods.second_order import SecondOrder, dot, eps_of
from gradus.risk.precision import narrow, wide


@dataclass(frozen=True)
class Pair:
    """One step s, and the change y of the gradient over it."""

    s: Point
    y: Point

    @cached_property
    def product(self) -> Tensor:
        """s·y, in float32 at least; not a part of the state, which keeps the dtype of w."""
        return dot(self.s, self.y)


@dataclass(frozen=True)
class LBFGS(SecondOrder):
    r"""$$
    w_{t+1} = w_t - \alpha_t H_t \nabla f(w_t), \qquad
    H_{t+1} = V_t^T H_t V_t + \frac{s_t s_t^T}{y_t^T s_t}, \qquad
    V_t = I - \frac{y_t s_t^T}{y_t^T s_t}
    $$

    Limited-memory BFGS. $s_t = w_{t+1} - w_t$ is a step and
    $y_t = \nabla f(w_{t+1}) - \nabla f(w_t)$ the change of the gradient over it, both taken on the
    SAME batch. $H_t$ is never formed: it is applied to the gradient by the two-loop recursion over
    the last pairs, from $\gamma I$ with $\gamma = s^T y / y^T y$ of the last.

    A pair without positive curvature ($s^T y$ at most what rounding leaves of 0) would make H
    indefinite and is not kept. The first step, which knows no scale, is shortened to
    $\alpha_0 \min(1, 1 / \|g\|_1)$. Where the line search finds no lower point, w stays and all
    pairs are forgotten, so that the next step starts along the gradient.

    One step costs one gradient, and the evaluations of the line search (mostly one): each of
    them is a gradient with ``"strong-wolfe"``, whose last also gives y; with ``"backtracking"`` it
    is a value, and with it or None y costs one gradient more. It holds at most 2 ``history`` + 11
    vectors of length d.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule; the first step that the line search tries.
        history: how many pairs of steps and gradient differences are kept.
        line_search: how far to go along the direction: None, ``"backtracking"`` or
            ``"strong-wolfe"``. A step that meets the strong Wolfe conditions gives a pair of
            positive curvature; where the trials of the search run out it ends at the lowest that
            decreased f enough, whose pair is kept only if it has.

    Raises:
        ValueError: a hyper-parameter is out of its range or not finite.

    Example:
        >>> import torch, gradus
        >>> rosenbrock = lambda w: (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2
        >>> start = torch.tensor([-1.2, 1.0], dtype=torch.float64)
        >>> gradus.minimize(rosenbrock, start, gradus.methods.LBFGS(), steps=50).values[-1] < 1e-12
        tensor(True)

    - Cost: 1 gradient and those of the line search (mostly one).
    - Memory: at most 2 ``history`` + 11.
    - Take it: full batch, any d: the default.
    - Leave it: mini-batches so small that two gradients differ by noise.

    Source: Nocedal (1980), "Updating quasi-Newton matrices with limited storage"; Liu, Nocedal
        (1989), "On the limited memory BFGS method for large scale optimization"; Nocedal, Wright
        (2006), "Numerical Optimization", algorithms 7.4 and 7.5, equation (7.20).
    """  # noqa: D205

    lr: LearningRate = 1.0
    history: int = 10
    line_search: Search | None = "strong-wolfe"

    @dataclass(frozen=True)
    class State:
        """The number of steps taken, and the pairs of the last of them, the latest last."""

        step: int = 0
        pairs: tuple[Pair, ...] = ()

    def __post_init__(self) -> None:
        require_learning_rate(self.lr)
        require_whole("history", self.history)
        require_line_search(self.line_search)

    def begin(self, w: Point) -> State:
        """Step 0, no pairs."""
        return self.State()

    def advance(
        self, f: Oracle, w: Point, state: State, batch: Batch = None
    ) -> tuple[Point, State]:
        """Along the direction that the pairs give, keeping the pair of this step."""
        alpha = learning_rate(self.lr, state.step)
        value, g = f.value_and_gradient(w, batch)
        if not state.pairs:
            alpha = alpha / wide(g).abs().sum().clamp(min=1.0)
        p = narrow(-_two_loops(state.pairs, wide(g)), w)
        end = step_along(self.line_search, f, w, p, alpha, batch, value, g)
        if end.gradient is g:
            return w, self.State(state.step + 1)
        after = f.gradient(end.point, batch) if end.gradient is None else end.gradient
        pair, pairs = Pair(end.point - w, after - g), state.pairs
        if pair.product > eps_of(w) * dot(pair.s, pair.s).sqrt() * dot(pair.y, pair.y).sqrt():
            pairs = (*pairs, pair)[-self.history :]
        return end.point, self.State(state.step + 1, pairs)


def _two_loops(pairs: Sequence[Pair], g: Point) -> Point:
    """H times the gradient."""
    q, factors = g, []
    for pair in reversed(pairs):
        factors.append(dot(pair.s, q) / pair.product)
        q = q - factors[-1] * wide(pair.y)
    if pairs:
        last = pairs[-1]
        q = (last.product / dot(last.y, last.y)) * q
    for pair, factor in zip(pairs, reversed(factors), strict=True):
        q = q + (factor - dot(pair.y, q) / pair.product) * wide(pair.s)
    return q
