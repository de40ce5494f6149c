"""Methods whose step adapts to each coordinate by its mean gradients: Adam, AdamW."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from gradus.methods.hyperparameters import Number, is_set, require, require_betas
from gradus.methods.method import GradientAtIterate, Point
from gradus.methods.precision import are_lost, in_float32
from gradus.methods.schedules import LearningRate, learning_rate, require_learning_rate
from gradus.risk.tensors import zeros_like


class TwoMeans(GradientAtIterate):
    """What Adam and its kind share: two means of gradients, forgetting, and the numbers of both."""

    betas: tuple[Number, Number]
    eps: Number
    weight_decay: Number

    @dataclass(frozen=True)
    class State:
        """The number of steps taken, and the means m and v of gradients and of their squares."""

        step: int
        m: Point
        v: Point

    def __post_init__(self) -> None:
        require_learning_rate(self.lr)
        require_betas(self.betas)
        require("eps", self.eps, at_least=0.0)
        require("weight_decay", self.weight_decay, at_least=0.0)

    def init(self, w: Point) -> Any:
        """Both 0."""
        return self.State(0, zeros_like(w), zeros_like(w))


class AdaptiveMoments(TwoMeans):
    r"""The step that Adam and AdamW share; how weight decay enters is their own.

    $$\begin{aligned}
    m &\leftarrow \beta_1 m + (1 - \beta_1) g, \qquad v \leftarrow \beta_2 v + (1 - \beta_2) g^2 \\
    \hat v &\leftarrow \max(\hat v, v)\ \text{if amsgrad, else}\ v \\
    w &\leftarrow w - \frac{\alpha_t}{1 - \beta_1^t} \cdot
        \frac{m}{\sqrt{\hat v} / \sqrt{1 - \beta_2^t} + \epsilon}
    \end{aligned}$$
    """

    amsgrad: bool
    maximize: bool

    @dataclass(frozen=True)
    class State:
        """The number of steps taken, m, v, and the running maximum of v (with amsgrad)."""

        step: int
        m: Point
        v: Point
        v_max: Point

    @abstractmethod
    def decayed(self, w: Point, g: Point, alpha: Number) -> tuple[Point, Point]:
        """The point and the gradient, with weight decay in the one or in the other."""

    def init(self, w: Point) -> State:
        """Both averages 0."""
        zero = zeros_like(w)
        return self.State(0, zero, zero, zero if self.amsgrad else None)

    def update(self, w: Point, g: Point, state: State) -> tuple[Point, State]:
        """PyTorch's order of operations, line by line."""
        if are_lost(w, self.eps, *self.betas):
            return in_float32(self.update, w, g, state)
        alpha, (b1, b2), t = learning_rate(self.lr, state.step), self.betas, state.step + 1
        if self.maximize:
            g = -g
        w, g = self.decayed(w, g, alpha)
        m = state.m.lerp(g, 1 - b1)  # b1 m + (1 - b1) g, rounded as PyTorch rounds it
        v = b2 * state.v + (1 - b2) * g * g  # (1 - b2) first: g * g may be above all float16
        v_max = state.v_max.maximum(v) if self.amsgrad else None
        v_hat = v if v_max is None else v_max
        denominator = v_hat.sqrt() / (1 - b2**t) ** 0.5 + self.eps
        return w - alpha / (1 - b1**t) * m / denominator, self.State(t, m, v, v_max)


@dataclass(frozen=True)
class Adam(AdaptiveMoments):
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

    Where $\epsilon$ is 0 in the type of w, as 1e-8 is in float16, the step is computed in float32.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule.
        betas: $(\beta_1, \beta_2)$, the weights of the past in m and v, each in [0, 1).
        eps: $\epsilon \ge 0$, added to the denominator.
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

    - Cost: 1 gradient.
    - Memory: 2, 3 with ``amsgrad``.
    - Take it: a first try on any network.
    - Leave it: weight decay is meant: ``AdamW``.

    Source: Kingma and Ba (2015), algorithm 1; Reddi, Kale, Kumar (2018) for AMSGrad;
        torch.optim.Adam for the order of operations.
    """

    lr: LearningRate = 1e-3
    betas: tuple[Number, Number] = (0.9, 0.999)
    eps: Number = 1e-8
    weight_decay: Number = 0.0
    amsgrad: bool = False
    maximize: bool = False

    def decayed(self, w: Point, g: Point, alpha: Number) -> tuple[Point, Point]:
        """Weight decay as a part of the gradient."""
        return w, (g + self.weight_decay * w if is_set(self.weight_decay) else g)


@dataclass(frozen=True)
class AdamW(AdaptiveMoments):
    r"""Adam with weight decay apart from the gradient, as PyTorch runs it.

    $$\begin{aligned}
    g &\leftarrow -g \quad\text{if maximize}, \qquad w \leftarrow (1 - \alpha_t \lambda)\, w \\
    m &\leftarrow \beta_1 m + (1 - \beta_1) g, \qquad v \leftarrow \beta_2 v + (1 - \beta_2) g^2 \\
    \hat v &\leftarrow \max(\hat v, v)\ \text{if amsgrad, else}\ v \\
    w &\leftarrow w - \frac{\alpha_t}{1 - \beta_1^t} \cdot
        \frac{m}{\sqrt{\hat v} / \sqrt{1 - \beta_2^t} + \epsilon}
    \end{aligned}$$

    In Adam the decay $\lambda w$ is divided by $\sqrt v$ with the rest of the gradient, so that
    coordinates with large gradients decay less; here all decay by the same factor.

    Where $\epsilon$ is 0 in the type of w, as 1e-8 is in float16, the step is computed in float32.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule.
        betas: $(\beta_1, \beta_2)$, the weights of the past in m and v, each in [0, 1).
        eps: $\epsilon \ge 0$, added to the denominator.
        weight_decay: $\lambda \ge 0$; a step multiplies w by $1 - \alpha_t \lambda$.
        amsgrad: use the running maximum of v.
        maximize: climb instead of descend; the decay still pulls towards 0.

    Raises:
        ValueError: a hyper-parameter is out of its range or not finite.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: (w**2).sum()
        >>> method = gradus.methods.AdamW(lr=0.5, weight_decay=0.1)
        >>> gradus.minimize(f, torch.tensor([2.0]), method, steps=1).points.flatten()
        tensor([2.0000, 1.4000])

    - Cost: 1 gradient.
    - Memory: 2, 3 with ``amsgrad``.
    - Take it: networks with weight decay.
    - Leave it: memory for two more vectors is missing.

    Source: Loshchilov, Hutter (2019), "Decoupled weight decay regularization", algorithm 2;
        torch.optim.AdamW for the order of operations.
    """

    lr: LearningRate = 1e-3
    betas: tuple[Number, Number] = (0.9, 0.999)
    eps: Number = 1e-8
    weight_decay: Number = 1e-2
    amsgrad: bool = False
    maximize: bool = False

    def decayed(self, w: Point, g: Point, alpha: Number) -> tuple[Point, Point]:
        """Weight decay as a shorter w."""
        return w * (1 - alpha * self.weight_decay), g


def decayed(method: Any, w: Point, g: Point, alpha: Number) -> tuple[Point, Point]:
    """The point and the gradient, with weight decay in the one or in the other."""
    decay = method.weight_decay
    if not is_set(decay):
        return w, g
    return (w * (1 - alpha * decay), g) if method.decoupled_weight_decay else (w, g + decay * w)
