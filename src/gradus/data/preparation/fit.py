"""How the encoder of a column is fitted to its training rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gradus.data.columns import Column, Form
from gradus.data.preparation.moments import (
    LENGTHS,
    Cycle,
    Dates,
    Times,
    cycle,
    days_since,
    year,
)
from gradus.data.preparation.names import MOST_NAMES, RARE, Names, in_order
from gradus.data.preparation.numbers import Flags, Numbers, within
from gradus.data.preparation.preparation import AnyEncoder
from gradus.errors import InputError, brief, quoted

Scaling = Literal["none", "standard", "robust"]
"""Numbers as they are; to mean 0 and deviation 1; or to median 0 and quartiles 1 apart, extremes
drawn in."""

Fill = Literal["mean", "median"]

Weights = NDArray[np.float64]

SAMPLE = 100_000
"""Rows whose quartiles and median stand for those of all, where there are more: a fixed draw, of
which a quartile is off by less than 0.3 % of the rows, 19 times of 20."""


LARGEST = 1e150
"""Numbers, of which squares can still be summed up."""

HEIGHT = 0.3
"""Of a piece beside the number itself, whose quartiles are 1 apart."""


MOST_PIECES = 32
"""Of a column of numbers."""

FEWEST_PIECES, ROWS_OF_A_PIECE = 8, 32
"""A column of a small table is cut into so few pieces that each has that many rows, but no fewer:
with more of them nets fit the noise, with none they learn too slowly."""

PIECES_OF_A_ROW = 1024
"""Of all columns together."""

PIECES_IN_ALL = 50_000_000
"""Features of pieces times rows, at most: 200 MB."""


def pieces_for(rows: int, columns: int) -> int:
    """Into how many pieces columns of numbers are cut, where nothing is said of it; 0 for none.

    Example:
        >>> pieces_for(100, 10), pieces_for(2_000, 10), pieces_for(100_000, 30)
        (8, 32, 16)
        >>> pieces_for(1_000_000, 30)
        0
    """
    columns = max(1, columns)
    most = min(MOST_PIECES, max(FEWEST_PIECES, rows // ROWS_OF_A_PIECE))
    pieces = min(most, PIECES_OF_A_ROW // columns, PIECES_IN_ALL // (rows * columns))
    return pieces if pieces >= 4 else 0


def fit(
    train: Column,
    scaling: Scaling = "standard",
    fill: Fill = "mean",
    pieces: int = 0,
    weights: Weights | None = None,
) -> AnyEncoder:
    """The encoder of a column, from its training rows alone.

    Args:
        train: the training rows of a column that is no free text; one at least has a value.
        scaling: of numbers.
        fill: what stands for a missing number.
        pieces: into how many, with as many rows in each, numbers are cut; 0 for none. A column of
            fewer different numbers has fewer.
        weights: what each row counts, of a column of numbers, > 0: a row of weight 2 is one that
            stands there twice. Quantiles are then numbers of the column; without weights they may
            lie between two.

    Raises:
        InputError: numbers are too large for a mean or a deviation.

    Example:
        >>> from gradus.data.columns import Form
        >>> grams = Column("grams", Form("number"), np.array([1.0, 3.0, np.nan]))
        >>> fitted = fit(grams)
        >>> fitted.centre, fitted.scale, fitted.fill, fitted.missing
        (2.0, 1.0, 2.0, True)
    """
    gaps = train.missing
    name, form, missing = train.name, train.form, bool(gaps.any())
    present = train.values[~gaps] if missing else train.values
    if form.kind == "number":
        counted = weights[~gaps] if weights is not None and missing else weights
        sample, counts = drawn(present, counted)
        centre, scale = 0.0, 1.0
        with np.errstate(over="ignore", invalid="ignore"):  # of what is refused then
            if fill == "median":
                middle = np.median(sample) if counts is None else _quantiles(sample, counts, 0.5)
            else:
                middle = np.average(present, weights=counted)
            if scaling == "robust":
                centre, scale = _between_quartiles(sample, counts)
            elif scaling == "standard":
                centre = float(np.average(present, weights=counted))
                scale = deviation(present, counted)
        if not np.isfinite([middle, centre, scale]).all():
            raise InputError(
                f"column {brief(name)!r} holds {present[np.abs(present).argmax()]:g}, of which no "
                f"mean square can be taken: bring it below {LARGEST:g}, or leave the column out by "
                f"--drop {quoted(name, 60)}"
            )
        knots = _knots(sample, counts, pieces) if pieces else ()
        return Numbers(
            name=name,
            form=form,
            missing=missing,
            fill=float(middle),
            centre=centre,
            scale=scale,
            soft=scaling == "robust",
            knots=knots,
            means=tuple(np.average(within(sample, knots), axis=0, weights=counts).tolist())
            if knots
            else (),
            height=HEIGHT if knots else 1.0,
            low=float(present.min()),
            high=float(present.max()),
        )
    if form.kind == "flag":
        return Flags(name=name, form=form, missing=missing, fill=float(present.mean()))
    if form.kind == "category":
        return _names(train, present, missing)
    if form.kind == "date":
        return _dates(train, present, missing)
    return Times(name=name, form=form, missing=missing)


def drawn(
    present: NDArray[np.float64], weights: Weights | None = None
) -> tuple[NDArray[np.float64], Weights | None]:
    """At most ``SAMPLE`` of the rows, with their weights: what stands for all in what is sorted."""
    if len(present) <= SAMPLE:
        return present, weights
    at = np.random.default_rng(0).integers(0, len(present), SAMPLE)
    return present[at], None if weights is None else weights[at]


def _quantiles(values: NDArray[np.float64], weights: Weights | None, shares: Any) -> Any:
    if weights is None:
        return np.quantile(values, shares)
    return np.quantile(values, shares, weights=weights, method="inverted_cdf")


def deviation(values: NDArray[np.float64], weights: Weights | None = None) -> float:
    """The standard deviation; 1 where values differ by no more than rounding, as 0.1 from itself.

    Example:
        >>> deviation(np.full(7, 0.1)), deviation(np.array([1.0, 3.0]))
        (1.0, 1.0)
    """
    centred = values - np.average(values, weights=weights)
    found = math.sqrt(float(np.average(centred**2, weights=weights)))
    return found if found > 1e-12 * float(np.abs(values).max()) else 1.0


def _between_quartiles(sample: NDArray[np.float64], weights: Weights | None) -> tuple[float, float]:
    """The median, and how far the quartiles are apart: 1 where all numbers are equal."""
    low, centre, high = _quantiles(sample, weights, (0.25, 0.5, 0.75))
    if high > low:
        return float(centre), float(high - low)
    # Half of the numbers and more are one: the deviation stands for the quartiles.
    return float(centre), deviation(sample, weights)


def _knots(sample: NDArray[np.float64], weights: Weights | None, pieces: int) -> tuple[float, ...]:
    """The ends of so many pieces; none where there would be less than two, which say nothing new.

    Of a few different numbers each pair of neighbours is a piece. A number that stands in more rows
    than a piece would hold is a knot of its own, and the rest is divided anew.
    """
    different, counts = np.unique(sample, return_counts=True)
    if len(different) > pieces:
        if weights is not None:
            counts = np.bincount(np.searchsorted(different, sample), weights)
        common = different[counts * pieces > counts.sum()]
        others = ~np.isin(sample, common)
        theirs = None if weights is None else weights[others]
        shares = np.linspace(0, 1, max(pieces - len(common), 1) + 1)
        among = _quantiles(sample[others], theirs, shares)
        different = np.unique(np.concatenate([common, among]))
    return tuple(different.tolist()) if len(different) > 2 else ()


def _names(train: Column, present: NDArray[np.int32], missing: bool) -> Names:
    found = np.bincount(present, minlength=len(train.words))
    counts = {train.words[at]: int(found[at]) for at in np.flatnonzero(found)}
    return names_of_counts(train.name, train.form, counts, len(train.values), missing=missing)


def names_of_counts(
    name: str, form: Form, counts: Mapping[str, int], rows: int, *, missing: bool
) -> Names:
    """The encoder of a column of names, from how many training rows hold each.

    Args:
        name: of the column.
        form: what it holds.
        counts: of each name that is there, in the order of ``Column.words``.
        rows: that train, in all.
        missing: whether one of them has none.
    """
    commonest = sorted(counts, key=lambda word: -counts[word])
    own = [word for word in commonest[:MOST_NAMES] if counts[word] >= RARE * rows]
    pooled = len(counts) - len(own)
    if pooled == 1:  # alone in its pool it may as well have its own name
        own, pooled = list(counts), 0
    return Names(name=name, form=form, missing=missing, names=in_order(own), pooled=pooled)


def _dates(train: Column, present: NDArray[np.datetime64], missing: bool) -> Dates:
    first = str(present.min())
    days, years = days_since(first, present), year(present)
    cycles: list[Cycle] = [
        name  # type: ignore[misc]  # the names of the cycles are those of LENGTHS
        for name in LENGTHS
        if len(np.unique(cycle(present, name))) > 1
    ]
    return Dates(
        name=train.name,
        form=train.form,
        missing=missing,
        first=first,
        centre=float(days.mean()),
        scale=deviation(days),
        year_centre=float(years.mean()),
        year_scale=float(years.std()) if years.max() > years.min() else None,
        cycles=tuple(cycles),
    )
