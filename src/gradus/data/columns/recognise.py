"""What a column holds: guessed from all of its values, or read as another file's was."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradus.data.columns import identifiers
from gradus.data.columns.column import Column, Form, ends, missing_of
from gradus.data.columns.flags import guess_flags, read_flags
from gradus.data.columns.guess import Guess
from gradus.data.columns.moments import (
    guess_dates,
    guess_numbered_dates,
    guess_times,
    held_dates,
    held_seconds,
    read_dates,
    read_times,
)
from gradus.data.columns.names import named, names_of
from gradus.data.columns.numbers import LARGEST_WHOLE, guess_numbers, read_numbers
from gradus.data.columns.words import Words, words_of
from gradus.errors import InputError, brief, quoted

if TYPE_CHECKING:
    import pyarrow as pa

Text = Callable[[str], "pa.ChunkedArray[Any]"]
"""What gives a column as the text that stands in the file."""


def row_of(row: int) -> str:
    """Where a row stands in a table that has no lines.

    Example:
        >>> row_of(0)
        'row 1'
    """
    return f"row {row + 1}"


def recognise(
    name: str,
    content: pa.ChunkedArray[Any],
    *,
    file: str,
    place: Callable[[int], str] = row_of,
    categorical: bool = False,
    text: Text | None = None,
) -> Column:
    """What a column holds, guessed from all of its values.

    Args:
        name: of the column.
        content: its values as the file's reader types them; of text, missing ones are null.
        file: for messages.
        place: where the row of a number (from 0) stands in it.
        categorical: the user says that the values are names.
        text: of a file of text, what gives a column as it stands there; None where a file has
            types of its own.

    Raises:
        InputError: most of the values are numbers (or dates, or times) and some are not; or it
            holds infinity, lists, bytes or anything else that no guess is for.

    Example:
        >>> import pyarrow as pa
        >>> column = recognise("price", pa.chunked_array([["$5", None, "$1,200"]]), file="a.csv")
        >>> column.values.tolist(), column.told
        ([5.0, nan, 1200.0], "number, ',' between thousands, in $ (',' taken to group thousands)")
    """
    given = _Given(name, content, file, place, text)
    return given.reading(lambda: _recognised(given, categorical))


def recognise_as(
    name: str,
    content: pa.ChunkedArray[Any],
    form: Form,
    *,
    file: str,
    place: Callable[[int], str] = row_of,
    text: Text | None = None,
) -> Column:
    """Read a column of another file, or a piece of one, by the form that was found before.

    Args:
        name: of the column.
        content: its values, which this file's reader may have typed otherwise.
        form: what the column held.
        file: for messages.
        place: where the row of a number (from 0) of this piece stands in it.
        text: as for :func:`recognise`.

    Raises:
        InputError: a value cannot be read by the form; the message names its place.

    Example:
        >>> import pyarrow as pa
        >>> form = Form("number", decimal=",")
        >>> recognise_as("size", pa.chunked_array([["5,1", "7"]]), form, file="b.csv").values
        array([5.1, 7. ])
        >>> recognise_as("size", pa.chunked_array([[5.1, 7.0]]), form, file="b.parquet").values
        array([5.1, 7. ])
    """
    given = _Given(name, content, file, place, text)
    return given.reading(lambda: _read(given, form))


class _Given:
    """A column as it was given, and how to speak of it."""

    def __init__(
        self,
        name: str,
        content: pa.ChunkedArray[Any],
        file: str,
        place: Callable[[int], str],
        text: Text | None,
    ) -> None:
        import pyarrow as pa

        self.name, self.file, self.place, self.text = name, file, place, text
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


NUMBERS = ("0", "1")
"""The flags of a column of numbers, of which another file may hold more than these two."""

_GUESSERS = (
    (guess_flags, ""),
    (guess_numbers, "a number"),
    (guess_dates, "a date"),
    (guess_times, "a time of day"),
)
_READERS = {"number": read_numbers, "flag": read_flags, "date": read_dates, "time": read_times}


def _recognised(given: _Given, categorical: bool) -> Column:
    import pyarrow as pa

    if pa.types.is_null(given.kind):
        return _nothing(given)
    if categorical or given.declared:
        return names_of(given.name, given.words(), declared=True)
    if is_text(given.kind):
        return _of_words(given)
    if pa.types.is_boolean(given.kind):
        flags = given.content.cast(pa.int8()).cast(pa.float64()).to_numpy()
        return Column(given.name, Form("flag", flags=("false", "true")), flags)
    if (held := _held(given)) is not None:
        return held
    values = given.numbers()
    if is_whole(given.kind) and max(map(abs, ends(values))) >= LARGEST_WHOLE:
        return names_of(given.name, given.words())
    return _of_numbers(given, values)


def _held(given: _Given) -> Column | None:
    """A column that the file holds as dates, times of day or lengths of time."""
    import pyarrow as pa

    if pa.types.is_date(given.kind):
        return Column(given.name, Form("date"), held_dates(given.content))
    if pa.types.is_timestamp(given.kind):
        told = "in UTC" if given.kind.tz else ""
        return Column(given.name, Form("date"), held_dates(given.content), guess=told)
    if pa.types.is_time(given.kind):
        return Column(given.name, Form("time"), held_seconds(given.content))
    if pa.types.is_duration(given.kind):
        return Column(given.name, Form("number", unit="s"), held_seconds(given.content))
    return None


def _of_numbers(given: _Given, values: NDArray[np.float64]) -> Column:
    """Plain numbers, unless they are all 0 or 1, or dates such as 20240203, or say who it is."""
    if ends(values) == (0, 1) and (np.isnan(values) | (values == 0) | (values == 1)).all():
        return Column(given.name, Form("flag", flags=NUMBERS), values)
    if (guess := guess_numbered_dates(values)) is not None:
        return Column(given.name, guess.form, guess.values, guess=guess.told)
    if identifiers.refer(given.name, values):
        return names_of(given.name, given.words())
    return Column(given.name, Form("number"), values)


def _of_words(given: _Given) -> Column:
    words = given.words()
    if not words.present:
        return _nothing(given)
    for guesser, what in _GUESSERS:
        guess = guesser(words)
        read = 0 if guess is None else guess.read(words)
        if guess is not None and read == words.present:
            values = words.each(guess.values, missing_of(guess.values))
            if guess.form == Form("number"):
                return _of_numbers(given, values)
            return Column(given.name, guess.form, values, guess=guess.told)
        if guess is not None and 2 * read > words.present:
            raise _stray(given, words, guess, what)
    return names_of(given.name, words)


def _stray(given: _Given, words: Words, guess: Guess, what: str) -> InputError:
    row = int(guess.unread(words)[0])
    form = "" if guess.form == Form(guess.form.kind) else f" ({guess.form.told})"
    return InputError(
        f"{given.where}, {given.place(row)}: {brief(words.at(row))!r} is not {what} as the others "
        f"are{form}; mend it, or leave it empty; or, if these are names, declare --categorical "
        f"{quoted(given.name, 60)}"
    )


def _read(given: _Given, form: Form) -> Column:
    import pyarrow as pa

    if form.kind in ("category", "text"):
        return named(given.name, form, given.words())
    if not pa.types.is_null(given.kind):
        held = _held(given)
        if held is not None and (held.form.kind, held.form.unit) == (form.kind, form.unit):
            return Column(given.name, form, held.values)
        numeric = form.kind == "number" or form.flags == NUMBERS
        if numeric and is_number(given.kind) and not _misread(given, form):
            return Column(given.name, form, given.numbers())
    words = given.words()
    guess = Guess(form, _READERS[form.kind](words.distinct, form))
    if len(unread := guess.unread(words)):
        row = int(unread[0])
        raise InputError(
            f"{given.where}, {given.place(row)}: {brief(words.at(row))!r} cannot be read as the "
            f"column was in training ({form.told}); mend it, or leave it empty"
        )
    return Column(given.name, form, words.each(guess.values, missing_of(guess.values)))


def _misread(given: _Given, form: Form) -> bool:
    """Whether a number of this file may mean another in the form of the column."""
    import pyarrow as pa

    # 1.200 is a real number to a reader that does not know that the point groups thousands here;
    # 0.12 in a column of per cents may be 12 of them.
    localised = (form.decimal, form.thousands) != (".", "")
    real = given.text is not None and not pa.types.is_integer(given.kind)
    return form.unit in ("%", "‰") or (localised and real)


def _nothing(given: _Given) -> Column:
    return Column(given.name, Form("number"), np.full(len(given.content), np.nan))
