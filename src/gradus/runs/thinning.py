"""Which points of a curve are drawn, so that none of its highs and lows is lost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Indices = NDArray[np.int64]


def thin(starts: Indices, values: Numbers, points: int) -> Indices:
    """The rows to keep of curves that lie one behind the other.

    A curve with more than ``points`` rows is cut into equal buckets, and of each the first lowest
    and the first highest row is kept, beside the first and the last row of the curve: the extremes
    of the curve, and of any bucket, are those of all its rows, to the bit.

    Args:
        starts: ``[curves]``, the first row of each curve.
        values: ``[rows]``, of all curves; NaN is never an extreme.
        points: about so many rows of a curve are kept, at most ``max(points, 4)``.

    Returns:
        The rows kept, ascending.

    Example:
        >>> import numpy as np
        >>> thin(np.array([0]), np.array([3.0, 9.0, 1.0, 2.0, 2.0, 2.0]), 4).tolist()
        [0, 1, 2, 5]
    """
    n = len(values)
    if n == 0:
        return np.zeros(0, np.int64)
    length = np.diff(np.append(starts, n))
    buckets = np.where(length <= points, length, max(1, (points - 2) // 2))
    within = np.arange(n) - np.repeat(starts, length)
    bucket = within * np.repeat(buckets, length) // np.repeat(length, length)
    new = np.append(True, np.diff(bucket) != 0)
    new[starts] = True
    begins = np.flatnonzero(new)
    group = np.cumsum(new) - 1
    keep = np.zeros(n, bool)
    keep[starts] = keep[np.append(starts[1:], n) - 1] = True
    for extreme in (np.fmin, np.fmax):
        at = np.flatnonzero(values == extreme.reduceat(values, begins)[group])
        keep[at[np.append(True, np.diff(group[at]) != 0)[: len(at)]]] = True
    return np.flatnonzero(keep)
