"""Adam with the momentum of Nesterov: NAdam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gradus.methods.adaptive import TwoMeans, decayed
from gradus.methods.hyperparameters import Number, require
from gradus.methods.method import Point
from gradus.methods.precision import are_lost, in_float32
from gradus.methods.schedules import LearningRate, learning_rate
from gradus.risk.tensors import zeros_like


@dataclass(frozen=True)
class NAdam(TwoMeans):
    r"""NAdam as PyTorch runs it: Adam with Nesterov's momentum, which grows with the step.

    $$\begin{aligned}
    g &\leftarrow -g \quad\text{if maximize}, \qquad g \leftarrow g + \lambda w \\
    m &\leftarrow \beta_1 m + (1 - \beta_1) g, \qquad v \leftarrow \beta_2 v + (1 - \beta_2) g^2 \\
    \mu_t &= \beta_1 \left(1 - \tfrac12\, 0.96^{t \psi}\right), \qquad
        \pi_t = \mu_1 \mu_2 \cdots \mu_t \\
    w &\leftarrow w - \alpha_t\, \frac{\frac{1 - \mu_t}{1 - \pi_t}\, g
        + \frac{\mu_{t+1}}{1 - \pi_{t+1}}\, m}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}
    \end{aligned}$$

    PyTorch keeps $\pi_t$ in its default type, float32; here it is a number of Python's, so that the
    two agree to the bit only under ``torch.set_default_dtype(torch.float64)``.

    Where $\epsilon$ is 0 in the type of w, as 1e-8 is in float16, the step is computed in float32.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule.
        betas: $(\beta_1, \beta_2)$, the weights of the past in m and v, each in [0, 1).
        eps: $\epsilon \ge 0$, added to the denominator.
        weight_decay: $\lambda \ge 0$, added to the gradient.
        momentum_decay: $\psi \ge 0$, how fast $\mu_t$ grows from half of $\beta_1$ to the whole.
        decoupled_weight_decay: multiply w by $1 - \alpha_t \lambda$ instead, as AdamW does.
        maximize: climb instead of descend.

    Raises:
        ValueError: a hyper-parameter is out of its range or not finite.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: (w**2).sum()
        >>> method = gradus.methods.NAdam(lr=0.5)
        >>> gradus.minimize(f, torch.tensor([2.0]), method, steps=2).points.flatten()
        tensor([2.0000, 1.4718, 1.1366])

    - Cost: 1 gradient.
    - Memory: 2.
    - Take it: ``Adam`` is right and a little more speed is wanted.
    - Leave it: ``Adam`` oscillates already.

    Source: Dozat (2016), "Incorporating Nesterov momentum into Adam", algorithm 8;
        torch.optim.NAdam for the order of operations.
    """

    lr: LearningRate = 2e-3
    betas: tuple[Number, Number] = (0.9, 0.999)
    eps: Number = 1e-8
    weight_decay: Number = 0.0
    momentum_decay: Number = 4e-3
    decoupled_weight_decay: bool = False
    maximize: bool = False

    @dataclass(frozen=True)
    class State:
        r"""The number of steps taken, m, v, and the product $\pi_t$ of the momenta, a number."""

        step: int
        m: Point
        v: Point
        product: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        require("momentum_decay", self.momentum_decay, at_least=0.0)

    def init(self, w: Point) -> State:
        """Both averages 0, the empty product 1."""
        return self.State(0, zeros_like(w), zeros_like(w), 1.0)

    def update(self, w: Point, g: Point, state: State) -> tuple[Point, State]:
        """PyTorch's order of operations, line by line."""
        if are_lost(w, self.eps, *self.betas):
            return in_float32(self.update, w, g, state)
        alpha, (b1, b2), t = learning_rate(self.lr, state.step), self.betas, state.step + 1
        if self.maximize:
            g = -g
        w, g = decayed(self, w, g, alpha)
        mu, following = (
            b1 * (1.0 - 0.5 * (0.96 ** (at * self.momentum_decay))) for at in (t, t + 1)
        )
        product = state.product * mu
        m = state.m.lerp(g, 1 - b1)
        v = b2 * state.v + (1 - b2) * g * g
        denominator = (v / (1 - b2**t)).sqrt() + self.eps
        w = w - alpha * (1 - mu) / (1 - product) * g / denominator
        w = w - alpha * following / (1 - product * following) * m / denominator
        return w, self.State(t, m, v, product)
