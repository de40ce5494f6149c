"""How well scores tell a class from the rest, wherever the line between them is drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradus.metrics.figure import Linearised, Values

Truth = NDArray[np.bool_]


def roc_auc(scores: Values, positive: Truth) -> Linearised:
    r"""The chance that an example of the class has a higher score than one of the rest,

    $$A = P(s_+ > s_-) + \frac12 P(s_+ = s_-),$$

    which is the area under the curve of true positives against false ones.

    Args:
        scores: ``[n]``.
        positive: ``[n]``, whether an example is of the class; there are both kinds.

    Example:
        >>> roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])).value
        0.75

    Source:
        E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Comparing the areas under two or more
        correlated receiver operating characteristic curves, Biometrics 44 (1988) 837-845; the
        placements by ranks as in X. Sun, W. Xu, IEEE Signal Processing Letters 21 (2014).
    """
    n, of_class = len(scores), int(positive.sum())
    order = np.argsort(scores)
    ascending, truth = scores[order], positive[order]
    ranks, sorted_placements, placements = _midranks(ascending), np.empty(n), np.empty(n)
    # Among all, less among its own kind: how many of the other kind stand below.
    above = (ranks[truth] - _midranks(ascending[truth])) / (n - of_class)
    sorted_placements[truth] = above
    sorted_placements[~truth] = 1 - (ranks[~truth] - _midranks(ascending[~truth])) / of_class
    placements[order] = sorted_placements
    area = float(above.mean())
    share = np.where(positive, of_class, n - of_class) / n
    return Linearised(area, (placements - area) / share)


def average_precision(scores: Values, positive: Truth) -> Linearised:
    r"""The mean precision at the score of each example of the class,

    $$\frac{1}{n_+} \sum_{i \in +} \frac{|\{j \in + : s_j \geq s_i\}|}{|\{j : s_j \geq s_i\}|}.$$

    Where the class is rare this says more than the area under the other curve: the many that are
    rightly left out count for nothing. Scores that say nothing reach the share of the class.

    Args:
        scores: ``[n]``.
        positive: ``[n]``, whether an example is of the class; there is one at least.

    Example:
        >>> found = average_precision(
        ...     np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])
        ... )
        >>> round(found.value, 4)
        0.8333

    Source:
        M. Zhu, Recall, precision and average precision, University of Waterloo (2004).
    """
    n, of_class = len(scores), int(positive.sum())
    order = np.argsort(-scores)
    ends = _ends_of_ties(scores[order])
    truth = positive[order]
    taken = ends + 1.0  # how many have this score or a higher one
    precision = np.cumsum(truth)[ends] / taken
    mean = float(precision[truth].mean())
    # Each example also moves the precision at every lower score, by (y - precision) / taken there.
    starts = np.searchsorted(ends, ends, side="left")
    pulls, weights = (
        np.append(np.cumsum(values[::-1])[::-1], 0.0)[starts]
        for values in (truth * precision / taken, truth / taken)
    )
    sorted_influence = n / of_class * (truth * (precision - mean) + truth * weights - pulls)
    influence = np.empty(n)
    influence[order] = sorted_influence
    return Linearised(mean, influence)


def counts_by_score(scores: Values, positive: Truth) -> tuple[Values, Values]:
    """As the line is lowered from score to score, how many are above it.

    Args:
        scores: ``[n]``.
        positive: ``[n]``, whether an example is of the class.

    Returns:
        ``[k]``, one for each score that differs, from the highest on: how many examples of the
        class are above the line, and how many there are of all.

    Example:
        >>> right, taken = counts_by_score(
        ...     np.array([0.1, 0.8, 0.8, 0.4]), np.array([True, False, True, True])
        ... )
        >>> right.tolist(), taken.tolist()
        ([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
    """
    order = np.argsort(-scores)
    ends = np.flatnonzero(_are_last_of_ties(scores[order]))
    right = np.cumsum(positive[order])[ends].astype(np.float64)
    return right, (ends + 1).astype(np.float64)


def one_against_rest(found: list[Linearised]) -> Linearised:
    """The mean over classes, each told from the rest."""
    return Linearised(
        float(np.mean([each.value for each in found])),
        np.mean([each.influence for each in found], axis=0),
    )


def _midranks(ascending: Values) -> Values:
    """Counted from 1; those of equal scores share the mean of their ranks."""
    is_last = _are_last_of_ties(ascending)
    last = np.flatnonzero(is_last)
    first = np.append(0, last[:-1] + 1)
    return np.asarray(((first + last) / 2 + 1)[np.cumsum(is_last) - is_last])


def _ends_of_ties(sorted_scores: Values) -> NDArray[np.int64]:
    """``[n]``: the position of the last that has the same score."""
    is_last = _are_last_of_ties(sorted_scores)
    return np.asarray(np.flatnonzero(is_last)[np.cumsum(is_last) - is_last], np.int64)


def _are_last_of_ties(sorted_scores: Values) -> NDArray[np.bool_]:
    return np.append(sorted_scores[1:] != sorted_scores[:-1], True)
