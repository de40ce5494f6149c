"""Adam with the largest of past gradients in the place of their root mean: Adamax."""

from __future__ import annotations

from dataclasses import dataclass

from gradus.methods.adaptive import TwoMeans
from gradus.methods.hyperparameters import Number, is_set
from gradus.methods.method import Point
from gradus.methods.precision import are_lost, in_float32
from gradus.methods.schedules import LearningRate, learning_rate
from gradus.risk.tensors import zeros_like


@dataclass(frozen=True)
class Adamax(TwoMeans):
    r"""Adamax as PyTorch runs it: Adam with the largest of the past gradients for their root mean.

    $$\begin{aligned}
    g &\leftarrow -g \quad\text{if maximize}, \qquad g \leftarrow g + \lambda w \\
    m &\leftarrow \beta_1 m + (1 - \beta_1) g, \qquad
        u \leftarrow \max(\beta_2 u,\ |g| + \epsilon) \\
    w &\leftarrow w - \frac{\alpha_t}{1 - \beta_1^t} \cdot \frac{m}{u}
    \end{aligned}$$

    Where $\epsilon$ is 0 in the type of w, as 1e-8 is in float16, the step is computed in float32.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule.
        betas: $(\beta_1, \beta_2)$, the weights of the past in m and u, each in [0, 1).
        eps: $\epsilon \ge 0$, added to the size of the gradient.
        weight_decay: $\lambda \ge 0$, added to the gradient.
        maximize: climb instead of descend.

    Raises:
        ValueError: a hyper-parameter is out of its range or not finite.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: (w**2).sum()
        >>> method = gradus.methods.Adamax(lr=0.5)
        >>> gradus.minimize(f, torch.tensor([2.0]), method, steps=2).points.flatten()
        tensor([2.0000, 1.5000, 1.0654])

    - Cost: 1 gradient.
    - Memory: 2.
    - Take it: gradients with rare large entries, as of embeddings.
    - Leave it: one outlier is to be forgotten soon.

    Source: Kingma and Ba (2015), algorithm 2; torch.optim.Adamax for the order of operations.
    """

    lr: LearningRate = 2e-3
    betas: tuple[Number, Number] = (0.9, 0.999)
    eps: Number = 1e-8
    weight_decay: Number = 0.0
    maximize: bool = False

    @dataclass(frozen=True)
    class State:
        """The number of steps taken, m, and the largest size u of a gradient, forgetting."""

        step: int
        m: Point
        u: Point

    def init(self, w: Point) -> State:
        """Both 0."""
        return self.State(0, zeros_like(w), zeros_like(w))

    def update(self, w: Point, g: Point, state: State) -> tuple[Point, State]:
        """PyTorch's order of operations, line by line."""
        if are_lost(w, self.eps, *self.betas):
            return in_float32(self.update, w, g, state)
        alpha, (b1, b2), t = learning_rate(self.lr, state.step), self.betas, state.step + 1
        if self.maximize:
            g = -g
        if is_set(self.weight_decay):
            g = g + self.weight_decay * w
        m = state.m.lerp(g, 1 - b1)
        u = (b2 * state.u).maximum(g.abs() + self.eps)
        return w - alpha / (1 - b1**t) * m / u, self.State(t, m, u)
