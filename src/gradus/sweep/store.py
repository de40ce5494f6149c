"""Where the runs of a sweep are kept: files that are whole or absent at every moment."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gradus.engine.selection import rises
from gradus.errors import InputError
from gradus.runs.files import open_plain, own_folder, write_whole
from gradus.runs.record_tables import EVALUATION, HISTORY
from gradus.sweep import earlier
from gradus.sweep.measures import FINISHED
from gradus.sweep.result import OPTIONS, RUNS, Columns, Result, row, with_scores

FORMAT = 2
"""Of the files; a store with a higher one is refused."""

FORMAT_KEY, ROWS_KEY = b"gradus.format", b"gradus.runs"

SMALL = 65_536
"""Rows of a history below which a part is small."""

SMALL_PARTS = 16
"""How many small parts there are before they become one."""

RUN = pa.field("run", pa.dictionary(pa.int32(), pa.string()), nullable=False)
PARTS = {"evaluation": pa.schema([RUN, *EVALUATION]), "history": pa.schema([RUN, *HISTORY])}
"""The tables that are kept in parts, in the order in which they are written."""

WHOLE = ("run", "status", "part", "spec")
"""Columns of runs.parquet in which every row has a value."""

UNREADABLE = (OSError, pa.ArrowException, ValueError, KeyError)
"""What reading a damaged file raises."""


class Store:
    """The runs of a sweep that have ended, opened by the one process that adds to them.

    ``runs.parquet`` holds a row for every run and is replaced whole at every commit. Histories and
    evaluations stand in numbered parts, which are written before the row that refers to them and
    never changed; many small ones become a larger one. Every part holds the rows of its runs too,
    so that what a crash left between the two is taken up, and a damaged ``runs.parquet`` is made
    again.

    Opening reads everything once. Runs whose part is damaged are forgotten, so that they are
    trained again; the damaged file is kept under another name.

    Args:
        folder: of the sweep.

    Attributes:
        runs: a row for every run.
        damage: one sentence for everything that was found damaged.

    Raises:
        InputError: the store was written by a newer version, or the folder cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store = Store(Path(folder))
        ...     len(store.finished()), store.damage
        (0, [])
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damage: list[str] = []
        self.runs = RUNS.empty_table()
        for kind in PARTS:
            own_folder(folder / kind)
        self._sizes: dict[int, int] = {}
        self._next = 1
        self._open()

    def finished(self) -> set[str]:
        """The ids of the runs that are kept."""
        return set(listed(self.runs, "run"))

    def add(self, results: Sequence[Result]) -> None:
        """Keep these runs: all of them or, where it fails, none.

        Raises:
            InputError: a file cannot be written; what was kept before is kept still.
        """
        part, small = self._next, self._to_join()
        new = [row(result, part) for result in results]
        schema = with_scores(RUNS, {name for each in new for name in each})
        rows = pa.Table.from_pylist(new, schema=schema)
        if small:
            joined = np.isin(self.runs["part"].to_numpy(), small)
            rows = _together([_in_part(self.runs.filter(joined), part), rows])
            kept = _together([self.runs.filter(~joined), rows])
        else:
            kept = _together([self.runs, rows])
        self._next += 1
        for kind, schema in PARTS.items():
            parts = [_read(_path(self.folder, kind, number)) for number in small]
            content = _stacked(results, kind, schema)
            table = _together([*parts, content]).unify_dictionaries()
            self._write(_path(self.folder, kind, part), table, rows)
        self._write(self.folder / "runs.parquet", kept.combine_chunks())
        self.runs = kept
        self._sizes[part] = table.num_rows
        for number in small:
            self._remove(number)

    def _to_join(self) -> list[int]:
        """The small parts, once there are many of them."""
        small = [number for number, rows in self._sizes.items() if rows < SMALL]
        return small if len(small) >= SMALL_PARTS else []

    def _write(self, path: Path, table: pa.Table, rows: pa.Table | None = None) -> None:
        metadata = {FORMAT_KEY: str(FORMAT).encode()}
        if rows is not None:
            metadata[ROWS_KEY] = _packed(rows)
        sink = io.BytesIO()
        pq.write_table(
            table.replace_schema_metadata(metadata),
            sink,
            compression="zstd",
            write_page_checksum=True,
        )
        try:
            write_whole(path, sink.getvalue())
        except OSError as error:
            raise InputError(
                f"{path}: cannot be written: {error.strerror}; the {self.runs.num_rows} runs "
                f"finished before are kept: go on with --resume {self.folder}"
            ) from error

    def _open(self) -> None:
        """Read all parts, take up whole ones, and put the damaged ones aside."""
        indexed = self._indexed()
        referred: set[int] = set() if indexed is None else set(listed(indexed, "part"))
        numbers = {
            int(path.stem)
            for kind in PARTS
            for path in (self.folder / kind).glob("[0-9]*.parquet")
            if path.stem.isdecimal()
        } | referred
        self._next = 1 + max(numbers, default=0)
        seen: set[str] = set()
        tables = []
        # Where parts were joined and the joined ones are still there, the later one has all.
        for number in sorted(numbers, reverse=True):
            rows = self._rows_of(number, whole_expected=number in referred)
            if rows is None:
                continue
            new = [run not in seen for run in listed(rows, "run")]
            if not any(new):
                self._remove(number)
                continue
            tables.append(rows.filter(pa.array(new)))
            seen.update(listed(rows, "run"))
        if tables:
            self.runs = _together(tables[::-1])
        if indexed is None or not _same_rows(indexed, self.runs):
            self._write(self.folder / "runs.parquet", self.runs.combine_chunks())
        # What a killed process was writing beside; by name, in folders that are no links.
        for folder in (self.folder, *(self.folder / kind for kind in PARTS)):
            for stray in folder.glob(".*.*.[0-9]*"):
                if stray.is_file():
                    stray.unlink()

    def _indexed(self) -> pa.Table | None:
        """The rows of runs.parquet, or None where it is absent or damaged."""
        path = self.folder / "runs.parquet"
        try:
            return _read(path)
        except (FileNotFoundError, PermissionError, InputError) as error:
            if isinstance(error, FileNotFoundError):
                return None
            raise
        except UNREADABLE:
            self.damage.append(f"{path}: is damaged and was made again from the parts")
            self._put_aside(path)
            return None

    def _rows_of(self, number: int, *, whole_expected: bool) -> pa.Table | None:
        """The rows that a part holds, once all of it was read; None where it is not whole."""
        rows = None
        for kind in PARTS:
            path = _path(self.folder, kind, number)
            try:
                table = _read(path)
                rows = _rows(_unpacked(table))
            except (PermissionError, InputError):
                raise
            except UNREADABLE as error:
                self._give_up(number, path, error, whole_expected)
                return None
        self._sizes[number] = table.num_rows
        return rows

    def _give_up(self, number: int, path: Path, error: Exception, whole_expected: bool) -> None:
        """A part that is not whole: a leftover of a crash, or damaged."""
        missing = isinstance(error, FileNotFoundError)
        if whole_expected or not missing:
            what = "is missing" if missing else "is damaged"
            self.damage.append(f"{path}: {what}: its runs are trained again")
        if whole_expected and not missing:
            self._put_aside(path)
        for kind in PARTS:
            other = _path(self.folder, kind, number)
            if other.exists():
                self._put_aside(other) if whole_expected else other.unlink()

    def _put_aside(self, path: Path) -> None:
        path.replace(path.with_name(f"{path.name}.damaged-{time.time_ns()}"))

    def _remove(self, number: int) -> None:
        self._sizes.pop(number, None)
        for kind in PARTS:
            _path(self.folder, kind, number).unlink(missing_ok=True)


