"""How good predictions of a quantile are: what was asked for is how many targets stay below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from gradus.metrics.figure import Figure, Linearised, Values
from gradus.metrics.numbers import above_zero
from gradus.metrics.uncertainty import wilson_interval


def figures_of_quantiles(
    predictions: ArrayLike,
    targets: ArrayLike,
    quantile: float,
    *,
    constant: ArrayLike | None = None,
    names: Sequence[str] | None = None,
) -> dict[str, Figure]:
    r"""Pinball loss and coverage of predictions of the quantile $\tau$.

    $$\frac1n \sum_i \max(\tau (y_i - q_i), (\tau - 1) (y_i - q_i)), \qquad
      \frac1n \#\{i : y_i \le q_i\}.$$

    The interval of 95 % of the first is from its standard error, that of the second Wilson's. A
    coverage is the better the nearer it is to $\tau$.

    Args:
        predictions: ``[n, m]``, q, in the unit of the target.
        targets: ``[n, m]``, y, likewise.
        quantile: $\tau$, between 0 and 1.
        constant: ``[m]``, the quantile of the training targets: the best constant prediction.
        names: of the m targets, where there are several.

    Returns:
        The figures by their names: ``pinball_loss``, ``coverage``; of several targets ``coverage of
        height`` and so on.

    Raises:
        ValueError: the shapes differ, there is no example, or the quantile is none.

    Example:
        >>> found = figures_of_quantiles([[3.0], [3.0], [3.0]], [[1.0], [2.0], [5.0]], 0.5)
        >>> round(found["pinball_loss"].value, 4), round(found["coverage"].value, 4)
        (0.8333, 0.6667)

    Source:
        R. Koenker, G. Bassett, Regression quantiles, Econometrica 46 (1978), eq. 3.1.
    """
    given, y = (np.asarray(each, dtype=np.float64) for each in (predictions, targets))
    if given.shape != y.shape or y.ndim != 2 or not len(y) or not 0 < quantile < 1:
        raise ValueError(
            f"predictions of shape {given.shape} of the quantile {quantile} for targets of shape "
            f"{y.shape}: give both as [n, m], with an example at least, and 0 < quantile < 1"
        )
    found: dict[str, Figure] = {}
    for at in range(y.shape[1]):
        known = None if constant is None else float(np.asarray(constant, np.float64)[at])
        errors = y[:, at] - given[:, at]
        beside = None if known is None else y[:, at] - known
        of = "" if y.shape[1] == 1 else f" of {at if names is None else names[at]}"
        found[f"pinball_loss{of}"] = above_zero(
            pinball(errors, quantile), None if beside is None else pinball(beside, quantile).value
        )
        below = int((errors <= 0).sum())
        found[f"coverage{of}"] = Figure(
            below / len(y),
            *wilson_interval(below, len(y)),
            None if beside is None else float((beside <= 0).mean()),
        )
    return found


def pinball(errors: Values, quantile: float) -> Linearised:
    """The mean pinball loss.

    Args:
        errors: ``[n]``, targets less predictions.
        quantile: that was to be predicted.
    """
    losses = np.maximum(quantile * errors, (quantile - 1) * errors)
    mean = float(losses.mean())
    return Linearised(mean, losses - mean)
