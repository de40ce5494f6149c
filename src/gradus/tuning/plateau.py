"""Which learning rates cannot be told from the best, on the examples that it was chosen on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from gradus.data.dataset import Dataset
from gradus.risk.losses import Loss
from gradus.runs.record import Run
from gradus.sweep.paired import compare


@dataclass(frozen=True)
class Plateau:
    """The learning rates around the best that cannot be told from it.

    Attributes:
        low: the smallest of them that was trained.
        high: the largest.
        examples: over which their losses were compared, in pairs.
    """

    low: float
    high: float
    examples: int


def losses_of(run: Run, loss: Loss, part: Dataset) -> Tensor:
    """``[n]``: what each example of a part adds to the loss of a run."""
    from gradus.engine.evaluate import outputs_of, test

    return test(outputs_of(run.model), loss, part).losses


def plateau_of(best: float, losses: Mapping[float, Tensor]) -> Plateau:
    """The rates next to each other, the best among them, of which none is told from another.

    The losses of two rates are compared example by example, as those of runs are seed by seed in
    :func:`gradus.sweep.paired.compare`.

    Args:
        best: the learning rate that was chosen.
        losses: of each learning rate that was trained to the end, ``[n]``.

    Example:
        >>> import torch
        >>> noise = torch.randn(200, generator=torch.Generator().manual_seed(0))
        >>> losses = {0.1: 1 + noise, 0.2: 1.001 + noise.flip(0), 0.4: 3 + noise}
        >>> plateau_of(0.1, losses)
        Plateau(low=0.1, high=0.2, examples=200)
    """
    rates = sorted(losses)
    figures = np.stack([losses[lr].numpy() for lr in rates])
    alike = compare(figures).may_be_best
    at = rates.index(best)
    low = high = at
    while low > 0 and alike[low - 1]:
        low -= 1
    while high < len(rates) - 1 and alike[high + 1]:
        high += 1
    return Plateau(rates[low], rates[high], figures.shape[1])
