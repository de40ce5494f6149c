"""The losses of a margin: each class against the rest, on its own side of 0 by at least 1."""

from __future__ import annotations

from abc import abstractmethod
from typing import final

import torch
from torch import Tensor

from gradus.risk.losses.classification import class_axis, class_index, counted, require_classes
from gradus.risk.losses.loss import Loss, Terms
from gradus.risk.precision import wide


class _MarginLoss(Loss):
    """A sum over all classes of a function of how far an output is from where it has to be."""

    weight: Tensor | None

    def __init__(
        self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(None, None, reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def terms(self, input: Tensor, target: Tensor) -> Terms:  # noqa: A002
        """Return the sum over the classes, and the sum of the weights in use."""
        require_classes(input, self.weight)
        index, ignored = class_index(input, target, self.ignore_index)
        axis = class_axis(input)
        classes = torch.arange(input.shape[axis], device=input.device)
        classes = classes.view(-1, *[1] * (input.dim() - axis - 1))
        margin = torch.where(classes == index.unsqueeze(axis), wide(input), -wide(input))
        return counted(self._of_shortfall(1 - margin).sum(axis), index, ignored, self.weight)

    @abstractmethod
    def _of_shortfall(self, u: Tensor) -> Tensor:
        """The loss of a margin that is 1 - u."""


@final
class HingeLoss(_MarginLoss):
    r"""What every output lacks to a margin of 1: the loss of support vector machines.

    $$\ell_n = w_{y_n} \sum_{c=1}^C \max(0, \, 1 - t_{n, c} \, x_{n, c}), \quad
      t_{n, c} = \begin{cases} 1 & c = y_n \\ -1 & \text{else} \end{cases}; \qquad
      \text{mean} = \frac{\sum_n \ell_n}{\sum_n w_{y_n}}$$

    Each class is told from all others on its own. The gradient at a margin of exactly 1 is taken
    as 0.

    Args:
        weight: what each class counts, [C]; 1 for each where it is not given.
        ignore_index: targets with this value contribute nothing.
        reduction: "none", "mean" over the weights in use, or "sum".

    Shape:
        input: scores, (C), (N, C) or (N, C, d1, .., dK).
        target: class indices of any integer dtype, (), (N) or (N, d1, .., dK). The result is a
        scalar, or of the target's shape for "none".

    Raises:
        ValueError: the shapes do not go together; weight is not of length C; unknown reduction.
        IndexError: a target is neither in [0, C) nor ``ignore_index``; the message says which.
        TypeError: the targets are not integers, or the input is not floating point.

    Example:
        >>> import torch
        >>> from gradus.risk.losses import HingeLoss
        >>> scores = torch.tensor([[2.0, -3.0], [0.5, 0.0]])
        >>> HingeLoss(reduction="none")(scores, torch.tensor([0, 0]))
        tensor([0.0000, 1.5000])

    Source: Cortes, Vapnik, Support-vector networks (1995), equations (12)-(14); each class against
    the rest: Rifkin, Klautau, In defense of one-vs-all classification (2004).
    """

    def _of_shortfall(self, u: Tensor) -> Tensor:
        return u.relu()


@final
class ModifiedHuberLoss(_MarginLoss):
    r"""The squared hinge loss, which goes on as a line where an output is far on the wrong side.

    $$\ell_n = w_{y_n} \sum_{c=1}^C \varphi(t_{n, c} \, x_{n, c}), \quad
      \varphi(m) = \begin{cases} \max(0, 1 - m)^2 & m \ge -1 \\ -4 m & \text{else} \end{cases}$$

    with t and the mean as in :class:`HingeLoss`. It is smooth, and an outlier pulls no harder than
    4. The share $(\min(1, \max(-1, x)) + 1) / 2$ estimates the probability of a class.

    Args:
        weight: what each class counts, [C]; 1 for each where it is not given.
        ignore_index: targets with this value contribute nothing.
        reduction: "none", "mean" over the weights in use, or "sum".

    Shape:
        input, target: as in :class:`HingeLoss`.

    Raises:
        ValueError, IndexError, TypeError: as in :class:`HingeLoss`.

    Example:
        >>> import torch
        >>> from gradus.risk.losses import ModifiedHuberLoss
        >>> ModifiedHuberLoss()(torch.tensor([[0.5, -3.0], [-2.0, -1.0]]), torch.tensor([0, 0]))
        tensor(4.1250)

    Source: Zhang, Solving large scale linear prediction problems using stochastic gradient descent
    algorithms (2004), section 2.
    """

    def _of_shortfall(self, u: Tensor) -> Tensor:
        cut = u.clamp(0, 2)
        return cut * (2 * u - cut)
