"""How an Arrow file, which Feather is too, becomes a table."""

from __future__ import annotations

import struct
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

_MAGIC = b"ARROW1"
_STREAM = b"\xff\xff\xff\xff"
"""What a message begins with; in a file the magic word and two bytes stand before the first."""


def read_feather(path: Path) -> Source:
    """Read an Arrow file, or what was written as an Arrow stream.

    Raises:
        InputError: it cannot be read, is damaged, or unpacks to more than it can hold.
    """
    import pyarrow as pa

    with _opened(path) as reader:
        batches = [_flat(batch) for batch in reader]
        empty = _flat(reader.schema.empty_table())
        return _source(path, pa.Table.from_batches(batches) if batches else empty, reader.schema, 0)


def stream_feather(path: Path) -> Iterator[Source]:
    """The same in pieces of rows, with little more in memory than a batch of the file."""
    import pyarrow as pa

    before = 0
    with _opened(path) as reader:
        size = rows_of_piece(len(reader.schema))
        for batch in reader:
            for at in range(0, len(batch), size):
                piece = pa.Table.from_batches([_flat(batch.slice(at, size))])
                yield _source(path, piece, reader.schema, before)
                before += len(piece)


@contextmanager
def _opened(path: Path) -> Iterator[pa.RecordBatchReader]:
    """The batches of a file, which are those of a stream with a word before and a list behind."""
    import pyarrow as pa

    stored = stored_size(path)
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            file.seek(max(stored - len(_MAGIC), 0))
            tail = file.read()
        check_contents(path, head, _MAGIC, _STREAM)
        start = 8 if head.startswith(_MAGIC) else 0
        if start and tail != _MAGIC:
            raise InputError(f"{path}: is incomplete: its end is missing; write it again")
        with pa.memory_map(str(path)) as content:
            content.seek(start)
            unpacked = _unpacked_size(content)
        check_unpacked(path, unpacked, stored, "write it again without compression")
        with pa.OSFile(str(path), "rb") as content:
            content.seek(start)
            with pa.ipc.open_stream(content) as reader:
                check_columns(path, len(reader.schema))
                yield reader
    except (pa.ArrowException, OSError, ValueError, struct.error, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read as Arrow ({quoted(error)})") from error


def _flat(batch: Any) -> Any:
    """Columns that are not nested; text as a dictionary, each word once."""
    import pyarrow as pa

    flat = [at for at, kind in enumerate(batch.schema.types) if not pa.types.is_nested(kind)]
    batch = batch.select(flat)
    batch.validate(full=True)  # before it is looked at: what lies of its size ends the process
    for at, field in enumerate(batch.schema):
        if is_text(field.type):
            words = batch.column(at).cast(pa.string()).dictionary_encode()
            batch = batch.set_column(at, field.name, words)
    return batch


def _source(path: Path, arrow: pa.Table, schema: pa.Schema, before: int) -> Source:
    arrow = with_nested(arrow, schema)
    return Source(
        path,
        arrow.unify_dictionaries(),
        lambda row: f"row {before + row + 1}",
        categories=declared_categories(schema),
    )


def _unpacked_size(content: pa.NativeFile) -> int:
    """How many bytes the batches have in the memory, after what they say of themselves.

    Each message has its description as a flatbuffer, in which a table points to a list of where its
    fields are. pyarrow does not show what a batch will unpack to: that is read here.
    """
    import pyarrow as pa

    total = 0
    for message in pa.ipc.MessageReader.open_stream(content):
        if message.type in ("record batch", "dictionary"):
            described, body = memoryview(message.metadata), memoryview(message.body or b"")
            root = _number("<I", described, 0)
            header = _pointer(described, _field(described, root, 2))
            if message.type == "dictionary":
                header = _pointer(described, _field(described, header, 1))
            total += _batch_size(described, body, header)
    return total


def _batch_size(described: memoryview, body: memoryview, batch: int) -> int:
    rows = _number("<q", described, length) if (length := _field(described, batch, 0)) else 0
    columns = _vector(described, batch, 1)[1]
    first, count = _vector(described, batch, 2)
    packed = _field(described, batch, 3)
    total = 0
    for at in range(first, first + 16 * count, 16):
        offset, size = struct.unpack_from("<qq", described, at)
        # A packed buffer begins with the size that it unpacks to, -1 where it is not packed.
        total += max(size, _number("<q", body, offset) if packed and size else 0)
    return max(total, 8 * rows * columns)


def _number(kind: str, content: memoryview, at: int) -> int:
    return int(struct.unpack_from(kind, content, at)[0])


def _pointer(content: memoryview, at: int) -> int:
    return at + _number("<I", content, at)


def _field(content: memoryview, table: int, number: int) -> int:
    """Where a field of a table stands; 0 where the table has none of this number."""
    fields = table - _number("<i", content, table)
    if 4 + 2 * number >= _number("<H", content, fields):
        return 0
    offset = _number("<H", content, fields + 4 + 2 * number)
    return table + offset if offset else 0


def _vector(content: memoryview, table: int, number: int) -> tuple[int, int]:
    """Where the first element of a list in a table stands, and how many there are."""
    at = _field(content, table, number)
    if not at:
        return 0, 0
    start = _pointer(content, at)
    return start + 4, _number("<I", content, start)
