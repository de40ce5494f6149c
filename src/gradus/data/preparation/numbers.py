"""How a column of numbers becomes features: gaps filled, brought to scale, cut into pieces."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import FiniteFloat, model_validator

from gradus.data.columns import Column
from gradus.data.preparation.encoder import Encoder, Features, Scale

SOFT = 3.0
"""Scaled values far beyond this are drawn in to it."""


def within(values: NDArray[np.float64], knots: Sequence[float]) -> Features:
    """Where numbers stand in each piece, from 0 to 1: ``[N, m]`` for m + 1 knots.

    Example:
        >>> within(np.array([-1.0, 0.5, 2.0, 9.0]), (0.0, 1.0, 3.0)).tolist()
        [[0.0, 0.0], [0.5, 0.0], [1.0, 0.5], [1.0, 1.0]]
    """
    ends = np.array(knots)
    found: Features = np.clip((values[:, None] - ends[:-1]) / np.diff(ends), 0, 1)
    return found


class Numbers(Encoder):
    r"""$z = (x - c) / s$; where extremes are drawn in, $z / \sqrt{1 + (z / 3)^2}$.

    With knots $k_0 < \dots < k_m$ there are features beside it, one a piece, of where x stands in it:
    0 below, 1 above, linear within. Its mean is taken off, and it is brought to a height h,
    $h\,(\min(1, \max(0, (x - k_j) / (k_{j+1} - k_j))) - c_j)$.

    Attributes:
        kind: of the encoder.
        fill: what stands for a missing number.
        centre: c.
        scale: s.
        soft: whether extremes are drawn in.
        knots: the ends of the pieces, ascending; none where there are no pieces.
        means: $c_j$, of each piece over the training rows.
        height: h.
        low: the least number that trained; None where that was not kept.
        high: the greatest.

    Example:
        >>> from gradus.data.columns import Form
        >>> grams = Numbers(name="grams", form=Form("number"), fill=2, centre=2, scale=2, missing=True)
        >>> column = Column("grams", grams.form, np.array([0.0, 4.0, np.nan]))
        >>> grams.features, grams.encode(column).tolist()
        (('grams', 'grams=(missing)'), [[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])

    Source:
        Y. Gorishniy, I. Rubachev, A. Babenko, On embeddings for numerical features in tabular deep
        learning, NeurIPS 2022, eq. 1 (pieces); D. Holzmüller, L. Grinsztajn, I. Steinwart, Better
        by default, NeurIPS 2024, eq. 1 (extremes drawn in).
    """  # noqa: E501

    held: ClassVar[str] = "number"
    kind: Literal["number"] = "number"
    fill: FiniteFloat = 0.0
    centre: FiniteFloat = 0.0
    scale: Scale = 1.0
    soft: bool = False
    knots: tuple[FiniteFloat, ...] = ()
    means: tuple[FiniteFloat, ...] = ()
    height: FiniteFloat = 1.0
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None

    @model_validator(mode="after")
    def _pieces(self) -> Self:
        if any(low >= high for low, high in itertools.pairwise(self.knots)):
            raise ValueError("knots: do not ascend")
        if len(self.means) != max(len(self.knots) - 1, 0):
            raise ValueError(f"means: {len(self.means)} for {len(self.knots)} knots")
        return self

    @property
    def values(self) -> tuple[str, ...]:
        """The column itself, and its pieces."""
        pieces = zip(self.knots[:-1], self.knots[1:], strict=True)
        return (self.name, *(f"{self.name}[{low:.12g}..{high:.12g}]" for low, high in pieces))

    @property
    def done(self) -> str:
        """What is done with the column."""
        told = []
        if self.missing:
            told.append(f"filled with {self.fill:g}")
        if (self.centre, self.scale) != (0.0, 1.0):
            told.append(f"minus {self.centre:g}, over {self.scale:g}")
        if self.soft:
            told.append("extremes drawn in")
        if self.knots:
            told.append(f"{len(self.knots) - 1} pieces")
        return ", ".join(told) or "as it is"

    def encode_values(self, column: Column) -> Features:
        """The scaled number, and where it stands in each piece."""
        values = column.values
        if (gaps := column.missing).any():
            values = np.where(gaps, self.fill, values)
        found = (values - self.centre) / self.scale
        if self.soft:
            found /= np.sqrt(1 + (found / SOFT) ** 2)
        if not self.knots:
            return found[:, None]
        pieces = within(values, self.knots) - np.array(self.means)
        return np.column_stack([found, self.height * pieces])


class Flags(Encoder):
    """0 or 1; a missing one is the share of ones.

    Attributes:
        kind: of the encoder.
        fill: the share of ones.

    Example:
        >>> from gradus.data.columns import Form
        >>> flag = Flags(name="sold", form=Form("flag", flags=("no", "yes")), fill=0.25)
        >>> flag.encode(Column("sold", flag.form, np.array([1.0, np.nan]))).tolist()
        [[1.0], [0.25]]
    """

    held: ClassVar[str] = "flag"
    kind: Literal["flag"] = "flag"
    fill: FiniteFloat = 0.0

    @property
    def values(self) -> tuple[str, ...]:
        """The column itself."""
        return (self.name,)

    @property
    def done(self) -> str:
        """Which word became what."""
        low, high = self.form.flags or ("0", "1")
        filled = f", missing {self.fill:.2g}" if self.missing else ""
        return f"{low} 0, {high} 1{filled}"

    def encode_values(self, column: Column) -> Features:
        """The flag as a number."""
        filled: Features = np.where(column.missing, self.fill, column.values)[:, None]
        return filled
