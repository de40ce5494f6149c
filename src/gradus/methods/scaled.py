"""Methods that divide a coordinate by the size of its gradients: Adagrad, RMSprop."""

from __future__ import annotations

from dataclasses import dataclass

from gradus.methods.hyperparameters import Number, is_set, require
from gradus.methods.method import GradientAtIterate, Point
from gradus.methods.precision import are_lost, in_float32
from gradus.methods.schedules import LearningRate, learning_rate, require_learning_rate
from gradus.risk.tensors import zeros_like


@dataclass(frozen=True)
class Adagrad(GradientAtIterate):
    r"""Adagrad as PyTorch runs it: the squares of all past gradients, added up.

    $$\begin{aligned}
    g &\leftarrow -g \quad\text{if maximize}, \qquad g \leftarrow g + \lambda w \\
    s &\leftarrow s + g^2 \\
    w &\leftarrow w - \frac{\alpha_t}{1 + (t - 1)\,\eta} \cdot \frac{g}{\sqrt s + \epsilon}
    \end{aligned}$$

    Where $\epsilon$ is 0 in the type of w, as 1e-8 is in float16, the step is computed in float32.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule.
        lr_decay: $\eta \ge 0$, how fast the learning rate falls with the step t = 1, 2, ...
        weight_decay: $\lambda \ge 0$, added to the gradient.
        initial_accumulator_value: s before the first step, >= 0.
        eps: $\epsilon \ge 0$, added to the denominator.
        maximize: climb instead of descend.

    Raises:
        ValueError: a hyper-parameter is out of its range or not finite.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: (w**2).sum()
        >>> method = gradus.methods.Adagrad(lr=0.5)
        >>> gradus.minimize(f, torch.tensor([2.0]), method, steps=2).points.flatten()
        tensor([2.0000, 1.5000, 1.2000])

    - Cost: 1 gradient.
    - Memory: 1.
    - Take it: sparse gradients, rare features.
    - Leave it: long runs: its steps only shrink.

    Source: Duchi, Hazan, Singer (2011), "Adaptive subgradient methods for online learning and
        stochastic optimization", figure 1 (diagonal form); torch.optim.Adagrad for the rest.
    """

    lr: LearningRate = 1e-2
    lr_decay: Number = 0.0
    weight_decay: Number = 0.0
    initial_accumulator_value: Number = 0.0
    eps: Number = 1e-10
    maximize: bool = False

    @dataclass(frozen=True)
    class State:
        """The number of steps taken, and the sum of squared gradients."""

        step: int
        sum: Point

    def __post_init__(self) -> None:
        require_learning_rate(self.lr)
        require("lr_decay", self.lr_decay, at_least=0.0)
        require("weight_decay", self.weight_decay, at_least=0.0)
        require("initial_accumulator_value", self.initial_accumulator_value, at_least=0.0)
        require("eps", self.eps, at_least=0.0)

    def init(self, w: Point) -> State:
        """The sum at its initial value."""
        return self.State(0, zeros_like(w) + self.initial_accumulator_value)

    def update(self, w: Point, g: Point, state: State) -> tuple[Point, State]:
        """PyTorch's order of operations, line by line."""
        if are_lost(w, self.eps):
            return in_float32(self.update, w, g, state)
        alpha = learning_rate(self.lr, state.step) / (1 + state.step * self.lr_decay)
        if self.maximize:
            g = -g
        if is_set(self.weight_decay):
            g = g + self.weight_decay * w
        total = state.sum + g.square()
        return w - alpha * g / (total.sqrt() + self.eps), self.State(state.step + 1, total)


