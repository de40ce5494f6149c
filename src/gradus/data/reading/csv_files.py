"""How a text file of separated fields becomes a table, by pyarrow's reader.

What is said of a value here: stray spaces around it are removed, in quotation marks too; the words
of ``gradus.data.reading.missing`` mean that there is none. A column is int64 or double where that
loses nothing of its text, and text otherwise: what dates, flags, percentages and numbers with units
mean is not decided here. 01234 and whole numbers beyond 2^53 are text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gradus.data.reading.dialect import SEPARATORS, Dialect, dialect_of, is_number
from gradus.data.reading.lossless import as_numbers_or_names, cleaned, exact
from gradus.data.reading.missing import MISSING_WITH_SPACE
from gradus.data.reading.quotes import CLOSE_IT, QuoteCheck
from gradus.data.reading.respacing import Respaced
from gradus.data.reading.source import Source, check_columns
from gradus.data.reading.text_files import TextFile
from gradus.errors import InputError, quoted

if TYPE_CHECKING:
    from typing import BinaryIO

    import pyarrow as pa

_Done = Literal["skip", "error"]

_BLOCKS = (2**20, 2**25, 2**31 - 1)
"""Bytes that pyarrow parses at once: more where a row is longer than that."""

_BEGINNINGS = (2**16, 2**20, 2**24)
"""Bytes from which the layout is told: more where they hold less than a few rows."""


def read_csv(path: Path) -> Source:
    """Read a text file of separated fields, with a line of names.

    Raises:
        InputError: it cannot be read, is no text, or its rows are not of one length.
    """
    return rows_of(path).source()


def rows_of(path: Path) -> Rows:
    """The rows of a file, once its encoding, its layout and its quotation marks are known."""
    file = TextFile.at(path)
    dialect = _dialect(file)
    # What spaces stand before is no quotation mark to the check; then the rows are respaced.
    quotes = None if dialect.spaced else QuoteCheck(dialect.separator)
    checked = file.checked(quotes)
    if checked is not file:
        file, dialect = checked, _dialect(checked)
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
        quotes is None or quotes.multiline,
        (*file.notes, *dialect.notes),
    )


@dataclass(frozen=True)
class Rows:
    """Rows of a text file, without the names before them.

    Attributes:
        path: the file.
        open: gives their bytes, in UTF-8.
        dialect: how they are laid out.
        line: the line, from 1, in which the first stands.
        multiline: whether any has a quoted field of several lines.
        notes: what was guessed of the file.
    """

    path: Path
    open: Callable[[], BinaryIO]
    dialect: Dialect
    line: int
    multiline: bool
    notes: tuple[str, ...]

    def source(self) -> Source:
        """The rows as a table."""
        import pyarrow as pa

        try:
            columns = self._columns()
        except (pa.ArrowException, MemoryError) as error:
            raise self._refusal(error) from error
        names, notes = list(self.dialect.names), list(self.notes)
        while not names[-1] and pa.types.is_null(columns[-1].type) and len(names) > 1:
            names.pop()
            columns.pop()
        if (empty := len(self.dialect.names) - len(names)) > 1:
            notes.append(f"the last {empty} columns, without name and values, are left out")
        elif empty:
            notes.append("the last column, without name and values, is left out")
        elif self.dialect.trailing:
            row = columns[-1].is_valid().index(True).as_py()
            raise self._ragged(row, len(names) - 1, len(names))
        arrow = pa.Table.from_arrays(columns, names)
        return Source(self.path, arrow, self.place, tuple(notes), read_text=self.text)

    def text(self, column: int) -> pa.ChunkedArray[Any]:
        """A column as a dictionary of the text that stands in the file."""
        import pyarrow as pa

        return cleaned(self._read({str(column): pa.string()}, [column]).column(0))

    def place(self, row: int) -> str:
        """Where the row of a number (from 0) starts; blank lines and quoted breaks count."""
        try:
            line = next(islice(self._lines(), row, None), None)
        except csv.Error:  # a field longer than the module takes
            line = None
        return f"row {row + 1}" if line is None else f"line {line}"

    def _lines(self) -> Iterator[int]:
        """The line in which each row starts."""
        fields = len(self.dialect.names)
        with io.TextIOWrapper(self.open(), encoding="utf-8", newline="") as text:
            if not self.multiline:
                separator = self.dialect.separator
                for line, content in enumerate(text, self.line):
                    spaces = content.strip("\r\n")
                    if content.strip() or (spaces and spaces.count(separator) + 1 == fields):
                        yield line
                return
            reader = csv.reader(
                text,
                delimiter=self.dialect.separator,
                skipinitialspace=self.dialect.spaced,
            )
            line = self.line
            for record in reader:
                if any(map(str.strip, record)) or (record and len(record) == fields):
                    yield line
                line = self.line + reader.line_num

    def _refusal(self, error: BaseException) -> InputError:
        """Why the rows cannot be read."""
        ragged = self._first_ragged() if "parse error" in str(error) else None
        if ragged is None:
            return InputError(f"{self.path}: cannot be read as CSV ({quoted(error)})")
        return self._ragged(*ragged)

    def _first_ragged(self) -> tuple[int, int, int] | None:
        """The first row of another length, the length that it should have, and its own."""
        import pyarrow as pa

        found: list[tuple[int, int, int]] = []
        spaces = 0

        def handle(row: Any) -> _Done:
            nonlocal spaces
            if _is_space(row):
                spaces += 1
                return "skip"
            found.append((row.number - 1 - spaces, row.expected_columns, row.actual_columns))
            return "error"

        with suppress(pa.ArrowInvalid), self._stream() as stream:
            self._parse(stream, _BLOCKS[-1], handle, threads=False)
        return found[0] if found else None

    def _ragged(self, row: int, expected: int, actual: int) -> InputError:
        line = self.dialect.names_line
        names = "the first line" if line == 1 else f"line {line}"
        separator = SEPARATORS[self.dialect.separator]
        return InputError(
            f"{self.path}, {self.place(row)}: {actual} fields where {names} names {expected} "
            f"columns; give every row {expected} (text with {separator} goes into double quotes, "
            '")'
        )

    def _stream(self) -> BinaryIO:
        """The rows as pyarrow is to see them."""
        if not self.dialect.spaced:
            return self.open()
        return io.BufferedReader(
            Respaced(self.path, self.open(), self.dialect.separator, self.line)
        )

    def _columns(self) -> list[pa.ChunkedArray[Any]]:
        import pyarrow as pa

        types = self._types()
        if types is None:
            return [pa.chunked_array([pa.nulls(0)])] * len(self.dialect.names)
        try:
            columns = self._read(types).columns
        except pa.ArrowInvalid as error:
            if "conversion error" not in str(error):
                raise
            # What looked like real numbers at the beginning is something else further on.
            types = {
                name: kind if pa.types.is_dictionary(kind) else pa.string()
                for name, kind in types.items()
            }
            columns = self._read(types).columns
        inexact = []
        for at, column in enumerate(columns):
            if not pa.types.is_floating(column.type):
                columns[at] = as_numbers_or_names(column)
            elif not exact(column):
                inexact.append(at)
        if inexact:
            again = self._read({str(at): pa.string() for at in inexact}, inexact).columns
            for at, column in zip(inexact, again, strict=True):
                columns[at] = as_numbers_or_names(column)
        return columns

    def _types(self) -> dict[str, pa.DataType] | None:
        """How pyarrow is to read each column, after the first rows; None where there are none.

        Types that are given make it twice as fast as those that it has to find, in less than half
        of the memory. Whole numbers are read as text, for the zeros that may stand before them.
        """
        import pyarrow as pa

        with self._stream() as stream:
            sample = stream.read(_BLOCKS[0])
        if not sample:
            return None
        rows = sample[: max(sample.rfind(b"\n"), sample.rfind(b"\r")) + 1] or sample
        names: pa.DataType = pa.dictionary(pa.int32(), pa.string())
        try:
            fields = self._parse(io.BytesIO(rows), 2 * len(rows), _skip).schema
        except pa.ArrowInvalid:  # it is refused where the whole is read, or is one row's beginning
            return {str(at): pa.string() for at in range(len(self.dialect.names))}
        return {
            field.name: field.type
            if pa.types.is_floating(field.type)
            else pa.string()
            if pa.types.is_integer(field.type) or pa.types.is_null(field.type)
            else names
            for field in fields
        }

    def _read(self, types: dict[str, pa.DataType], columns: list[int] | None = None) -> pa.Table:
        """The rows with columns of these types; those alone whose numbers are given."""
        import pyarrow as pa

        for block in _BLOCKS:
            try:
                with self._stream() as stream:
                    return self._parse(stream, block, _refuse, types, columns)
            except pa.ArrowInvalid as error:
                if "straddl" not in str(error) or block == _BLOCKS[-1]:
                    raise
        raise AssertionError

    def _parse(
        self,
        stream: BinaryIO,
        block: int,
        invalid: Callable[[Any], _Done],
        types: dict[str, pa.DataType] | None = None,
        columns: list[int] | None = None,
        threads: bool = True,
    ) -> pa.Table:
        import pyarrow.csv

        return pyarrow.csv.read_csv(
            stream,
            read_options=pyarrow.csv.ReadOptions(
                block_size=block,
                column_names=[str(at) for at in range(len(self.dialect.names))],
                use_threads=threads,
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=self.dialect.separator,
                newlines_in_values=self.multiline,
                invalid_row_handler=invalid,
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=types,
                include_columns=None if columns is None else [str(at) for at in columns],
                null_values=list(MISSING_WITH_SPACE),
                strings_can_be_null=True,
            ),
        )


def _is_space(row: Any) -> bool:
    """Whether a row of another length is a line of spaces, which is no row."""
    return not row.text.strip()


def _skip(row: Any) -> _Done:
    return "skip"


def _refuse(row: Any) -> _Done:
    return "skip" if _is_space(row) else "error"


def _dialect(file: TextFile) -> Dialect:
    for size in _BEGINNINGS:
        text, whole = file.beginning(size)
        if whole or text.count("\n") + text.count("\r") > 2:
            break
    if whole and not text.strip():
        raise InputError(f"{file.path}: the file is empty; give names of columns and rows")
    return dialect_of(text, whole)


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
