"""How far what was measured on some examples may be from what it is on all there could be."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray


def wilson_interval(correct: int, n: int, level: float = 0.95) -> tuple[float, float]:
    r"""Wilson's interval for a share, such as an accuracy: where the true one is likely to be.

    With the share p of n examples and the normal quantile z of (1 + level) / 2, the interval is

    $$\frac{p + \frac{z^2}{2n} \pm z \sqrt{\frac{p (1 - p)}{n} + \frac{z^2}{4 n^2}}}
           {1 + \frac{z^2}{n}}.$$

    It stays within 0 and 1, and is no point where all or none of the examples are right. The
    examples are taken as independent; where groups of them are right or wrong together it is too
    short.

    Args:
        correct: how many examples are right.
        n: of how many.
        level: how often such intervals hold the true share.

    Raises:
        ValueError: the numbers count nothing, or the level is none.

    Example:
        >>> low, high = wilson_interval(90, 100)
        >>> round(low, 3), round(high, 3)
        (0.826, 0.945)

    Source:
        E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22
        (1927) 209-212; L. D. Brown, T. T. Cai, A. DasGupta, Statistical Science 16 (2001), eq. 4.
    """
    if not 0 <= correct <= n or n == 0:
        raise ValueError(f"{correct} of {n} is no share: give 0 <= correct <= n, n > 0")
    return _wilson(correct / n, n, _normal_quantile(level))


def share_interval(value: float, n: float, level: float = 0.95) -> tuple[float, float]:
    r"""Wilson's interval of a figure between 0 and 1 that is worth a share of n examples.

    Args:
        value: of the figure.
        n: see `effective_examples`.
        level: how often such intervals hold the true figure.

    Example:
        >>> share_interval(0.9, 100.0) == wilson_interval(90, 100)
        True
    """
    return _wilson(value, n, _normal_quantile(level))


def effective_examples(value: float, error: float) -> float:
    r"""How many examples would give a plain share p of this size the same standard error s,

    $$n^* = \frac{p (1 - p)}{s^2}.$$

    Args:
        value: p, between 0 and 1.
        error: s, above 0.

    Example:
        >>> round(effective_examples(0.9, 0.03), 9)
        100.0

    Source:
        E. L. Korn, B. I. Graubard, Confidence intervals for proportions with small expected number
        of positive counts estimated from survey data, Survey Methodology 24 (1998) 193-201.
    """
    return value * (1 - value) / error**2


def interval_of_mean(
    values: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    correlations: NDArray[np.float64] | None = None,
) -> tuple[float, float, float]:
    r"""The mean of figures that have intervals of their own, and its interval,

    $$\bar v - \frac1K \sqrt{\sum_{ij} \rho_{ij} (v_i - l_i) (v_j - l_j)},$$

    and likewise above. It keeps what the intervals know: one that is long, of a figure of few
    examples at 0 or 1, whose standard error would be 0, makes the whole long.

    Args:
        values: ``[K]``, v.
        low: ``[K]``, l, where the interval of each begins.
        high: ``[K]``, where it ends.
        correlations: ``[K, K]``, of the figures; None: they are independent.

    Example:
        >>> mean, low, high = interval_of_mean(np.array([0.5, 1.0]), np.array([0.2, 0.6]),
        ...                                    np.array([0.8, 1.0]))
        >>> mean, round(low, 2), round(high, 2)
        (0.75, 0.5, 0.9)

    Source:
        G. Y. Zou, A. Donner, Construction of confidence limits about effect measures: a general
        approach, Statistics in Medicine 27 (2008) 1693-1702.
    """
    mean = float(values.mean())
    together = np.eye(len(values)) if correlations is None else correlations
    below, above = (
        math.sqrt(max(0.0, float(each @ together @ each))) / len(values)
        for each in (values - low, high - values)
    )
    return mean, mean - below, mean + above


def positive_interval(
    value: float, error: float, n: int, level: float = 0.95
) -> tuple[float, float]:
    r"""The interval of a figure above 0, such as a mean loss, from its standard error.

    It is Student's on the scale of logarithms, where it cannot cross 0,

    $$v \exp(\pm t_{n - 1} s / v).$$

    Args:
        value: v, above 0.
        error: s, its standard error.
        n: of how many examples, 3 or more.
        level: how often such intervals hold the true figure.

    Example:
        >>> low, high = positive_interval(2.0, 0.1, 1_000)
        >>> round(low, 2), round(high, 2)
        (1.81, 2.21)

    Source:
        W. Q. Meeker, L. A. Escobar, Statistical Methods for Reliability Data (1998), eq. 7.3.
    """
    factor = math.exp(min(student_quantile(n - 1, level) * error / value, 700.0))
    return value / factor, value * factor


def student_quantile(freedom: int, level: float = 0.95) -> float:
    r"""How many standard errors an interval of Student reaches to either side.

    By its expansion in powers of one over the degrees of freedom, which needs no library: within
    1 % from two degrees of freedom on, and 0.1 % from five.

    Args:
        freedom: degrees of freedom, 2 or more.
        level: how often such intervals hold.

    Example:
        >>> round(student_quantile(10), 3), round(student_quantile(10**6), 3)
        (2.228, 1.96)

    Source:
        M. Abramowitz, I. A. Stegun, Handbook of Mathematical Functions (1964), eq. 26.7.5.
    """
    z = _normal_quantile(level)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, start=1))


def median_ranks(n: int, level: float = 0.95) -> tuple[int, int] | None:
    r"""Between which of n values, by their order, the true median is likely to lie.

    However they are distributed, the number of those below it is binomial with a chance of 1/2.

    Args:
        n: how many values.
        level: how often such intervals hold the median, at least.

    Returns:
        The positions of both ends among the sorted values, counted from 0; None where n is too
        small for any.

    Example:
        >>> median_ranks(5), median_ranks(6), median_ranks(100)
        (None, (0, 5), (39, 60))

    Source:
        W. J. Conover, Practical Nonparametric Statistics, 3rd ed. (1999), 3.2.
    """
    k = np.arange(1, n // 2 + 1)
    logarithms = np.append(0.0, np.cumsum(np.log((n - k + 1) / k))) - n * math.log(2)
    outside = np.cumsum(np.exp(logarithms))
    low = int(np.searchsorted(outside, (1 - level) / 2, side="right"))
    return (low - 1, n - low) if low else None


def _wilson(p: float, n: float, z: float) -> tuple[float, float]:
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # At the ends, where the bound is 0 or 1, rounding must not cross it.
    return 0.0 if p == 0 else middle - half, 1.0 if p == 1 else middle + half


def _normal_quantile(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, not {level}")
    return NormalDist().inv_cdf((1 + level) / 2)


def standard_error(losses: ArrayLike, masses: ArrayLike | None = None) -> float:
    r"""The standard error of a mean loss over examples.

    With the losses l_i of n examples and their mean,

    $$s = \sqrt{\frac{1}{n (n - 1)} \sum_i (l_i - \bar l)^2}.$$

    For a mean that is a quotient of sums, as of weighted losses, m = sum l_i / sum m_i, it is that
    of the linearised quotient, of l_i - m m_i over the mean of m_i. The examples are taken as
    independent; where those of a group are alike it is too small.

    Args:
        losses: ``[n]``, what each example adds to the sum.
        masses: ``[n]``, what each adds to the divisor of the mean; None: 1.

    Returns:
        The standard error; NaN where there are less than two examples.

    Raises:
        ValueError: the masses are not one for each loss.

    Example:
        >>> round(standard_error([1.0, 2.0, 3.0, 6.0]), 4)
        1.0801

    Source:
        W. G. Cochran, Sampling Techniques, 3rd ed. (1977), eq. 2.20 and 6.13.
    """
    values = np.asarray(losses, dtype=np.float64)
    weights = np.ones_like(values) if masses is None else np.asarray(masses, dtype=np.float64)
    if weights.shape != values.shape:
        raise ValueError(f"{len(weights)} masses for {len(values)} losses: give one for each")
    n, mass = len(values), float(weights.sum())
    if n < 2 or mass == 0:
        return math.nan
    residuals = values - values.sum() / mass * weights
    return float(np.sqrt(n / (n - 1) * (residuals**2).sum()) / mass)
