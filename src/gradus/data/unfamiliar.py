"""New examples that are unlike all that trained: what is predicted for them is a guess."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from gradus.data.columns import Column, among
from gradus.data.preparation.names import Names
from gradus.data.preparation.numbers import Numbers
from gradus.data.preparation.preparation import AnyEncoder
from gradus.errors import brief

FAR = 0.5
"""Widths of the range of training: a number further outside it is far outside."""


def left_out(columns: int, width: int) -> str:
    """What becomes of so many columns beyond the width that trained.

    Example:
        >>> left_out(1, 300)
        '1 column beyond the 300 that trained is left out'
    """
    what = "column" if columns == 1 else "columns"
    return (
        f"{columns:,} {what} beyond the {width:,} that trained "
        f"{'is' if columns == 1 else 'are'} left out"
    )


@dataclass
class Unfamiliar:
    """Counts such rows, as the columns of a table or of its pieces are read.

    They hold a name that training did not see, or that was too rare there to have an indicator; a
    number that is far outside the range that trained; or nothing, where every row that trained held
    something.

    Example:
        >>> from gradus.data.columns import Form
        >>> grams = Numbers(name="grams", form=Form("number"), low=100, high=200)
        >>> seen = Unfamiliar()
        >>> seen.look(grams, Column("grams", grams.form, np.array([150.0, 90.0, 0.15])))
        >>> seen.told(3)
        ('grams: 1 of 3 rows are far outside what trained (100 to 200), such as 0.15',)
    """

    _found: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    _columns_left_out: int = 0
    _width: int = 0

    def look(self, encoder: AnyEncoder, column: Column) -> None:
        """Look at a column, or at a piece of it, read as ``encoder`` takes it."""
        if not encoder.missing and (gaps := int(column.missing.sum())):
            self._count(encoder.name, gaps, "hold no value, where all that trained had one")
        if isinstance(encoder, Names):
            rows = np.bincount(column.values[column.values >= 0], minlength=len(column.words))
            rows[among(column.words, encoder.names) >= 0] = 0
            if rows.sum():
                word = brief(repr(column.words[int(rows.argmax())]), 60)
                what = "hold a name that was rare in training or not seen there"
                self._count(encoder.name, int(rows.sum()), what, word)
        elif isinstance(encoder, Numbers) and encoder.low is not None and encoder.high is not None:
            low, high = encoder.low, encoder.high
            margin = FAR * (high - low)
            far = (column.values < low - margin) | (column.values > high + margin)
            if far.any():
                what = f"are far outside what trained ({low:.6g} to {high:.6g})"
                self._count(encoder.name, int(far.sum()), what, f"{column.values[far][0]:.6g}")

    def filled(self, rows: int) -> None:
        """Count rows of an array with missing values, for which something stands."""
        if rows:
            self._count("x", rows, "have missing values, filled as in training")

    def left_out(self, columns: int, width: int) -> None:
        """Note columns of sparse rows beyond the width that trained."""
        self._columns_left_out, self._width = max(self._columns_left_out, columns), width

    def told(self, rows: int) -> tuple[str, ...]:
        """A line for each column with such rows, of so many in all."""
        columns = self._columns_left_out
        beyond = [f"x: {left_out(columns, self._width)}"] if columns else []
        return *beyond, *(
            f"{brief(name, 60)}: {count:,} of {rows:,} rows {what}{such and f', such as {such}'}"
            for (name, what), (count, such) in self._found.items()
        )

    def _count(self, name: str, rows: int, what: str, such: str = "") -> None:
        before, first = self._found.get((name, what), (0, such))
        self._found[name, what] = before + rows, first
