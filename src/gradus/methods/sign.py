"""Methods that move every coordinate by the same length: Lion."""

from __future__ import annotations

from dataclasses import dataclass

from gradus.methods.hyperparameters import Number, is_set, require, require_betas
from gradus.methods.method import GradientAtIterate, Point
from gradus.methods.precision import are_lost, in_float32
from gradus.methods.schedules import LearningRate, learning_rate, require_learning_rate
from gradus.risk.tensors import zeros_like


@dataclass(frozen=True)
class Lion(GradientAtIterate):
    r"""Lion: the sign of a mean of gradients, found by a search among programs.

    $$\begin{aligned}
    w &\leftarrow (1 - \alpha_t \lambda)\, w
        - \alpha_t\, \mathrm{sign}(\beta_1 m + (1 - \beta_1) g) \\
    m &\leftarrow \beta_2 m + (1 - \beta_2) g
    \end{aligned}$$

    Every coordinate moves by $\alpha_t$, so that a good learning rate is 3 to 10 times below
    AdamW's, and the weight decay as many times above it (section 5 of the source).

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule.
        betas: $(\beta_1, \beta_2)$, the weights of the past in the step and in m, each in [0, 1).
        weight_decay: $\lambda \ge 0$; a step multiplies w by $1 - \alpha_t \lambda$.
        maximize: climb instead of descend; the decay still pulls towards 0.

    Raises:
        ValueError: a hyper-parameter is out of its range or not finite.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: (w**2).sum()
        >>> method = gradus.methods.Lion(lr=0.5)
        >>> gradus.minimize(f, torch.tensor([2.0]), method, steps=2).points.flatten()
        tensor([2.0000, 1.5000, 1.0000])

    - Cost: 1 gradient.
    - Memory: 1.
    - Take it: large batches, memory for one vector only.
    - Leave it: small batches: the sign of noise is noise.

    Source: Chen et al. (2023), "Symbolic discovery of optimization algorithms", program 1 and
        algorithm 2.
    """

    lr: LearningRate = 1e-4
    betas: tuple[Number, Number] = (0.9, 0.99)
    weight_decay: Number = 0.0
    maximize: bool = False

    @dataclass(frozen=True)
    class State:
        """The number of steps taken, and m."""

        step: int
        m: Point

    def __post_init__(self) -> None:
        require_learning_rate(self.lr)
        require_betas(self.betas)
        require("weight_decay", self.weight_decay, at_least=0.0)

    def init(self, w: Point) -> State:
        """The average 0."""
        return self.State(0, zeros_like(w))

    def update(self, w: Point, g: Point, state: State) -> tuple[Point, State]:
        """The equation, in the order of the authors' program."""
        if are_lost(w, *self.betas):
            return in_float32(self.update, w, g, state)
        alpha, (b1, b2) = learning_rate(self.lr, state.step), self.betas
        if self.maximize:
            g = -g
        direction = (b1 * state.m + (1 - b1) * g).sign()
        if is_set(self.weight_decay):
            w = w * (1 - alpha * self.weight_decay)
        m = b2 * state.m + (1 - b2) * g
        return w - alpha * direction, self.State(state.step + 1, m)
