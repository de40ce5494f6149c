"""The parts of the data: the same rows in two, rows from elsewhere, rows in order of class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from gradus.data.dataset import Dataset
from gradus.diagnosis.cause import Cause, Suspicion
from gradus.diagnosis.evidence import Evidence
from gradus.diagnosis.findings import Figure
from gradus.diagnosis.fork import Change

ROWS = 20_000
"""Of a part, that are looked at."""

TWICE = 0.05
"""The share of a part that may stand among the training examples too."""

TOLD_BY, TREES = 400, 20
"""Rows of each part by which a forest tells them apart, and its trees."""

APART = 0.7
"""The share of rows of two parts that are told apart by themselves; 0.5 is chance."""

ERRORS = 4.0

IN_ORDER = 1.5
"""So many times as often as by chance two rows one after another are of one class, at most."""


def _others(evidence: Evidence) -> Iterator[tuple[str, Dataset]]:
    split = evidence.case.split
    if split.validation is not None:
        yield "validation", split.validation
    yield "test", split.test


def _keys(data: Dataset) -> list[bytes]:
    rows = data.x[:ROWS].contiguous().flatten(1).numpy()
    return [row.tobytes() for row in rows]


def _duplicates(evidence: Evidence) -> Suspicion | None:
    """Rows of a part that were trained on, beyond those that stand twice among these already."""
    seen = Counter(_keys(evidence.case.split.train))
    usual = sum(count for count in seen.values() if count > 1) / max(sum(seen.values()), 1)
    figures = []
    for name, data in _others(evidence):
        keys = _keys(data)
        share = sum(key in seen for key in keys) / len(keys)
        if share * len(keys) >= 5 and share > max(TWICE, 3 * usual):
            said = f"{usual:.2g} of the training examples stand twice themselves"
            figures.append(Figure(f"share of {name} that was trained on", share, said))
    if not figures:
        return None
    sentence = (
        "Rows that are tested on were trained on: the figures tell how well they are known by "
        "heart, and new rows will fare worse."
    )
    words = "remove double rows before the parts are drawn, or draw them by --group"
    change = Change("rows once only", otherwise=words)
    return Suspicion(sentence, tuple(figures), [change], 1.0, certain=True)


def _apart(evidence: Evidence) -> Suspicion | None:
    """A classifier tells the rows of two parts apart (Lopez-Paz and Oquab, 2017)."""
    train = evidence.case.split.train.to(dtype=torch.float32)
    for name, data in _others(evidence):
        one, other = (_inputs(each) for each in (train, data.to(dtype=torch.float32)))
        if min(len(one), len(other)) < 20 or not _differ(one, other):
            continue
        share, error = _told_apart(one, other)
        if share - ERRORS * error > APART:
            figure = Figure(
                f"share of rows of train and {name} that are told apart", share, "0.5 is chance"
            )
            sentence = (
                f"The {name} part comes from elsewhere than the training examples: its inputs are "
                "told apart at sight, so the figures are those of another world."
            )
            words = "draw the parts from the same rows, or train on rows like those to come"
            change = Change("parts of the same rows", otherwise=words)
            return Suspicion(sentence, (figure,), [change], 1.0, certain=True)
    return None


def _inputs(data: Dataset) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    x, _ = data.subset(slice(0, 1_000)).batch()
    rows: np.ndarray[tuple[int, int], np.dtype[np.float64]] = x.flatten(1).double().numpy()
    return rows


def _differ(
    one: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    other: np.ndarray[tuple[int, int], np.dtype[np.float64]],
) -> bool:
    """Whether the mean or the deviation of a column is another, by more than chance."""
    spread = np.sqrt(one.var(axis=0) / len(one) + other.var(axis=0) / len(other)) + 1e-12
    means = np.abs(one.mean(axis=0) - other.mean(axis=0)) / spread
    ratio = np.log((one.std(axis=0) + 1e-12) / (other.std(axis=0) + 1e-12))
    return bool(means.max() > 5 or np.abs(ratio).max() > 0.35)


def _told_apart(
    one: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    other: np.ndarray[tuple[int, int], np.dtype[np.float64]],
) -> tuple[float, float]:
    """The mean share of each part that a forest tells rightly, of unseen rows, and its error."""
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    random = np.random.default_rng(0)
    one, other = (part[random.permutation(len(part))[:TOLD_BY]] for part in (one, other))
    x = np.concatenate([one, other])
    y = np.repeat([0, 1], [len(one), len(other)])
    forest = ExtraTreesClassifier(
        TREES, min_samples_leaf=3, class_weight="balanced", random_state=0
    )
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    right = cross_val_predict(forest, x, y, cv=folds) == y
    shares = [right[y == part].mean() for part in (0, 1)]
    errors = [
        max(share * (1 - share), 0.01) / count
        for share, count in zip(shares, (len(one), len(other)), strict=True)
    ]
    return float(np.mean(shares)), float(sum(errors) ** 0.5 / 2)


def _sorted(evidence: Evidence) -> Suspicion | None:
    spec, data = evidence.case.spec, evidence.job.train
    if spec.sampling != "sequential" or data.y.is_floating_point():
        return None
    y = data.y
    alike = float((y[1:] == y[:-1]).double().mean())
    shares = torch.bincount(y).double() / len(y)
    chance = float(shares.square().sum())
    if alike < min(IN_ORDER * chance, (1 + chance) / 2):
        return None
    figure = Figure(
        "share of rows whose next is of the same class", alike, f"by chance it is {chance:.2g}"
    )
    sentence = (
        "The examples come sorted by class: each batch unlearns the classes before, and the run "
        "ends with what it saw last."
    )
    change = Change("examples in an order of chance", {"sampling": "shuffle"})
    return Suspicion(sentence, (figure,), [change], 0.95)


CAUSES: Sequence[Cause] = (
    Cause("duplicates between parts", 7, "docs/ideas/training.md", _duplicates),
    Cause("parts drawn apart", 7, "docs/ideas/training.md", _apart),
    Cause("examples sorted by class", 10, "docs/ideas/training.md", _sorted, least_gain=0.04),
)