def read_runs(folder: Path) -> pa.Table:
    """The rows of runs.parquet, also while another process adds to them.

    Raises:
        InputError: there is no such store, it cannot be read, or a newer version wrote it.
    """
    path = folder / "runs.parquet"
    try:
        return _read(path)
    except FileNotFoundError:
        return RUNS.empty_table()
    except InputError:
        raise
    except UNREADABLE:
        raise InputError(
            f"{path}: is damaged; gradus sweep --resume {folder} makes it again"
        ) from None


def listed(table: pa.Table, column: str) -> list[Any]:
    """The values of a column in which none is missing."""
    return table[column].to_pylist()


def best_row(runs: pa.Table, by: str) -> dict[str, Any] | None:
    """The finished run with the least of a figure, or the most of an accuracy; None without one."""
    if by not in runs.column_names:
        return None
    found = runs.filter((pc.field("status") == FINISHED) & pc.field(by).is_valid())
    if found.num_rows == 0:
        return None
    values = found[by].to_numpy()
    at = np.nanargmax(values) if rises(by) else np.nanargmin(values)
    return dict(found.slice(int(at), 1).to_pylist()[0])


def read_parts(folder: Path, kind: str, runs: pa.Table) -> pa.Table:
    """The rows of these runs in ``history`` or ``evaluation``.

    The parts of another process may be joined while they are read: the rows are then looked for
    where they stand now.

    Raises:
        InputError: a part is damaged.
    """
    located = runs
    for _ in range(20):
        numbers = sorted(set(listed(located, "part")))
        tables = [PARTS[kind].empty_table()]
        try:
            for number in numbers:
                path = _path(folder, kind, number)
                found = _read(path)
                tables.append(found.cast(with_scores(PARTS[kind], found.column_names)))
        except FileNotFoundError:
            now = read_runs(folder)
            located = now.filter(pc.is_in(now["run"], value_set=runs["run"].combine_chunks()))
            continue
        except InputError:
            raise
        except UNREADABLE:
            raise InputError(
                f"{path}: is damaged; gradus sweep --resume {folder} trains its runs again"
            ) from None
        table = _together(tables).unify_dictionaries()
        if located.num_rows == runs.num_rows and _only(numbers, located, read_runs(folder)):
            return table
        names = runs["run"].combine_chunks()
        return table.filter(pc.is_in(table["run"].cast(pa.string()), value_set=names))
    raise InputError(f"{folder / kind}: files are missing; gradus sweep --resume {folder}")


