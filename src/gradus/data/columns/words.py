"""The distinct texts of a column: what is guessed from all values is guessed from these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class Words:
    """A column of text, each of its words once.

    Attributes:
        distinct: the words that stand in any row. A dictionary from a file may hold one twice.
        rows: int32 ``[N]``: which of them stands in each row, -1 where none does.
        counts: int64: in how many rows each word stands.
    """

    distinct: pa.StringArray
    rows: NDArray[np.int32]
    counts: NDArray[np.int64]

    @property
    def present(self) -> int:
        """How many rows hold a word."""
        return int(self.counts.sum())

    def some(self, most: int) -> pa.StringArray:
        """So many of the words, from all over the column."""
        places = np.linspace(0, max(len(self.distinct) - 1, 0), most).astype(np.int64)
        return self.distinct.take(np.unique(places)[: len(self.distinct)])

    def at(self, row: int) -> str:
        """The word of a row that holds one."""
        return str(self.distinct[int(self.rows[row])])

    def each(self, values: NDArray[Any], missing: Any) -> NDArray[Any]:
        """What the words mean, row by row: ``values`` has one entry a word."""
        return np.append(values, np.array([missing], values.dtype))[self.rows]


def words_of(content: pa.ChunkedArray[Any], missing: NDArray[np.bool_] | None = None) -> Words:
    """The words of text, encoded as a dictionary or not; a blank one is a missing value.

    Args:
        content: strings, or a dictionary of them.
        missing: bool ``[N]``: rows that hold no value whatever stands there.

    Example:
        >>> import pyarrow as pa
        >>> words = words_of(pa.chunked_array([["red", None, " "], ["blue", "red"]]))
        >>> words.distinct.to_pylist(), words.rows.tolist(), words.counts.tolist()
        (['red', 'blue'], [0, -1, -1, 1, 0], [2, 1])
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string_view(content.type):  # which Arrow cannot encode
        content = content.cast(pa.string())
    if not pa.types.is_dictionary(content.type):
        content = content.dictionary_encode()
    whole = content.unify_dictionaries().combine_chunks()
    encoded = cast("pa.DictionaryArray[Any, Any]", whole)
    places = encoded.indices.cast(pa.int32())  # Polars counts them without a sign
    rows = np.asarray(places.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int32)
    if missing is not None:
        rows = np.where(missing, np.int32(-1), rows)
    distinct = cast("pa.StringArray", encoded.dictionary.cast(pa.string()))
    counts = np.bincount(rows + 1, minlength=len(distinct) + 1)[1:]
    letters = pc.utf8_length(pc.utf8_trim_whitespace(distinct)).fill_null(0)
    used = (letters.to_numpy() > 0) & (counts > 0)
    if not used.all():
        place = np.where(used, np.cumsum(used, dtype=np.int32) - 1, np.int32(-1))
        rows = np.append(place, np.int32(-1))[rows]
        distinct = distinct.filter(pa.array(used))
    return Words(distinct, rows, counts[used])
