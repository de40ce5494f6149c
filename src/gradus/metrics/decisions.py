"""How good a model's decisions are, the class of the largest probability: from their confusion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradus.metrics.figure import Linearised, Values

Labels = NDArray[np.int64]


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


def balanced_accuracy(matrix: NDArray[np.int64]) -> tuple[float, Values]:
    r"""The share of each class that is found, as a mean over the classes,

    $$\frac{1}{K} \sum_k \frac{M_{kk}}{\sum_j M_{kj}},$$

    over the K classes of which there are examples.

    Args:
        matrix: ``[classes, classes]``, M.

    Returns:
        It, and the influence of an example of each cell, ``[classes, classes]``.

    Example:
        >>> balanced_accuracy(np.array([[97, 0], [3, 0]]))[0]
        0.5

    Source:
        K. H. Brodersen et al., The balanced accuracy and its posterior distribution, ICPR (2010).
    """
    sizes = matrix.sum(axis=1)
    there = sizes > 0
    found = matrix.diagonal()[there] / sizes[there]
    influence = np.zeros(matrix.shape)
    identity = np.eye(len(matrix))[there]
    moved = (identity - found[:, None]) / sizes[there, None]
    influence[there] = matrix.sum() / there.sum() * moved
    return float(found.mean()), influence


def f1_of_each(matrix: NDArray[np.int64]) -> Values:
    r"""The harmonic mean of precision and recall of each class,

    $$F_k = \frac{2 M_{kk}}{\sum_j M_{kj} + \sum_i M_{ik}};$$

    NaN for a class that no example has and none is taken for.

    Example:
        >>> f1_of_each(np.array([[97, 0], [3, 0]])).round(3).tolist()
        [0.985, 0.0]

    Source:
        C. J. van Rijsbergen, Information Retrieval, 2nd ed. (1979), ch. 7.
    """
    either = matrix.sum(axis=0) + matrix.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * matrix.diagonal() / either)


def f1(matrix: NDArray[np.int64], of: int | None = None) -> tuple[float, Values]:
    """F1 of one class, or its mean over all that occur: macro F1.

    Args:
        matrix: ``[classes, classes]``.
        of: the class; None for the mean.

    Returns:
        It, and the influence of an example of each cell, ``[classes, classes]``.

    Example:
        >>> matrix = np.array([[97, 0], [3, 0]])
        >>> round(f1(matrix)[0], 4), f1(matrix, of=1)[0]
        (0.4924, 0.0)
    """
    each = f1_of_each(matrix)
    over = np.flatnonzero(~np.isnan(each)) if of is None else np.array([of])
    either = matrix.sum(axis=0) + matrix.sum(axis=1)
    influence = np.zeros(matrix.shape)
    for k in over:
        # An example of the cell adds 2 to the numerator where it stands on the diagonal, and 1 to
        # the denominator for each of its row and its column that are those of the class.
        influence[k, k] += 2 / either[k]
        influence[k, :] -= each[k] / either[k]
        influence[:, k] -= each[k] / either[k]
    return float(each[over].mean()), influence * (matrix.sum() / len(over))


def of_examples(figure: tuple[float, Values], labels: Labels, predicted: Labels) -> Linearised:
    """A figure of the confusion matrix, with the influence of each example."""
    value, influence = figure
    return Linearised(value, influence[labels, predicted])
