"""Columns of dates and times of day: which pattern reads them, and as what a file may hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from gradus.data.columns.clock import (
    ISO,
    as_moments,
    lengths_of_time,
    likely,
    moments,
    spoken,
    times_of_day,
)
from gradus.data.columns.column import Form, ends
from gradus.data.columns.guess import Guess
from gradus.data.columns.numbers import tidied

if TYPE_CHECKING:
    import pyarrow as pa

    from gradus.data.columns.words import Words

_YEAR_FIRST = (ISO, "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d")
_PATTERNS = (
    *_YEAR_FIRST,
    *("%d.%m.%Y", "%m.%d.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d.%m.%y", "%m/%d/%y", "%d/%m/%y", "%d-%m-%y", "%m-%d-%y", "%y-%m-%d", "%y/%m/%d"),
    *("%d %b %Y", "%d. %b %Y", "%d-%b-%Y", "%d/%b/%Y", "%d %b, %Y", "%d-%b-%y", "%d %b %y"),
    *("%b %d, %Y", "%b %d %Y", "%b %d %X %Y", "%Y-%b-%d", "%Y %b %d"),
    *("%Y-%m", "%Y/%m", "%m/%Y", "%m-%Y", "%b %Y", "%b-%Y", "%b-%y", "%Y %b", "%Y-%b"),
)
"""Ways to write a day; where two read a whole column, the first is taken and the other said."""

_LOOKED_AT = 300  # words by which patterns are ruled out, from all over the column
_ZONED = (
    r":[0-9]{2}(?:[.,][0-9]+)?(?: ?[AaPp]\.?[Mm]\.?)?"
    r" ?(?:[Zz]|UTC|GMT|[-+][0-9]{2}(?::?[0-9]{2})?)(?:$|[ \[])"
)
_EARLIEST, _LATEST, _FEWEST = 1900_01_01, 2100_12_31, 3


def guess_dates(words: Words) -> Guess | None:
    """How the dates of a column are written; None where none of the patterns reads any.

    Example:
        >>> import pyarrow as pa
        >>> from gradus.data.columns.words import words_of
        >>> guess = guess_dates(words_of(pa.chunked_array([["01/02/2024", "1/31/2024 10:30"]])))
        >>> guess.form.pattern, guess.values.astype(str).tolist()
        ('%m/%d/%Y', ['2024-01-02T00:00:00.000000', '2024-01-31T10:30:00.000000'])
    """
    some = tidied(words.some(_LOOKED_AT))
    candidates = likely(_PATTERNS, [str(word) for word in some])
    shares = {pattern: (~np.isnat(moments(some, pattern))).mean() for pattern in candidates}
    tidy = tidied(words.distinct)
    best: Guess | None = None
    others: list[str] = []
    for pattern in sorted(filter(shares.get, candidates), key=lambda pattern: -shares[pattern]):
        whole = best is not None and best.read(words) == words.present
        if whole and shares[pattern] < 1:
            break
        guess = Guess(Form("date", pattern=pattern), moments(tidy, pattern))
        if best is None or guess.read(words) > best.read(words):
            best = guess
        elif whole and guess.read(words) == words.present and _differ(guess, best):
            others.append(spoken(pattern))
    if best is None:
        return None
    told = [f"may be {' or '.join(others)}"] if others else []
    return Guess(best.form, best.values, "; ".join(told + _zones(some)))


def _differ(one: Guess, other: Guess) -> bool:
    return not np.array_equal(one.values, other.values)


def _zones(some: pa.StringArray) -> list[str]:
    """What became of the zones of dates."""
    import pyarrow.compute as pc

    zoned = pc.match_substring_regex(some, _ZONED)
    if not pc.any(zoned).as_py():
        return []
    if not pc.all(zoned).as_py():
        return ["in UTC, for which those without a zone are taken"]
    return ["in UTC"]


def read_dates(text: pa.StringArray, form: Form) -> NDArray[np.datetime64]:
    """The dates that words mean by a form; NaT where one cannot be read by it.

    What begins with the year is read too, however the form is: it means the same to everyone.

    Example:
        >>> import pyarrow as pa
        >>> words = pa.array(["3/2/2024", "2024-02-03", "3.2.2024"])
        >>> read_dates(words, Form("date", pattern="%d/%m/%Y")).astype("datetime64[D]").astype(str)
        array(['2024-02-03', '2024-02-03', 'NaT'], dtype='<U28')
    """
    tidy = tidied(text)
    found = moments(tidy, form.pattern or ISO)
    for pattern in _YEAR_FIRST:
        if not (unread := np.flatnonzero(np.isnat(found))).size:
            break
        found[unread] = moments(tidy.take(unread), pattern)
    return found


def guess_times(words: Words) -> Guess | None:
    """The times of day of a column, in seconds; None where none of the words is one."""
    if np.isnan(times_of_day(tidied(words.some(_LOOKED_AT)))).all():
        return None
    return Guess(Form("time"), times_of_day(tidied(words.distinct)))


def read_times(text: pa.StringArray, form: Form) -> NDArray[np.float64]:
    """The times of day that words mean, NaN where one is none."""
    return times_of_day(tidied(text))


def guess_lengths(words: Words) -> Guess | None:
    """The lengths of time of a column, some of them a day or more; None where none is one.

    Example:
        >>> import pyarrow as pa
        >>> from gradus.data.columns.words import words_of
        >>> guess_lengths(words_of(pa.chunked_array([["3:45", "61:10"]]))).values.tolist()
        [225.0, 3670.0]
    """
    if np.isnan(lengths_of_time(tidied(words.some(_LOOKED_AT)))).all():
        return None
    return Guess(Form("number", pattern=":"), lengths_of_time(tidied(words.distinct)))


def guess_numbered_dates(values: NDArray[np.float64]) -> Guess | None:
    """The dates that whole numbers such as 20240203 mean, if each of them is one.

    Args:
        values: ``[N]`` numbers, NaN where one is missing.

    Example:
        >>> guess_numbered_dates(np.array([20240203, 20240229, 20231231.0])).form.pattern
        '%Y%m%d'
        >>> guess_numbered_dates(np.array([20240203, 20240230, 20231231.0])) is None
        True
    """
    import pyarrow as pa

    least, most = ends(values)
    if not (least >= _EARLIEST and most <= _LATEST):
        return None
    distinct, at = np.unique(values[~np.isnan(values)], return_inverse=True)
    if len(distinct) < _FEWEST or (distinct != np.rint(distinct)).any():
        return None
    text = cast("pa.StringArray", pa.array(distinct.astype(np.int64)).cast(pa.string()))
    found = moments(text, "%Y%m%d")
    if np.isnat(found).any():
        return None
    rows = np.full(len(values), np.datetime64("NaT", "us"))
    rows[~np.isnan(values)] = found[at]
    return Guess(Form("date", pattern="%Y%m%d"), rows, "whole numbers, all of which are dates")


def held_dates(content: pa.ChunkedArray[Any]) -> NDArray[np.datetime64]:
    """Dates that a file holds as such: in UTC where they have a zone, to the microsecond."""
    import pyarrow as pa

    fine = pa.types.is_timestamp(content.type) and content.type.unit == "ns"
    zone = content.type.tz if pa.types.is_timestamp(content.type) else None
    micros = content.cast(pa.timestamp("us", zone), safe=not fine).cast(pa.int64())
    return as_moments(micros)


def held_seconds(content: pa.ChunkedArray[Any]) -> NDArray[np.float64]:
    """Times of day or lengths of time that a file holds as such, in seconds."""
    import pyarrow as pa

    ticks = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[content.type.unit]
    whole = pa.int32() if pa.types.is_time32(content.type) else pa.int64()
    return np.asarray(content.cast(whole).cast(pa.float64()).to_numpy() / ticks, dtype=np.float64)
