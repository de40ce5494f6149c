"""Columns that say which row it is, and nothing of what is true of it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradus.data.columns.column import ends

LARGEST_EXACT = 2**24
"""Beyond this, two whole numbers may be one in float32."""

_FEW = 20  # no more rows than this tell numbers that differ by chance from identifiers
_WORDS = {"id", "idx", "index", "uid", "guid", "uuid", "rowid", "rownum", "rowname", "rownames"}
_AT_THE_END = {"nr", "no", "num", "number", "nummer", "key", "code", "serial", "obs"}
_UNNAMED = re.compile(r"|unnamed(: \d+)?|\.\.\.1|row|row[ _.]?(id|names?|num(ber)?)", re.I)
_RUN_TOGETHER = re.compile(
    r"(account|case|client|customer|order|patient|person|record|sample|subject|user)id", re.I
)
_LOOKED_AT = 1000  # rows in which most numbers that repeat do so


def named_so(name: str) -> bool:
    """Whether a name says that a column identifies its rows.

    Example:
        >>> [named_so(name) for name in ("PassengerId", "userid", "order_id", "", "Unnamed: 0")]
        [True, True, True, True, True]
        >>> [named_so(name) for name in ("width", "acidity", "video", "identity")]
        [False, False, False, False]
    """
    said = not _WORDS.isdisjoint(_words(name))
    return said or unnamed(name) or _RUN_TOGETHER.fullmatch(name.strip()) is not None


def may_be_named_so(name: str) -> bool:
    """Whether a name may say so, and may say how many as well: the values have to agree.

    Example:
        >>> [may_be_named_so(name) for name in ("OrderNo", "case_number", "Nr.", "#", "zip code")]
        [True, True, True, True, True]
        >>> [may_be_named_so(name) for name in ("number_of_rooms", "rooms", "note")]
        [False, False, False]
    """
    words = _words(name)
    return name.strip() == "#" or (bool(words) and words[-1] in _AT_THE_END)


def _words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def unnamed(name: str) -> bool:
    """Whether a name is what programs write above numbers of rows that have no name.

    Example:
        >>> [name for name in (" ", "Unnamed: 0", "row names", "...1", "age") if unnamed(name)]
        [' ', 'Unnamed: 0', 'row names', '...1']
    """
    return _UNNAMED.fullmatch(name.strip()) is not None


def whole(values: NDArray[Any]) -> bool:
    """Whether all of the values that are not missing are whole numbers."""
    return all(
        bool(((part == np.rint(part)) | np.isnan(part)).all())
        for part in (values[:_LOOKED_AT], values)
    )


def count(values: NDArray[Any]) -> bool:
    """Whether the values count the rows: n, n + 1, n + 2, ...

    Example:
        >>> count(np.array([1.0, 2.0, 3.0])), count(np.array([1.0, 3.0, 2.0]))
        (True, False)
    """
    return all(
        bool((part == values[0] + np.arange(len(part))).all())
        for part in (values[:_LOOKED_AT], values)
    )


def differ(values: NDArray[Any]) -> bool:
    """Whether no two of the values that are not missing are equal.

    Example:
        >>> differ(np.array([3.0, np.nan, 1.0, np.nan])), differ(np.array([3.0, 1.0, 3.0]))
        (True, False)
    """
    parts = (part[~np.isnan(part)] for part in (values[:_LOOKED_AT], values))
    return all(len(np.unique(part)) == len(part) for part in parts)


def identify(name: str, values: NDArray[Any]) -> bool:
    """Whether numbers, some of them present, identify rows: whole, no two equal, and named so.

    Or all long: beyond 2^24, of one number of digits. As quantities they would spread further. Of
    some names, and of long numbers, more than a few rows have to be so.

    Example:
        >>> identify("PassengerId", np.array([3.0, 1.0, 2.0]))
        True
        >>> identify("age", np.array([3.0, 1.0, 2.0]))
        False
    """
    least, most = ends(values)
    long = least > LARGEST_EXACT and len(str(int(least))) == len(str(int(most)))
    named = named_so(name)
    if not (long or named or may_be_named_so(name)) or not whole(values) or not differ(values):
        return False
    return named or int((~np.isnan(values)).sum()) > _FEW


def refer(name: str, values: NDArray[Any]) -> bool:
    """Whether numbers, as their name says, are identifiers of something that recurs; long ones.

    Example:
        >>> refer("customer_id", np.array([20000001.0, 20000002.0, 20000001.0]))
        True
    """
    long = ends(values)[0] > LARGEST_EXACT
    return long and named_so(name) and whole(values) and not differ(values)
