"""What any first-order method can be made to look for, or be held back by: SAM, Lookahead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gradus.methods.hyperparameters import Number, require, require_whole
from gradus.methods.layout import Layout, begun
from gradus.methods.method import Batch, FirstOrder, Oracle, Point
from gradus.methods.momentum import Nesterov, Polyak
from gradus.methods.wrapper import Wrapper
from gradus.risk.tensors import norm

TINY = 1e-12
"""Beside the length of a gradient, so that one of 0 leads nowhere."""


@dataclass(frozen=True)
class SAM(Wrapper[FirstOrder]):
    r"""Sharpness-aware minimisation: the gradient is taken where the loss nearby is largest.

    $$\begin{aligned}
    g &= \nabla f(q_t; \xi_t) \quad\text{at the query } q_t \text{ of the method} \\
    \epsilon &= \rho\, \frac{g}{\|g\|}, \qquad\text{adaptive:}\quad
        \epsilon = \rho\, \frac{T^2 g}{\|T g\|},\quad T = |q_t| + 0.01 \\
    w_{t+1} &= \text{what the method makes of } w_t \text{ and } \nabla f(q_t + \epsilon; \xi_t)
    \end{aligned}$$

    A step costs two gradients, of the same examples, and what is random in the model is the same in
    both. The adaptive form measures nearness in the units of each weight, so that scaling the
    weights of one layer up and of the next down changes nothing.

    Args:
        method: the method within.
        rho: $\rho \ge 0$, how far from w the largest loss is looked for; 0.05, or 0.5 to 2 where
            adaptive.
        adaptive: measure distances in the units of each weight (ASAM).

    Raises:
        TypeError: the method is not a first-order method.
        ValueError: rho is negative or not finite.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: (w**2).sum()
        >>> method = gradus.methods.SAM(gradus.methods.GradientDescent(0.25), rho=0.5)
        >>> gradus.minimize(f, torch.tensor([2.0]), method, steps=2).points.flatten()
        tensor([2.0000, 0.7500, 0.1250])

    - Cost: 2 gradients.
    - Memory: as the method within.
    - Take it: networks that fit their examples, where the test part counts.
    - Leave it: time is what is short.

    Source: Foret et al. (2021), "Sharpness-aware minimization for efficiently improving
        generalization", equation (2) and algorithm 1; Kwon et al. (2021), "ASAM", equation (7).
    """

    rho: Number = 0.05
    adaptive: bool = False

    repeats = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require("rho", self.rho, at_least=0.0)

    def step(self, f: Oracle, w: Point, state: Any, batch: Batch = None) -> tuple[Point, Any]:
        """The gradient at the query, the gradient uphill from there, then the method's update."""
        query = self.method.query(w, state.inner)
        g = f.gradient(query, batch)
        uphill = self.rho / (norm(g) + TINY) * g
        if self.adaptive:
            scaled = (query.abs() + ETA) * g
            uphill = self.rho / (norm(scaled) + TINY) * ((query.abs() + ETA) * scaled)
        after, inner = self.method.update(w, f.gradient(query + uphill, batch), state.inner)
        return after, self.State(state.step + 1, inner)


ETA = 0.01
"""Beside the size of a weight in ASAM, so that one of 0 can move."""


@dataclass(frozen=True)
class Lookahead(Wrapper[FirstOrder]):
    r"""Fast weights go ahead by k steps of the method; then slow weights follow a part of the way.

    $$s \leftarrow s + \alpha\, (w - s), \qquad w \leftarrow s
        \qquad\text{after every k-th step; } s = w_0 \text{ at first}$$

    It costs a vector as long as w. The state of the method within is kept when w is brought back;
    that of Polyak and Nesterov holds where w was before, so that the way back would be momentum:
    they are refused, and SGD with momentum, which keeps a direction, is taken.

    Args:
        method: the method within.
        every: k, the steps between.
        share: $\alpha$ in [0, 1), how much of the way the slow weights go.

    Raises:
        TypeError: the method is not a first-order method.
        ValueError: it is one that keeps where w was; every or share is out of its range.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: (w**2).sum()
        >>> method = gradus.methods.Lookahead(gradus.methods.GradientDescent(0.25), every=2)
        >>> gradus.minimize(f, torch.tensor([2.0]), method, steps=3).points.flatten()
        tensor([2.0000, 1.0000, 1.2500, 0.6250])

    - Cost: that of the method within.
    - Memory: 1 beside the method within.
    - Take it: a fast method that oscillates.
    - Leave it: full batch: nothing oscillates.

    Source: Zhang et al. (2019), "Lookahead optimizer: k steps forward, 1 step back", algorithm 1.
    """

    every: int = 5
    share: Number = 0.5

    @dataclass(frozen=True)
    class State:
        """The number of steps taken, the state of the method within, and the slow weights."""

        step: int
        inner: Any
        slow: Point

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.method, Polyak | Nesterov):
            raise ValueError(
                f"lookahead does not go with {type(self.method).__name__}, which takes the way "
                "back for momentum: use SGD with momentum, and nesterov=True for its form"
            )
        require_whole("every", self.every)
        require("share", self.share, at_least=0.0, below=1.0)

    def init(self, w: Point, layout: Layout | None = None) -> State:
        """The slow weights begin where the fast ones do."""
        return self.State(0, begun(self.method, w, layout), w)

    def step(self, f: Oracle, w: Point, state: State, batch: Batch = None) -> tuple[Point, State]:
        """The method's step, and after every k-th of them a part of the way back."""
        after, inner = self.method.step(f, w, state.inner, batch)
        taken: Any = state.step + 1
        slow, due = state.slow, taken % self.every == 0
        if isinstance(due, Tensor):  # a device counts: whether it is due is not known here
            due = due.to(taken.dtype)
            slow = slow + due * (self.share * (after - slow))
            return after + due * (slow - after), self.State(taken, inner, slow)
        if due:
            slow = after = slow.lerp(after, self.share)
        return after, self.State(taken, inner, slow)
