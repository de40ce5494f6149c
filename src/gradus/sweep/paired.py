r"""What seeds say of configurations: intervals, differences within seeds, which may be the best.

Runs of one seed see the same examples in the same order, whatever their configuration. What a seed
does to all of them alike is no difference between them: seeds are pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Numbers = NDArray[np.float64]

CONFIDENCE: Final = 0.95
"""Of every interval, and of the configurations that may be the best."""

RIVALS: Final = 64
"""A configuration is held against so many of the best, at most; the correction counts all."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Configurations held against the best of them; each array is ``[configurations]``.

    Attributes:
        mean: over seeds.
        low: the lower end of its confidence interval; NaN with fewer than two seeds.
        high: the upper end.
        best: which configuration has the best mean among those whose seeds all ended well.
        difference: the mean of the differences to the best within seeds.
        difference_low: the lower end of its confidence interval, which covers although the best
            was chosen by the same figures; NaN with fewer than two pairs.
        difference_high: the upper end.
        may_be_best: whether it cannot be told from the best; all true where no seed is repeated.
        told: whether there are seeds enough to tell at all.
    """

    mean: Numbers
    low: Numbers
    high: Numbers
    best: int | None
    difference: Numbers
    difference_low: Numbers
    difference_high: Numbers
    may_be_best: NDArray[np.bool_]
    told: bool


def interval(
    values: Numbers, confidence: float | Numbers = CONFIDENCE
) -> tuple[Numbers, Numbers, Numbers]:
    r"""The mean of each row and its confidence interval,

    $$\bar x \pm t_{n - 1} \frac{s}{\sqrt n},$$

    with the quantile t of Student's distribution. NaN does not count; where fewer than two values
    are left, the ends are NaN.

    Args:
        values: ``[rows, seeds]``.
        confidence: the chance that the interval covers; of all rows, or of each.

    Returns:
        mean, low and high, each ``[rows]``.

    Source: Student (1908), "The probable error of a mean".

    Example:
        >>> mean, low, high = interval(np.array([[1.0, 2.0, 3.0]]))
        >>> mean.round(2), low.round(2), high.round(2)
        (array([2.]), array([-0.48]), array([4.48]))
    """
    mean, error, n = _mean_and_error(values)
    with np.errstate(invalid="ignore"):
        half = stdtrit(np.maximum(n - 1, 1), (1 + confidence) / 2) * error
    return mean, mean - half, mean + half


def compare(figures: Numbers, whole: NDArray[np.bool_] | None = None) -> Comparison:
    r"""Hold configurations against each other, within seeds; less is better.

    A configuration may be the best unless some other is significantly better: with the
    differences $d_{ij}$ of i and j within seeds, i is given up where for one of the k - 1 others

    $$\frac{\bar d_{ij}}{s_{ij} / \sqrt{n}} > t_{n-1,\,1 - \alpha / (k - 1)},$$

    the first step of Holm's procedure. The truly best one stays with the chance
    $1 - \alpha$ at least, whatever the variances are, as in Gupta's and Hsu's comparisons with
    the best; those assume one variance for all, which a learning rate at the edge of divergence
    does not have.

    The difference of i to the best has Student's interval at the confidence $1 - \alpha / m$,
    where m others might have come out best: whichever did, it covers with the chance
    $1 - \alpha$ at least.

    Args:
        figures: ``[configurations, seeds]``, NaN where a run has none.
        whole: ``[configurations]``: whether all runs of a configuration ended well; others are
            held against the best, but are not it. None: all did.

    Source: Holm (1979), "A simple sequentially rejective multiple test procedure"; Hsu (1984),
    "Constrained simultaneous confidence intervals for multiple comparisons with the best".

    Example:
        >>> found = compare(np.array([[0.50, 0.70, 0.60], [0.55, 0.68, 0.64], [0.9, 1.0, 1.1]]))
        >>> found.best, found.may_be_best.tolist()
        (0, [True, True, False])
    """
    n = len(figures)
    complete = ~np.isnan(figures).any(axis=1) if figures.size else np.zeros(n, bool)
    able = np.asarray(complete if whole is None else whole & complete, np.bool_)
    mean, low, high = interval(figures)
    nothing = np.full(n, np.nan)
    if not able.any():
        return Comparison(mean, low, high, None, nothing, nothing, nothing, np.ones(n, bool), False)
    candidates = np.flatnonzero(able)
    best = int(candidates[np.argmin(mean[candidates])])
    others = np.maximum(len(candidates) - able, 1)
    corrected = 1 - (1 - CONFIDENCE) / others
    difference, below, above = interval(figures - figures[best], corrected)
    told = figures.shape[1] > 1
    may_be_best = able.copy()
    if told and len(candidates) > 1:
        rivals = candidates[np.argsort(mean[candidates], kind="stable")][:RIVALS]
        alpha = (1 - CONFIDENCE) / (len(candidates) - 1)
        critical = stdtrit(figures.shape[1] - 1, 1 - alpha)
        for rival in rivals:
            d, error, _ = _mean_and_error(figures[candidates] - figures[rival])
            may_be_best[candidates] &= ~(d > critical * error)
    return Comparison(mean, low, high, best, difference, below, above, may_be_best, told)


def seeds_to_tell(configurations: int) -> int:
    """From how many seeds on a difference of twice its own deviation between seeds is told.

    Args:
        configurations: how many are compared.

    Example:
        >>> seeds_to_tell(2), seeds_to_tell(12)
        (3, 6)
    """
    alpha = (1 - CONFIDENCE) / max(1, configurations - 1)
    seeds = 2
    while stdtrit(seeds - 1, 1 - alpha) > 2 * math.sqrt(seeds):
        seeds += 1
    return seeds


def _mean_and_error(values: Numbers) -> tuple[Numbers, Numbers, NDArray[np.int64]]:
    """The mean of each row, its standard error (NaN below two values), and how many there are."""
    there = np.isfinite(values)
    n = there.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(there, values, 0.0).sum(axis=1) / n
        squares = (np.where(there, values - mean[:, None], 0.0) ** 2).sum(axis=1)
        error = np.where(n > 1, np.sqrt(squares / (n * (n - 1))), np.nan)
    return np.where(n > 0, mean, np.nan), error, n