@dataclass(frozen=True)
class RMSprop(GradientAtIterate):
    r"""RMSprop as PyTorch runs it: the squares of past gradients, averaged.

    $$\begin{aligned}
    g &\leftarrow -g \quad\text{if maximize}, \qquad g \leftarrow g + \lambda w \\
    v &\leftarrow \alpha v + (1 - \alpha) g^2, \qquad
        \bar g \leftarrow \alpha \bar g + (1 - \alpha) g \\
    \hat v &\leftarrow v - \bar g^2\ \text{if centered, else}\ v \\
    b &\leftarrow \mu b + \frac{g}{\sqrt{\hat v} + \epsilon}, \qquad
    w \leftarrow w - \alpha_t b
    \end{aligned}$$

    The mean $\bar g$ is kept only if centered. Where gradients do not vary, $\hat v$ is a
    difference of equal numbers; here as in PyTorch, one that rounding makes negative gives NaN.

    Where $\epsilon$ is 0 in the type of w, as 1e-8 is in float16, the step is computed in float32.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule.
        alpha: $\alpha$ in [0, 1), the weight of the past in both averages. (PyTorch takes numbers
            from 1 on as well, with which v becomes negative or never moves.)
        eps: $\epsilon \ge 0$, added to the denominator.
        weight_decay: $\lambda \ge 0$, added to the gradient.
        momentum: $\mu \ge 0$, the momentum factor.
        centered: divide by the deviation of the gradients from their mean.
        maximize: climb instead of descend.

    Raises:
        ValueError: a hyper-parameter is out of its range or not finite.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: (w**2).sum()
        >>> method = gradus.methods.RMSprop(lr=0.5, alpha=0.75)
        >>> gradus.minimize(f, torch.tensor([2.0]), method, steps=1).points.flatten()
        tensor([2., 1.])

    - Cost: 1 gradient.
    - Memory: 1, 2 with ``momentum`` or ``centered``, 3 with both.
    - Take it: moving targets: reinforcement learning, recurrent networks.
    - Leave it: a fixed goal: ``Adam`` corrects the start.

    Source: Tieleman, Hinton (2012), lecture 6.5; Graves (2013), "Generating sequences with
        recurrent neural networks", equations (38)-(41), for the centered form;
        torch.optim.RMSprop for the order of operations.
    """

    lr: LearningRate = 1e-2
    alpha: Number = 0.99
    eps: Number = 1e-8
    weight_decay: Number = 0.0
    momentum: Number = 0.0
    centered: bool = False
    maximize: bool = False

    @dataclass(frozen=True)
    class State:
        """The number of steps taken, v, the mean gradient (centered), and b (with momentum)."""

        step: int
        square_average: Point
        gradient_average: Point
        buffer: Point

    def __post_init__(self) -> None:
        require_learning_rate(self.lr)
        require("alpha", self.alpha, at_least=0.0, below=1.0)
        require("eps", self.eps, at_least=0.0)
        require("weight_decay", self.weight_decay, at_least=0.0)
        require("momentum", self.momentum, at_least=0.0)

    def init(self, w: Point) -> State:
        """All averages 0."""
        zero = zeros_like(w)
        mean, buffer = zero if self.centered else None, zero if is_set(self.momentum) else None
        return self.State(0, zero, mean, buffer)

    def update(self, w: Point, g: Point, state: State) -> tuple[Point, State]:
        """PyTorch's order of operations, line by line."""
        if are_lost(w, self.eps, self.alpha):
            return in_float32(self.update, w, g, state)
        lr, alpha, mu = learning_rate(self.lr, state.step), self.alpha, self.momentum
        if self.maximize:
            g = -g
        if is_set(self.weight_decay):
            g = g + self.weight_decay * w
        v = alpha * state.square_average + (1 - alpha) * g * g
        mean = state.gradient_average.lerp(g, 1 - alpha) if self.centered else None
        v_hat = v if mean is None else v - mean.square()
        denominator = v_hat.sqrt() + self.eps
        if not is_set(mu):
            return w - lr * g / denominator, self.State(state.step + 1, v, mean, None)
        b = mu * state.buffer + g / denominator
        return w - lr * b, self.State(state.step + 1, v, mean, b)
