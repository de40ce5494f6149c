"""How good predicted probabilities of classes are: its figures, each with an interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradus.errors import brief
from gradus.metrics.calibration import calibration_error
from gradus.metrics.decisions import (
    Labels,
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    f1_of_one,
    macro_f1,
)
from gradus.metrics.figure import Figure, Linearised, Values, too_few
from gradus.metrics.numbers import FEWEST
from gradus.metrics.ranking import average_precision, one_against_rest, roc_auc
from gradus.metrics.uncertainty import (
    effective_examples,
    positive_interval,
    share_interval,
    standard_error,
)

UNEVEN = 0.5
"""Classes are uneven where the rarest has less than this of an even share."""


def figures_of_classes(
    probabilities: ArrayLike,
    labels: ArrayLike,
    *,
    shares: ArrayLike | None = None,
    classes: Sequence[str] | None = None,
    decisions: ArrayLike | None = None,
) -> dict[str, Figure]:
    r"""The figures of predicted probabilities, by their names.

    - ``accuracy``: the share of examples whose most probable class is theirs.
    - ``balanced_accuracy``: the mean over classes of the share of each that is found.
    - ``f1``: the mean over classes of the harmonic mean of precision and recall (macro F1).
    - ``log_loss``: the mean of :math:`-\log p(y)`.
    - ``auc``: the area under the ROC curve; of more than two classes the mean over each against
      the rest.
    - ``calibration_error``: how far confidence and accuracy are apart.

    Where classes are uneven, the rarest having less than half of an even share of the training
    examples, also ``average_precision``: of two classes that of the rarer, of more the mean over
    each against the rest. And of two uneven classes ``f1_of_rarer``: that of the rarer alone,
    which is 0 for a model that only knows the other.

    Each has an interval of 95 %: of the accuracy, and of F1 of one class, Wilson's; of the balanced
    accuracy and macro F1 put together from such ones; of the areas Wilson's at their effective
    number of examples; of the log loss Student's, of logarithms; of the calibration error its own.

    Args:
        probabilities: ``[n, C]``, rows that sum to 1.
        labels: ``[n]``, from 0 to C - 1.
        shares: ``[C]``, of the classes among the training examples: the best constant prediction.
            None: those among these labels, and no figure has a constant beside it.
        classes: their names, for the reasons.
        decisions: ``[n]``, the class that each example is taken for; None: the most probable.

    Raises:
        ValueError: the shapes do not go together, or there is no example.

    Example:
        >>> p = np.tile([0.97, 0.03], (100, 1))
        >>> figures = figures_of_classes(p, np.arange(100) < 3, shares=[0.97, 0.03])
        >>> {name: round(figure.value, 3) for name, figure in figures.items()}
        {'accuracy': 0.97, 'balanced_accuracy': 0.5, 'f1': 0.492, 'f1_of_rarer': 0.0, 'log_loss': 0.135, 'auc': 0.5, 'average_precision': 0.03, 'calibration_error': 0.0}
        >>> figures["accuracy"].constant
        0.97
    """  # noqa: E501
    p, y = np.asarray(probabilities, np.float64), np.asarray(labels).astype(np.int64)
    if p.ndim != 2 or y.shape != p.shape[:1] or not len(y):
        raise ValueError(
            f"probabilities of shape {p.shape} for labels of shape {y.shape}: give [n, C] and "
            "[n], with an example at least"
        )
    count = p.shape[1]
    prior = np.bincount(y, minlength=count) / len(y) if shares is None else np.asarray(shares)
    names = [str(k) for k in range(count)] if classes is None else list(classes)
    rarest = int(np.argmin(prior))
    uneven = prior[rarest] < UNEVEN / count
    predicted = p.argmax(axis=1) if decisions is None else np.asarray(decisions)
    found = _figures(p, predicted, y, names, rarest if uneven else None)
    if shares is None:
        return found
    same = np.tile(prior, (len(y), 1))
    constant = _figures(same, same.argmax(axis=1), y, names, rarest if uneven else None)
    return {
        name: Figure(each.value, each.low, each.high, constant[name].value, each.reason)
        for name, each in found.items()
    }


def log_losses(p: Values, labels: Labels) -> Values:
    """Of each example; a probability of 0 counts as the smallest step of its arithmetic."""
    given = np.take_along_axis(p, labels[:, None], axis=1)[:, 0]
    return np.asarray(-np.log(np.maximum(given, np.finfo(np.float64).eps)))


def auc(p: Values, labels: Labels) -> Linearised | None:
    """Of two classes the area for the second, of more the mean; None where a class is absent."""
    return _told_apart(roc_auc, p, labels, [1] if p.shape[1] == 2 else range(p.shape[1]))


def _figures(
    p: Values, predicted: Labels, labels: Labels, names: Sequence[str], rare: int | None
) -> dict[str, Figure]:
    count = p.shape[1]
    matrix = confusion_matrix(labels, predicted, count)
    sizes = matrix.sum(axis=1)
    lacking = [name for name, size in zip(names, sizes, strict=True) if size == 0]
    absent = f"no example of {brief(lacking[0])} among them" if lacking else None
    figures = {
        "accuracy": Figure(*accuracy(matrix)),
        "balanced_accuracy": Figure(*balanced_accuracy(matrix))
        if np.count_nonzero(sizes) > 1
        else Figure(None, reason=f"all are of one class, {brief(names[int(labels[0])])}"),
        "f1": Figure(*macro_f1(matrix)),
    }
    if rare is not None and count == 2:
        found = f1_of_one(matrix, rare)
        figures["f1_of_rarer"] = Figure(None, reason=absent) if found is None else Figure(*found)
    figures["log_loss"] = _mean_loss(log_losses(p, labels))
    figures["auc"] = _area(auc(p, labels), sizes, absent)
    if rare is not None:
        against = [rare] if count == 2 else range(count)
        told_apart = _told_apart(average_precision, p, labels, against)
        figures["average_precision"] = _area(told_apart, sizes, absent)
    figures["calibration_error"] = calibration_error(p.max(axis=1), p.argmax(axis=1) == labels)
    return figures


def _area(found: Linearised | None, sizes: NDArray[np.int64], absent: str | None) -> Figure:
    """With its interval; a class of which there are few knows little of its own spread."""
    if found is None:
        return Figure(None, reason=absent)
    fewest = int(sizes.min())
    if fewest == 1:
        return Figure(found.value, reason="a class with one example has no spread")
    error = found.standard_error * math.sqrt(fewest / (fewest - 1))
    # All in order, or all alike: as sure as a share would be of so many, each class being as hard.
    n = len(sizes) ** 2 / float((1 / sizes).sum())
    if error > 0:
        n = effective_examples(found.value, error)
    return Figure(found.value, *share_interval(found.value, n))


def _told_apart(
    figure: Callable[[Values, NDArray[np.bool_]], Linearised],
    p: Values,
    labels: Labels,
    classes: Iterable[int],
) -> Linearised | None:
    """The mean over classes of how well each is told from the rest; None where one is absent."""
    if len(np.unique(labels)) < p.shape[1]:
        return None
    return one_against_rest([figure(p[:, k], labels == k) for k in classes])


def _mean_loss(losses: Values) -> Figure:
    n, value = len(losses), float(losses.mean())
    if n < FEWEST or value == 0:
        reason = too_few(n) if n < FEWEST else "no example has a loss: nothing to go by"
        return Figure(value, reason=reason)
    return Figure(value, *positive_interval(value, standard_error(losses), n))
