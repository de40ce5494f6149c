"""How good predictions of a number are, in the unit of the target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from gradus.metrics.figure import Figure, Linearised, Values, too_few
from gradus.metrics.uncertainty import median_ranks, positive_interval

FEWEST = 3
"""Examples that an interval from a standard error needs: two have hardly a spread."""


def figures_of_numbers(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    mean: ArrayLike | None = None,
    median: ArrayLike | None = None,
    names: Sequence[str] | None = None,
) -> dict[str, Figure]:
    """RMSE, MAE, R² and the median absolute error of predictions.

    Each has an interval of 95 %: those of RMSE, MAE and R² from their standard errors, that of the
    median absolute error from the order of the errors.

    Args:
        predictions: ``[n, m]``, in the unit of the target.
        targets: ``[n, m]``, likewise.
        mean: ``[m]``, of the training targets: the best constant prediction for RMSE and R².
        median: ``[m]``, of the training targets: that for the two others.
        names: of the m targets, where there are several.

    Returns:
        The figures by their names: ``rmse``, ``mae``, ``r2``, ``median_absolute_error``; of several
        targets ``rmse of height`` and so on.

    Raises:
        ValueError: the shapes differ, or there is no example.

    Example:
        >>> figures = figures_of_numbers([[1.0], [2.0], [5.0]], [[1.0], [3.0], [5.0]], mean=[3.0])
        >>> round(figures["r2"].value, 3), figures["r2"].constant
        (0.875, 0.0)
        >>> figures["median_absolute_error"].reason
        '3 examples are too few for an interval'
    """
    given, y = (np.asarray(each, dtype=np.float64) for each in (predictions, targets))
    if given.shape != y.shape or y.ndim != 2 or not len(y):
        raise ValueError(
            f"predictions of shape {given.shape} for targets of shape {y.shape}: give both as "
            "[n, m], with an example at least"
        )
    constants = [None if each is None else np.asarray(each, np.float64) for each in (mean, median)]
    found: dict[str, Figure] = {}
    for at in range(y.shape[1]):
        own = _of_one(
            given[:, at],
            y[:, at],
            *(None if each is None else float(each[at]) for each in constants),
        )
        of = "" if y.shape[1] == 1 else f" of {at if names is None else names[at]}"
        found |= {f"{name}{of}": figure for name, figure in own.items()}
    return found


def _of_one(
    predictions: Values, targets: Values, mean: float | None, median: float | None
) -> Mapping[str, Figure]:
    errors = predictions - targets

    def beside(figure: Callable[[Values], float | None], constant: float | None) -> float | None:
        return None if constant is None else figure(constant - targets)

    explained = r2(errors, targets)
    return {
        "rmse": above_zero(rmse(errors), beside(lambda e: rmse(e).value, mean)),
        "mae": above_zero(mae(errors), beside(lambda e: mae(e).value, median)),
        "r2": _share_explained(explained, beside(lambda e: _value(r2(e, targets)), mean)),
        "median_absolute_error": _median(
            np.abs(errors), beside(lambda e: float(np.median(np.abs(e))), median)
        ),
    }


def rmse(errors: Values) -> Linearised:
    r"""The root of the mean squared error, $\sqrt{\frac{1}{n} \sum_i e_i^2}$.

    Args:
        errors: ``[n]``, predictions less targets.

    Example:
        >>> rmse(np.array([3.0, -4.0, 0.0, 0.0])).value
        2.5
    """
    mean = float((errors**2).mean())
    root = float(np.sqrt(mean))
    return Linearised(root, (errors**2 - mean) / (2 * root) if root else np.zeros_like(errors))


def mae(errors: Values) -> Linearised:
    r"""The mean absolute error, $\frac{1}{n} \sum_i |e_i|$.

    Args:
        errors: ``[n]``, predictions less targets.

    Example:
        >>> mae(np.array([3.0, -4.0, 0.0, 0.0])).value
        1.75
    """
    mean = float(np.abs(errors).mean())
    return Linearised(mean, np.abs(errors) - mean)


def r2(errors: Values, targets: Values) -> Linearised | None:
    r"""The share of the variance of the targets that the predictions explain,

    $$R^2 = 1 - \frac{\sum_i e_i^2}{\sum_i (y_i - \bar y)^2};$$

    None where the targets are all the same.

    Args:
        errors: ``[n]``, predictions less targets.
        targets: ``[n]``, y.

    Example:
        >>> r2(np.array([0.0, 0.0, 1.0]), np.array([1.0, 2.0, 3.0])).value
        0.5
    """
    if (targets == targets[0]).all():
        return None
    squares = (targets - targets.mean()) ** 2
    left = float((errors**2).sum() / squares.sum())
    return Linearised(1 - left, (left * squares - errors**2) / squares.mean())


def _value(found: Linearised | None) -> float | None:
    return None if found is None else found.value


def above_zero(found: Linearised, constant: float | None) -> Figure:
    """A figure that is 0 where nothing is off, with its interval from its standard error.

    Args:
        found: the figure.
        constant: that of the best constant prediction.
    """
    n = len(found.influence)
    if n < FEWEST:
        return Figure(found.value, constant=constant, reason=too_few(n))
    if found.value == 0:
        return Figure(0.0, constant=constant, reason="no prediction is off: nothing to go by")
    return Figure(found.value, *positive_interval(found.value, found.standard_error, n), constant)


def _share_explained(found: Linearised | None, constant: float | None) -> Figure:
    """What is left unexplained is a figure above 0."""
    if found is None:
        return Figure(None, reason="the targets are all the same: no variance to explain")
    left = above_zero(Linearised(1 - found.value, found.influence), None)
    low, high = (None if end is None else 1 - end for end in (left.high, left.low))
    return Figure(found.value, low, high, constant, left.reason)


def _median(sizes: Values, constant: float | None) -> Figure:
    n, value = len(sizes), float(np.median(sizes))
    if (ranks := median_ranks(n)) is None:
        return Figure(value, constant=constant, reason=too_few(n))
    ends = np.sort(sizes)[list(ranks)]
    return Figure(value, float(ends[0]), float(ends[1]), constant)
