"""Adam with another denominator, another momentum or another start: Adamax, NAdam, RAdam, ADOPT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gradus.methods.adaptive import TwoMeans
from gradus.methods.hyperparameters import Number, is_set, require
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
        w, g = _decayed(self, w, g, alpha)
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


@dataclass(frozen=True)
class RAdam(TwoMeans):
    r"""RAdam as PyTorch runs it: Adam that does not divide until v is known well enough.

    $$\begin{aligned}
    g &\leftarrow -g \quad\text{if maximize}, \qquad g \leftarrow g + \lambda w \\
    m &\leftarrow \beta_1 m + (1 - \beta_1) g, \qquad v \leftarrow \beta_2 v + (1 - \beta_2) g^2 \\
    \rho_\infty &= \frac{2}{1 - \beta_2} - 1, \qquad
        \rho_t = \rho_\infty - \frac{2 t \beta_2^t}{1 - \beta_2^t}, \qquad
        r_t = \sqrt{\frac{(\rho_t - 4)(\rho_t - 2)\,\rho_\infty}
        {(\rho_\infty - 4)(\rho_\infty - 2)\,\rho_t}} \\
    w &\leftarrow w - \frac{\alpha_t}{1 - \beta_1^t}\, m \cdot
        \begin{cases} r_t \sqrt{1 - \beta_2^t} / (\sqrt v + \epsilon) & \rho_t > 5 \\
        1 & \text{else} \end{cases}
    \end{aligned}$$

    With $\beta_2 = 0.999$ the first five steps are those of momentum alone.

    Where $\epsilon$ is 0 in the type of w, as 1e-8 is in float16, the step is computed in float32.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule.
        betas: $(\beta_1, \beta_2)$, the weights of the past in m and v, each in [0, 1).
        eps: $\epsilon \ge 0$, added to the denominator.
        weight_decay: $\lambda \ge 0$, added to the gradient.
        decoupled_weight_decay: multiply w by $1 - \alpha_t \lambda$ instead, as AdamW does.
        maximize: climb instead of descend.

    Raises:
        ValueError: a hyper-parameter is out of its range or not finite.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: (w**2).sum()
        >>> method = gradus.methods.RAdam(lr=0.1)
        >>> gradus.minimize(f, torch.tensor([2.0]), method, steps=2).points.flatten()
        tensor([2.0000, 1.6000, 1.2421])

    - Cost: 1 gradient.
    - Memory: 2.
    - Take it: ``Adam`` without a warm-up of the learning rate.
    - Leave it: few steps: the first five do not adapt.

    Source: Liu et al. (2020), "On the variance of the adaptive learning rate and beyond",
        algorithm 2; torch.optim.RAdam for the order of operations and for 5, where the paper has 4.
    """

    lr: LearningRate = 1e-3
    betas: tuple[Number, Number] = (0.9, 0.999)
    eps: Number = 1e-8
    weight_decay: Number = 0.0
    decoupled_weight_decay: bool = False
    maximize: bool = False

    def update(self, w: Point, g: Point, state: Any) -> tuple[Point, Any]:
        """PyTorch's order of operations, line by line."""
        if are_lost(w, self.eps, *self.betas):
            return in_float32(self.update, w, g, state)
        alpha, (b1, b2), t = learning_rate(self.lr, state.step), self.betas, state.step + 1
        if self.maximize:
            g = -g
        w, g = _decayed(self, w, g, alpha)
        m = state.m.lerp(g, 1 - b1)
        v = b2 * state.v + (1 - b2) * g * g
        unseen = 1 - b2**t
        most = 2 / (1 - b2) - 1
        length = most - 2 * t * b2**t / unseen
        rate, after = alpha / (1 - b1**t), self.State(t, m, v)
        if not isinstance(length, Tensor):
            if length <= 5:
                return w - rate * m, after
            scale = -(unseen**0.5) * (alpha * rectification(length, most) / (1 - b1**t))
            return w + m * (1 / ((v.sqrt() + self.eps) / scale)), after
        # A step counted on a device, or runs side by side: which of them divide is not known here.
        divides = length > 5
        factor = divides * rectification(torch.where(divides, length, most), most) * unseen**0.5
        waits = (~divides).to(length.dtype)
        return w - rate * m * (factor / (v.sqrt() + self.eps) + waits), after


