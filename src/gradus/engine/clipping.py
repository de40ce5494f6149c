"""Gradients that are too long are shortened before a method sees them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradus.risk.tensors import Tensors

TINY = 1e-6
"""Beside the length of a gradient, as in ``torch.nn.utils.clip_grad_norm_``."""


@dataclass(frozen=True)
class Clip:
    r"""What becomes of the gradient of a mini-batch.

    $$g_i \leftarrow \min(c, \max(-c, g_i)), \qquad
      g \leftarrow g \cdot \min\Big(1, \frac{n}{\lVert g \rVert + 10^{-6}}\Big)$$

    The second is the rule of ``torch.nn.utils.clip_grad_norm_``, over all parameters together.

    Attributes:
        norm: n, the longest that a gradient may be; None: of any length.
        value: c, the largest that an entry may be; None: of any size.

    Example:
        >>> Clip(norm=1.0)(Tensors([torch.tensor([3.0, 4.0])])).values[0]
        tensor([0.6000, 0.8000])
        >>> Clip(value=1.0)(Tensors([torch.tensor([3.0, -0.5])])).values[0]
        tensor([ 1.0000, -0.5000])

    Source: Pascanu, Mikolov, Bengio (2013), "On the difficulty of training recurrent neural
        networks".
    """

    norm: float | None = None
    value: float | None = None

    def __call__(self, g: Tensors) -> Tensors:
        """The gradient, as short as it may be."""
        values = list(g.values)
        if self.value is not None:
            values = [each.clamp(-self.value, self.value) for each in values]
        if self.norm is not None:
            length = torch.nn.utils.get_total_norm(values)
            factor = (self.norm / (length + TINY)).clamp(max=1.0)
            values = [each * factor for each in values]
        return Tensors(values)

    def rows(self, g: Tensor) -> Tensor:
        """Those of K runs, ``[K, d]``, by numbers of all or of each, ``[K, 1]``."""
        if self.value is not None:
            g = g.clamp(-self.value, self.value)
        if self.norm is not None:
            length = torch.linalg.vector_norm(g, dim=1, keepdim=True)
            g = g * (self.norm / (length + TINY)).clamp(max=1.0)
        return g
