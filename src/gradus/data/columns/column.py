"""A column of a table, once it is known what it holds and how that is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gradus.data.columns.clock import spoken

Kind = Literal["number", "flag", "category", "date", "time", "text"]


@dataclass(frozen=True)
class Form:
    """What a column holds, and how its values are written in the file.

    It is data: what a later file is read by, so that a value means the same in both.

    Attributes:
        kind: ``number``; ``flag``, one of two words such as yes and no; ``category``, names;
            ``date``, with or without a time of day; ``time``, of day alone; ``text``, which says
            something else in nearly every row: free text or identifiers.
        decimal: what stands before the fraction of a number.
        thousands: what groups the digits of a number, or "".
        unit: what stands before or behind each number, such as "%" or "$", or "".
        flags: the words of a flag, the one that is 0 first.
        pattern: how the day of a date is written, as ``clock.moments`` takes it, in directives of
            ``strptime``; ":" for numbers that are lengths of time, such as 45:10; "" where the file
            holds it as such.

    Example:
        >>> form = Form.from_record({"kind": "number", "decimal": ",", "unit": "€"})
        >>> form.record() == {"kind": "number", "decimal": ",", "unit": "€"}
        True
        >>> form.told
        'number with a decimal comma, in €'
    """

    kind: Kind
    decimal: str = "."
    thousands: str = ""
    unit: str = ""
    flags: tuple[str, str] | None = None
    pattern: str = ""

    def record(self) -> dict[str, Any]:
        """As data for JSON, without what is as usual."""
        usual = asdict(Form(self.kind))
        return {
            name: value
            for name, value in asdict(self).items()
            if name == "kind" or value != usual[name]
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Form:
        """The form that a record holds."""
        flags = record.get("flags")
        return cls(**{**record, "flags": None if flags is None else (flags[0], flags[1])})

    @property
    def told(self) -> str:
        """What the column is taken for, in a few words."""
        if self.kind == "flag" and self.flags is not None:
            return f"{self.flags[0]} or {self.flags[1]}"
        if self.kind == "date":
            return f"date written {spoken(self.pattern)}" if self.pattern else "date"
        if self.kind != "number":
            return {"category": "names", "time": "time of day"}.get(self.kind, self.kind)
        if self.pattern:
            return "length of time"
        decimal = " with a decimal comma" if self.decimal == "," else ""
        grouped = f", {self.thousands!r} between thousands" if self.thousands else ""
        return f"number{decimal}{grouped}" + (f", in {self.unit}" if self.unit else "")


@dataclass(frozen=True, eq=False)
class Column:
    """One column of a table, its values as what they are.

    Attributes:
        name: its name.
        form: what it holds.
        values: ``[N]``: of a number, float64, NaN where one is missing; of a flag likewise, 0 and
            1, though of numbers that were all 0 or 1 another file may hold others; of names and
            text, int32 indices into ``words``, -1 where one is missing; of a date,
            ``datetime64[us]`` and NaT; of a time of day, float64 seconds since midnight and NaN.
        words: the distinct names or texts, as they stand in the file, without repetition.
        guess: what the values left open and was decided by a rule, in a few words, or "".
    """

    name: str
    form: Form
    values: NDArray[Any]
    words: tuple[str, ...] = ()
    guess: str = ""

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Bool ``[N]``: where no value stands."""
        return absent(self.values)

    @property
    def told(self) -> str:
        """What it was taken for and what was guessed of it, in a few words."""
        return self.form.told + (f" ({self.guess})" if self.guess else "")

    def rows(self, kept: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Column:
        """The column of some rows alone."""
        return Column(self.name, self.form, self.values[kept], self.words, self.guess)


def absent(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Bool: which of the values of a column, in whatever type its kind has, are missing."""
    if values.dtype.kind == "i":
        gaps: NDArray[np.bool_] = values < 0
    else:
        gaps = np.isnat(values) if values.dtype.kind == "M" else np.isnan(values)
    return gaps


def missing_of(values: NDArray[Any]) -> Any:
    """What stands among values of their type where one is missing: NaN, or NaT."""
    return np.datetime64("NaT") if values.dtype.kind == "M" else np.nan


def ends(values: NDArray[np.float64]) -> tuple[float, float]:
    """The least and the greatest of numbers that are not missing; NaN where all are."""
    return np.fmin.reduce(values, initial=np.nan), np.fmax.reduce(values, initial=np.nan)
