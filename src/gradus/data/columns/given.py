"""A column as its file gives it: in a type of Arrow, and perhaps as text besides."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from gradus.data.columns.column import Column, Form, ends
from gradus.data.columns.moments import held_dates, held_seconds
from gradus.data.columns.words import Words, words_of
from gradus.errors import InputError, brief, quoted

if TYPE_CHECKING:
    import pyarrow as pa

Text = Callable[[str], "pa.ChunkedArray[Any]"]
"""What gives a column as the text that stands in the file."""


class Given:
    """A column as it was given, and how to speak of it."""

    def __init__(
        self,
        name: str,
        content: pa.ChunkedArray[Any],
        file: str,
        place: Callable[[int], str],
        text: Text | None,
        decimal: Literal[",", "."] | None = None,
    ) -> None:
        import pyarrow as pa

        self.name, self.file, self.place, self.text = name, file, place, text
        self.decimal = decimal
        encoded = pa.types.is_dictionary(content.type)
        kind = content.type.value_type if encoded else content.type
        # A dictionary of anything but text says of its values that they are names.
        self.declared = encoded and not is_text(kind)
        self.content = content
        self.kind: pa.DataType = kind
        self.where = f"{file}: column {brief(name)!r}"

    def reading(self, read: Callable[[], Column]) -> Column:
        """What is read, or one line about what cannot be."""
        import pyarrow as pa

        if not is_usable(self.kind):
            raise InputError(
                f"{self.where} holds {quoted(str(self.kind), 60)}; numbers, booleans, dates, times "
                f"and text can be used, so turn it into one of them or use --drop "
                f"{quoted(self.name, 60)}"
            )
        try:
            if self.declared:
                self.content = self.content.cast(self.kind)
            return read()
        except (pa.ArrowException, ValueError, MemoryError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{self.where} cannot be read ({quoted(error)}); mend it, or use --drop "
                f"{quoted(self.name, 60)}"
            ) from error

    def words(self) -> Words:
        """Its values as text, as they stand in the file where it is one of text."""
        import pyarrow as pa

        if is_text(self.kind):
            return words_of(self.content)
        missing = self.content.is_null(nan_is_null=True).to_numpy()
        if self.text is not None and not self.declared:
            return words_of(self.text(self.name), missing)
        if pa.types.is_duration(self.kind):
            shown = [f"{seconds:g} s" for seconds in held_seconds(self.content)]
            return words_of(pa.chunked_array([pa.array(shown, pa.string())]), missing)
        return words_of(self.content.cast(pa.string()), missing)

    def numbers(self) -> NDArray[np.float64]:
        """Its values as float64, NaN where one is missing."""
        import pyarrow as pa

        values = self.content.cast(pa.float64(), safe=False).to_numpy()
        if np.isinf(ends(values)).any():
            place = self.place(int(np.isinf(values).argmax()))
            raise InputError(
                f"{self.where}, {place}: infinite, which no method can learn from; mend it, or "
                "leave it empty"
            )
        return values

    def held(self) -> Column | None:
        """It as a column, where the file holds dates, times of day or lengths of time as such."""
        import pyarrow as pa

        if pa.types.is_date(self.kind):
            return Column(self.name, Form("date"), held_dates(self.content))
        if pa.types.is_timestamp(self.kind):
            told = "in UTC" if self.kind.tz else ""
            return Column(self.name, Form("date"), held_dates(self.content), guess=told)
        if pa.types.is_time(self.kind):
            return Column(self.name, Form("time"), held_seconds(self.content))
        if pa.types.is_duration(self.kind):
            return Column(self.name, Form("number", unit="s"), held_seconds(self.content))
        return None


def is_text(kind: pa.DataType) -> bool:
    """Whether values of a type are text."""
    import pyarrow as pa

    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_kind(kind) for is_kind in kinds)


def is_usable(kind: pa.DataType) -> bool:
    """Whether a guess is for values of a type."""
    import pyarrow as pa

    if is_text(kind) or is_number(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return True
    return pa.types.is_temporal(kind) and not pa.types.is_interval(kind)


def is_whole(kind: pa.DataType) -> bool:
    """Whether values of a type are whole numbers."""
    import pyarrow as pa

    return pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale <= 0)


def is_number(kind: pa.DataType) -> bool:
    """Whether values of a type are numbers."""
    import pyarrow as pa

    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(is_kind(kind) for is_kind in kinds)
