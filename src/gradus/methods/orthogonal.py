"""Methods that make the step of a matrix orthogonal: Muon."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gradus.methods.hyperparameters import (
    Number,
    require_whole,
)
from gradus.methods.layer_means import LayerMeans
from gradus.methods.layout import Layer, Layout
from gradus.methods.method import Point
from gradus.methods.precision import are_narrow, in_float32
from gradus.methods.schedules import LearningRate, learning_rate

QUINTIC = (3.4445, -4.7750, 2.0315)
"""a, b, c of the iteration: steepest at 0, so that small singular values grow fastest."""

RMS = 0.2
"""How long the entries of AdamW's step are in the mean, which those of a matrix are brought to."""

TINY = 1e-7
"""The least norm that a matrix is divided by."""


@dataclass(frozen=True)
class Muon(LayerMeans):
    r"""Muon: momentum whose matrix is made orthogonal; AdamW for all that is no hidden matrix.

    $$\begin{aligned}
    m &\leftarrow \beta_1 m + (1 - \beta_1) g, \qquad
        u = \beta_1 m + (1 - \beta_1) g \ \text{if nesterov, else}\ m \\
    w_l &\leftarrow (1 - \alpha_t \lambda)\, w_l
        - 0.2 \sqrt{\max(m_l, n_l)}\; \alpha_t\, \mathrm{orth}(u_l)
        \quad\text{for a hidden } m_l \times n_l \text{ matrix}
    \end{aligned}$$

    where orth brings every singular value of $U / \|U\|$ to near 1 by k steps of

    $$X \leftarrow a X + b\, (X X^T) X + c\, (X X^T)^2 X, \qquad
        (a, b, c) = (3.4445, -4.7750, 2.0315)$$

    Directions that the gradient shows faintly so count as much as the strong ones. Vectors,
    embeddings and the last matrix, the head, take AdamW's step, with the same $\alpha_t$ and
    $\beta_1$: the factor makes the entries of either step about as long. The kernel of a
    convolution is a matrix of its output channels by all else.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule.
        betas: $(\beta_1, \beta_2)$, the weights of the past in m and in AdamW's v, each in [0, 1).
        eps: $\epsilon \ge 0$, added to AdamW's denominator.
        weight_decay: $\lambda \ge 0$; a step multiplies w by $1 - \alpha_t \lambda$.
        nesterov: look one gradient further than m.
        orthogonal_steps: k, the steps towards an orthogonal matrix.

    Raises:
        ValueError: a hyper-parameter is out of its range or not finite.

    Example:
        >>> import torch, gradus
        >>> from gradus.risk.tensors import Tensors
        >>> method = gradus.methods.Muon(lr=0.5, nesterov=False, weight_decay=0.0)
        >>> w = Tensors([torch.zeros(2, 2)])
        >>> g = Tensors([torch.tensor([[3.0, 0.0], [0.0, 0.3]])])
        >>> after, _ = method.update(w, g, method.init(w))
        >>> (after.values[0].diag().abs() / (0.5 * 0.2 * 2**0.5)).round(decimals=1)
        tensor([0.7000, 0.7000])

    - Cost: 1 gradient, 6 ``orthogonal_steps`` m n min(m, n) flops for each matrix.
    - Memory: 2.
    - Take it: networks of large matrices, such as transformers.
    - Leave it: convex problems, or little but vectors: it is ``AdamW`` there.

    Source: Jordan et al. (2024), "Muon: an optimizer for hidden layers in neural networks"; Liu et
        al. (2025), "Muon is scalable for LLM training", equation (4), for the factor.
    """

    lr: LearningRate = 1e-3
    betas: tuple[Number, Number] = (0.95, 0.999)
    eps: Number = 1e-8
    weight_decay: Number = 1e-2
    nesterov: bool = True
    orthogonal_steps: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole("orthogonal_steps", self.orthogonal_steps)

    def update(self, w: Point, g: Point, state: LayerMeans.State) -> tuple[Point, LayerMeans.State]:
        """AdamW's step, in place of which hidden matrices take an orthogonal one."""
        if are_narrow(w):
            return in_float32(self.update, w, g, state)
        alpha, (m, v, adam) = learning_rate(self.lr, state.step), self._means(g, state)
        u = g.lerp(m, self.betas[0]) if self.nesterov else m
        step = (state.layout or Layout.of(w)).each(self._step, u, adam)
        w = w * (1 - alpha * self.weight_decay) - alpha * step
        return w, self.State(state.step + 1, m, v, state.layout)

    def _step(self, layer: Layer, u: Tensor, adam: Tensor) -> Tensor:
        """The step of a layer, for a learning rate of 1."""
        if not layer.hidden:
            return adam
        step: Tensor = RMS * max(u.shape[-2:]) ** 0.5 * orthogonal(u, self.orthogonal_steps)
        return step


def orthogonal(u: Tensor, steps: int) -> Tensor:
    """Nearly the orthogonal matrix next to a matrix ``[.., m, n]``.

    Its singular values lie between 0.7 and 1.2, where those of u are at least a hundredth of its
    norm; the singular vectors are those of u.
    """
    a, b, c = QUINTIC
    tall = u.shape[-2] > u.shape[-1]
    x = u.mT if tall else u
    x = x / (x * x).sum(dim=(-2, -1), keepdim=True).clamp(min=TINY**2).sqrt()
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x
