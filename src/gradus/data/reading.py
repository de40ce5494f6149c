"""How a CSV or Parquet file becomes columns of numbers, booleans and text."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from gradus.data.unpacking import check_unpacked, stored_size
from gradus.errors import InputError, brief, quoted

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MOST_COLUMNS = 50_000
"""A table of more is refused: each column is an object of its own, which arrays are not."""

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")
_LARGEST_BLOCK = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Column:
    """One column of a table.

    Args:
        name: its name.
        kind: number (float64, NaN where missing), bool (the same, of 0 and 1), text (None where
            missing) or category (values like those of number or text, taken as names).
        values: ``[N]``.
        missing: bool ``[N]``.
    """

    name: str
    kind: Literal["number", "bool", "text", "category"]
    values: NDArray[Any]
    missing: NDArray[np.bool_]

    def rows(self, kept: NDArray[np.bool_]) -> Column:
        """The column without the rows that are not kept."""
        return Column(self.name, self.kind, self.values[kept], self.missing[kept])


@dataclass(frozen=True, eq=False)
class Source:
    """A table as its file holds it.

    Args:
        path: the file.
        arrow: its content.
        place: where the row of a number (from 0) stands, as a user finds it: "line 7".
        text: names of columns of plain text that arrow holds as dictionaries.
    """

    path: Path
    arrow: pa.Table
    place: Callable[[int], str]
    text: frozenset[str] = frozenset()

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.arrow.column_names)

    def column(self, name: str, *, categorical: bool = False) -> Column:
        """One column as numbers, booleans or text; as names where it is categorical.

        Raises:
            InputError: it holds dates, lists, bytes or anything else that is none of these.
        """
        import pyarrow as pa

        try:
            column = self._column(name, categorical)
        except (pa.ArrowException, ValueError, MemoryError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{self.path}: column {brief(name)!r} cannot be read ({quoted(error)}); mend "
                f"it, or use --drop {quoted(name, 60)}"
            ) from error
        if column is None:
            kind = quoted(str(self.arrow.schema.field(name).type), 60)
            raise InputError(
                f"{self.path}: column {brief(name)!r} holds {kind}; numbers, booleans and text can "
                f"be used, so turn it into one of them or use --drop {quoted(name, 60)}"
            )
        return column

    def _column(self, name: str, categorical: bool) -> Column | None:
        import pyarrow as pa

        content = self.arrow[name].unify_dictionaries().combine_chunks()
        kind = content.type
        if pa.types.is_dictionary(kind):
            categorical = categorical or name not in self.text
            if _is_text(kind.value_type):
                # A word that stands in many rows is one object, however long it is.
                rows = cast("pa.DictionaryArray[Any, Any]", content)
                words = np.append(rows.dictionary.to_numpy(zero_copy_only=False), [None])
                values = words[rows.indices.fill_null(-1).to_numpy()]
                missing = rows.is_null().to_numpy(zero_copy_only=False)
                return Column(name, "category" if categorical else "text", values, missing)
            content, kind = content.cast(kind.value_type), kind.value_type
        if pa.types.is_temporal(kind):
            if not categorical:
                shown = quoted(name, 60)
                raise InputError(
                    f"{self.path}: column {brief(name)!r} holds dates or times ({kind}); turn it "
                    f"into numbers, or use --drop {shown} or --categorical {shown}"
                )
            content, kind = content.cast(pa.string()), pa.string()
        if pa.types.is_boolean(kind) and categorical:
            content, kind = content.cast(pa.string()), pa.string()
        missing = content.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
        if pa.types.is_boolean(kind) or pa.types.is_null(kind):
            flags = content.cast(pa.int8()).cast(pa.float64())
            return Column(name, "bool", flags.to_numpy(zero_copy_only=False), missing)
        if pa.types.is_integer(kind) and categorical:
            # Identifiers of 64 bits are no more exact as numbers.
            whole = content.fill_null(0).to_numpy(zero_copy_only=False)
            return Column(name, "category", whole, missing)
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            values = content.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
            return Column(name, "category" if categorical else "number", values, missing)
        if _is_text(kind):
            values = content.to_numpy(zero_copy_only=False)
            return Column(name, "category" if categorical else "text", values, missing)
        return None


def read_source(path: Path) -> Source:
    """Read a ``.parquet`` file, or a CSV file (UTF-8, comma-separated, names in the first line).

    Raises:
        InputError: the file cannot be read, is damaged or empty, or two columns share a name.
    """
    source = _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path)
    names = source.names
    repeated = [(name, count) for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise InputError(
            f"{path}: {repeated[0][1]} columns are named {brief(repeated[0][0])!r}; "
            "give each a name of its own"
        )
    if source.arrow.num_rows == 0:
        raise InputError(f"{path}: names of columns but no rows; at least two rows are needed")
    return source


def _parquet(path: Path) -> Source:
    import pyarrow as pa
    import pyarrow.parquet

    stored = stored_size(path)
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            _check_columns(path, file.metadata.num_columns)
            unpacked = _unpacked_size(file.metadata)
            schema = file.schema_arrow
        remedy = 'write it again by pyarrow with use_dictionary=False, compression="none"'
        check_unpacked(path, unpacked, stored, remedy)
        text = [field.name for field in schema if _is_text(field.type)]
        flat = [field.name for field in schema if not pa.types.is_nested(field.type)]
        # Text is kept as it mostly stands there, each word once: a short file may repeat a long
        # one. Lists and the like, which no row of x can be made of, are not unpacked at all.
        with pyarrow.parquet.ParquetFile(path, read_dictionary=text) as file:
            arrow = file.read(columns=flat if len(flat) < len(schema) else None)
        for at, field in enumerate(schema):
            if pa.types.is_nested(field.type):
                arrow = arrow.add_column(at, field, pa.nulls(arrow.num_rows, field.type))
        arrow.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read as Parquet ({quoted(error)})") from error
    used = [name for name in arrow.column_names if not _PANDAS_INDEX.fullmatch(name)]
    if len(used) < arrow.num_columns:
        arrow = arrow.select(used)
    return Source(path, arrow, lambda row: f"row {row + 1}", frozenset(text))


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _check_columns(path: Path, columns: int) -> None:
    if columns > MOST_COLUMNS:
        raise InputError(
            f"{path}: {columns:,} columns, more than {MOST_COLUMNS:,}; give so many as an array, "
            "in a .npz file"
        )


def _unpacked_size(metadata: pq.FileMetaData) -> int:
    """About how many bytes flat columns have in the memory, after what the file says of itself."""
    # What it says of single columns is not asked for: damage there ends the process in pyarrow.
    groups = [metadata.row_group(at).total_byte_size for at in range(metadata.num_row_groups)]
    return max(8 * metadata.num_rows * metadata.num_columns, sum(groups))


def _csv(path: Path) -> Source:
    import pyarrow as pa
    import pyarrow.csv

    stored_size(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if not content.strip():
        raise InputError(f"{path}: the file is empty; give names of columns and rows")
    _check_columns(path, 1 + re.split(rb"[\r\n]", content, maxsplit=1)[0].count(b","))
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8; save the file "
            "as UTF-8"
        ) from error

    def read(**how: Any) -> pa.Table:
        return pyarrow.csv.read_csv(
            io.BytesIO(content),
            # One block: the type of a column follows from all of its values, not from the first.
            read_options=pyarrow.csv.ReadOptions(
                block_size=min(len(content) + 1, _LARGEST_BLOCK),
                use_threads=not how,
            ),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, **how),
            convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True),
        )

    ragged: list[tuple[int, int, int]] = []

    def skip(row: Any) -> str:
        ragged.append((row.number, row.expected_columns, row.actual_columns))
        return "skip"

    try:
        arrow = read()
    except pa.ArrowInvalid as error:
        try:
            read(invalid_row_handler=skip)
        except pa.ArrowInvalid:
            ragged.clear()
        if not ragged:
            raise InputError(f"{path}: cannot be read as CSV ({quoted(error)})") from error
        number, expected, actual = ragged[0]
        raise InputError(
            f"{path}, {_line(content, number - 2)}: {actual} fields where the first line names "
            f"{expected} columns; give every row {expected} (text with commas goes into "
            'double quotes, ")'
        ) from error
    if arrow.num_columns == 1 and (other := re.search(r"[;\t|]", arrow.column_names[0])):
        raise InputError(
            f"{path}, line 1: one column, with {other[0]!r} in its name; separate fields by commas"
        )
    if all(_is_plain_number(name) for name in arrow.column_names):
        raise InputError(
            f"{path}, line 1: numbers where the names of the columns are to stand; add a line of "
            "names"
        )
    return Source(path, arrow, lambda row: _line(content, row))


def _line(content: bytes, row: int) -> str:
    """Where the data row of a number (from 0) starts; blank lines and quoted breaks count."""
    reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    start, seen = 1, -2
    try:
        for fields in reader:
            seen += bool(fields)
            if seen == row:
                break
            start = reader.line_num + 1
    except csv.Error:  # a field longer than the module takes
        return f"row {row + 1}"
    return f"line {start}"


def _is_plain_number(name: str) -> bool:
    return re.fullmatch(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", name) is not None
