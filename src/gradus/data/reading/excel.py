"""How the sheet of an Excel file becomes a table, by openpyxl.

Of the readers that are kept well, python-calamine is ten times as fast, but takes room at once for
all cells between the first and the last, and ends the process where there are too many: a small
file with a cell in the last corner does that. openpyxl reads a row after another.
"""

from __future__ import annotations

import datetime
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gradus.data.reading.contents import HEAD, check_contents
from gradus.data.reading.dialect import is_number, title_rows
from gradus.data.reading.missing import MISSING
from gradus.data.reading.source import Source, check_columns
from gradus.data.unpacking import check_unpacked, stored_size
from gradus.errors import InputError, quoted

if TYPE_CHECKING:
    import pyarrow as pa

MOST_CELLS = 20_000_000
"""A sheet of more is refused: each cell is an object of its own, which those of CSV are not."""

_ZIP = b"PK\x03\x04"
_MISSING = frozenset(MISSING)
_MIDNIGHT = datetime.time()


def read_excel(path: Path) -> Source:
    """Read the first sheet of an ``.xlsx`` file that holds anything.

    Dates, times and flags are what they are in the file; formulas what they were last computed to.
    A column of several kinds is text. Stray spaces and the words that mean missing are treated as
    those of text files.

    Raises:
        InputError: it cannot be read, is damaged, or openpyxl is not installed.
    """
    with _opened(path) as workbook:
        sheets = [sheet.title for sheet in workbook.worksheets]
        for sheet in workbook.worksheets:
            rows = _rows(path, sheet)
            if rows:
                break
        else:
            raise InputError(f"{path}: holds no cells; give names of columns and rows")
    shown = quoted(sheet.title, 60)
    notes = []
    if others := [quoted(title, 60) for title in sheets if title != sheet.title]:
        few = ", ".join(others[:5]) + (", .." if len(others) > 5 else "")
        notes.append(f"sheet {shown!r} is read, and not {few}")
    width = max(len(cells) for _, cells in rows)
    check_columns(path, width)
    titles = title_rows([[_written(c) for c in _padded(cells, width)] for _, cells in rows[:200]])
    if titles:
        title = quoted(_written(rows[0][1][0]), 40)
        notes.append(
            f"row {rows[0][0]} is a title: {title}"
            if titles == 1
            else f"{titles} rows are a title: {title}"
        )
    (number, head), rows = rows[titles], rows[titles + 1 :]
    names = [_written(cell) for cell in _padded(head, width)]
    if all(map(is_number, filter(None, names))):
        raise InputError(
            f"{path}: sheet {shown!r}, row {number}: numbers where the names of the columns are "
            "to stand; add a row of names"
        )
    arrow = _table(names, [cells for _, cells in rows])
    return Source(path, arrow, lambda row: f"sheet {shown!r}, row {rows[row][0]}", tuple(notes))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    stored = stored_size(path)
    try:
        import openpyxl
    except ImportError as error:
        raise InputError(
            f"{path}: Excel files are read by openpyxl, which is not installed; pip install "
            "'gradus[tables]', or save the sheet as CSV"
        ) from error
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it does not keep, as drop-down lists
            check_contents(path, file.read(HEAD), _ZIP)
            with zipfile.ZipFile(file) as parts:
                unpacked = sum(part.file_size for part in parts.infolist())
            check_unpacked(path, unpacked, stored, "save the sheet as CSV")
            yield openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"{path}: does not fit into the memory; save it as CSV") from error
    except Exception as error:  # what damage openpyxl stumbles over is not told by the class
        raise InputError(f"{path}: cannot be read as Excel ({quoted(error)})") from error


def _rows(path: Path, sheet: Any) -> list[tuple[int, list[Any]]]:
    """The rows that hold anything, each with its number in the sheet."""
    sheet.reset_dimensions()  # what a sheet says of its size may be wrong
    rows, total = [], 0
    for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
        total += max(len(row), 1)
        if total > MOST_CELLS:
            raise InputError(
                f"{path}: sheet {quoted(sheet.title, 60)!r} has more than {MOST_CELLS:,} cells; "
                "save it as CSV or Parquet"
            )
        cells = [_value(cell) for cell in row]
        while cells and cells[-1] is None:
            cells.pop()
        if cells:
            rows.append((number, cells))
    return rows


def _value(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    text = cell.strip()
    return None if text in _MISSING else text


def _padded(cells: list[Any], width: int) -> list[Any]:
    return cells + [None] * (width - len(cells))


def _table(names: list[str], rows: list[list[Any]]) -> pa.Table:
    """The table, without columns that have neither a name nor a value."""
    import pyarrow as pa

    kept, columns = [], []
    for at, name in enumerate(names):
        column = _column([row[at] if at < len(row) else None for row in rows])
        if name or column.null_count < len(rows):
            kept.append(name)
            columns.append(column)
    return pa.Table.from_arrays(columns, kept)


def _column(values: list[Any]) -> pa.Array[Any]:
    """Values as the one kind that all of them are of, or as text."""
    import pyarrow as pa

    kinds = {type(value) for value in values} - {type(None)}
    types: list[tuple[set[type], pa.DataType]] = [
        (set(), pa.null()),
        ({bool}, pa.bool_()),
        ({int}, pa.int64()),
        ({int, float}, pa.float64()),
        ({datetime.datetime, datetime.date}, pa.timestamp("us")),
        ({datetime.time}, pa.time64("us")),
        ({datetime.timedelta}, pa.duration("us")),
    ]
    for fitting, kind in types:
        if kinds <= fitting:
            try:
                return pa.array(values, kind)
            except (pa.ArrowInvalid, OverflowError):  # a whole number that int64 does not hold
                break
    written: Any = pa.array([None if value is None else _written(value) for value in values])
    return cast("pa.Array[Any]", written.dictionary_encode())


def _written(value: Any) -> str:
    """A cell as Excel shows it, nearly."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, datetime.datetime):
        return str(value.date() if value.time() == _MIDNIGHT else value)
    return str(value)
