"""The line to beat: what the best constant prediction reaches, which looks at no input."""

from __future__ import annotations

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
    All of them with the weights of the examples, where they have any.

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
    y, w = train.targets(), torch.ones(len(train)) if train.weights is None else train.weights
    w = w.double() / w.double().sum()
    kind = type(loss)  # a subclass may compute something else
    if _moves_minimum(loss, y):
        return None
    if kind in CLASS_LOSSES:
        # The smallest number stands for a share of 0, whose logarithm no arithmetic survives.
        output = _shares(loss, y, w, train.outputs).clamp_min(torch.finfo(train.dtype).tiny).log()
    elif kind is MSELoss:
        output = w @ y.double()
    elif kind is L1Loss:
        output = quantile_of(y, w, 0.5)
    elif isinstance(loss, PinballLoss):
        output = quantile_of(y, w, loss.quantile)
    elif isinstance(loss, HuberLoss):
        output = _balance(y.double(), w, loss.delta)
    else:
        return None
    return ConstantPrediction(output.to(train.dtype), loss)


def _shares(loss: Loss, y: Tensor, w: Tensor, classes: int) -> Tensor:
    r"""The share of each class, ``[C]``: $w_c ((1 - \varepsilon) n_c / N + \varepsilon / C)$."""
    shares = w @ y.double() if y.is_floating_point() else torch.bincount(y, w, minlength=classes)
    if isinstance(loss, CrossEntropyLoss):
        shares = (1 - loss.label_smoothing) * shares + loss.label_smoothing / classes
    if isinstance(loss, CrossEntropyLoss | NLLLoss) and loss.weight is not None:
        shares = loss.weight.double() * shares
    return shares / shares.sum()


def quantile_of(y: Tensor, w: Tensor, share: float) -> Tensor:
    """The least target, ``[m]``, that with all below it has this share of the weights.

    Args:
        y: ``[N, m]``.
        w: ``[N]``, which sum to 1.
        share: between 0 and 1.
    """
    ordered, order = y.sort(dim=0)
    # A share that falls on a target to rounding: on either side the loss is the same.
    reached = (w[order].cumsum(dim=0) < share).sum(dim=0).clamp_max(len(y) - 1)
    return ordered.gather(0, reached[None])[0]


def _balance(y: Tensor, w: Tensor, delta: float) -> Tensor:
    r"""Where $\sum_i w_i \, \mathrm{clamp}(y_i - c, -\delta, \delta)$ changes its sign, ``[m]``."""
    low, high = y.amin(dim=0), y.amax(dim=0)
    for _ in range(HALVINGS):
        c = (low + high) / 2
        above = w @ (y - c).clamp(-delta, delta) > 0
        low, high = torch.where(above, c, low), torch.where(above, high, c)
    return (low + high) / 2


def _moves_minimum(loss: Loss, y: Tensor) -> bool:
    """Whether an option of the loss makes something else of the targets."""
    ignored = getattr(loss, "ignore_index", None)
    return bool(getattr(loss, "log_target", False)) or (
        ignored is not None and not y.is_floating_point() and bool((y == ignored).any())
    )
