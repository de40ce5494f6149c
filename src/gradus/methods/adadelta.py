"""A method whose steps are measured in those before: Adadelta."""

from __future__ import annotations

from dataclasses import dataclass

from gradus.methods.hyperparameters import Number, is_set, require
from gradus.methods.method import GradientAtIterate, Point
from gradus.methods.precision import are_lost, in_float32
from gradus.methods.schedules import LearningRate, learning_rate, require_learning_rate
from gradus.risk.tensors import zeros_like


@dataclass(frozen=True)
class Adadelta(GradientAtIterate):
    r"""Adadelta as PyTorch runs it: each coordinate moves in the units of its own past steps.

    $$\begin{aligned}
    g &\leftarrow -g \quad\text{if maximize}, \qquad g \leftarrow g + \lambda w \\
    v &\leftarrow \rho v + (1 - \rho) g^2, \qquad
        \Delta \leftarrow \frac{\sqrt{u + \epsilon}}{\sqrt{v + \epsilon}}\, g \\
    u &\leftarrow \rho u + (1 - \rho) \Delta^2, \qquad
    w \leftarrow w - \alpha_t \Delta
    \end{aligned}$$

    The first steps are as short as $\sqrt\epsilon$, and grow as u does: it starts slowly, and wants
    no learning rate.

    Where $\epsilon$ is 0 in the type of w, as 1e-8 is in float16, the step is computed in float32.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule.
        rho: $\rho$ in [0, 1), the weight of the past in both averages.
        eps: $\epsilon \ge 0$, added under both roots.
        weight_decay: $\lambda \ge 0$, added to the gradient.
        maximize: climb instead of descend.

    Raises:
        ValueError: a hyper-parameter is out of its range or not finite.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: (w**2).sum()
        >>> method = gradus.methods.Adadelta(rho=0.75, eps=0.01)
        >>> gradus.minimize(f, torch.tensor([2.0]), method, steps=2).points.flatten()
        tensor([2.0000, 1.8002, 1.5967])

    - Cost: 1 gradient.
    - Memory: 2.
    - Take it: there is to be no learning rate at all.
    - Leave it: few steps: it starts as slowly as √``eps``.

    Source: Zeiler (2012), "ADADELTA: an adaptive learning rate method", algorithm 1;
        torch.optim.Adadelta for the order of operations.
    """

    lr: LearningRate = 1.0
    rho: Number = 0.9
    eps: Number = 1e-6
    weight_decay: Number = 0.0
    maximize: bool = False

    @dataclass(frozen=True)
    class State:
        """The number of steps taken, v, and the mean square u of the steps."""

        step: int
        square_average: Point
        step_average: Point

    def __post_init__(self) -> None:
        require_learning_rate(self.lr)
        require("rho", self.rho, at_least=0.0, below=1.0)
        require("eps", self.eps, at_least=0.0)
        require("weight_decay", self.weight_decay, at_least=0.0)

    def init(self, w: Point) -> State:
        """Both averages 0."""
        return self.State(0, zeros_like(w), zeros_like(w))

    def update(self, w: Point, g: Point, state: State) -> tuple[Point, State]:
        """PyTorch's order of operations, line by line."""
        if are_lost(w, self.eps, self.rho):
            return in_float32(self.update, w, g, state)
        lr, rho = learning_rate(self.lr, state.step), self.rho
        if self.maximize:
            g = -g
        if is_set(self.weight_decay):
            g = g + self.weight_decay * w
        v = rho * state.square_average + (1 - rho) * g * g
        step = (state.step_average + self.eps).sqrt() / (v + self.eps).sqrt() * g
        u = rho * state.step_average + (1 - rho) * step.square()
        return w - lr * step, self.State(state.step + 1, v, u)
