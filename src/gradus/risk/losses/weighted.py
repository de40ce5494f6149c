"""A loss of examples of which some count more than others."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, final

import torch
from torch import Tensor

from gradus.risk.losses.loss import Loss, Terms
from gradus.risk.precision import total


@final
class Weighted(Loss):
    r"""The loss of a batch whose examples have weights.

    $$\text{mean} = \frac{\sum_i w_i \, \ell_i}{\sum_i w_i \, m_i}$$

    where the example i adds $\ell_i$ to the sum of the loss and $m_i$ to what its mean divides by.
    An example of weight 2 is one that stands there twice. Where all weights in use are 0 the mean
    is 0 with zero gradient.

    Of a batch of a larger whole the mean weight $\bar w$ of the whole may stand for each $w_i$ of
    the divisor: a batch divided by its own weights is no unbiased estimate of the whole, and of one
    example they would say nothing.

    Args:
        loss: of the examples, with any reduction.
        weights: $w_i \ge 0$, ``[N]``, of the examples of the batch.
        usual: $\bar w$; None: the mean of these.

    Example:
        >>> from gradus.risk.losses import MSELoss
        >>> x, y = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [0.0]])
        >>> Weighted(MSELoss(), torch.tensor([3.0, 1.0]))(x, y)
        tensor(1.7500)
    """

    reductions: ClassVar[tuple[str, ...]] = ("none", "mean", "sum", "batchmean")

    def __init__(self, loss: Loss, weights: Tensor, usual: float | Tensor | None = None) -> None:
        super().__init__(None, None, loss.reduction)
        self.loss, self.weights, self.usual = loss, weights, usual

    def terms(self, input: Tensor, target: Tensor) -> Terms:  # noqa: A002
        """Return the weighted values, and the weighted sum of what each divides by."""
        values, mass = self.loss.terms(input, target)
        weights = self.weights.to(values.dtype)
        weighted = values * weights.view(-1, *[1] * (values.dim() - 1))
        if self.usual is not None:
            return Terms(weighted, mass * self.usual)
        if not isinstance(mass, Tensor):  # each example has as much of it
            return Terms(weighted, total(weights) * (mass / len(weights)))

        def of_one(output: Tensor, y: Tensor) -> float | Tensor:
            return self.loss.terms(output[None], y[None]).mass

        return Terms(weighted, total(weights * torch.vmap(of_one)(input, target)))


def weighted(
    loss: Callable[[Tensor, Tensor], Tensor],
    weights: Tensor | None,
    usual: float | Tensor | None = None,
) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of examples with these weights; the loss itself where all count alike.

    Args:
        loss: of one that counts as 1.
        weights: of the examples of the batch.
        usual: the mean weight of the whole that the batch is of; None: that of the batch.

    Raises:
        ValueError: the loss does not say what each example adds to it.
    """
    if weights is None:
        return loss
    if not isinstance(loss, Loss):
        name = getattr(loss, "__name__", type(loss).__name__)
        raise ValueError(f"examples with weights need a loss of this package, not {name}")
    return Weighted(loss, weights, usual)
