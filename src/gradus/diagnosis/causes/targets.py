r"""The targets: all the same, or those of other rows; or some of them wrong.

Whether inputs say anything of the target, and which labels are wrong, is asked of
:mod:`a forest <gradus.diagnosis.forest>`: by the confident joint of Northcutt et al. (2021), an
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
from gradus.diagnosis.forest import Unseen
from gradus.diagnosis.fork import Change
from gradus.engine.job import Job

Array = NDArray[Any]

LEARNED = 0.9
"""In losses of the best constant prediction: a run whose held examples are above learned little."""

NOISE = 0.08
"""A share of the labels that are suspected, from which on it is worth trying without them."""

SPREAD, SEVERAL = 0.6, 5
"""Of the pairs of classes the share that is mistaken, from which on no likeness explains it; and
how many classes there have to be, since a few may all be alike."""

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
        if evidence.held is None or evidence.replay.status == "diverged":
            return None
        return float(evidence.held_at(evidence.sights[-1]).mean())
    held = run.summary["final"]["validation_loss"]
    held = run.summary["final"]["test_loss"] if held is None else held
    return None if held is None else float(held) / evidence.line


def _tells(found: Unseen) -> bool:
    """Whether inputs tell more of the target than by chance."""
    gain, error = found.told
    return gain > ERRORS * error


def _shuffled(evidence: Evidence) -> Suspicion | None:
    """A forest tells the target of unseen examples no better than by chance."""
    held = _held_share(evidence)
    if (held is not None and held < LEARNED) or (found := evidence.unseen) is None:
        return None
    if _tells(found):
        return None
    gain, error = found.told
    name = (
        "correlation" if found.labels is None else "probability of the right class above its mean"
    )
    limit = f"above {ERRORS * error:.2g} something is told"
    figure = Figure(f"{name}, of a forest on unseen examples", gain, limit)
    sentence = (
        "The inputs tell nothing of the targets: they may be those of other rows, as when one of "
        "two files was sorted or shuffled alone."
    )
    what = "look up a few rows in the source, and join inputs and targets by a key"
    change = Change("targets of the same rows", otherwise=what)
    return Suspicion(sentence, (figure,), [change], 1.0, certain=True)


def suspected_labels(found: Unseen) -> tuple[Array, float]:
    """Which labels the confident joint of Northcutt et al. (2021) suspects, ``[n]``.

    Returns:
        Those; and of all pairs of a class given and another that is likelier, the share that occur:
        classes that are hard to tell apart are few, and mistakes of chance are in all.
    """
    assert found.labels is not None
    shares, classes = found.said, len(found.labels)
    given = np.searchsorted(found.labels, found.y)
    usual = np.array([shares[given == at, at].mean() for at in range(classes)])
    beyond = np.where(shares >= usual, shares, -1.0)
    likeliest = beyond.argmax(axis=1)
    other = (beyond.max(axis=1) >= 0) & (likeliest != given)
    suspected = other & (shares[np.arange(len(given)), given] < shares.max(axis=1) / 2)
    pairs = set(zip(given[suspected], likeliest[suspected], strict=True))
    return suspected, len(pairs) / (classes * (classes - 1))


def _noise(evidence: Evidence) -> Suspicion | None:
    held = _held_share(evidence)
    if held is not None and held < LEARNED / 4:
        return None
    found = evidence.unseen
    if found is None or found.labels is None or not _tells(found):
        return None  # who knows nothing of the targets suspects no single one
    suspected, spread = suspected_labels(found)
    share = float(suspected.mean())
    if share < NOISE:
        return None
    doubtful = found.rows[suspected]
    # As many rows as before, and so as many steps: others stand twice in the place of suspected.
    case = evidence.case
    rows, whole = np.arange(len(case.rows)), np.arange(len(case.split.train))
    kept = np.setdiff1d(rows, doubtful)
    rows[doubtful] = np.random.default_rng(0).choice(kept, size=len(doubtful))
    whole[case.rows] = case.rows[rows]

    def apply(job: Job) -> Job:
        chosen = rows if len(job.train) == len(rows) else whole
        return replace(job, train=job.train.subset(torch.from_numpy(chosen)))

    words = f"look at labels like the {len(doubtful):,} that are suspected, and mend them"
    change = Change("without the suspected labels", apply=apply, otherwise=words)
    figure = Figure("share of the labels that are suspected", share, f"below {NOISE:g} is usual")
    sentence = (
        "Many labels look wrong: examples that are like those of another class. What is learned of "
        "them is learned by heart, and misleads for others."
    )
    everywhere = len(found.labels) >= SEVERAL and spread > SPREAD
    return Suspicion(sentence, (figure,), [change], 0.6, certain=everywhere)


CAUSES: Sequence[Cause] = (
    Cause("constant target", 5, "docs/ideas/training.md", _constant),
    Cause("shuffled targets", 5, "docs/ideas/training.md", _shuffled),
    Cause("label noise", 10, "docs/ideas/training.md", _noise, "validation loss", 0.03),
)