def _only(numbers: list[int], runs: pa.Table, now: pa.Table) -> bool:
    """Whether these parts hold no other runs."""
    return int(np.isin(now["part"].to_numpy(), numbers).sum()) == runs.num_rows


def _path(folder: Path, kind: str, number: int) -> Path:
    return folder / kind / f"{number:06d}.parquet"


def _read(path: Path) -> pa.Table:
    """A whole file, its checksums compared."""
    with open(open_plain(path), "rb") as file:
        table = pq.ParquetFile(
            file, read_dictionary=["run"] * (path.name != "runs.parquet"),
            page_checksum_verification=True,
        ).read()  # fmt: skip
    version = int((table.schema.metadata or {})[FORMAT_KEY])
    if version > FORMAT:
        raise InputError(
            f"{path}: was written by a newer version of gradus (format {version}, this one reads "
            f"{FORMAT}); upgrade gradus"
        )
    if version < FORMAT:
        table = _of_earlier_version(table, path)
    if path.name == "runs.parquet":
        return _rows(table)
    for field in PARTS[path.parent.name]:
        _checked(table, field, whole=not field.nullable)
    return table


def _rows(table: pa.Table) -> pa.Table:
    """Rows of runs with the columns of this version: an option that is newer was not given then.

    Raises:
        KeyError: a column is missing.
        ValueError: one has another type, or no value where there has to be one.
    """
    schema = with_scores(RUNS, table.column_names)
    columns = [
        pa.nulls(table.num_rows, field.type)
        if field.name in OPTIONS and field.name not in table.column_names
        else _checked(table, field, whole=field.name in WHOLE)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _checked(table: pa.Table, field: pa.Field[Any], *, whole: bool) -> pa.ChunkedArray[Any]:
    """The column of a field; where it is whole, every row has a value."""
    column = table[field.name]
    if column.type != field.type or (whole and column.null_count):
        raise ValueError(f"column {field.name} holds {column.type}")
    return column


def _of_earlier_version(table: pa.Table, path: Path) -> pa.Table:
    """The same file in the words of this version."""
    if path.name == "runs.parquet":
        return earlier.rows_of(table)
    before = _unpacked(table)
    now = earlier.rows_of(before)
    part = earlier.part_of(table, before, now, PARTS[path.parent.name])
    return part.replace_schema_metadata({ROWS_KEY: _packed(now)})


def _stacked(results: Sequence[Result], kind: str, schema: pa.Schema) -> pa.Table:
    """The rows of all results, each with its run."""
    tables: list[Columns] = [getattr(result, kind) for result in results]
    lengths = [len(table["epoch"]) for table in tables]
    which = np.repeat(np.arange(len(results), dtype=np.int32), lengths)
    runs = pa.DictionaryArray.from_arrays(which, pa.array([r.run for r in results], pa.string()))
    schema = with_scores(schema, {name for table in tables for name in table})
    arrays: list[Any] = [runs]
    for field in list(schema)[1:]:
        # A figure that only some are compared by is missing in the others.
        values = np.concatenate(
            [
                table.get(field.name, np.full(length, np.nan))
                for table, length in zip(tables, lengths, strict=True)
            ]
        )
        arrays.append(pa.array(values, field.type, from_pandas=field.nullable))
    return pa.Table.from_arrays(arrays, schema=schema)


def _together(tables: Sequence[pa.Table]) -> pa.Table:
    """Rows one below the other; a figure that only some have is missing in the others."""
    return pa.concat_tables(tables, promote_options="default")


def _in_part(rows: pa.Table, part: int) -> pa.Table:
    index = rows.schema.get_field_index("part")
    return rows.set_column(
        index, RUNS.field("part"), pa.repeat(pa.scalar(part, pa.int32()), len(rows))
    )


def _packed(rows: pa.Table) -> bytes:
    """Rows as text, for the metadata of a part."""
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, rows.schema, options=options) as writer:
        writer.write_table(rows.combine_chunks())
    return base64.b64encode(sink.getvalue())


def _unpacked(table: pa.Table) -> pa.Table:
    content = base64.b64decode(table.schema.metadata[ROWS_KEY])
    return pa.ipc.open_stream(content).read_all()


def _same_rows(one: pa.Table, other: pa.Table) -> bool:
    """Whether both have the same runs in the same parts."""
    pairs: Callable[[pa.Table], list[Any]] = lambda t: sorted(  # noqa: E731
        zip(t["run"].to_pylist(), t["part"].to_pylist(), strict=True)
    )
    return pairs(one) == pairs(other)
