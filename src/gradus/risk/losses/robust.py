"""The losses of numbers that pull no harder the further off a target is: Huber and pinball."""

from __future__ import annotations

from typing import final

from torch import Tensor

from gradus.risk.losses.loss import Loss, Terms, require_equal_shapes
from gradus.risk.precision import wide


@final
class HuberLoss(Loss):
    r"""Squared error near the target, absolute error beyond a distance of $\delta$.

    $$\ell_i = \begin{cases} \frac12 u_i^2 & |u_i| \le \delta \\
      \delta \, (|u_i| - \frac12 \delta) & \text{else} \end{cases}, \quad u_i = x_i - y_i;
      \qquad \text{mean} = \frac{1}{n} \sum_{i=1}^n \ell_i$$

    The gradient is $u_i$, cut at $-\delta$ and $\delta$: an outlier pulls no harder than that.

    Args:
        reduction: "none", "mean" over all elements, or "sum".
        delta: $\delta > 0$, in the unit of the target.

    Shape:
        input, target: the same, any. The result is a scalar, or of that shape for "none".

    Raises:
        ValueError: the shapes differ, even where they would broadcast; delta is not above 0;
            unknown reduction.
        TypeError: the tensors are complex, or both integers (whose differences wrap around).

    Example:
        >>> import torch
        >>> from gradus.risk.losses import HuberLoss
        >>> HuberLoss(reduction="none")(torch.tensor([0.5, 10.0]), torch.zeros(2))
        tensor([0.1250, 9.5000])

    Source: Huber, Robust estimation of a location parameter (1964), section 4.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(None, None, reduction)
        if not delta > 0:
            raise ValueError(f"delta={delta} is not above 0")
        self.delta = delta

    def terms(self, input: Tensor, target: Tensor) -> Terms:  # noqa: A002
        """Return what the cut gradient adds up to, and the number of elements."""
        u = wide(_difference(self, input, target))
        cut = u.clamp(-self.delta, self.delta)
        # One form for both cases: of two, the one not taken would still enter the derivatives.
        return Terms(cut * (u - cut / 2), u.numel())


@final
class PinballLoss(Loss):
    r"""Absolute error that counts a target above the input $\tau$, one below it $1 - \tau$.

    $$\ell_i = \rho_\tau(y_i - x_i), \quad \rho_\tau(u) = u \, (\tau - [u < 0]); \qquad
      \text{mean} = \frac{1}{n} \sum_{i=1}^n \ell_i$$

    Its mean is least at the $\tau$-quantile of the targets: a model that minimises it says what
    a share $\tau$ of them stays below. With $\tau = 1/2$ it is half of L1. The gradient at
    $x_i = y_i$ is taken as 0. Also known as quantile loss.

    Args:
        quantile: $\tau$ in (0, 1).
        reduction: "none", "mean" over all elements, or "sum".

    Shape:
        input, target: the same, any. The result is a scalar, or of that shape for "none".

    Raises:
        ValueError: the shapes differ, even where they would broadcast; quantile is not between 0
            and 1; unknown reduction.
        TypeError: the tensors are complex, or both integers (whose differences wrap around).

    Example:
        >>> import torch
        >>> from gradus.risk.losses import PinballLoss
        >>> PinballLoss(0.75, reduction="none")(torch.tensor([0.0, 2.0]), torch.ones(2))
        tensor([0.7500, 0.2500])

    Source: Koenker, Bassett, Regression quantiles (1978), equation 3.2.
    """

    def __init__(self, quantile: float = 0.5, reduction: str = "mean") -> None:
        super().__init__(None, None, reduction)
        if not 0 < quantile < 1:
            raise ValueError(f"quantile={quantile} is not between 0 and 1")
        self.quantile = quantile

    def terms(self, input: Tensor, target: Tensor) -> Terms:  # noqa: A002
        """Return what is above times tau and what is below times 1 - tau; how many there are."""
        u = wide(_difference(self, input, target))
        return Terms(u.relu() * (1 - self.quantile) + (-u).relu() * self.quantile, u.numel())


def _difference(loss: Loss, output: Tensor, target: Tensor) -> Tensor:
    require_equal_shapes(output, target)
    difference = output - target
    if not difference.is_floating_point():
        raise TypeError(
            f"{type(loss).__name__} takes real floating-point tensors, "
            f"not {output.dtype} and {target.dtype}"
        )
    return difference
