"""Several nets as one: what they give, averaged."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Average(nn.Module):
    r"""The mean of what K nets give: of numbers themselves; of classes, of their probabilities.

    For classes it gives logarithms of the mean probabilities, which logits may stand for as well,

    $$\log \frac{1}{K} \sum_k \text{softmax}(h_{w_k}(x)).$$

    Args:
        nets: of which each gives ``[B, m]``.
        classes: whether these are logits, or logarithms of probabilities.

    Example:
        >>> nets = [nn.Linear(1, 2, bias=False) for _ in range(2)]
        >>> for net, weight in zip(nets, (0.0, math.log(3)), strict=True):
        ...     net.weight.data = torch.tensor([[weight], [0.0]])
        >>> Average(nets, classes=True)(torch.ones(1, 1)).exp()  # the mean of 1/2 and 3/4
        tensor([[0.6250, 0.3750]], grad_fn=<ExpBackward0>)

    Source:
        B. Lakshminarayanan, A. Pritzel, C. Blundell, Simple and scalable predictive uncertainty
        estimation using deep ensembles, NeurIPS 2017, section 2.4.
    """

    def __init__(self, nets: Iterable[nn.Module], *, classes: bool) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)
        self.classes = classes

    def forward(self, x: Tensor) -> Tensor:
        """The average for B inputs, ``[B, m]``."""
        given = torch.stack([net(x) for net in self.nets])
        if not self.classes:
            return given.mean(dim=0)
        return given.log_softmax(dim=2).logsumexp(dim=0) - math.log(len(self.nets))
