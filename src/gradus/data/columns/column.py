"""A column of a table, once it is known what it holds and how that is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

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
        pattern: how a date or a time is written, in the directives of ``strptime``; "" where the
            file holds it as such.

    Example:
        >>> Form.from_record({"kind": "number", "decimal": ","}).decimal
        ','
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


@dataclass(frozen=True, eq=False)
class Column:
    """One column of a table, its values as what they are.

    Attributes:
        name: its name.
        form: what it holds.
        values: ``[N]``: of a number, float64, NaN where one is missing; of a flag likewise, 0 and
            1; of names and text, int32 indices into ``words``, -1 where one is missing; of a date,
            ``datetime64[us]`` and NaT; of a time of day, float64 seconds since midnight and NaN.
        words: the distinct names or texts, as they stand in the file, without repetition.
    """

    name: str
    form: Form
    values: NDArray[Any]
    words: tuple[str, ...] = ()

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Bool ``[N]``: where no value stands."""
        kind = self.values.dtype.kind
        gaps: NDArray[np.bool_] = (
            self.values < 0
            if kind == "i"
            else np.isnan(self.values)
            if kind == "f"
            else np.isnat(self.values)
        )
        return gaps

    def rows(self, kept: NDArray[np.bool_] | NDArray[np.int64]) -> Column:
        """The column of some rows alone."""
        return Column(self.name, self.form, self.values[kept], self.words)
