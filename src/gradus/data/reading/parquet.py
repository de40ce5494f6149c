"""How a Parquet file becomes a table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradus.data.reading.contents import HEAD, check_contents
from gradus.data.reading.kinds import declared_categories, is_text, with_nested
from gradus.data.reading.source import Source, check_columns, rows_of_piece
from gradus.data.unpacking import check_unpacked, stored_size
from gradus.errors import InputError, quoted

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")

# A part of a column is not read before it is asked for: half of the memory, in no more time.
_READING: dict[str, Any] = {"pre_buffer": False, "buffer_size": 2**18}


def read_parquet(path: Path) -> Source:
    """Read a Parquet file, without the index that pandas writes into it.

    Raises:
        InputError: it cannot be read, is damaged, or promises more than it holds.
    """
    with _opened(path) as (file, schema, flat):
        return _source(path, file.read(columns=flat), schema, 0)


def stream_parquet(path: Path) -> Iterator[Source]:
    """The same in pieces of rows, with little more in memory than one of them."""
    import pyarrow as pa

    with _opened(path) as (file, schema, flat):
        rows = rows_of_piece(len(schema))
        before = 0
        for batch in file.iter_batches(rows, columns=flat):
            yield _source(path, pa.Table.from_batches([batch]), schema, before)
            before += len(batch)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[pq.ParquetFile, pa.Schema, list[str] | None]]:
    """The file, its schema, and the names of the columns that are read, None for all.

    Text is kept as it mostly stands there, each word once: a short file may repeat a long one.
    Lists and the like, which no row of x can be made of, are not unpacked at all.
    """
    import pyarrow as pa
    import pyarrow.parquet

    stored = stored_size(path)
    try:
        with path.open("rb") as head:
            check_contents(path, head.read(HEAD), b"PAR1")
        with pyarrow.parquet.ParquetFile(path) as file:
            check_columns(path, file.metadata.num_columns)
            unpacked = _unpacked_size(file.metadata)
            schema = file.schema_arrow
        remedy = 'write it again by pyarrow with use_dictionary=False, compression="none"'
        check_unpacked(path, unpacked, stored, remedy)
        text = [field.name for field in schema if is_text(field.type)]
        flat = [field.name for field in schema if not pa.types.is_nested(field.type)]
        with pyarrow.parquet.ParquetFile(path, read_dictionary=text, **_READING) as file:
            yield file, schema, flat if len(flat) < len(schema) else None
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read as Parquet ({quoted(error)})") from error


def _source(path: Path, arrow: pa.Table, schema: pa.Schema, before: int) -> Source:
    arrow = with_nested(arrow, schema)
    arrow.validate(full=True)
    names = arrow.column_names
    arrow = arrow.select([at for at, name in enumerate(names) if not _PANDAS_INDEX.fullmatch(name)])
    return Source(
        path,
        arrow.unify_dictionaries(),
        lambda row: f"row {before + row + 1}",
        categories=declared_categories(schema),
    )


def _unpacked_size(metadata: pq.FileMetaData) -> int:
    """About how many bytes flat columns have in the memory, after what the file says of itself."""
    # What it says of single columns is not asked for: damage there ends the process in pyarrow.
    groups = [metadata.row_group(at).total_byte_size for at in range(metadata.num_row_groups)]
    return max(8 * metadata.num_rows * metadata.num_columns, sum(groups))
