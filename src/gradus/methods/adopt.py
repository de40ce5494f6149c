"""Adam whose denominator has not seen the gradient that it divides: ADOPT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gradus.importing import is_tensor
from gradus.methods.adaptive import TwoMeans
from gradus.methods.hyperparameters import Number, is_set
from gradus.methods.method import Point
from gradus.methods.precision import are_lost, in_float32
from gradus.methods.schedules import LearningRate, learning_rate
from gradus.risk.tensors import zeros_like


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
        begun = step.clamp(max=1) if is_tensor(step) else min(step, 1)
        bound = step**0.25
        ratio = at_least(g / at_least(state.v.sqrt(), self.eps), -bound)
        m = b1 * state.m - (1 - b1) * at_least(-ratio, -bound)
        v = b2 * begun * state.v + (1 - b2 * begun) * g * g
        if is_set(self.weight_decay):
            w = w * (1 - alpha * self.weight_decay * begun)
        return w - alpha * m, self.State(state.step + 1, m, v)


def at_least(point: Point, bound: Number) -> Point:
    """The elementwise maximum with a number, or with one a run ``[K, 1]``."""
    if is_tensor(bound):
        return point.maximum(zeros_like(point) + bound)
    return point.clamp(min=bound)
