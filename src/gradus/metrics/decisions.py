"""How good a model's decisions are, the class of the largest probability: from their confusion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradus.metrics.figure import Values
from gradus.metrics.uncertainty import (
    effective_examples,
    interval_of_mean,
    share_interval,
    wilson_interval,
)

Labels = NDArray[np.int64]


class Share(NamedTuple):
    """A figure between 0 and 1, and its interval of 95 %."""

    value: float
    low: float
    high: float


def confusion_matrix(labels: Labels, predicted: Labels, classes: int) -> NDArray[np.int64]:
    """How many examples of each class are taken for each.

    Args:
        labels: ``[n]``, the classes.
        predicted: ``[n]``, what they are taken for.
        classes: how many there are.

    Returns:
        ``[classes, classes]``: a row for each class, a column for each that it is taken for.

    Example:
        >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    cells = np.bincount(labels * classes + predicted, minlength=classes**2)
    return cells.reshape(classes, classes).astype(np.int64)


def accuracy(matrix: NDArray[np.int64]) -> Share:
    """The share of examples that are taken for what they are.

    Example:
        >>> accuracy(np.array([[97, 0], [3, 0]])).value
        0.97
    """
    right, n = int(matrix.trace()), int(matrix.sum())
    return Share(right / n, *wilson_interval(right, n))


def balanced_accuracy(matrix: NDArray[np.int64]) -> Share:
    r"""The share of each class that is found, as a mean over the classes,

    $$\frac{1}{K} \sum_k \frac{M_{kk}}{\sum_j M_{kj}},$$

    over the K classes of which there are examples.

    Args:
        matrix: ``[classes, classes]``, M.

    Example:
        >>> found = balanced_accuracy(np.array([[97, 0], [3, 0]]))
        >>> found.value, round(found.low, 2), round(found.high, 2)
        (0.5, 0.48, 0.78)

    Source:
        K. H. Brodersen et al., The balanced accuracy and its posterior distribution, ICPR (2010).
    """
    sizes = matrix.sum(axis=1)
    there = np.flatnonzero(sizes)
    found = matrix.diagonal()[there] / sizes[there]
    counts = zip(matrix.diagonal()[there].tolist(), sizes[there].tolist(), strict=True)
    each = [Share(right / size, *wilson_interval(right, size)) for right, size in counts]
    spread = found * (1 - found) / np.maximum(sizes[there] - 1, 1)
    return mean_of_shares(each, np.diag(spread), np.eye(len(there)))


def f1_of_one(matrix: NDArray[np.int64], of: int) -> Share | None:
    r"""The harmonic mean of precision and recall of a class,

    $$F_k = \frac{2 M_{kk}}{\sum_j M_{kj} + \sum_i M_{ik}};$$

    None for a class that no example has and none is taken for.

    The share of examples that are rightly taken for the class, among those that are of it or taken
    for it, is F / (2 - F): the interval is Wilson's of that share.

    Args:
        matrix: ``[classes, classes]``, M.
        of: the class, k.

    Example:
        >>> f1_of_one(np.array([[97, 0], [3, 0]]), 1).value
        0.0

    Source:
        C. J. van Rijsbergen, Information Retrieval, 2nd ed. (1979), ch. 7; of the interval, K. F.
        Y. Lam, V. Gopal, J. Qian, Confidence intervals for the F1 score, arXiv:2309.14621 (2023).
    """
    right = int(matrix[of, of])
    either = int(matrix[of].sum() + matrix[:, of].sum()) - right
    if either == 0:
        return None
    ends = (2 * end / (1 + end) for end in wilson_interval(right, either))
    return Share(2 * right / (either + right), *ends)


def macro_f1(matrix: NDArray[np.int64]) -> Share:
    """F1 as a mean over all classes that occur.

    An example that is taken for another class lowers F1 of both: how far they go together is
    linearised.

    Args:
        matrix: ``[classes, classes]``.

    Example:
        >>> round(macro_f1(np.array([[97, 0], [3, 0]])).value, 4)
        0.4924
    """
    each = {k: found for k in range(len(matrix)) if (found := f1_of_one(matrix, k)) is not None}
    there = np.ix_(list(each), list(each))
    # An empty cell says nothing of how far two go together: half an example more is in each.
    together = _covariances(matrix + 0.5)
    deviations = np.sqrt(together.diagonal())
    correlations = together / np.outer(deviations, deviations)
    return mean_of_shares(list(each.values()), _covariances(matrix)[there], correlations[there])


def mean_of_shares(each: Sequence[Share], covariances: Values, correlations: Values) -> Share:
    """The mean of figures between 0 and 1, with the wider of two intervals.

    One is put together from their own; it knows how unsure a figure of few examples is, also at 0
    and 1, where there is no spread to see. The other is Wilson's at the effective number of
    examples; it knows that many figures are not all off to the same side.

    Args:
        each: the figures, K of them.
        covariances: ``[K, K]``, by linearisation.
        correlations: ``[K, K]``, also where there is no spread to see.
    """
    values, low, high = np.transpose(each)
    mean, *ends = interval_of_mean(values, low, high, correlations)
    error = math.sqrt(max(0.0, float(covariances.sum()))) / len(values)
    if error == 0:
        return Share(mean, *ends)
    other = share_interval(mean, effective_examples(mean, error))
    return Share(mean, min(ends[0], other[0]), max(ends[1], other[1]))


def _covariances(cells: NDArray[Any]) -> Values:
    """``[classes, classes]``: of F1 of the classes, linearised."""
    right = cells.diagonal()
    both = cells.sum(axis=0) + cells.sum(axis=1)
    # An example of a class that is taken for another lowers F1 of both by so much.
    with np.errstate(invalid="ignore", divide="ignore"):
        lost = np.nan_to_num(2 * right / both**2)
        gained = np.nan_to_num(2 / both, posinf=0.0) - 2 * lost
    wrong = cells + cells.T
    np.fill_diagonal(wrong, 0)
    covariances = wrong * np.outer(lost, lost)
    variances = right * gained**2 + wrong.sum(axis=1) * lost**2
    np.fill_diagonal(covariances, variances)
    return np.asarray(covariances)
