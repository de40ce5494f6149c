"""What a loop under way writes down: lines that are appended, each whole or not there.

Every line has a checksum before it. A line that a process did not finish, because it was killed or
the machine stopped, is where the reading ends.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from gradus.runs.files import NO_LINK, finite, open_plain, write_whole

POINTS = "points"
"""In the folder of a run, what its loop goes on from, and what it wrote down on its way."""

JOURNAL = "journal"

COLUMNS = ("step", "samples", "epoch", "loss", "lr", "seconds")
"""Of a row of the history."""

WHOLE = {"step", "samples", "epoch"}
"""Columns of whole numbers."""

Columns = dict[str, NDArray[Any]]
Rows = list[dict[str, Any]]


@final
class Journal:
    """The file of a loop under way.

    Args:
        path: of the file; what it held is replaced.
        history: rows to begin with.
        evaluation: likewise.
    """

    def __init__(self, path: Path, history: Columns, evaluation: Rows) -> None:
        lines = [_line(_block(history))] if len(history["loss"]) else []
        lines += [_line({"evaluation": row}) for row in evaluation]
        write_whole(path, b"".join(lines))
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | NO_LINK), "ab")

    def rows(self, columns: Columns) -> None:
        """Rows of the history that follow."""
        self._write(_block(columns))

    def evaluated(self, row: Mapping[str, Any]) -> None:
        """The next row of the evaluation."""
        self._write({"evaluation": row})

    def _write(self, entry: Mapping[str, Any]) -> None:
        self._file.write(_line(entry))
        self._file.flush()

    def sync(self) -> None:
        """Have it on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Nothing more is written."""
        self._file.close()


def read_journal(path: Path) -> tuple[Columns, Rows]:
    """The history and the evaluation that were written down.

    Raises:
        OSError: there is no such plain file.
    """
    blocks: list[Any] = []
    evaluation: Rows = []
    for entry in _entries(path):
        if "evaluation" in entry:
            row = entry["evaluation"]
            whole = ("epoch", "samples")
            evaluation.append({n: v if n in whole else float(v) for n, v in row.items()})
        else:
            blocks.append(entry["history"])
    return joined([dict(zip(COLUMNS, map(_column, COLUMNS, b), strict=True)) for b in blocks]), (
        evaluation
    )


def joined(blocks: Sequence[Columns]) -> Columns:
    """Blocks of rows one below the other."""
    return {
        name: np.concatenate([_column(name, ()), *(block[name] for block in blocks)])
        for name in COLUMNS
    }


def _column(name: str, values: Iterable[Any]) -> NDArray[Any]:
    """The values of a column; numbers that JSON does not know stand in it by their names."""
    if name in WHOLE:
        return np.array(list(values), np.int64)
    return np.array([float(value) for value in values], np.float64)


def _block(columns: Columns) -> dict[str, Any]:
    return {"history": [columns[name].tolist() for name in COLUMNS]}


def _line(entry: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(entry, allow_nan=False)
    except ValueError:  # numbers that JSON does not know
        text = json.dumps(finite(entry))
    content = text.encode()
    return b"%08x %s\n" % (zlib.crc32(content), content)


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    with open(open_plain(path), "rb") as file:
        for line in file:
            checksum, _, content = line.rstrip(b"\n").partition(b" ")
            if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(content):
                return
            yield json.loads(content)
