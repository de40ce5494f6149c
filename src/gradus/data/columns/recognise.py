"""What a column holds: guessed from all of its values, or read as another file's was."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from gradus.data.columns import identifiers
from gradus.data.columns.column import Column, Form, ends, missing_of
from gradus.data.columns.flags import guess_flags, read_flags
from gradus.data.columns.given import Given, Text, is_number, is_text, is_whole
from gradus.data.columns.guess import Guess
from gradus.data.columns.moments import (
    guess_dates,
    guess_lengths,
    guess_numbered_dates,
    guess_times,
    read_dates,
    read_times,
)
from gradus.data.columns.names import named, names_of
from gradus.data.columns.numbers import (
    LARGEST_WHOLE,
    guess_numbers,
    may_be_grouped,
    read_numbers,
)
from gradus.data.columns.words import Words
from gradus.errors import InputError, brief, quoted

if TYPE_CHECKING:
    import pyarrow as pa


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
    decimal: Literal[",", "."] | None = None,
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
        decimal: what stands before the fraction of a number that is text, where that is known.

    Raises:
        InputError: most of the values are numbers (or dates, or times) and some are not; or it
            holds infinity, lists, bytes or anything else that no guess is for.

    Example:
        >>> import pyarrow as pa
        >>> column = recognise("price", pa.chunked_array([["$5", None, "$1,200"]]), file="a.csv")
        >>> column.values.tolist(), column.told
        ([5.0, nan, 1200.0], "number, ',' between thousands, in $ (may be a decimal comma)")
    """
    given = Given(name, content, file, place, text, decimal)
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
    given = Given(name, content, file, place, text)
    return given.reading(lambda: _read(given, form))


NUMBERS = ("0", "1")
"""The flags of a column of numbers, of which another file may hold more than these two."""

_GUESSERS = (
    (guess_dates, "a date"),
    (guess_times, "a time of day"),
    (guess_lengths, "a length of time"),
)
_READERS = {"number": read_numbers, "flag": read_flags, "date": read_dates, "time": read_times}


def _recognised(given: Given, categorical: bool) -> Column:
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
    if (held := given.held()) is not None:
        return held
    values = given.numbers()
    if is_whole(given.kind) and max(map(abs, ends(values))) >= LARGEST_WHOLE:
        return names_of(given.name, given.words())
    if given.text is not None and not is_whole(given.kind) and _may_mean_another(given, values):
        return _of_words(given)
    return _of_numbers(given, values)


def _may_mean_another(given: Given, values: NDArray[np.float64]) -> bool:
    """Whether a point that a reader took for that before a fraction may stand between thousands."""
    return may_be_grouped(values) if given.decimal is None else given.decimal == ","


def _of_numbers(given: Given, values: NDArray[np.float64], told: str = "") -> Column:
    """Plain numbers, unless they are all 0 or 1, or dates such as 20240203, or say who it is."""
    if ends(values) == (0, 1) and (np.isnan(values) | (values == 0) | (values == 1)).all():
        return Column(given.name, Form("flag", flags=NUMBERS), values)
    if (guess := guess_numbered_dates(values)) is not None:
        return Column(given.name, guess.form, guess.values, guess=guess.told)
    if identifiers.refer(given.name, values):
        return names_of(given.name, given.words())
    return Column(given.name, _plain(given), values, guess=told)


def _plain(given: Given) -> Form:
    """Of numbers without a unit: other files may hold fractions where this one has none."""
    return Form("number", decimal=given.decimal or ".")


def _of_words(given: Given) -> Column:
    words = given.words()
    if not words.present:
        return _nothing(given)
    nearly: tuple[Guess, str] | None = None
    guesses = chain(
        [(guess_flags(words), ""), (guess_numbers(words, given.decimal), "a number")],
        ((guesser(words), what) for guesser, what in _GUESSERS),
    )
    for guess, what in guesses:
        if guess is None:
            continue
        read = guess.read(words)
        if read == words.present:
            values = words.each(guess.values, missing_of(guess.values))
            if guess.form in (Form("number"), _plain(given)):
                return _of_numbers(given, values, guess.told)
            return Column(given.name, guess.form, values, guess=guess.told)
        if 2 * read > words.present and nearly is None:
            nearly = guess, what
    if nearly is not None:
        raise _stray(given, words, *nearly)
    return names_of(given.name, words)


MISSING_WORD = 20
"""Characters of a word that may stand for a missing value."""


def _stray(given: Given, words: Words, guess: Guess, what: str) -> InputError:
    row = int(guess.unread(words)[0])
    form = "" if guess.form == Form(guess.form.kind) else f" ({guess.form.told})"
    word = words.at(row)
    missing = ""
    if len(word) <= MISSING_WORD and not re.search(r"[\d,]", word):
        missing = (
            f"if it means that none is there, --missing-values {shlex.quote(quoted(word))}; or, "
        )
    return InputError(
        f"{given.where}, {given.place(row)}: {brief(word)!r} is not {what} as the others "
        f"are{form}; mend it, or leave it empty; or, {missing}if these are names, declare "
        f"--categorical {quoted(given.name, 60)}"
    )


def _read(given: Given, form: Form) -> Column:
    import pyarrow as pa

    if form.kind in ("category", "text"):
        return named(given.name, form, given.words())
    if not pa.types.is_null(given.kind):
        held = given.held()
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


def _misread(given: Given, form: Form) -> bool:
    """Whether a number of this file may mean another in the form of the column."""
    import pyarrow as pa

    if form.pattern:  # lengths of time, whose unit a number does not say
        return True
    # 1.200 is a real number to a reader that does not know that the point groups thousands here;
    # 0.12 in a column of per cents may be 12 of them.
    localised = (form.decimal, form.thousands) != (".", "")
    real = given.text is not None and not pa.types.is_integer(given.kind)
    return form.unit in ("%", "‰") or (localised and real)


def _nothing(given: Given) -> Column:
    return Column(given.name, Form("number"), np.full(len(given.content), np.nan))
