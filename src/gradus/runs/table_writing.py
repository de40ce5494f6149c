"""How a table is written piece by piece: CSV or Parquet, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradus.errors import InputError, quoted

if TYPE_CHECKING:
    import pyarrow as pa

ENDINGS = (".csv", ".parquet")


@contextmanager
def table_writer(path: Path) -> Iterator[Callable[[pa.Table], None]]:
    """What writes the pieces of a table, one after another, into a file.

    The file comes to stand there when all are written; where that fails, none does.

    Raises:
        InputError: its ending is none of these, or it cannot be written.
    """
    if path.suffix.lower() not in ENDINGS:
        raise InputError(
            f"--out {quoted(str(path))}: write to a file whose name ends in {' or '.join(ENDINGS)}"
        )
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as beside:
            whole = Path(beside) / "table"
            with ExitStack() as open_writers:
                yield _writing(path, whole, open_writers)
            with whole.open("rb+") as file:
                os.fsync(file.fileno())
            whole.replace(path)
    except OSError as error:
        raise InputError(
            f"--out {quoted(str(path))}: cannot be written: {error.strerror or quoted(error)}"
        ) from error


def _writing(path: Path, whole: Path, open_writers: ExitStack) -> Callable[[pa.Table], None]:
    import pyarrow.csv
    import pyarrow.parquet

    kind: Any = pyarrow.csv.CSVWriter
    if path.suffix.lower() == ".parquet":
        kind = pyarrow.parquet.ParquetWriter
    writer: Any = None

    def write(piece: pa.Table) -> None:
        nonlocal writer
        if writer is None:
            writer = open_writers.enter_context(kind(str(whole), piece.schema))
        writer.write_table(piece)

    return write
