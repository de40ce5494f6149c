"""Whether a model is right as often as it says: its confidence beside its accuracy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from gradus.metrics.figure import Figure, Values, too_few

BINS = 15
"""Of equal width, as in the source."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """Examples put together by how sure the model is of them; each array is ``[bins]``.

    Attributes:
        edges: ``[bins + 1]``, of the confidences that stand in a bin.
        count: examples in each.
        confidence: their mean confidence; NaN where there is none.
        accuracy: the share of them for which the model is right; NaN where there is none.
    """

    edges: Values
    count: NDArray[np.int64]
    confidence: Values
    accuracy: Values

    @property
    def error(self) -> float:
        """How far the two are apart, as a mean over examples."""
        apart = np.abs(self.confidence - self.accuracy)[self.count > 0]
        return float((apart * self.count[self.count > 0]).sum() / self.count.sum())


def reliability(confidence: Values, right: NDArray[np.bool_], bins: int = BINS) -> Reliability:
    """Put examples together by their confidence.

    Args:
        confidence: ``[n]``, the probability that the model gives its decision.
        right: ``[n]``, whether that is the class.
        bins: how many, of equal width between 0 and 1.

    Example:
        >>> found = reliability(np.array([0.9, 0.9, 0.6]), np.array([True, False, True]), bins=2)
        >>> found.count.tolist(), found.accuracy.round(2).tolist(), round(found.error, 2)
        ([0, 3], [nan, 0.67], 0.13)
    """
    at = _bins_of(confidence, bins)
    count = np.bincount(at, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(at, each, minlength=bins) / count for each in (confidence, right)]
    return Reliability(np.linspace(0, 1, bins + 1), count, *means)


def calibration_error(confidence: Values, right: NDArray[np.bool_]) -> Figure:
    r"""The expected calibration error: how far confidence and accuracy are apart,

    $$\sum_b \frac{n_b}{n} \left| \mathrm{acc}_b - \mathrm{conf}_b \right|.$$

    Chance alone keeps them apart: where there are few examples in a bin even a calibrated model
    shows an error. The interval takes that off, bin by bin, as the mean of a folded normal
    distribution beyond what is folded, so that it may begin well below the value; and it begins at
    0 where chance would show as much of a calibrated model.

    Args:
        confidence: ``[n]``, the probability that the model gives its decision.
        right: ``[n]``, whether that is the class.

    Example:
        >>> sure = np.full(100, 0.9)
        >>> figure = calibration_error(sure, np.arange(100) < 60)
        >>> round(figure.value, 2), 0.2 < figure.low < 0.3 < figure.high < 0.4
        (0.3, True)

    Source:
        C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, On calibration of modern neural networks, ICML
        (2017), eq. 3; of its bias, R. Roelofs, N. Cain, J. Shlens, M. C. Mozer, Mitigating bias in
        calibration error estimation, AISTATS (2022).
    """
    found, n = reliability(confidence, right), len(confidence)
    value = found.error
    if n < 3:
        return Figure(value, reason=too_few(n))
    there = found.count > 0
    count = found.count[there]
    share, gap = count / n, (found.confidence - found.accuracy)[there]
    # A bin in which all or none are right would have no spread: as if two more were in it.
    rate = (found.accuracy[there] * count + 1) / (count + 2)
    spread = np.sqrt(rate * (1 - rate) / count)
    z = NormalDist().inv_cdf(0.975)
    error = float(np.sqrt(((share * spread) ** 2).sum()))
    by_chance = float((share * _folded_mean(np.zeros_like(gap), spread)).sum())
    # The variance of a folded normal variable about 0 is 1 - 2 / pi of what is folded.
    is_chance = value <= by_chance + z * math.sqrt(1 - 2 / math.pi) * error
    bias = float((share * (_folded_mean(gap, spread) - np.abs(gap))).sum())
    low = 0.0 if is_chance else max(0.0, value - bias - z * error)
    return Figure(value, low, min(1.0, value - bias + z * error))


def _bins_of(confidence: Values, bins: int) -> NDArray[np.int64]:
    """The bin of each: an edge belongs to the bin below it."""
    edges = np.linspace(0, 1, bins + 1)
    return np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)


def _folded_mean(mean: Values, deviation: Values) -> Values:
    """The mean of the absolute value of a normal variable."""
    scaled = mean / deviation
    erf = np.array([math.erf(each / math.sqrt(2)) for each in scaled])
    return np.asarray(math.sqrt(2 / math.pi) * deviation * np.exp(-(scaled**2) / 2) + mean * erf)
