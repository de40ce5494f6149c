"""The mean of the points that a method goes through: Polyak-Ruppert and suffix averaging."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gradus.methods.hyperparameters import require_whole
from gradus.methods.layout import Layout, begun
from gradus.methods.method import Batch, Method, Oracle, Point
from gradus.methods.wrapper import Wrapper


@dataclass(frozen=True)
class Averaged(Wrapper[Method]):
    r"""The mean of the points that a method goes through, in place of the last of them.

    $$\begin{aligned}
    u_{t+1} &= \text{what the method makes of } u_t, \qquad u_0 = w_0 \\
    w_t &= u_t \ \text{if } t \le s, \ \text{else}\ w_{t-1} + \frac{u_t - w_{t-1}}{t - s}
    \end{aligned}$$

    The gradients are those at the method's own points u, which it moves as it would alone; w is the
    mean of those after step s. Around a minimum the noise of mini-batches keeps u at a distance
    that its learning rate sets, in changing directions: in the mean they cancel, and with s = 0 and
    a rate that falls slower than 1/t the mean is asymptotically as near as any estimate can be. The
    way from the start is in the mean as well, so that with s after it, as half of all steps (suffix
    averaging), it is better after few passes.

    Args:
        method: the method within.
        after: $s \ge 0$, the steps whose points are left out.

    Raises:
        TypeError: the method is no method.
        ValueError: after is not a whole number >= 0.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: (w**2).sum()
        >>> method = gradus.methods.Averaged(gradus.methods.GradientDescent(0.25))
        >>> gradus.minimize(f, torch.tensor([8.0]), method, steps=3).points.flatten()
        tensor([8.0000, 4.0000, 3.0000, 2.3333])

    - Cost: that of the method within.
    - Memory: 1 beside the method within.
    - Take it: noisy mini-batches at a learning rate that does not fall to 0.
    - Leave it: full batch: the last point is the best.

    Source: Polyak, Juditsky (1992), "Acceleration of stochastic approximation by averaging";
        Ruppert (1988); Rakhlin, Shamir, Sridharan (2012), "Making gradient descent optimal for
        strongly convex stochastic optimization", for the suffix.
    """

    after: int = 0

    takes = Method

    @dataclass(frozen=True)
    class State:
        """The number of steps taken, the state of the method within, and its own point."""

        step: int
        inner: Any
        own: Point

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole("after", self.after, at_least=0)

    def init(self, w: Point, layout: Layout | None = None) -> State:
        """The method within begins at w."""
        return self.State(0, begun(self.method, w, layout), w)

    def step(self, f: Oracle, w: Point, state: State, batch: Batch = None) -> tuple[Point, State]:
        """The method's step from its own point, then the mean."""
        own, inner = self.method.step(f, state.own, state.inner, batch)
        taken: Any = state.step + 1
        after = self.State(taken, inner, own)
        if isinstance(taken, Tensor):  # a device counts
            return w + (own - w) / (taken - self.after).clamp(min=1), after
        return w.lerp(own, 1 / max(taken - self.after, 1)), after
