"""Adam that waits until its denominator is known: RAdam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gradus.importing import is_tensor
from gradus.methods.adaptive import TwoMeans, decayed
from gradus.methods.hyperparameters import Number
from gradus.methods.method import Point
from gradus.methods.precision import are_lost, in_float32
from gradus.methods.schedules import LearningRate, learning_rate


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
        w, g = decayed(self, w, g, alpha)
        m = state.m.lerp(g, 1 - b1)
        v = b2 * state.v + (1 - b2) * g * g
        unseen = 1 - b2**t
        most = 2 / (1 - b2) - 1
        length = most - 2 * t * b2**t / unseen
        rate, after = alpha / (1 - b1**t), self.State(t, m, v)
        if not is_tensor(length):
            if length <= 5:
                return w - rate * m, after
            scale = -(unseen**0.5) * (alpha * rectification(length, most) / (1 - b1**t))
            return w + m * (1 / ((v.sqrt() + self.eps) / scale)), after
        import torch

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
