"""Columns of a text file between the passes: numbers are read again quicker than parsed again."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradus.data.columns import Column, Form

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class _Kept:
    """What stays of a column, while its values are in the file."""

    name: str
    form: Form


class Spool:
    """Pieces of columns in a file without a name, as a stream of Arrow IPC.

    Args:
        folder: where it lies.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._file: io.BufferedRandom = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # see close
        self._writer: pa.RecordBatchStreamWriter | None = None
        self._columns: list[_Kept] = []

    def add(self, columns: Sequence[Column]) -> None:
        """One more piece, of the same columns as the others."""
        import pyarrow as pa

        arrays = [_as_arrow(column) for column in columns]
        batch = pa.record_batch(arrays, [str(at) for at in range(len(columns))])
        if self._writer is None:
            self._writer = pa.ipc.new_stream(self._file, batch.schema)
            self._columns = [_Kept(column.name, column.form) for column in columns]
        self._writer.write_batch(batch)

    def pieces(self) -> Iterator[dict[str, Column]]:
        """The pieces, in their order: each column by its name."""
        import pyarrow as pa

        assert self._writer is not None
        self._writer.close()
        self._file.seek(0)
        with pa.ipc.open_stream(self._file) as reader:
            for batch in reader:
                yield {
                    each.name: _as_column(each, array)
                    for each, array in zip(self._columns, batch.columns, strict=True)
                }

    def close(self) -> None:
        """The file is gone."""
        self._file.close()


def _as_arrow(column: Column) -> Any:
    import pyarrow as pa

    if column.values.dtype.kind != "i":
        return pa.array(column.values)
    codes = pa.array(column.values, mask=column.values < 0)
    words: Any = pa.array(column.words, pa.string())
    return pa.DictionaryArray.from_arrays(codes, words)


def _as_column(kept: _Kept, array: Any) -> Column:
    import pyarrow as pa

    if not pa.types.is_dictionary(array.type):
        values: NDArray[Any] = array.to_numpy(zero_copy_only=False)
        return Column(kept.name, kept.form, values)
    codes = array.indices.fill_null(-1).to_numpy().astype(np.int32, copy=False)
    return Column(kept.name, kept.form, codes, tuple(array.dictionary.to_pylist()))
