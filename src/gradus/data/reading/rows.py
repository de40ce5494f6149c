"""How rows of separated fields become a table, by pyarrow's reader.

What is said of a value here: stray spaces around it are removed, in quotation marks too; the words
of ``gradus.data.reading.missing`` mean that there is none. A column is int64 or double where that
loses nothing of its text, and text otherwise: what dates, flags, percentages and numbers with units
mean is not decided here. 01234 and whole numbers beyond 2^53 are text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gradus.data.reading.dialect import SEPARATORS, Dialect
from gradus.data.reading.lossless import as_numbers_or_names, cleaned, exact
from gradus.data.reading.missing import MISSING_WITH_SPACE
from gradus.data.reading.rewriting import Rewritten
from gradus.data.reading.source import Source
from gradus.data.reading.text_files import BLOCK, in_blocks, line_ends
from gradus.data.side_by_side import side_by_side
from gradus.errors import InputError, quoted

if TYPE_CHECKING:
    from typing import BinaryIO

    import pyarrow as pa

_Done = Literal["skip", "error"]


def _is_space(row: Any) -> bool:
    """Whether a row of another length is a line of spaces, which is no row."""
    return not row.text.strip()


def _skip(row: Any) -> _Done:
    return "skip"


def _refuse(row: Any) -> _Done:
    return "skip" if _is_space(row) else "error"


@dataclass(frozen=True)
class Rows:
    """Rows of a text file, without the names before them.

    Attributes:
        path: the file.
        open: gives their bytes, in UTF-8.
        dialect: how they are laid out.
        line: the line, from 1, in which the first stands.
        size: how many bytes they have, about.
        multiline: whether any has a quoted field of several lines.
        regular: whether each quotation mark opens or closes a field, or stands beside another.
        notes: what was guessed of the file.
    """

    path: Path
    open: Callable[[], BinaryIO]
    dialect: Dialect
    line: int
    size: int
    multiline: bool
    regular: bool
    notes: tuple[str, ...]
    before: int = 0
    """How many rows of the file stand before these."""
    kinds: Mapping[str, pa.DataType] | None = None
    """How pyarrow is to read each column, after the rows before; None: it is told by the first."""

    def pieces(self, size: int) -> Iterator[Source]:
        """The rows as tables one after another, of about so many bytes of the file each."""
        rows = replace(self, dialect=replace(self.dialect, spaced=False))
        with self._stream(rewritten=self.multiline and not self.regular) as stream:
            left, last = b"", False
            while not last:
                read = stream.read(size)
                last = len(read) < size
                content = left + read
                end = len(content) if last else _last_row_end(content, self.multiline)
                piece, left = content[:end], content[end:]
                rows = replace(rows, open=partial(io.BytesIO, piece), size=len(piece))
                source = rows.source()
                yield source
                rows = replace(
                    rows,
                    line=rows.line + line_ends(piece),
                    before=rows.before + source.arrow.num_rows,
                    kinds=self._kinds(source.arrow) or rows.kinds,
                )

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
        return f"row {self.before + row + 1}" if line is None else f"line {line}"

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
        spaces: set[int] = set()

        def handle(row: Any) -> _Done:
            if _is_space(row):
                spaces.add(row.number)
                return "skip"
            found.append((row.number - 1, row.expected_columns, row.actual_columns))
            return "error"

        with suppress(pa.ArrowInvalid):
            self._read(invalid=handle, threads=False)
        if not found:
            return None
        row, expected, actual = found[0]
        return row - len(spaces), expected, actual

    def _ragged(self, row: int, expected: int, actual: int) -> InputError:
        line = self.dialect.names_line
        names = "the first line" if line == 1 else f"line {line}"
        separator = SEPARATORS[self.dialect.separator]
        return InputError(
            f"{self.path}, {self.place(row)}: {actual} fields where {names} names {expected} "
            f"columns; give every row {expected} (text with {separator} goes into double quotes, "
            '")'
        )

    def _stream(self, rewritten: bool = False) -> BinaryIO:
        """The rows as pyarrow is to see them."""
        if not (rewritten or self.dialect.spaced):
            return self.open()
        return io.BufferedReader(
            Rewritten(self.path, self.open(), self.dialect.separator, self.line)
        )

    def _columns(self) -> list[pa.ChunkedArray[Any]]:
        import pyarrow as pa

        types = self._types() if self.kinds is None else dict(self.kinds)
        if types is None:
            return [pa.chunked_array([pa.nulls(0)])] * len(self.dialect.names)
        try:
            columns = self._read(types).columns
        except pa.ArrowInvalid as error:
            if "conversion error" not in str(error):
                raise
            if self.kinds is not None:
                return replace(self, kinds=None)._columns()
            # What looked like real numbers at the beginning is something else further on.
            types = {
                name: kind if pa.types.is_dictionary(kind) else pa.string()
                for name, kind in types.items()
            }
            columns = self._read(types).columns
        inexact = [
            at
            for at, column in enumerate(columns)
            if pa.types.is_floating(column.type) and not exact(column)
        ]
        if inexact:
            again = self._read({str(at): pa.string() for at in inexact}, inexact).columns
            for at, column in zip(inexact, again, strict=True):
                columns[at] = column

        def settle(at: int) -> None:
            if not pa.types.is_floating(columns[at].type):
                columns[at] = as_numbers_or_names(columns[at])

        side_by_side(settle, range(len(columns)))
        return columns

    def _kinds(self, arrow: pa.Table) -> dict[str, pa.DataType] | None:
        """How rows behind those of a table are to be read, as ``_types`` says it of these."""
        import pyarrow as pa

        kinds: dict[str, pa.DataType] = {
            str(at): pa.string() for at in range(len(self.dialect.names))
        }
        for at, column in enumerate(arrow.columns):
            if pa.types.is_floating(column.type):
                kinds[str(at)] = column.type
            elif pa.types.is_dictionary(column.type):
                kinds[str(at)] = pa.dictionary(pa.int32(), pa.string())
        return kinds if arrow.num_rows else None

    def _types(self) -> dict[str, pa.DataType] | None:
        """How pyarrow is to read each column, after the first rows; None where there are none.

        Types that are given make it twice as fast as those that it has to find, in less than half
        of the memory. Whole numbers are read as text, for the zeros that may stand before them.
        """
        import pyarrow as pa

        with self._stream() as stream:
            sample = stream.read(BLOCK)
        if not sample:
            return None
        rows = sample[: max(sample.rfind(b"\n"), sample.rfind(b"\r")) + 1] or sample
        names: pa.DataType = pa.dictionary(pa.int32(), pa.string())
        try:
            fields = self._parse(io.BytesIO(rows), len(rows) + 1, _skip).schema
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

    def _read(
        self,
        types: dict[str, pa.DataType] | None = None,
        columns: list[int] | None = None,
        invalid: Callable[[Any], _Done] = _refuse,
        threads: bool = True,
    ) -> pa.Table:
        """The rows with columns of these types; those alone whose numbers are given."""

        def parse(block: int) -> pa.Table:
            with self._stream() as stream:
                return self._parse(stream, block, invalid, types, columns, threads)

        return in_blocks(parse, self.size)

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


def _last_row_end(content: bytes, multiline: bool) -> int:
    """Where the last complete row ends, all of whose quotation marks are regular."""
    line_end = b"\n" if b"\n" in content else b"\r"
    end = content.rfind(line_end) + 1
    if multiline:
        inside = content.count(b'"', 0, end) % 2
        while end and inside:
            before = content.rfind(line_end, 0, end - 1) + 1
            inside ^= content.count(b'"', before, end) % 2
            end = before
    return end
