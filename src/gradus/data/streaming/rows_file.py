"""Prepared rows in a file: scattered over buckets once, read back bucket by bucket.

Every training row lies in a bucket that was drawn for it, so that a bucket is a uniform sample of
the table in whatever order that stands. A bucket lies in stretches of the file, each of the numbers
of its rows and their targets; what says where stands at the end, as JSON. Stretches are read by
``preadv`` into memory that is used again and again: no page of the file counts as ours, as pages
that are mapped would.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import weakref
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradus.errors import InputError, quoted

VERSION = 1
MAGIC = b"GRADUSROWS"

BUCKET = 2**24
"""Bytes of the rows of a bucket, about."""

SCATTERED = 2**25
"""Bytes of rows that are scattered over the buckets at a time."""


class Stretch(NamedTuple):
    """Rows that lie together."""

    offset: int
    rows: int
    checksum: int
    """CRC-32 of the numbers, then the targets."""


@dataclass(frozen=True)
class Layout:
    """How a row lies in the file.

    Attributes:
        features: numbers of x.
        dtype: of x, and of targets that are numbers.
        targets: how many numbers are predicted; 0: one class.
    """

    features: int
    dtype: str
    targets: int

    def storage(self, rows: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Memory for so many rows and their targets."""
        x = np.empty((rows, self.features), self.dtype)
        if self.targets == 0:
            return x, np.empty(rows, np.int64)
        return x, np.empty((rows, self.targets), self.dtype)

    @property
    def row(self) -> int:
        """Bytes of a row."""
        x, y = self.storage(1)
        return x.nbytes + y.nbytes


class RowsWriter:
    """Writes rows as they come.

    Args:
        file: to write into, from its beginning.
        layout: of a row.
        buckets: over how many the rows that train are scattered.
    """

    def __init__(self, file: BinaryIO, layout: Layout, buckets: int) -> None:
        self.file, self.layout = file, layout
        self.offset = 0
        self.parts: dict[str, list[list[Stretch]]] = {
            "train": [[] for _ in range(buckets)],
            "validation": [[]],
            "test": [[]],
        }
        self.waiting: list[tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]] = []
        self.bytes = 0
        self.aside: dict[str, list[tuple[NDArray[Any], NDArray[Any]]]]
        self.aside = {"validation": [], "test": []}

    def train(self, x: NDArray[np.floating], y: NDArray[Any], buckets: NDArray[np.int64]) -> None:
        """Rows that train, each with the bucket that it lies in."""
        self.waiting.append((x, y, buckets))
        self.bytes += x.nbytes + y.nbytes
        if self.bytes >= SCATTERED:
            self._scatter()

    def held(self, part: str, x: NDArray[np.floating], y: NDArray[Any]) -> None:
        """Rows that validate or test."""
        self.aside[part].append((x, y))

    def close(self, about: Mapping[str, Any]) -> None:
        """Write what says where everything lies, and what else is known about the rows."""
        self._scatter()
        for part, rows in self.aside.items():
            if rows:
                x, y = (np.concatenate(each) for each in zip(*rows, strict=True))
                self.parts[part][0].append(self._write(x, y))
        said = json.dumps(
            {
                "version": VERSION,
                "layout": vars(self.layout),
                "parts": self.parts,
                "about": about,
            }
        ).encode()
        self.file.write(said)
        self.file.write(len(said).to_bytes(8, "little") + zlib.crc32(said).to_bytes(8, "little"))
        self.file.write(MAGIC)
        self.file.flush()

    def _scatter(self) -> None:
        if not self.waiting:
            return
        buckets = np.concatenate([each for _, _, each in self.waiting])
        order = np.argsort(buckets, kind="stable")
        x = np.concatenate([each for each, _, _ in self.waiting])
        y = np.concatenate([each for _, each, _ in self.waiting])
        self.waiting.clear()
        self.bytes = 0
        x, y = x[order], y[order]
        ends = np.searchsorted(buckets[order], np.arange(len(self.parts["train"]) + 1)).tolist()
        for bucket, (begin, end) in enumerate(itertools.pairwise(ends)):
            if end > begin:
                self.parts["train"][bucket].append(self._write(x[begin:end], y[begin:end]))

    def _write(self, x: NDArray[Any], y: NDArray[Any]) -> Stretch:
        x, y = np.ascontiguousarray(x), np.ascontiguousarray(y)
        found = Stretch(self.offset, len(x), zlib.crc32(y.data, zlib.crc32(x.data)))
        self.file.write(x.data)
        self.file.write(y.data)
        self.offset += x.nbytes + y.nbytes
        return found


