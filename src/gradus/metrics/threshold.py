"""From which probability on an example is taken for a class of two, where one half is not meant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradus.metrics.decisions import Labels
from gradus.metrics.figure import Values


@dataclass(frozen=True)
class Threshold:
    r"""An example is taken for a class where $p(\text{class}) \ge t$, and else for the other.

    Attributes:
        of: the class, 0 or 1.
        at: t.
        measure: by which it was chosen on examples, as ``f1``; None where it was given.
        reached: what it reaches there.
        likeliest: what the likelier class reaches there, as by t = 1/2.

    Example:
        >>> Threshold(1, 0.3).decide(np.array([[0.6, 0.4], [0.8, 0.2]])).tolist()
        [1, 0]
    """

    of: int
    at: float
    measure: str | None = None
    reached: float | None = None
    likeliest: float | None = None

    def decide(self, p: Values) -> NDArray[np.int64]:
        """The class that each example is taken for, ``[n]``.

        Args:
            p: the probabilities of the two, ``[n, 2]``.
        """
        return np.where(p[:, self.of] >= self.at, self.of, 1 - self.of).astype(np.int64)


Counts = NDArray[np.float64]
"""Of cuts: how many examples of the class, or of the other, are taken for it."""


def _accuracy(found: Counts, taken: Counts, of_it: int, others: int) -> Counts:
    return np.asarray((found + others - taken) / (of_it + others))


def _balanced_accuracy(found: Counts, taken: Counts, of_it: int, others: int) -> Counts:
    return np.asarray((found / of_it + (others - taken) / others) / 2)


def _f1(found: Counts, taken: Counts, of_it: int, others: int) -> Counts:
    own = 2 * found / (2 * found + (of_it - found) + taken)
    left, missed = others - taken, of_it - found
    return np.asarray((own + 2 * left / np.maximum(2 * left + missed + taken, 1)) / 2)


MEASURES: Mapping[str, Callable[[Counts, Counts, int, int], Counts]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _f1,
}
"""What a threshold is chosen by, of the examples on either side of each cut."""


def best_threshold(p: Values, labels: Labels, of: int, measure: str) -> Threshold:
    """The threshold with the best figure on some examples, of several alike that nearest to 1/2.

    It lies half way between the probabilities of two examples that it tells apart, above 0 and
    below 1: what a model is certain of stays what it is.

    Args:
        p: the probabilities of two classes, ``[n, 2]``.
        labels: ``[n]``, with examples of both classes.
        of: the class that the threshold is of.
        measure: one of ``MEASURES``; F1 is the mean of those of both classes.

    Raises:
        ValueError: the examples are of one class.

    Example:
        >>> p = np.array([0.1, 0.2, 0.3, 0.4])
        >>> found = best_threshold(np.column_stack([1 - p, p]), np.array([0, 0, 1, 1]), 1, "f1")
        >>> found.at, found.reached, round(found.likeliest, 3)
        (0.25, 1.0, 0.333)
    """
    of_it = int((labels == of).sum())
    others = len(labels) - of_it
    if not of_it or not others:
        raise ValueError("the examples are of one class: no threshold is better than another")
    values, at = np.unique(p[:, of], return_inverse=True)
    own = np.bincount(at, labels == of, minlength=len(values))
    other = np.bincount(at, labels != of, minlength=len(values))
    # Of each cut, those of its probability and above are taken for the class; at last nobody is.
    found, taken = (np.append(each[::-1].cumsum()[::-1], 0.0) for each in (own, other))
    cuts = np.concatenate([[values[0] / 2], (values[1:] + values[:-1]) / 2, [(values[-1] + 1) / 2]])
    # A cut that rounds to the probability below it, or lies beyond 0 and 1, tells nobody apart.
    tells = (cuts > np.append(0.0, values)) & (cuts <= np.append(values, 1.0)) & (cuts < 1)
    figures = np.where(tells, MEASURES[measure](found, taken, of_it, others), -1.0)
    best = np.flatnonzero(figures == figures.max())
    chosen = int(best[np.argmin(np.abs(cuts[best] - 0.5))])
    likely = int(np.searchsorted(values, 0.5))
    return Threshold(
        of, float(cuts[chosen]), measure, float(figures[chosen]), float(figures[likely])
    )
