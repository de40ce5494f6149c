"""How much is read of a file: what its header says, and no more than the file can hold."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gradus.errors import InputError

SMALL = 64 * 2**20
"""Bytes to which any file may unpack."""

MOST_TIMES = 200
"""How many times its own size a file may unpack to beyond that. Images of digits take 5 times the
space of their file; bytes that are all the same, which a decompression bomb is made of, 1,000."""

MOST_DIMENSIONS = 32
"""A header of more is taken for damage."""

_CHUNK = 2**20


class Stream(Protocol):
    """What bytes are read from, one piece after another."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; none at the end."""


def stored_size(path: Path) -> int:
    """Bytes of a plain file, or of the one that a link leads to.

    Raises:
        InputError: there is none, or it is a folder, a pipe or a device.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason})") from error
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "no plain file"
        raise InputError(f"{path}: cannot be read ({kind}); give a file")
    return found.st_size


def check_unpacked(path: Path, unpacked: int, stored: int, remedy: str) -> None:
    """Refuse a file that would unpack to far more than it holds, before it is unpacked.

    Args:
        path: the file.
        unpacked: bytes that its header promises.
        stored: bytes that it has on disk.
        remedy: how honest data of this kind are to be given.

    Raises:
        InputError: it would.
    """
    if unpacked > max(SMALL, MOST_TIMES * stored):
        raise InputError(
            f"{path}: its header promises {unpacked:,} bytes out of {stored:,}, more than "
            f"{MOST_TIMES} times as many: damaged, or made to fill the memory; {remedy}"
        )


def read_array(
    path: Path, stream: Stream, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> tuple[NDArray[Any], int]:
    """An array of this shape out of the next bytes of a stream, in pieces and without a copy.

    Returns:
        The array, and how many of its bytes the stream held.

    Raises:
        InputError: the memory does not hold it, or no array can have this shape.
    """
    try:
        array = np.empty(shape, dtype)
    except (MemoryError, ValueError) as error:
        raise InputError(
            f"{path}: an array of shape {described(shape)} does not fit into the memory"
        ) from error
    content = array.reshape(-1).view(np.uint8).data if array.nbytes else memoryview(b"")
    at = 0
    while at < len(content) and (piece := stream.read(min(_CHUNK, len(content) - at))):
        content[at : at + len(piece)] = piece
        at += len(piece)
    return array, at


def described(shape: tuple[int, ...]) -> str:
    """A shape as it is written, its end left out where it is long."""
    shown = ", ".join(map(str, shape[:6])) + (", .." if len(shape) > 6 else "")
    return f"[{shown}]"
