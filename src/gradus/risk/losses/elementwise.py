"""The losses that compare output and target element by element: MSE, L1 and KL."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from gradus.risk.losses.loss import Loss, Terms, require_equal_shapes
from gradus.risk.precision import wide


@final
class MSELoss(Loss):
    r"""Squared error.

    $$\ell_i = (x_i - y_i)^2, \qquad \text{mean} = \frac{1}{n} \sum_{i=1}^n \ell_i$$

    Args:
        size_average: deprecated, see ``reduction``.
        reduce: deprecated, see ``reduction``.
        reduction: "none", "mean" over all elements, or "sum".

    Shape:
        input, target: the same, any. The result is a scalar, or of that shape for "none".

    Raises:
        ValueError: the shapes differ, even where they would broadcast; unknown reduction.
        TypeError: the tensors are complex (the square of a complex number is no distance; L1Loss
            takes them) or both integers (whose differences wrap around).

    Example:
        >>> import torch
        >>> from gradus.risk.losses import MSELoss
        >>> x, y = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])
        >>> MSELoss()(x, y)
        tensor(2.)
        >>> MSELoss(reduction="none")(x, y)
        tensor([0., 4.])

    Source: Legendre, Nouvelles méthodes pour la détermination des orbites des comètes (1805).
    """

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)

    def terms(self, input: Tensor, target: Tensor) -> Terms:  # noqa: A002
        """Return (input - target)^2 and the number of elements."""
        require_equal_shapes(input, target)
        difference = input - target
        if not difference.is_floating_point():
            raise TypeError(
                f"MSELoss takes real floating-point tensors, not {input.dtype} and {target.dtype}"
            )
        return Terms(wide(difference).square(), difference.numel())


@final
class L1Loss(Loss):
    r"""Absolute error, of real or complex numbers.

    $$\ell_i = |x_i - y_i|, \qquad \text{mean} = \frac{1}{n} \sum_{i=1}^n \ell_i$$

    The gradient at $x_i = y_i$ is taken as 0.

    Args:
        size_average: deprecated, see ``reduction``.
        reduce: deprecated, see ``reduction``.
        reduction: "none", "mean" over all elements, or "sum".

    Shape:
        input, target: the same, any. The result is a scalar, or of that shape for "none"; it is
        real where the tensors are complex.

    Raises:
        ValueError: the shapes differ, even where they would broadcast; unknown reduction.
        TypeError: both tensors are integers (whose differences wrap around).

    Example:
        >>> import torch
        >>> from gradus.risk.losses import L1Loss
        >>> x, y = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])
        >>> L1Loss()(x, y)
        tensor(1.)
        >>> L1Loss()(torch.tensor([3.0 + 4.0j]), torch.tensor([0j]))
        tensor(5.)

    Source: Boscovich, De litteraria expeditione (1757); Laplace (1793).
    """

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)

    def terms(self, input: Tensor, target: Tensor) -> Terms:  # noqa: A002
        """Return abs(input - target) and the number of elements."""
        require_equal_shapes(input, target)
        difference = input - target
        if not (difference.is_floating_point() or difference.is_complex()):
            raise TypeError(
                "L1Loss takes floating-point or complex tensors, "
                f"not {input.dtype} and {target.dtype}"
            )
        return Terms(difference.abs(), difference.numel())


@final
class KLDivLoss(Loss):
    r"""Kullback-Leibler divergence of the input, a log-probability, from the target.

    $$\ell_i = y_i (\log y_i - x_i), \quad \text{with log\_target} \quad
      \ell_i = e^{y_i} (y_i - x_i); \qquad \ell_i = 0 \text{ where the target is } 0$$

    A target of 0 contributes exactly 0 in value and gradient, even where the input is -inf.

    Args:
        size_average: deprecated, see ``reduction``.
        reduce: deprecated, see ``reduction``.
        reduction: "none", "mean" over all elements, "sum", or "batchmean": the sum divided by N,
            which is the divergence as mathematics defines it, averaged over the batch.
        log_target: the target, too, is in log space.

    Shape:
        input: log-probabilities, any; for "batchmean" its first dimension is N.
        target: the same. The result is a scalar, or of that shape for "none".

    Raises:
        ValueError: the shapes differ, even where they would broadcast; unknown reduction.
        TypeError: input or target is not floating point.

    Example:
        >>> import torch
        >>> from gradus.risk.losses import KLDivLoss
        >>> x = torch.tensor([[0.5, 0.5]]).log()
        >>> KLDivLoss(reduction="batchmean")(x, torch.tensor([[1.0, 0.0]])).exp()
        tensor(2.)

    Source: Kullback and Leibler, On information and sufficiency (1951), equation 2.4.
    """

    reductions: ClassVar[tuple[str, ...]] = ("none", "mean", "sum", "batchmean")

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def terms(self, input: Tensor, target: Tensor) -> Terms:  # noqa: A002
        """Return the divergence at each element, and the number of elements or N."""
        require_equal_shapes(input, target)
        if not (input.is_floating_point() and target.is_floating_point()):
            raise TypeError(
                f"KLDivLoss takes real floating-point tensors, not {input.dtype} and {target.dtype}"
            )
        probability = target.exp() if self.log_target else target
        # Both logarithms may be -inf where the target is 0. They are replaced before they meet, as
        # a NaN in a branch not taken still spoils the gradient.
        absent = probability == 0
        if self.log_target:
            log_target = target.masked_fill(absent, 0)
        else:
            log_target = target.masked_fill(absent, 1).log()
        values = probability * (log_target - input.masked_fill(absent, 0))
        if self.reduction == "batchmean":
            return Terms(values, values.shape[0] if values.dim() else 1)
        return Terms(values, values.numel())
