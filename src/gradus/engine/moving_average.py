"""The parameters of a run, averaged over its steps: what is evaluated and kept in their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from gradus.risk.tensors import Tensors

KEPT_AS = "average."
"""Begins the names of its tensors in checkpoints."""


@final
class MovingAverage:
    r"""The exponential moving average of the iterates.

    $$\bar w_1 = w_1, \qquad \bar w_{t+1} = \delta \, \bar w_t + (1 - \delta) \, w_{t+1}$$

    The steps do not depend on it. It is that of ``torch.optim.swa_utils.AveragedModel`` with
    ``get_ema_multi_avg_fn``.

    Args:
        decay: $\delta$, between 0 and 1: the last $1 / (1 - \delta)$ steps or so count.

    Example:
        >>> average = MovingAverage(0.75)
        >>> for value in (0.0, 4.0, 8.0):
        ...     average.update(Tensors([torch.tensor([value])]))
        >>> average.w.values[0]
        tensor([2.7500])

    Source: Polyak, Juditsky (1992), "Acceleration of stochastic approximation by averaging"; with
        exponential weights Morales-Brotons, Vogels, Hendrikx (2024), "Exponential moving average of
        weights in deep learning".
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.w: Tensors | None = None

    @torch.no_grad()
    def update(self, w: Tensors) -> None:
        """A step led to w."""
        if self.w is None:
            self.w = Tensors([value.detach().clone() for value in w.values])
        else:
            torch._foreach_lerp_(list(self.w.values), list(w.values), 1 - self.decay)

    def put_aside(self, tensors: dict[str, Tensor]) -> None:
        """Put it with what a snapshot holds."""
        for at, value in enumerate(() if self.w is None else self.w.values):
            tensors[f"{KEPT_AS}{at}"] = value.cpu().clone(memory_format=torch.contiguous_format)

    def restore(self, tensors: Mapping[str, Tensor], like: Tensors) -> None:
        """Go on from a snapshot; the average lies as these tensors do."""
        if f"{KEPT_AS}0" in tensors:
            self.w = Tensors(
                [
                    torch.empty_like(value).copy_(tensors[f"{KEPT_AS}{at}"])
                    for at, value in enumerate(like.values)
                ]
            )
