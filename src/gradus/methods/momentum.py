"""Methods that remember their last step: Polyak, Nesterov, and SGD as PyTorch runs it."""

from __future__ import annotations

from dataclasses import dataclass

from gradus.methods.hyperparameters import Number, is_set, require
from gradus.methods.method import FirstOrder, GradientAtIterate, Point
from gradus.methods.schedules import LearningRate, learning_rate, require_learning_rate


@dataclass(frozen=True)
class Previous:
    """The number of steps taken, and w one step ago."""

    step: int
    previous: Point


@dataclass(frozen=True)
class Polyak(GradientAtIterate):
    r"""$$w_{t+1} = w_t - \alpha_t \nabla f(w_t; \xi_t) + \beta (w_t - w_{t-1})$$

    Polyak's momentum (the heavy ball), with $w_{-1} = w_0$.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule.
        beta: $\beta \in [0, 1)$, the momentum factor.

    Raises:
        ValueError: a hyper-parameter is out of its range or not finite.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: (w**2).sum()
        >>> method = gradus.methods.Polyak(lr=0.25, beta=0.5)
        >>> gradus.minimize(f, torch.tensor([8.0]), method, steps=3).points.flatten()
        tensor([ 8.,  4.,  0., -2.])

    - Cost: 1 gradient.
    - Memory: 1.
    - Take it: ill-conditioned, nearly quadratic f.
    - Leave it: ``lr`` near its limit: it may cycle where Nesterov converges.

    Source: Polyak (1964), "Some methods of speeding up the convergence of iteration methods".
    """

    lr: LearningRate
    beta: Number

    def __post_init__(self) -> None:
        require_learning_rate(self.lr)
        require("beta", self.beta, at_least=0.0, below=1.0)

    def init(self, w: Point) -> Previous:
        """No step before the first: w_{-1} = w_0."""
        return Previous(0, previous=w)

    def update(self, w: Point, g: Point, state: Previous) -> tuple[Point, Previous]:
        """A gradient step and a momentum step."""
        alpha = learning_rate(self.lr, state.step)
        after = w - alpha * g + self.beta * (w - state.previous)
        return after, Previous(state.step + 1, previous=w)


@dataclass(frozen=True)
class Nesterov(FirstOrder):
    r"""$$
    w_{t+1} = w_t - \alpha_t \nabla f(w_t + \beta (w_t - w_{t-1}); \xi_t) + \beta (w_t - w_{t-1})
    $$

    Nesterov's momentum: the gradient is taken where the momentum step leads, with $w_{-1} = w_0$.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule.
        beta: $\beta \in [0, 1)$, the momentum factor.

    Raises:
        ValueError: a hyper-parameter is out of its range or not finite.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: (w**2).sum()
        >>> method = gradus.methods.Nesterov(lr=0.25, beta=0.5)
        >>> gradus.minimize(f, torch.tensor([8.0]), method, steps=3).points.flatten()
        tensor([ 8.0000,  4.0000,  1.0000, -0.2500])

    - Cost: 1 gradient, at the query.
    - Memory: 1.
    - Take it: convex f, accelerated.
    - Leave it: the noise of the gradient is larger than the gradient.

    Source: Nesterov (1983), "A method of solving a convex programming problem with convergence
        rate O(1/k^2)"; in this form Sutskever et al. (2013), equations (3)-(4).
    """  # noqa: D205

    lr: LearningRate
    beta: Number

    def __post_init__(self) -> None:
        require_learning_rate(self.lr)
        require("beta", self.beta, at_least=0.0, below=1.0)

    def init(self, w: Point) -> Previous:
        """No step before the first: w_{-1} = w_0."""
        return Previous(0, previous=w)

    def query(self, w: Point, state: Previous) -> Point:
        """Where the momentum step leads."""
        return w + self.beta * (w - state.previous)

    def update(self, w: Point, g: Point, state: Previous) -> tuple[Point, Previous]:
        """The momentum step, then the gradient step from there."""
        alpha = learning_rate(self.lr, state.step)
        return self.query(w, state) - alpha * g, Previous(state.step + 1, previous=w)


@dataclass(frozen=True)
class SGD(GradientAtIterate):
    r"""SGD as PyTorch runs it.

    $$\begin{aligned}
    g &\leftarrow -g \quad\text{if maximize}, \qquad g \leftarrow g + \lambda w \\
    b &\leftarrow g \ \text{at the first step, else}\ \mu b + (1 - \tau) g \\
    g &\leftarrow g + \mu b \ \text{if nesterov, else}\ b
        \qquad\text{(both lines only if } \mu \ne 0) \\
    w &\leftarrow w - \alpha_t g
    \end{aligned}$$

    Two points that descriptions of it often miss: ``maximize`` negates the gradient BEFORE weight
    decay is added (older PyTorch documentation has it after), so the decay still pulls towards 0
    while the risk is maximised; and the first buffer is the whole gradient, without dampening.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule.
        momentum: $\mu \ge 0$, the momentum factor.
        dampening: $\tau$, the share of a gradient that momentum leaves out; needs momentum.
        weight_decay: $\lambda \ge 0$, the strength of a squared L2 penalty.
        nesterov: PyTorch's form of Nesterov's momentum; needs momentum and no dampening.
        maximize: climb instead of descend.

    Raises:
        ValueError: a hyper-parameter is out of its range or not finite; dampening or nesterov
            without momentum; nesterov with dampening.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: (w**2).sum()
        >>> method = gradus.methods.SGD(lr=0.25, momentum=0.5)
        >>> gradus.minimize(f, torch.tensor([8.0]), method, steps=3).points.flatten()
        tensor([ 8.,  4.,  0., -2.])

    - Cost: 1 gradient.
    - Memory: 0, 1 with ``momentum``.
    - Take it: noisy mini-batches, with time to choose ``lr``.
    - Leave it: full batch; coordinates of very different scale.

    Source: torch.optim.SGD; Sutskever et al. (2013), "On the importance of initialization and
        momentum in deep learning".
    """

    lr: LearningRate
    momentum: Number = 0.0
    dampening: Number = 0.0
    weight_decay: Number = 0.0
    nesterov: bool = False
    maximize: bool = False

    @dataclass(frozen=True)
    class State:
        """The number of steps taken, and the momentum buffer b (None before the first step)."""

        step: int = 0
        buffer: Point = None

    def __post_init__(self) -> None:
        require_learning_rate(self.lr)
        require("momentum", self.momentum, at_least=0.0)
        require("dampening", self.dampening)
        require("weight_decay", self.weight_decay, at_least=0.0)
        has_momentum, has_dampening = is_set(self.momentum), is_set(self.dampening)
        if has_dampening and not has_momentum:
            raise ValueError("dampening needs momentum > 0: without it there is nothing to dampen")
        if self.nesterov and (has_dampening or not has_momentum):
            raise ValueError("nesterov needs momentum > 0 and dampening 0")

    def init(self, w: Point) -> State:
        """Step 0, no buffer."""
        return self.State()

    def update(self, w: Point, g: Point, state: State) -> tuple[Point, State]:
        """PyTorch's order of operations, line by line."""
        alpha, mu, b = learning_rate(self.lr, state.step), self.momentum, state.buffer
        if self.maximize:
            g = -g
        if is_set(self.weight_decay):
            g = g + self.weight_decay * w
        if is_set(mu):
            b = g if b is None else mu * b + (1 - self.dampening) * g
            g = g + mu * b if self.nesterov else b
        return w - alpha * g, self.State(state.step + 1, b)
