"""How compressed text is unpacked: piece by piece, and to no more than its file honestly holds."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gradus.data.reading.produced import Produced
from gradus.data.unpacking import MOST_TIMES, SMALL, stored_size
from gradus.errors import InputError, quoted

if TYPE_CHECKING:
    from typing import BinaryIO

PACKINGS: dict[str, Literal["gzip", "zstd"]] = {".gz": "gzip", ".zst": "zstd"}
"""The compressions of text files, by the ending that stands behind ``.csv``."""

_CODECS: dict[str, Literal["gzip", "zstd", "bz2"]] = {**PACKINGS, ".bz2": "bz2"}

PIECE = 2**17
"""Bytes that are read at once: they stay in the cache while they are looked at."""


def open_unpacked(path: Path) -> BinaryIO:
    """Open a text file, to read its bytes, unpacked where it is compressed.

    Raises:
        InputError: it cannot be opened; later, from ``read``: it is damaged, or unpacks to far more
            than it holds.
    """
    stored = stored_size(path)
    codec = _CODECS.get(path.suffix.lower())
    try:
        if codec is None:
            return path.open("rb")
        return io.BufferedReader(_Unpacked(path, codec, stored), PIECE)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


class _Unpacked(Produced):
    """A compressed file as the bytes that it unpacks to."""

    def __init__(self, path: Path, codec: Literal["gzip", "zstd", "bz2"], stored: int) -> None:
        import pyarrow as pa

        super().__init__()
        self._path = path
        self._stored = stored
        self._left = self._most = max(SMALL, MOST_TIMES * stored)
        self._stream = pa.CompressedInputStream(pa.OSFile(str(path), "rb"), codec)

    def produce(self) -> bytes:
        """The next bytes."""
        try:
            piece = self._stream.read(PIECE)
        except OSError as error:
            raise InputError(
                f"{self._path}: cannot be unpacked ({quoted(error)}); it is damaged or incomplete"
            ) from error
        self._left -= len(piece)
        if self._left < 0:
            raise InputError(
                f"{self._path}: unpacks to more than {self._most:,} bytes out of {self._stored:,}, "
                f"more than {MOST_TIMES} times as many: damaged, or made to fill the memory; give "
                "the file unpacked"
            )
        return piece

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._stream.close()
        super().close()
