"""How arrays are read from files of NumPy: no more than their headers declare, never objects."""

from __future__ import annotations

import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from gradus.data.unpacking import (
    MOST_DIMENSIONS,
    check_unpacked,
    described,
    read_array,
    stored_size,
)
from gradus.errors import InputError, quoted

ENDINGS = (".npz", ".npy")
"""Of the names of such files."""

# what zipfile, its decompressors and NumPy, which evaluates a header as a literal of Python, raise
# beside OSError where a byte of the file is wrong
_DAMAGED = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_npz(path: Path, keys: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Those of these arrays that a ``.npz`` file holds, by name.

    Raises:
        InputError: the file cannot be read or is damaged, or an array is none of numbers or text.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "own.npz"
        >>> np.savez(path, x=np.zeros(3), notes=np.array(["not asked for"]))
        >>> read_npz(path, ("x", "y"))
        {'x': array([0., 0., 0.])}
    """
    stored_size(path)
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path}: not a whole .npz file; save it by numpy.savez")
    with _refusing_damage(path, "numpy.savez"), zipfile.ZipFile(path) as file:
        members = {entry.filename.removesuffix(".npy"): entry for entry in file.infolist()}
        return {key: _member(path, file, members[key]) for key in keys if key in members}


def read_npy(path: Path) -> NDArray[Any]:
    """The array of a ``.npy`` file, mapped: a page of it is read when it is looked at.

    What is written to it stays in this process.

    Raises:
        InputError: the file cannot be read or is damaged, or holds neither numbers nor text.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "x.npy"
        >>> np.save(path, np.eye(2))
        >>> read_npy(path).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    stored = stored_size(path)
    with _refusing_damage(path, "numpy.save"):
        with path.open("rb") as stream:
            shape, by_columns, dtype = _header(f"{path}:", stream)
            start = stream.tell()
        size = math.prod(shape) * dtype.itemsize
        if size != stored - start:
            raise InputError(
                f"{path}: declares shape {described(shape)}, so {size:,} bytes, and holds "
                f"{stored - start:,}; save it again by numpy.save"
            )
        if size == 0:
            return np.empty(shape, dtype)
        order: Any = "F" if by_columns else "C"
        values = np.asarray(np.memmap(path, dtype, "c", start, shape, order))
        return _of_this_machine(values)


@contextmanager
def _refusing_damage(path: Path, by: str) -> Iterator[None]:
    """Say in one line what is wrong with a file that was saved by this function."""
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except _DAMAGED as error:
        raise InputError(f"{path}: damaged ({quoted(error)}); save it again by {by}") from error


def _member(path: Path, file: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    """One array: its header first, then as many bytes as that says, which have to be all."""
    key = entry.filename.removesuffix(".npy")
    remedy = "save it again, by numpy.savez if it was by numpy.savez_compressed"
    check_unpacked(path, entry.file_size, path.stat().st_size, remedy)
    with file.open(entry) as stream:
        shape, by_columns, dtype = _header(f"{path}: array {key!r}", stream)
        size = math.prod(shape) * dtype.itemsize
        held = entry.file_size - stream.tell()
        if size != held:
            raise InputError(
                f"{path}: array {key!r} declares shape {described(shape)}, so {size:,} bytes, the "
                f"file holds {held:,}; save it again by numpy.savez"
            )
        values, held = read_array(path, stream, shape[::-1] if by_columns else shape, dtype)
        # Looking for one more byte compares the checksum.
        if held < size or stream.read(1):
            raise ValueError("its content has another length than it declares")
    return _of_this_machine(values.T if by_columns else values)


def _of_this_machine(values: NDArray[Any]) -> NDArray[Any]:
    """The same in this machine's order of bytes; text has to be text."""
    if values.dtype.kind == "U" and not _is_unicode(values):
        raise ValueError("text with characters that do not exist")
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def _is_unicode(text: NDArray[np.str_]) -> bool:
    """Whether its code points, four bytes each, are characters: NumPy does not look."""
    if text.nbytes == 0:
        return True
    points = np.ascontiguousarray(text).reshape(-1).view(np.dtype(text.dtype.str[0] + "u4"))
    return bool(((points < 0xD800) | ((points > 0xDFFF) & (points <= 0x10FFFF))).all())


def _header(where: str, stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether the columns come first, and type."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, by_columns, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise InputError(
            f"{where} has named fields, or a type of a newer NumPy; save plain numbers or text"
        )
    if dtype.hasobject:
        raise InputError(
            f"{where} holds Python objects, which are never read; save plain numbers or text"
        )
    if len(shape) > MOST_DIMENSIONS or not all(0 <= size < 2**62 for size in shape):
        raise ValueError(f"no array has shape {described(shape)}")
    return shape, by_columns, dtype
