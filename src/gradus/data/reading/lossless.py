"""Which text is numbers: whole or real ones where nothing is lost, and names otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradus.data.reading.missing import MISSING

if TYPE_CHECKING:
    import pyarrow as pa

EXACT = 2**53
"""Up to which whole numbers are exact as float64."""


def as_numbers(text: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any] | None:
    """Text as int64 or double where all of it is numbers, without loss; None where it is not.

    Whole numbers that begin with 0, such as 01234, and those beyond 2^53 are names of something. A
    column without values is of the type null.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if text.null_count == len(text):
        return pa.chunked_array([pa.nulls(len(text))])
    whole = _cast(text, pa.int64())
    if whole is not None:
        return whole if exact(whole) and not _begins_with_zero(text) else None
    real = _cast(text, pa.float64())
    if real is None or exact(real):
        return real
    large = text.filter(pc.greater_equal(pc.abs(real), pa.scalar(float(EXACT))))
    if pc.any(pc.match_substring_regex(large, r"^[-+]?\d+$")).as_py():
        return None
    return real


def exact(numbers: pa.ChunkedArray[Any]) -> bool:
    """Whether no number is beyond 2^53, where not every whole number is a float64."""
    import pyarrow.compute as pc

    ends: Any = pc.min_max(numbers)
    least, most = ends["min"].as_py(), ends["max"].as_py()
    return least is None or max(-least, most) <= EXACT


def cleaned(text: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    """Text, or a dictionary of it, as one dictionary, without stray spaces and missing words."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows: Any = text.unify_dictionaries().combine_chunks()
    if not pa.types.is_dictionary(text.type):
        rows = rows.dictionary_encode()
    trimmed = pc.utf8_trim_whitespace(rows.dictionary)
    missing = pc.is_in(trimmed, pa.array(MISSING))
    if pc.any(missing).as_py() or not trimmed.equals(rows.dictionary):
        words = trimmed.filter(pc.invert(missing)).unique()
        rows = pa.DictionaryArray.from_arrays(pc.index_in(trimmed, words).take(rows.indices), words)
    return pa.chunked_array([rows])


def as_numbers_or_names(text: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    """A column of text as numbers where nothing is lost by it; otherwise as a dictionary."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(text.type):
        numbers = as_numbers(text)
        if numbers is None and not (trimmed := pc.utf8_trim_whitespace(text)).equals(text):
            numbers = as_numbers(trimmed)
        if numbers is not None:
            return numbers
    names = cleaned(text)
    rows: Any = names.chunk(0)
    if not len(rows.dictionary):
        return pa.chunked_array([pa.nulls(len(rows))])
    numbers = as_numbers(pa.chunked_array([rows.dictionary]))
    return names if numbers is None else numbers.take(rows.indices)


def _cast(text: pa.ChunkedArray[Any], kind: pa.DataType) -> pa.ChunkedArray[Any] | None:
    import pyarrow as pa

    try:
        return text.cast(kind)
    except pa.ArrowInvalid:
        return None


def _begins_with_zero(text: pa.ChunkedArray[Any]) -> bool:
    """Whether a whole number begins with 0 and is not 0; hexadecimal ones do too."""
    import pyarrow as pa
    import pyarrow.compute as pc

    longer = pc.greater(pc.binary_length(text), pa.scalar(1))
    return bool(pc.any(pc.and_(pc.starts_with(text, "0"), longer)).as_py())
