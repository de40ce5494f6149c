"""Methods whose step adapts to each coordinate: Adam."""

from __future__ import annotations

from dataclasses import dataclass

from gradus.methods.hyperparameters import Number, is_set, require
from gradus.methods.method import GradientAtIterate, Point
from gradus.methods.schedules import LearningRate, learning_rate, require_learning_rate
from gradus.risk.tensors import zeros_like


@dataclass(frozen=True)
class Adam(GradientAtIterate):
    r"""Adam as PyTorch runs it.

    $$\begin{aligned}
    g &\leftarrow -g \quad\text{if maximize}, \qquad g \leftarrow g + \lambda w \\
    m &\leftarrow \beta_1 m + (1 - \beta_1) g, \qquad v \leftarrow \beta_2 v + (1 - \beta_2) g^2 \\
    \hat v &\leftarrow \max(\hat v, v)\ \text{if amsgrad, else}\ v \\
    w &\leftarrow w - \frac{\alpha_t}{1 - \beta_1^t} \cdot
        \frac{m}{\sqrt{\hat v} / \sqrt{1 - \beta_2^t} + \epsilon}
    \end{aligned}$$

    Two points in which running PyTorch differs from older descriptions: ``maximize`` negates the
    gradient BEFORE weight decay is added, and AMSGrad takes the running maximum of v BEFORE the
    bias correction.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule.
        betas: $(\beta_1, \beta_2)$, each in [0, 1).
        eps: $\epsilon \ge 0$.
        weight_decay: $\lambda \ge 0$, added to the gradient.
        amsgrad: use the running maximum of v.
        maximize: climb instead of descend.

    Raises:
        ValueError: a hyper-parameter is out of its range or not finite.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: (w**2).sum()
        >>> method = gradus.methods.Adam(lr=0.5)
        >>> gradus.minimize(f, torch.tensor([2.0]), method, steps=2).points.flatten()
        tensor([2.0000, 1.5000, 1.0087])

    Source: Kingma and Ba (2015), algorithm 1; Reddi, Kale, Kumar (2018) for AMSGrad;
        torch.optim.Adam for the order of operations.
    """

    lr: LearningRate = 1e-3
    betas: tuple[Number, Number] = (0.9, 0.999)
    eps: Number = 1e-8
    weight_decay: Number = 0.0
    amsgrad: bool = False
    maximize: bool = False

    @dataclass(frozen=True)
    class State:
        """The number of steps taken, m, v, and the running maximum of v (with amsgrad)."""

        step: int
        m: Point
        v: Point
        v_max: Point

    def __post_init__(self) -> None:
        require_learning_rate(self.lr)
        if not isinstance(self.betas, tuple | list) or len(self.betas) != 2:
            raise ValueError(f"betas must be two numbers, not {self.betas!r}")
        for name, beta in zip(("betas[0]", "betas[1]"), self.betas, strict=True):
            require(name, beta, at_least=0.0, below=1.0)
        require("eps", self.eps, at_least=0.0)
        require("weight_decay", self.weight_decay, at_least=0.0)

    def init(self, w: Point) -> State:
        """Both averages 0."""
        zero = zeros_like(w)
        return self.State(0, zero, zero, zero if self.amsgrad else None)

    def update(self, w: Point, g: Point, state: State) -> tuple[Point, State]:
        """PyTorch's order of operations, line by line."""
        alpha, (b1, b2), t = learning_rate(self.lr, state.step), self.betas, state.step + 1
        if self.maximize:
            g = -g
        if is_set(self.weight_decay):
            g = g + self.weight_decay * w
        m = state.m.lerp(g, 1 - b1)  # b1 m + (1 - b1) g, rounded as PyTorch rounds it
        v = b2 * state.v + (1 - b2) * g.square()
        v_max = state.v_max.maximum(v) if self.amsgrad else None
        v_hat = v if v_max is None else v_max
        denominator = v_hat.sqrt() / (1 - b2**t) ** 0.5 + self.eps
        return w - alpha / (1 - b1**t) * m / denominator, self.State(t, m, v, v_max)
