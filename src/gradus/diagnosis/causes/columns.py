"""Columns of the inputs: values out of the world, none that varies, one that is the target."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gradus.data.dataset import Dataset
from gradus.data.preparation import Preparation
from gradus.diagnosis.cause import LEAST_GAIN, Cause, Suspicion
from gradus.diagnosis.evidence import Evidence
from gradus.diagnosis.findings import Figure
from gradus.diagnosis.fork import Change
from gradus.engine.job import Job

FAR = 30.0
"""So many times the middle 98 % of all values a value may lie off their middle."""

FEW = 0.03
"""The share of all values that may be so far off and still be odd ones out."""

FLAT = 0.5
"""The share of the columns of a table from which on it is odd that they never vary."""

ROWS, FEWEST = 1_500, 60
"""Examples on which columns are looked at alone, at most and at least."""

TOLD, BY_NO_OTHER = 0.97, 0.9
"""R² of the target by one column alone, on unseen examples; and the most that another may have."""


def _rows(data: Dataset) -> Tensor:
    x, _ = data.batch()
    return x.double().flatten(1)


def _extreme(evidence: Evidence) -> Suspicion | None:
    data = evidence.job.train
    if evidence.end < LEAST_GAIN / 2 or not data.x.is_floating_point():
        return None
    x = _rows(evidence.sample)
    low, middle, high = np.quantile(x.numpy(), [0.01, 0.5, 0.99])
    width = max(high - low, 1e-12)
    far = (x - middle).abs() > FAR * width
    share = float(far.double().mean())
    if not 0 < share < FEW:
        return None
    least, most = float(low - width), float(high + width)

    def clipped(data: Dataset) -> Dataset:
        cut = _rows(data).clamp(least, most).view(data.x.shape).to(data.dtype)
        return replace(data, x=cut, scale=1.0, mean=None, std=None)

    def apply(job: Job) -> Job:
        return replace(job, train=clipped(job.train), test=clipped(job.test))

    largest = float((x - middle).abs().max())
    figures = (
        Figure("largest value off the middle", largest, f"98 % of all lie within {width:.3g}"),
        Figure("share of such values", share),
    )
    words = (
        f"clip the inputs to [{least:.3g}, {most:.3g}], or mark what stands for no value, as by "
        "--missing-values"
    )
    change = Change("inputs without the extreme values", apply=apply, otherwise=words)
    sentence = (
        "A few inputs are far out of the world of the others, as where a number stands for no "
        "value: the steps that they cause throw away what all others taught."
    )
    return Suspicion(sentence, figures, [change], 0.98)


def _flat(evidence: Evidence) -> Suspicion | None:
    data = evidence.job.train
    if evidence.end < 3 * LEAST_GAIN or data.x.ndim != 2 or not data.x.is_floating_point():
        return None
    x = _rows(evidence.sample)
    varies = (x != x[:1]).any(dim=0)
    share = 1 - float(varies.double().mean())
    if share < FLAT:
        return None
    figure = Figure("share of the columns that never vary", share, f"below {FLAT:g} is usual")
    sentence = (
        "Most columns hold one value in all rows and say nothing, as after a join that found no "
        "match: what is left may not tell the target."
    )
    words = "look at where these columns come from"
    change = Change("columns that vary", otherwise=words)
    return Suspicion(sentence, (figure,), [change], 0.9, certain=True)


def _leak(evidence: Evidence) -> Suspicion | None:
    """One column alone tells the target, as no other does."""
    data = evidence.job.train
    if data.x.ndim != 2 or not data.x.is_floating_point() or data.x.shape[1] < 3:
        return None
    x, y = _rows(evidence.sample).numpy(), evidence.sample.y.double().numpy()
    x, y = x[:ROWS], y.reshape(len(y), -1)[:ROWS, 0]
    if len(x) < FEWEST or (y == y[0]).all():
        return None
    told = _by_one_column(x, y)
    best, names = int(told.argmax()), _names(evidence)
    others = np.where(names == names[best], -np.inf, told)
    other = int(others.argmax())
    if told[best] < 0.8 or np.isinf(others[other]):
        return None
    told[[best, other]] = [_by_a_tree(x[:, [column]], y) for column in (best, other)]
    if told[best] < TOLD or told[other] > BY_NO_OTHER:
        return None
    limit = f"the next best column has {told[other]:.2g}"
    name = str(names[best])
    figure = Figure(f"R² of the target by column {name} alone", float(told[best]), limit)
    sentence = (
        f"Column {name} gives the target away: alone it tells what is to be predicted. Unless it "
        "is known before the target is, no prediction will be as good as the figures of this run."
    )
    words = f"leave column {name} out, if it is not known when one predicts"
    if isinstance(evidence.case.parts.preparation, Preparation):
        words += f", as by --drop {shlex.quote(name)}"
    change = Change(f"without column {name}", otherwise=words)
    return Suspicion(sentence, (figure,), [change], 1.0, certain=True)


def _names(evidence: Evidence) -> NDArray[Any]:
    """Of the column that each input comes from, in the words of the table where there is one."""
    preparation = evidence.case.parts.preparation
    if not isinstance(preparation, Preparation):
        return np.arange(evidence.job.train.x.shape[1]).astype(str)
    encoders = preparation.encoders
    return np.repeat([each.name for each in encoders], [len(each.features) for each in encoders])


def _by_one_column(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    """R² of y by each column alone: half the rows in 20 pieces of it, judged on the other half."""
    n = len(x) // 2
    found = np.zeros(x.shape[1])
    for column in range(x.shape[1]):
        values = x[:, column]
        edges = np.unique(np.quantile(values[:n], np.linspace(0, 1, 41)[1:-1]))
        at = np.searchsorted(edges, values)
        sums = np.bincount(at[:n], y[:n], len(edges) + 1)
        counts = np.bincount(at[:n], minlength=len(edges) + 1)
        means = np.where(counts > 0, sums / np.maximum(counts, 1), y[:n].mean())
        residual = y[n:] - means[at[n:]]
        found[column] = 1 - float(np.square(residual).mean()) / max(float(y[n:].var()), 1e-30)
    return found


def _by_a_tree(x: NDArray[Any], y: NDArray[Any]) -> float:
    """R² of y by a tree on these columns, that saw half the rows, on the other half."""
    from sklearn.tree import DecisionTreeRegressor

    n = len(x) // 2
    tree = DecisionTreeRegressor(min_samples_leaf=3, random_state=0)
    return float(tree.fit(x[:n], y[:n]).score(x[n:], y[n:]))


CAUSES: Sequence[Cause] = (
    Cause("extreme values", 8, "docs/ideas/training.md", _extreme, "validation loss"),
    Cause("columns that never vary", 4, "docs/ideas/training.md", _flat),
    Cause("leak", 6, "docs/ideas/training.md", _leak),
)
