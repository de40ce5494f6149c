"""How far what was measured on some examples may be from what it is on all there could be."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike


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
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, not {level}")
    z = NormalDist().inv_cdf((1 + level) / 2)
    p = correct / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # At the ends, where the bound is 0 or 1, rounding must not cross it.
    low = 0.0 if correct == 0 else middle - half
    return low, 1.0 if correct == n else middle + half


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