def rectification(length: Any, most: Any) -> Any:
    r"""$r_t$ of RAdam.

    Args:
        length: $\rho_t > 4$, how many gradients v is a mean of.
        most: $\rho_\infty$, how many it comes to be.

    Example:
        >>> rectification(1999.0, 1999.0), round(rectification(6.0, 1999.0), 3)
        (1.0, 0.026)
    """
    return ((length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)) ** 0.5


def _decayed(method: NAdam | RAdam, w: Point, g: Point, alpha: Number) -> tuple[Point, Point]:
    """The point and the gradient, with weight decay in the one or in the other."""
    decay = method.weight_decay
    if not is_set(decay):
        return w, g
    return (w * (1 - alpha * decay), g) if method.decoupled_weight_decay else (w, g + decay * w)


@dataclass(frozen=True)
class ADOPT(TwoMeans):
    r"""ADOPT: Adam whose denominator has not seen the gradient that it divides.

    $$\begin{aligned}
    \text{first step:}\quad & v \leftarrow g^2, \quad w\ \text{stays} \\
    \text{then:}\quad m &\leftarrow \beta_1 m + (1 - \beta_1)\,
        \mathrm{clip}\!\left(\frac{g}{\max(\sqrt v, \epsilon)},\ (t - 1)^{1/4}\right), \\
    w &\leftarrow (1 - \alpha_t \lambda)\, w - \alpha_t m, \qquad
    v \leftarrow \beta_2 v + (1 - \beta_2) g^2
    \end{aligned}$$

    In Adam g stands in its own denominator, which can keep it from converging unless $\beta_2$ is
    chosen after the problem; here it converges at the best rate for any $\beta_2$.

    Where $\epsilon$ is 0 in the type of w, as 1e-8 is in float16, the step is computed in float32.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule.
        betas: $(\beta_1, \beta_2)$, the weights of the past in m and v, each in [0, 1).
        eps: $\epsilon \ge 0$, the least denominator.
        weight_decay: $\lambda \ge 0$; a step multiplies w by $1 - \alpha_t \lambda$.
        maximize: climb instead of descend; the decay still pulls towards 0.

    Raises:
        ValueError: a hyper-parameter is out of its range or not finite.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: (w**2).sum()
        >>> method = gradus.methods.ADOPT(lr=0.5, betas=(0.5, 0.999))
        >>> gradus.minimize(f, torch.tensor([2.0]), method, steps=3).points.flatten()
        tensor([2.0000, 2.0000, 1.7500, 1.4062])

    - Cost: 1 gradient.
    - Memory: 2.
    - Take it: ``Adam`` that converges for any ``betas[1]``.
    - Leave it: few steps: its v forgets slowly.

    Source: Taniguchi et al. (2024), "ADOPT: Modified Adam can converge with any beta2 with the
        optimal rate", algorithm 2, with the clipping of its third version.
    """

    lr: LearningRate = 1e-3
    betas: tuple[Number, Number] = (0.9, 0.9999)
    eps: Number = 1e-6
    weight_decay: Number = 0.0
    maximize: bool = False

    def update(self, w: Point, g: Point, state: Any) -> tuple[Point, Any]:
        """The equation; the first step is that whose bound and whose past weigh 0."""
        if are_lost(w, self.eps, *self.betas):
            return in_float32(self.update, w, g, state)
        alpha, (b1, b2) = learning_rate(self.lr, state.step), self.betas
        if self.maximize:
            g = -g
        step = state.step  # a tensor where a device counts
        begun = step.clamp(max=1) if isinstance(step, Tensor) else min(step, 1)
        bound = step**0.25
        ratio = at_least(g / at_least(state.v.sqrt(), self.eps), -bound)
        m = b1 * state.m - (1 - b1) * at_least(-ratio, -bound)
        v = b2 * begun * state.v + (1 - b2 * begun) * g * g
        if is_set(self.weight_decay):
            w = w * (1 - alpha * self.weight_decay * begun)
        return w - alpha * m, self.State(state.step + 1, m, v)


def at_least(point: Point, bound: Number) -> Point:
    """The elementwise maximum with a number, or with one a run ``[K, 1]``."""
    if isinstance(bound, Tensor):
        return point.maximum(zeros_like(point) + bound)
    return point.clamp(min=bound)
