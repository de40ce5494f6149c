"""How a Parquet file becomes a table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from gradus.data.reading.kinds import is_text
from gradus.data.reading.source import Source, check_columns
from gradus.data.unpacking import check_unpacked, stored_size
from gradus.errors import InputError, quoted

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


def read_parquet(path: Path) -> Source:
    """Read a Parquet file, without the index that pandas writes into it.

    Raises:
        InputError: it cannot be read, is damaged, or promises more than it holds.
    """
    import pyarrow as pa
    import pyarrow.parquet

    stored = stored_size(path)
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            check_columns(path, file.metadata.num_columns)
            unpacked = _unpacked_size(file.metadata)
            schema = file.schema_arrow
        remedy = 'write it again by pyarrow with use_dictionary=False, compression="none"'
        check_unpacked(path, unpacked, stored, remedy)
        text = [field.name for field in schema if is_text(field.type)]
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
    declared = {field.name for field in schema if pa.types.is_dictionary(field.type)}
    return Source(path, arrow, lambda row: f"row {row + 1}", categories=frozenset(declared))


def _unpacked_size(metadata: pq.FileMetaData) -> int:
    """About how many bytes flat columns have in the memory, after what the file says of itself."""
    # What it says of single columns is not asked for: damage there ends the process in pyarrow.
    groups = [metadata.row_group(at).total_byte_size for at in range(metadata.num_row_groups)]
    return max(8 * metadata.num_rows * metadata.num_columns, sum(groups))
