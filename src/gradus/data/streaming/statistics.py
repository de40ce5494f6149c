"""What is known of a column when all of its rows have gone by once: exactly, or to a stated error.

Means and deviations are exact: pieces are merged by their moments. Names are counted; where more
than 100,000 differ, those that are kept are counted to 0.002 % of the rows. Quantiles, and what is
fitted to dates, are taken of a draw of about 100,000 rows (`gradus.data.streaming.parts.SAMPLE`).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradus.data.columns import Column
from gradus.data.preparation import Fill, Scaling, fit
from gradus.data.preparation.fit import LARGEST, names_of_counts
from gradus.data.preparation.names import Names
from gradus.data.preparation.numbers import Numbers
from gradus.data.preparation.preparation import AnyEncoder
from gradus.errors import InputError, brief, quoted

MOST_WORDS = 100_000
"""Different names of a column that are counted at a time."""


@dataclass
class Moments:
    r"""How many numbers there are, their mean, and $M = \sum (x - \bar x)^2$.

    Pieces are merged exactly, without the cancellation of $\sum x^2 - n \bar x^2$:
    $M = M_a + M_b + (\bar x_b - \bar x_a)^2 \, n_a n_b / (n_a + n_b)$.

    Source:
        T. Chan, G. Golub, R. LeVeque, Updating formulae and a pairwise algorithm for computing
        sample variances, COMPSTAT 1982, eq. 2.1.

    Example:
        >>> moments = Moments()
        >>> for piece in ([1e9, 1e9 + 2], [1e9 + 4]):
        ...     moments.add(np.array(piece))
        >>> moments.mean - 1e9, round(moments.deviation**2, 6)
        (2.0, 2.666667)
    """

    n: int = 0
    mean: float = 0.0
    m2: float = 0.0
    low: float = math.inf
    high: float = -math.inf

    def add(self, values: NDArray[np.float64]) -> None:
        """More numbers, none of them missing."""
        n = len(values)
        if n == 0:
            return
        with np.errstate(over="ignore", invalid="ignore"):  # of what is refused then
            mean = float(values.mean())
            centred = values - mean
            m2 = float(centred @ centred)
        apart, whole = mean - self.mean, self.n + n
        self.m2 += m2 + apart * apart * (self.n * n / whole)
        self.mean += apart * (n / whole)
        self.n = whole
        self.low, self.high = (
            min(self.low, float(values.min())),
            max(self.high, float(values.max())),
        )

    @property
    def deviation(self) -> float:
        """The standard deviation; 1 where numbers differ by no more than rounding."""
        found = math.sqrt(self.m2 / self.n)
        return found if found > 1e-12 * max(abs(self.low), abs(self.high)) else 1.0


class Counts:
    r"""How often each name stands there; of many different ones, of the common.

    Beyond `MOST_WORDS` the smallest count of the half that stays is taken off all, so that a count
    is too small by n / (MOST_WORDS / 2) at most.

    Source:
        J. Misra, D. Gries, Finding repeated elements, Science of Computer Programming 2, 1982;
        P. Agarwal and others, Mergeable summaries, TODS 38, 2013, section 3.1.
    """

    def __init__(self) -> None:
        self.of: Counter[str] = Counter()
        self.exact = True

    def add(self, words: tuple[str, ...], codes: NDArray[np.int32]) -> None:
        """More of them, as indices into words."""
        counts = np.bincount(codes, minlength=len(words))
        self.of.update({words[at]: int(counts[at]) for at in np.flatnonzero(counts)})
        if len(self.of) > MOST_WORDS:
            self.exact = False
            kept = self.of.most_common(MOST_WORDS // 2 + 1)
            off = kept[-1][1]
            self.of = Counter({word: count - off for word, count in kept if count > off})


class ColumnStatistics:
    """What the training rows of a column of features hold.

    Args:
        column: some of its rows, as they were recognised.
    """

    def __init__(self, column: Column) -> None:
        self.column = column
        self.missing = 0
        """In all rows of the table."""
        self.gaps = self.rows = 0
        self.moments, self.counts = Moments(), Counts()
        self.sample: list[NDArray[Any]] = []
        self.alike = True
        self.first: Any = None

    def add(
        self, column: Column, train: NDArray[np.bool_] | slice, sampled: NDArray[np.bool_]
    ) -> None:
        """Some rows: those that train, and those of them that stand for all."""
        gaps = column.missing
        self.missing += int(gaps.sum())
        values, gaps = column.values[train], gaps[train]
        self.rows += len(values)
        missing = int(gaps.sum())
        self.gaps += missing
        present = values[~gaps] if missing else values
        self._hold_apart(column, present)
        if column.form.kind == "category":
            self.counts.add(column.words, present)
            return
        if column.form.kind in ("number", "flag"):
            self.moments.add(present)
        self.sample.append(column.values[sampled])

    def _hold_apart(self, column: Column, present: NDArray[Any]) -> None:
        """Note whether all values so far are one."""
        if not (self.alike and len(present)):
            return
        first = column.words[present[0]] if column.words else present[0]
        self.first = first if self.first is None else self.first
        self.alike = first == self.first and bool((present == present[0]).all())

    @property
    def useless(self) -> str | None:
        """Why nothing can be learned from it, or None."""
        if self.gaps == self.rows:
            return "no value in the rows that train"
        if self.alike and not self.gaps:
            shown = f"{self.first:.15g}" if isinstance(self.first, float) else brief(self.first)
            return f"{shown} in every row that trains"
        return None

    def encoder(self, scaling: Scaling, fill: Fill, pieces: int) -> AnyEncoder:
        """What turns the column into features; it has a value in one training row at least.

        Raises:
            InputError: numbers are too large for a mean or a deviation.
        """
        name, form, missing = self.column.name, self.column.form, self.gaps > 0
        if form.kind == "category":
            return names_of_counts(name, form, self.counts.of, self.rows, missing=missing)
        sample = np.concatenate(self.sample)
        if not len(sample) or Column(name, form, sample).missing.all():
            sample = np.array([self.first])  # values are too rare to be among those drawn
        fitted = fit(Column(name, form, sample), scaling, fill, pieces)
        found: dict[str, Any] = {"missing": missing}
        if isinstance(fitted, Numbers):
            at = self.moments
            if max(abs(at.low), abs(at.high)) > LARGEST:
                largest = at.low if -at.low > at.high else at.high
                raise InputError(
                    f"column {brief(name)!r} holds {largest:g}, of which no mean square can be "
                    f"taken: bring it below {LARGEST:g}, or leave the column out by --drop "
                    f"{quoted(name, 60)}"
                )
            found |= {"low": at.low, "high": at.high}
            if fill == "mean":
                found["fill"] = at.mean
            if scaling == "standard":
                found |= {"centre": at.mean, "scale": at.deviation}
        elif form.kind == "flag":
            found["fill"] = self.moments.mean
        return fitted.model_copy(update=found)


def left_out(encoder: AnyEncoder) -> str | None:
    """Why an encoder says nothing, or None."""
    if isinstance(encoder, Names) and not encoder.names:
        return f"{encoder.pooled:,} names, each in less than 1 % of the rows"
    return None
