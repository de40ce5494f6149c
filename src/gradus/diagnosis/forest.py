r"""What a forest says of examples that it has not seen: how much the inputs tell of the target.

A forest of extremely randomised trees (Geurts et al., 2006) needs no scale and no learning rate, so
that what it learns is told by the data alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradus.data.dataset import Dataset

Array = NDArray[Any]

TREES, FOLDS = 20, 3

ROWS = 800
"""Of what it is grown, at most."""


@dataclass(frozen=True, eq=False)
class Unseen:
    """What a forest says of examples that stood in no fold from which it was grown.

    Attributes:
        rows: which of the examples, ``[n]``.
        y: their targets as numbers, ``[n]``.
        labels: of the classes, ``[C]``; None for numbers.
        said: the probability of each class, ``[n, C]``; of numbers the mean, ``[n]``.
    """

    rows: Array
    y: Array
    labels: Array | None
    said: Array

    @property
    def told(self) -> tuple[float, float]:
        """What it knows of the target, 0 if it is by chance; and the standard error of that.

        Of numbers that is the correlation; of classes how much more probable the right one is to it
        for an example than on average. Accuracy would not do: where one class is rare, a forest
        that knows much of it says the other everywhere.
        """
        n = len(self.y)
        if self.labels is None:
            scale = float(self.y.std() * self.said.std())
            product = float(((self.y - self.y.mean()) * (self.said - self.said.mean())).mean())
            return (product / scale if scale > 0 else 0.0), n**-0.5
        above = self.said - self.said.mean(axis=0)
        right = above[np.arange(n), np.searchsorted(self.labels, self.y)]
        return float(right.mean()), float(right.std()) / n**0.5


def unseen(data: Dataset) -> Unseen | None:
    """Ask it of these examples; None where they are too few for it, or all of one target."""
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict

    random = np.random.default_rng(0)
    rows = np.sort(random.permutation(len(data))[:ROWS])
    x = data.batch()[0].flatten(1).numpy()[rows]
    y = data.y.numpy().reshape(len(data), -1)[rows, 0]
    labels, counts = np.unique(y, return_counts=True)
    if len(rows) < 20 * FOLDS or len(labels) < 2 or not np.isfinite(x).all():
        return None
    if data.classes is None or data.y.is_floating_point():
        forest = ExtraTreesRegressor(TREES, min_samples_leaf=3, random_state=0)
        folds = KFold(FOLDS, shuffle=True, random_state=0)
        return Unseen(rows, y.astype(float), None, cross_val_predict(forest, x, y, cv=folds))
    if counts.min() < FOLDS:
        often = np.isin(y, labels[counts >= FOLDS])
        rows, x, y = rows[often], x[often], y[often]
        labels = np.unique(y)
        if len(labels) < 2:
            return None
    forest = ExtraTreesClassifier(TREES, min_samples_leaf=2, random_state=0)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    said = cross_val_predict(forest, x, y, cv=folds, method="predict_proba")
    return Unseen(rows, y, labels, said)
