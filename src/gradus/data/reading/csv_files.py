"""How a text file of separated fields is read: its encoding, its layout, then its rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gradus.data.reading.dialect import Dialect, dialect_of, is_number
from gradus.data.reading.quotes import CLOSE_IT, QuoteCheck
from gradus.data.reading.rows import Rows
from gradus.data.reading.source import Source, check_columns
from gradus.data.reading.text_files import TextFile
from gradus.errors import InputError

_BEGINNINGS = (2**16, 2**20, 2**24)
"""Bytes from which the layout is told: more where they hold less than a few rows."""

PIECE = 2**24
"""Bytes of a file that are one table where it is read in pieces."""


def read_csv(path: Path, separator: str | None = None) -> Source:
    """Read a text file of separated fields, with a line of names.

    Args:
        path: the file.
        separator: of the fields, one character; None: it is told by the beginning of the file.

    Raises:
        InputError: it cannot be read, is no text, or its rows are not of one length.
    """
    return _rows_of(path, separator).source()


def stream_csv(path: Path, separator: str | None = None) -> Iterator[Source]:
    """The same in pieces of rows, with no more in memory than one of them.

    A column may be numbers in one piece and text in another.
    """
    return _rows_of(path, separator).pieces(PIECE)


def _rows_of(path: Path, separator: str | None) -> Rows:
    """The rows of a file, once its encoding, its layout and its quotation marks are known."""
    file = TextFile.at(path)
    dialect = _dialect(file, separator)
    # What spaces stand before is no quotation mark to the check; then they are written again.
    quotes = None if dialect.spaced else QuoteCheck(dialect.separator)
    checked = file.checked(quotes)
    if checked.encoding != file.encoding:
        dialect = _dialect(checked, separator)
    file = checked
    if quotes is not None:
        _check_quotes(file, quotes)
    names = dialect.names
    check_columns(path, len(names))
    if all(map(is_number, names)):
        raise InputError(
            f"{path}, line {dialect.names_line}: numbers where the names of the columns are to "
            "stand; add a line of names"
        )
    return Rows(
        path,
        lambda: file.open(dialect.start),
        dialect,
        dialect.line,
        file.size,
        quotes is None or quotes.multiline,
        quotes is None or quotes.plain,
        (*file.notes, *dialect.notes),
    )


def _dialect(file: TextFile, separator: str | None) -> Dialect:
    for size in _BEGINNINGS:
        text, whole = file.beginning(size)
        if whole or text.count("\n") + text.count("\r") > 2:
            break
    if whole and not text.strip():
        raise InputError(f"{file.path}: the file is empty; give names of columns and rows")
    return dialect_of(text, whole, separator)


def _check_quotes(file: TextFile, quotes: QuoteCheck) -> None:
    if quotes.torn is not None:
        opens, closes = map(file.line_at, quotes.torn)
        raise InputError(
            f"{file.path}, line {opens}: a quotation mark opens a field and closes in line "
            f"{closes}, in the midst of another; {CLOSE_IT}"
        )
    if quotes.never_closed is not None:
        raise InputError(
            f"{file.path}, line {file.line_at(quotes.never_closed)}: a quotation mark opens a "
            f"field and never closes; {CLOSE_IT}"
        )
