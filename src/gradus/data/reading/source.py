"""A table as its file holds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gradus.data.reading.kinds import is_text
from gradus.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

MOST_COLUMNS = 50_000
"""A table of more is refused: each column is an object of its own, which arrays are not."""


@dataclass(frozen=True, eq=False)
class Source:
    """A table as its file holds it, or some rows of it.

    Attributes:
        path: the file.
        arrow: its content. Text is a dictionary (of int32, each word once). A text file has int64
            and double where nothing is lost by it, null where a column has no values, and else
            text; other files have the types that they declare.
        place: where the row of a number (from 0) stands, as a user finds it: "line 7".
        notes: what was guessed of the file, in words, to be said to the user.
        categories: names of the columns that the file itself declares to be categories.
        decimal: what stands before the fraction of a number that is text, where the user says so.
    """

    path: Path
    arrow: pa.Table
    place: Callable[[int], str]
    notes: tuple[str, ...] = ()
    categories: frozenset[str] = frozenset()
    decimal: Literal[",", "."] | None = None
    read_text: Callable[[int], pa.ChunkedArray[Any]] | None = None
    """Reads a column of a number again as the text that stands in the file, where it is text."""
    _texts: dict[str, pa.ChunkedArray[Any]] = field(default_factory=dict, repr=False)

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.arrow.column_names)

    def text(self, name: str) -> pa.ChunkedArray[Any]:
        """A column as a dictionary of text, as it stands in the file; null where it is missing.

        Numbers of a text file are read again; those of another file are written so that nothing
        of them is lost.

        Raises:
            pyarrow.ArrowException: its type, as lists, cannot be written as text.
        """
        if name not in self._texts:
            self._texts[name] = self._as_text(name)
        return self._texts[name]

    def _as_text(self, name: str) -> pa.ChunkedArray[Any]:
        import pyarrow as pa

        column = self.arrow[name]
        if pa.types.is_dictionary(column.type):
            if is_text(column.type.value_type):
                return column
            column = column.cast(column.type.value_type)
        if self.read_text is not None and not is_text(column.type):
            return self.read_text(self.names.index(name))
        return column.cast(pa.string()).dictionary_encode()


def check_columns(path: Path, columns: int) -> None:
    """Refuse a table of too many columns."""
    if columns > MOST_COLUMNS:
        raise InputError(
            f"{path}: {columns:,} columns, more than {MOST_COLUMNS:,}; give so many as an array, "
            "in a .npz file"
        )


def rows_of_piece(columns: int) -> int:
    """How many rows are one table where a file is read in pieces: some 32 MB of numbers."""
    return max(2**22 // max(columns, 1), 2**10)