@dataclass(frozen=True, eq=False)
class RowsFile:
    """Rows that were written.

    Attributes:
        path: of the file, for messages; it may have no name any more.
        descriptor: of it, open for as long as this is there.
        layout: of a row.
        parts: the buckets of each part.
        about: what else is known about them.
    """

    path: Path
    descriptor: int
    layout: Layout
    parts: Mapping[str, Sequence[Sequence[Stretch]]]
    about: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path, file: BinaryIO) -> RowsFile | None:
        """What a file holds; None where that is not the whole of such a file, or of another kind.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryFile() as file:
            ...     writer = RowsWriter(file, Layout(2, "float32", 0), buckets=2)
            ...     writer.train(np.ones((3, 2), "f4"), np.arange(3), np.array([0, 1, 0]))
            ...     writer.close({"name": "toy"})
            ...     rows = RowsFile.read(Path("toy.rows"), file)
            >>> rows.sizes("train"), rows.whole("train", 1)[1].tolist()
            ([2, 1], [1])
        """
        end = len(MAGIC) + 16
        size = file.seek(0, os.SEEK_END)
        if size < end:
            return None
        file.seek(size - end)
        length, checksum = (int.from_bytes(file.read(8), "little") for _ in range(2))
        if file.read() != MAGIC or length > size - end:
            return None
        file.seek(size - end - length)
        said = file.read(length)
        if zlib.crc32(said) != checksum or (content := json.loads(said))["version"] != VERSION:
            return None
        parts = {
            name: [[Stretch(*each) for each in bucket] for bucket in buckets]
            for name, buckets in content["parts"].items()
        }
        descriptor = os.dup(file.fileno())
        found = cls(path, descriptor, Layout(**content["layout"]), parts, content["about"])
        weakref.finalize(found, os.close, descriptor)
        return found

    @classmethod
    def open(cls, path: Path) -> RowsFile | None:
        """What stands at a path; None where that is nothing of the kind, or not the whole of it."""
        try:
            with path.open("rb") as file:
                return cls.read(path, file)
        except OSError:
            return None

    @property
    def bytes(self) -> int:
        """Of all rows."""
        return self.layout.row * sum(sum(self.sizes(part)) for part in self.parts)

    def sizes(self, part: str) -> list[int]:
        """Rows of each bucket of a part."""
        return [sum(each.rows for each in bucket) for bucket in self.parts[part]]

    def load(
        self, part: str, bucket: int, storage: tuple[NDArray[Any], NDArray[Any]], at: int
    ) -> int:
        """Read a bucket into memory from a row on; the row behind it.

        Raises:
            InputError: the file was cut off or changed since it was opened.
        """
        x, y = storage
        for each in self.parts[part][bucket]:
            rows = slice(at, at + each.rows)
            there = [x[rows].reshape(-1).data, y[rows].reshape(-1).data]
            try:
                taken = os.preadv(self.descriptor, there, each.offset)
            except OSError as error:
                raise InputError(f"{self.path}: cannot be read ({quoted(error)})") from None
            whole = sum(part.nbytes for part in there)
            if taken != whole or zlib.crc32(there[1], zlib.crc32(there[0])) != each.checksum:
                raise InputError(
                    f"{self.path}: the prepared rows are damaged; remove the file, and go on"
                )
            at += each.rows
        return at

    def whole(self, part: str, bucket: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
        """All rows of a bucket, and their targets."""
        storage = self.layout.storage(self.sizes(part)[bucket])
        self.load(part, bucket, storage, 0)
        return storage

    @property
    def digest(self) -> str:
        """Of all rows: other rows have another."""
        said = json.dumps(
            [[vars(self.layout), [[(each.rows, each.checksum) for each in bucket] for bucket in b]]
             for b in self.parts.values()]
        )  # fmt: skip
        return hashlib.sha256(said.encode()).hexdigest()
