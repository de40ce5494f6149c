"""Methods that need no schedule, since the point that they give is a mean: Schedule-Free."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from gradus.methods.hyperparameters import Number, is_set, require, require_betas
from gradus.methods.method import FirstOrder, Point
from gradus.methods.precision import are_lost, in_float32
from gradus.methods.schedules import LearningRate, learning_rate, require_learning_rate
from gradus.risk.tensors import zeros_like

TINY = 1e-30
"""Beside the sum of the weights, so that a learning rate of 0 leads nowhere."""


class ScheduleFree(FirstOrder):
    """What both share: z goes ahead, w is the mean of where it was, and f is seen in between."""

    @property
    @abstractmethod
    def beta(self) -> Number:
        """How near to w, from z, the gradient is taken."""

    def query(self, w: Point, state: Any) -> Point:
        r"""$y = (1 - \beta) z + \beta w$."""
        return state.z.lerp(w, self.beta)


@dataclass(frozen=True)
class ScheduleFreeSGD(ScheduleFree):
    r"""Gradient descent whose mean is the point, with the gradient taken between the two.

    $$\begin{aligned}
    y &= (1 - \beta) z + \beta w, \qquad
        z \leftarrow z - \alpha_t (\nabla f(y; \xi_t) + \lambda y) \\
    w &\leftarrow (1 - c)\, w + c\, z, \qquad c = \alpha_t^2 / \sum_{i \le t} \alpha_i^2
    \end{aligned}$$

    A learning rate that falls to 0 is there to bring w to rest, and has to know when the run ends.
    Here the mean comes to rest by itself, at any time. A warm-up is the one schedule that helps.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule.
        beta: $\beta$ in [0, 1): 0 is the plain mean, near 1 the gradient is taken at w.
        weight_decay: $\lambda \ge 0$, added to the gradient.

    Raises:
        ValueError: a hyper-parameter is out of its range or not finite.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: (w**2).sum()
        >>> method = gradus.methods.ScheduleFreeSGD(lr=0.25, beta=0.5)
        >>> gradus.minimize(f, torch.tensor([2.0]), method, steps=2).points.flatten()
        tensor([2.0000, 1.0000, 0.7500])

    - Cost: 1 gradient, at the query.
    - Memory: 1.
    - Take it: the length of the run is not known at its start.
    - Leave it: it is known: a learning rate that falls is as good, and holds less.

    Source: Defazio et al. (2024), "The road less scheduled", equations (3) to (5), with the weights
        of its algorithm 1.
    """

    lr: LearningRate = 1.0
    beta: Number = 0.9
    weight_decay: Number = 0.0

    @dataclass(frozen=True)
    class State:
        """The number of steps taken, z, and the sum of the squared learning rates."""

        step: int
        z: Point
        weights: Any

    def __post_init__(self) -> None:
        require_learning_rate(self.lr)
        require("beta", self.beta, at_least=0.0, below=1.0)
        require("weight_decay", self.weight_decay, at_least=0.0)

    def init(self, w: Point) -> State:
        """Both points at w."""
        return self.State(0, w, 0.0)

    def update(self, w: Point, g: Point, state: State) -> tuple[Point, State]:
        """The equation."""
        if are_lost(w, self.beta):
            return in_float32(self.update, w, g, state)
        alpha = learning_rate(self.lr, state.step)
        if is_set(self.weight_decay):
            g = g + self.weight_decay * self.query(w, state)
        z = state.z - alpha * g
        weights = state.weights + alpha**2
        return w.lerp(z, alpha**2 / (weights + TINY)), self.State(state.step + 1, z, weights)


@dataclass(frozen=True)
class ScheduleFreeAdamW(ScheduleFree):
    r"""AdamW without its first mean: the mean is of the points, and the gradient between them.

    $$\begin{aligned}
    y &= (1 - \beta_1) z + \beta_1 w, \qquad g = \nabla f(y; \xi_t), \qquad
        v \leftarrow \beta_2 v + (1 - \beta_2) g^2 \\
    \gamma_t &= \alpha_t \sqrt{1 - \beta_2^t}, \qquad
        z \leftarrow z - \gamma_t \left(\frac{g}{\sqrt v + \epsilon} + \lambda y\right) \\
    w &\leftarrow (1 - c)\, w + c\, z, \qquad c = \gamma_t^2 / \sum_{i \le t} \gamma_i^2
    \end{aligned}$$

    Where $\epsilon$ is 0 in the type of w, as 1e-8 is in float16, the step is computed in float32.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule.
        betas: $(\beta_1, \beta_2)$, how near to w the gradient is taken, and the weight of the past
            in v, each in [0, 1).
        eps: $\epsilon \ge 0$, added to the denominator.
        weight_decay: $\lambda \ge 0$, of the point where the gradient is taken.

    Raises:
        ValueError: a hyper-parameter is out of its range or not finite.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: (w**2).sum()
        >>> method = gradus.methods.ScheduleFreeAdamW(lr=0.5)
        >>> gradus.minimize(f, torch.tensor([2.0]), method, steps=1).points.flatten()
        tensor([2.0000, 1.5000])

    - Cost: 1 gradient, at the query.
    - Memory: 2.
    - Take it: the length of the run is not known at its start.
    - Leave it: it is known: ``AdamW`` with a learning rate that falls is as good.

    Source: Defazio et al. (2024), "The road less scheduled", algorithm 1, whose warm-up is a
        schedule here.
    """

    lr: LearningRate = 2.5e-3
    betas: tuple[Number, Number] = (0.9, 0.999)
    eps: Number = 1e-8
    weight_decay: Number = 0.0

    @dataclass(frozen=True)
    class State:
        r"""The number of steps taken, z, v, and the sum of the squared $\gamma_t$."""

        step: int
        z: Point
        v: Point
        weights: Any

    def __post_init__(self) -> None:
        require_learning_rate(self.lr)
        require_betas(self.betas)
        require("eps", self.eps, at_least=0.0)
        require("weight_decay", self.weight_decay, at_least=0.0)

    @property
    def beta(self) -> Number:
        r"""$\beta_1$."""
        return self.betas[0]

    def init(self, w: Point) -> State:
        """Both points at w."""
        return self.State(0, w, zeros_like(w), 0.0)

    def update(self, w: Point, g: Point, state: State) -> tuple[Point, State]:
        """The equation."""
        if are_lost(w, self.eps, *self.betas):
            return in_float32(self.update, w, g, state)
        b2, t = self.betas[1], state.step + 1
        gamma = learning_rate(self.lr, state.step) * (1 - b2**t) ** 0.5
        v = b2 * state.v + (1 - b2) * g * g
        z = state.z - gamma * g / (v.sqrt() + self.eps)
        if is_set(self.weight_decay):
            z = z - gamma * self.weight_decay * self.query(w, state)
        weights = state.weights + gamma**2
        return w.lerp(z, gamma**2 / (weights + TINY)), self.State(t, z, v, weights)
