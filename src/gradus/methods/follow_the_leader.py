"""Methods that choose each point anew by all gradients so far: FTRL-Proximal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gradus.methods.hyperparameters import Number, is_set, require
from gradus.methods.method import GradientAtIterate, Point
from gradus.risk.tensors import zeros_like


@dataclass(frozen=True)
class FTRL(GradientAtIterate):
    r"""FTRL-Proximal: follow the regularized leader, with exact zeros.

    $$\begin{aligned}
    n &\leftarrow n + g^2, \qquad \sigma = \frac{\sqrt n - \sqrt{n_-}}{\alpha} \\
    z &\leftarrow z + g - \sigma w \\
    w &\leftarrow - \frac{\mathrm{sign}(z)\, \max(|z| - \lambda_1, 0)}
        {(\beta + \sqrt n) / \alpha + \lambda_2}
    \end{aligned}$$

    where $n_-$ is n before the step. This w is where, over all gradients $g_s$ so far,

    $$\sum_s g_s w + \tfrac12 \sum_s \sigma_s (w - w_s)^2 + \lambda_1 |w|
        + \tfrac12 \lambda_2 w^2$$

    is least, coordinate by coordinate. The term before the first has $\sigma = \beta / \alpha$ and
    its centre in $w_0$, so that $z = -(\beta / \alpha)\, w_0$ at first; the source begins in 0.
    Without the penalties each step is that of Adagrad with $\epsilon = \beta$. $\lambda_1$ and
    $\lambda_2$ stand against the sum of the gradients, not their mean: their weight falls as steps
    are taken.

    Args:
        lr: $\alpha > 0$, a number.
        beta: $\beta \ge 0$, which keeps the first steps short.
        l1: $\lambda_1 \ge 0$: what the gradients have not added up to stays 0.
        l2: $\lambda_2 \ge 0$.

    Raises:
        ValueError: a hyper-parameter is out of its range or not finite.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: ((w - torch.tensor([3.0, 0.2])) ** 2).sum() / 2
        >>> method = gradus.methods.FTRL(lr=1.0, l1=0.5)
        >>> gradus.minimize(f, torch.zeros(2), method, steps=1).points[-1]
        tensor([0.6250, 0.0000])

    - Cost: 1 gradient.
    - Memory: 2.
    - Take it: rare features, one pass over rows, exact zeros.
    - Leave it: weights are shared by many features, as in nets.

    Source: McMahan et al. (2013), "Ad click prediction: a view from the trenches", algorithm 1.
    """

    lr: Number = 0.1
    beta: Number = 1.0
    l1: Number = 0.0
    l2: Number = 0.0

    @dataclass(frozen=True)
    class State:
        """The number of steps taken, z, and the sum n of squared gradients."""

        step: int
        z: Point
        n: Point

    def __post_init__(self) -> None:
        require("lr", self.lr, at_least=0.0)
        if not is_set(self.lr):
            raise ValueError(f"lr must be a finite number > 0, not {self.lr!r}")
        require("beta", self.beta, at_least=0.0)
        require("l1", self.l1, at_least=0.0)
        require("l2", self.l2, at_least=0.0)

    def init(self, w: Point) -> State:
        """No gradient yet."""
        return self.State(0, self.first_z(w), zeros_like(w))

    def first_z(self, w: Any) -> Any:
        """Z before the first step, at w."""
        return w * (-self.beta / self.lr)

    def update(self, w: Point, g: Point, state: State) -> tuple[Point, State]:
        """Algorithm 1."""
        n = state.n + g.square()
        z = state.z + g - (n.sqrt() - state.n.sqrt()) / self.lr * w
        shrunk = z.sign() * (z.abs() - self.l1).clamp(min=0.0)
        after = -shrunk / ((n.sqrt() + self.beta) / self.lr + self.l2)
        return after, self.State(state.step + 1, z, n)
