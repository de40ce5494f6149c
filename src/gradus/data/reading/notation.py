"""How values are written in a table, as far as the user says what its content leaves open."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Notation:
    """What the user says of it; what is not said is guessed.

    Attributes:
        separator: of the fields of a text file, one character.
        decimal: what stands before the fraction of a number that is text.
        missing_values: words that mean that no value stands there, beside the usual ones; a number
            among them is one also where numbers stand as such.
    """

    separator: str | None = None
    decimal: Literal[",", "."] | None = None
    missing_values: tuple[str, ...] = ()


AS_GUESSED = Notation()
"""Where the user says nothing."""


def without(arrow: pa.Table, missing_values: Sequence[str]) -> pa.Table:
    """A table in which some values are missing.

    Args:
        arrow: the table.
        missing_values: words, and numbers as they are written.

    Example:
        >>> import pyarrow as pa
        >>> table = pa.table({"age": [5, -999, 7], "sex": ["m", " n.k.", "-999"]})
        >>> without(table, ("-999", "n.k.")).to_pydict()
        {'age': [5, None, 7], 'sex': ['m', None, None]}
    """
    for at, field in enumerate(arrow.schema if missing_values else ()):
        column = arrow.column(at)
        kept = _without(column, missing_values)
        if kept is not None:
            arrow = arrow.set_column(at, field.with_type(kept.type), kept)
    return arrow


def _without(column: pa.ChunkedArray[Any], words: Sequence[str]) -> pa.ChunkedArray[Any] | None:
    """The column without these values; None where it has none of them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_string_view(kind):  # which hardly a function of Arrow takes
        return _without(column.cast(pa.string()), words)
    if pa.types.is_dictionary(kind):
        rows: Any = column.unify_dictionaries().combine_chunks()
        gone = _among(rows.dictionary, words)
        if gone is None:
            return None
        distinct = rows.dictionary.filter(pc.invert(gone))
        places = pc.index_in(rows.dictionary, distinct).take(rows.indices)
        return pa.chunked_array([pa.DictionaryArray.from_arrays(places, distinct)])
    found = _among(column, words)
    return None if found is None else pc.if_else(found, pa.scalar(None, kind), column)


def _among(values: Any, words: Sequence[str]) -> Any:
    """Which values are among the words; None where none is, or they are no text and no numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        shapes = "|".join(map(_written, words))
        found = pc.match_substring_regex(pc.utf8_trim_whitespace(values), f"^(?:{shapes})$")
        found = found.fill_null(False)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers: Any = pa.array(_numbers(words))
        found = pc.is_in(values.cast(pa.float64(), safe=False), numbers)
    else:
        return None
    return found if pc.any(found).as_py() else None


def _written(word: str) -> str:
    """The word as a regular expression; a number may stand with another mark and more zeros.

    Three of them may be the end of a thousand.
    """
    number = re.fullmatch(r"([-+]?[0-9]+)(?:[.]([0-9]*?)0*)?", word)
    if number is None:
        return re.escape(word)
    whole, fraction = re.escape(number[1]), number[2]
    return rf"{whole}[.,]{fraction}0*" if fraction else rf"{whole}(?:[.,]0{{0,2}})?"


def _numbers(words: Sequence[str]) -> list[float]:
    found = []
    for word in words:
        try:
            found.append(float(word))
        except ValueError:
            continue
    return found
