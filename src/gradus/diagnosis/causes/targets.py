r"""The targets: all the same, or those of other rows; or some of them wrong.

Whether inputs say anything of the target is asked of forests of extremely randomised trees (Geurts
et al., 2006), which no scale and no learning rate can mislead, on examples that they have not seen.
Which labels are wrong is asked of them too: by the confident joint of Northcutt et al. (2021), an
example is suspected that gets at least as large a probability for another class as examples of that
class have on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gradus.diagnosis.cause import Cause, Suspicion
from gradus.diagnosis.evidence import Evidence
from gradus.diagnosis.findings import Figure
from gradus.diagnosis.fork import Change
from gradus.engine.job import Job

Array = NDArray[Any]

LEARNED = 0.9
"""In losses of the best constant prediction: a run whose held examples are above learned little."""

ROWS, TREES, FOLDS = 1_500, 60, 3
"""Of what the forests are grown."""

FEWEST = 60
"""Examples from which on forests are asked."""

NOISE = 0.08
"""A share of the labels that are suspected, from which on it is worth trying without them."""

SPREAD = 0.6
"""Of the pairs of classes the share that is mistaken, from which on no likeness explains it."""

ERRORS = 2.5
"""Standard errors above chance, below which nothing is told of the target."""


def _constant(evidence: Evidence) -> Suspicion | None:
    y = evidence.job.train.y
    if not bool((y == y[:1]).all()):
        return None
    value = float(y.flatten()[0])
    sentence = (
        "All training examples have the same target, so there is nothing to learn but that: look "
        "at where the target comes from."
    )
    what = "give the column that is to be predicted, where it varies"
    change = Change("another target", otherwise=what)
    return Suspicion(sentence, (Figure("the one target", value),), [change], 1.0, certain=True)


def _held_share(evidence: Evidence) -> float | None:
    """The loss of the held examples at the end, in losses of the best constant prediction."""
    run = evidence.case.run
    if run is None or run.summary["final"] is None:
        return None
    held = run.summary["final"]["validation_loss"]
    held = run.summary["final"]["test_loss"] if held is None else held
    return None if held is None else float(held) / evidence.line


def _shuffled(evidence: Evidence) -> Suspicion | None:
    """Forests tell the target of unseen examples no better than by chance."""
    held = _held_share(evidence)
    if held is not None and held < LEARNED:
        return None
    x, y = examples(evidence)
    if len(x) < FEWEST or len(np.unique(y)) < 2:
        return None
    classes = evidence.job.train.classes is not None
    gain, error = _told_by_forest(x, y, classes)
    if gain > ERRORS * error:
        return None
    name = "accuracy above that of the commonest class" if classes else "R² on unseen examples"
    figure = Figure(f"{name}, of a forest", gain, f"above {ERRORS * error:.2g} something is told")
    sentence = (
        "The inputs tell nothing of the targets: they may be those of other rows, as when one of "
        "two files was sorted or shuffled alone."
    )
    what = "look up a few rows in the source, and join inputs and targets by a key"
    change = Change("targets of the same rows", otherwise=what)
    return Suspicion(sentence, (figure,), [change], 1.0, certain=True)


def examples(evidence: Evidence) -> tuple[Array, Array]:
    """Inputs as rows, and targets as numbers, of at most ``ROWS`` training examples."""
    data = evidence.sample.subset(slice(0, ROWS))
    x, y = data.batch()
    return x.flatten(1).double().numpy(), y.numpy().reshape(len(y), -1)[:, 0]


def _told_by_forest(x: Array, y: Array, classes: bool) -> tuple[float, float]:
    """What forests know of unseen targets beyond their shares or mean, and its standard error."""
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
    from sklearn.model_selection import KFold, cross_val_predict

    folds = KFold(FOLDS, shuffle=True, random_state=0)
    kind = ExtraTreesClassifier if classes else ExtraTreesRegressor
    forest = kind(TREES, min_samples_leaf=3, random_state=0)
    said = cross_val_predict(forest, x, y, cv=folds)
    if classes:
        counts = np.unique(y, return_counts=True)[1]
        chance = counts.max() / len(y)
        right = said == y
        error = max(chance * (1 - chance), 1e-6) ** 0.5 / len(y) ** 0.5
        return float(right.mean() - chance), float(error)
    centred = y - y.mean()
    with_it = float((centred * (said - said.mean())).mean())
    scale = float(centred.std() * said.std())
    correlation = with_it / scale if scale > 0 else 0.0
    return correlation, 1 / len(y) ** 0.5


def suspected_labels(x: Array, y: Array) -> tuple[Array, float]:
    """Which labels the confident joint of Northcutt et al. (2021) suspects, ``[N]``.

    Returns:
        Those; and of all pairs of a class given and another that is likelier, the share that occur:
        classes that are hard to tell apart are few, and mistakes of chance are in all.
    """
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    forest = ExtraTreesClassifier(TREES, min_samples_leaf=2, random_state=0)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    shares = cross_val_predict(forest, x, y, cv=folds, method="predict_proba")
    labels = np.unique(y)
    given = np.searchsorted(labels, y)
    usual = np.array([shares[given == at, at].mean() for at in range(len(labels))])
    beyond = np.where(shares >= usual, shares, -1.0)
    likeliest = beyond.argmax(axis=1)
    found = (beyond.max(axis=1) >= 0) & (likeliest != given)
    suspected: Array = found & (shares[np.arange(len(y)), given] < shares.max(axis=1) / 2)
    pairs = set(zip(given[suspected], likeliest[suspected], strict=True))
    return suspected, len(pairs) / (len(labels) * (len(labels) - 1))


def _noise(evidence: Evidence) -> Suspicion | None:
    data = evidence.case.parts.train
    if data.classes is None or data.y.is_floating_point():
        return None
    if len(data) < FEWEST or len(data) > 10 * ROWS:
        return None
    held = _held_share(evidence)
    if held is not None and held < LEARNED / 4:
        return None
    y = data.y.numpy()
    labels, counts = np.unique(y, return_counts=True)
    if len(labels) < 2 or counts.min() < FOLDS:
        return None
    suspected, spread = suspected_labels(data.batch()[0].flatten(1).double().numpy(), y)
    share = float(suspected.mean())
    if share < NOISE:
        return None
    # As many rows as before, and so as many steps: others stand twice in the place of suspected.
    kept = np.flatnonzero(~suspected)
    again = np.random.default_rng(0).choice(kept, size=int(suspected.sum()))
    rows = torch.from_numpy(np.sort(np.concatenate([kept, again])))

    def apply(job: Job) -> Job:
        return replace(job, train=job.train.subset(rows))

    words = (
        f"look at the {suspected.sum():,} labels that are suspected, and leave out or mend those"
    )
    change = Change("without the suspected labels", apply=apply, otherwise=words)
    figure = Figure("share of the labels that are suspected", share, f"below {NOISE:g} is usual")
    sentence = (
        "Many labels look wrong: examples that are like those of another class. What is learned of "
        "them is learned by heart, and misleads for others."
    )
    everywhere = len(labels) > 2 and spread > SPREAD
    return Suspicion(sentence, (figure,), [change], 0.6, certain=everywhere)


CAUSES: Sequence[Cause] = (
    Cause("constant target", 5, "docs/ideas/training.md", _constant),
    Cause("shuffled targets", 5, "docs/ideas/training.md", _shuffled),
    Cause("label noise", 10, "docs/ideas/training.md", _noise, "validation loss", 0.03),
)
