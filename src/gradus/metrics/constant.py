"""The line to beat: what the best constant prediction reaches, which looks at no input."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gradus.data.dataset import Dataset
from gradus.engine.evaluate import judge
from gradus.engine.job import Judged
from gradus.risk.losses import (
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    Loss,
    MSELoss,
    NLLLoss,
    PinballLoss,
)

CLASS_LOSSES = (CrossEntropyLoss, NLLLoss, KLDivLoss)

HALVINGS = 40
"""Of the range of the targets: to 1e-12 of it, and a loss that is flat there to the last digit."""


@dataclass(frozen=True, eq=False)
class ConstantPrediction:
    r"""The one output for all inputs that minimises the mean loss over the training targets.

    $$c^* = \arg\min_c \frac{1}{N} \sum_i L(c, y_i)$$

    For classes it is the logarithm of their shares, whose cross entropy is the entropy of the
    shares; class weights and label smoothing count in the shares. For the squared loss it is the
    mean of the targets, for the absolute loss their median, for the pinball loss their quantile;
    for the Huber loss it is where the targets, each cut off at a distance of $\delta$, pull alike.

    Args:
        output: $c^*$, ``[m]``.
        loss: that it minimises.
    """

    output: Tensor
    loss: Loss

    def judge(self, data: Dataset) -> Judged:
        """Its mean loss over these examples, and its accuracy (None where there are no classes)."""
        return judge(lambda data, at: self.output.expand(at.stop - at.start, -1), self.loss, data)


def best_constant(train: Dataset, loss: Loss) -> ConstantPrediction | None:
    """The best constant prediction for these training targets; None for a loss not known here.

    Not known are losses of other kinds, and those of targets that are ignored or are logarithms.

    Args:
        train: N examples with targets ``[N]`` (classes) or ``[N, m]``.
        loss: a mean over examples.

    Example:
        >>> import torch, gradus
        >>> from gradus.data.dataset import Dataset
        >>> from gradus.metrics import best_constant
        >>> data = Dataset(torch.zeros(4, 1), torch.tensor([0, 0, 0, 1]), classes=("no", "yes"))
        >>> constant = best_constant(data, gradus.CrossEntropyLoss())
        >>> judged = constant.judge(data)
        >>> round(judged.loss, 4), judged.accuracy
        (0.5623, 0.75)
    """
    y, kind = train.targets(), type(loss)  # a subclass may compute something else
    if _moves_minimum(loss, y):
        return None
    if kind in CLASS_LOSSES:
        # The smallest number stands for a share of 0, whose logarithm no arithmetic survives.
        output = _shares(loss, y, train.outputs).clamp_min(torch.finfo(train.dtype).tiny).log()
    elif kind is MSELoss:
        output = y.double().mean(dim=0)
    elif kind is L1Loss:
        output = y.median(dim=0).values
    elif isinstance(loss, PinballLoss):
        output = y.kthvalue(max(1, math.ceil(loss.quantile * len(y))), dim=0).values
    elif isinstance(loss, HuberLoss):
        output = _balance(y.double(), loss.delta)
    else:
        return None
    return ConstantPrediction(output.to(train.dtype), loss)


def _shares(loss: Loss, y: Tensor, classes: int) -> Tensor:
    r"""The share of each class, ``[C]``: $w_c ((1 - \varepsilon) n_c / N + \varepsilon / C)$."""
    if y.is_floating_point():
        shares = y.double().mean(dim=0)
    else:
        shares = torch.bincount(y, minlength=classes).double() / len(y)
    if isinstance(loss, CrossEntropyLoss):
        shares = (1 - loss.label_smoothing) * shares + loss.label_smoothing / classes
    if isinstance(loss, CrossEntropyLoss | NLLLoss) and loss.weight is not None:
        shares = loss.weight.double() * shares
    return shares / shares.sum()


def _balance(y: Tensor, delta: float) -> Tensor:
    r"""Where $\sum_i \mathrm{clamp}(y_i - c, -\delta, \delta)$ changes its sign, ``[m]``."""
    low, high = y.amin(dim=0), y.amax(dim=0)
    for _ in range(HALVINGS):
        c = (low + high) / 2
        above = (y - c).clamp(-delta, delta).sum(dim=0) > 0
        low, high = torch.where(above, c, low), torch.where(above, high, c)
    return (low + high) / 2


def _moves_minimum(loss: Loss, y: Tensor) -> bool:
    """Whether an option of the loss makes something else of the targets."""
    ignored = getattr(loss, "ignore_index", None)
    return bool(getattr(loss, "log_target", False)) or (
        ignored is not None and not y.is_floating_point() and bool((y == ignored).any())
    )
