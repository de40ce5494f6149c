"""Methods that scale the step of each layer to the length of its weights: LARS, LAMB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gradus.methods.hyperparameters import Number, require
from gradus.methods.layer_means import LayerMeans
from gradus.methods.layout import Layer, LayerWise, Layout
from gradus.methods.method import Point
from gradus.methods.precision import are_narrow, in_float32
from gradus.methods.schedules import LearningRate, learning_rate, require_learning_rate
from gradus.risk.tensors import zeros_like


@dataclass(frozen=True)
class LARS(LayerWise):
    r"""Layer-wise adaptive rate scaling: momentum with a learning rate of its own for each layer.

    For each layer l, a tensor of parameters:

    $$\begin{aligned}
    r_l &= \eta\, \frac{\|w_l\|}{\|g_l\| + \lambda \|w_l\|}, \quad
        1 \ \text{where a norm is 0} \\
    v_l &\leftarrow \mu v_l + \alpha_t\, r_l\, (g_l + \lambda w_l), \qquad w_l \leftarrow w_l - v_l
    \end{aligned}$$

    A step changes each layer by the same part of its length, about $\alpha_t \eta$, however large
    its gradient is: the large learning rates of large batches then suit all layers at once.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule.
        momentum: $\mu$ in [0, 1).
        weight_decay: $\lambda \ge 0$, added to the gradient, and to its length.
        trust: $\eta \ge 0$, which part of its length a layer moves by.

    Raises:
        ValueError: a hyper-parameter is out of its range or not finite.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: (w**2).sum()
        >>> method = gradus.methods.LARS(lr=1.0, momentum=0.0, trust=0.25)
        >>> gradus.minimize(f, torch.tensor([2.0]), method, steps=2).points.flatten()
        tensor([2.0000, 1.5000, 1.1250])

    - Cost: 1 gradient.
    - Memory: 1.
    - Take it: convolutional networks in batches of thousands.
    - Leave it: small batches: ``SGD`` is as good and needs no scaling.

    Source: You, Gitman, Ginsburg (2017), "Large batch training of convolutional networks",
        algorithm 1; the authors' code for norms of 0.
    """

    lr: LearningRate = 1.0
    momentum: Number = 0.9
    weight_decay: Number = 0.0
    trust: Number = 1e-3

    @dataclass(frozen=True)
    class State:
        """The number of steps taken, v, and the layers of w."""

        step: int
        v: Point
        layout: Layout | None = None

    def __post_init__(self) -> None:
        require_learning_rate(self.lr)
        require("momentum", self.momentum, at_least=0.0, below=1.0)
        require("weight_decay", self.weight_decay, at_least=0.0)
        require("trust", self.trust, at_least=0.0)

    def init(self, w: Point, layout: Layout | None = None) -> State:
        """No step yet."""
        return self.State(0, zeros_like(w), layout or Layout.of(w))

    def update(self, w: Point, g: Point, state: State) -> tuple[Point, State]:
        """The equation, layer by layer."""
        if are_narrow(w):
            return in_float32(self.update, w, g, state)
        layout = state.layout or Layout.of(w)
        scaled = layout.each(self._scaled, w, g, self.weight_decay, self.trust)
        v = self.momentum * state.v + learning_rate(self.lr, state.step) * scaled
        return w - v, self.State(state.step + 1, v, state.layout)

    @staticmethod
    def _scaled(layer: Layer, w: Tensor, g: Tensor, decay: Number, trust: Number) -> Tensor:
        """The gradient of a layer with its decay, times its trust ratio."""
        scaled: Tensor = _ratio(_norm(w), _norm(g), decay, trust) * (g + decay * w)
        return scaled


@dataclass(frozen=True)
class LAMB(LayerMeans):
    r"""Adam's step, made as long in each layer as its weights: for batches of tens of thousands.

    $$\begin{aligned}
    m &\leftarrow \beta_1 m + (1 - \beta_1) g, \qquad v \leftarrow \beta_2 v + (1 - \beta_2) g^2 \\
    u &= \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon} + \lambda w \\
    w_l &\leftarrow w_l - \alpha_t\, \frac{\|w_l\|}{\|u_l\|}\, u_l \quad\text{in each layer } l,
        \quad \text{the ratio 1 where a norm is 0}
    \end{aligned}$$

    A step changes each layer by the part $\alpha_t$ of its length.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule.
        betas: $(\beta_1, \beta_2)$, the weights of the past in m and v, each in [0, 1).
        eps: $\epsilon \ge 0$, added to the denominator.
        weight_decay: $\lambda \ge 0$, added to the step before its length is taken.

    Raises:
        ValueError: a hyper-parameter is out of its range or not finite.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: (w**2).sum()
        >>> method = gradus.methods.LAMB(lr=0.25)
        >>> gradus.minimize(f, torch.tensor([2.0]), method, steps=2).points.flatten()
        tensor([2.0000, 1.5000, 1.1250])

    - Cost: 1 gradient.
    - Memory: 2.
    - Take it: transformers in batches of thousands.
    - Leave it: small batches: ``AdamW`` is as good and needs no scaling.

    Source: You et al. (2020), "Large batch optimization for deep learning: training BERT in 76
        minutes", algorithm 2, with the identity for its function of the norms.
    """

    lr: LearningRate = 3e-3
    betas: tuple[Number, Number] = (0.9, 0.999)
    eps: Number = 1e-6
    weight_decay: Number = 0.0

    def update(self, w: Point, g: Point, state: LayerMeans.State) -> tuple[Point, LayerMeans.State]:
        """The equation, its last line layer by layer."""
        if are_narrow(w):
            return in_float32(self.update, w, g, state)
        m, v, adam = self._means(g, state)
        layout = state.layout or Layout.of(w)
        step = layout.each(self._scaled, w, adam + self.weight_decay * w)
        w = w - learning_rate(self.lr, state.step) * step
        return w, self.State(state.step + 1, m, v, state.layout)

    @staticmethod
    def _scaled(layer: Layer, w: Tensor, u: Tensor) -> Tensor:
        """The step of a layer, as long as its weights."""
        scaled: Tensor = _ratio(_norm(w), _norm(u), 0.0, 1.0) * u
        return scaled


def _norm(u: Tensor) -> Tensor:
    """The Euclidean norm of a layer ``[.., m, n]``, ``[.., 1, 1]``."""
    found: Tensor = torch.linalg.vector_norm(u, dim=(-2, -1), keepdim=True)
    return found


def _ratio(size: Tensor, step: Tensor, decay: Number, trust: Number) -> Any:
    """The trust ratio of a layer, of the norms of its weights and of its step."""
    both = (size > 0) & (step > 0)
    length = torch.where(both, step + decay * size, 1.0)
    return torch.where(both, trust * size / length, 1.0)
