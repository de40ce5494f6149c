"""How images and labels are read from IDX files, the format of MNIST."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gradus.data.unpacking import (
    MOST_DIMENSIONS,
    Stream,
    check_unpacked,
    described,
    read_array,
    stored_size,
)
from gradus.errors import InputError

_UINT8 = 0x08
_GZIP = b"\x1f\x8b"


def read_idx(path: Path, rank: int | None = None) -> Tensor:
    """Read an IDX file of unsigned bytes, compressed (``.gz``) or not.

    Args:
        path: the file; whether it is compressed is seen from its first bytes.
        rank: number of dimensions that is wanted (3 for images, 1 for labels); None for any.

    Returns:
        uint8, of the shape that the file declares.

    Raises:
        InputError: the file cannot be read, is truncated, has another magic number than wanted,
            holds more or fewer bytes than it declares, or declares far more than it can hold. What
            is read is never more than the header declares.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "labels-idx1-ubyte"
        >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]))
        >>> read_idx(path, rank=1).tolist()
        [7, 8, 9]
    """
    stored = stored_size(path)
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
            file.seek(0)
            if packed:
                with gzip.GzipFile(fileobj=file) as unpacked:
                    return _read(path, unpacked, rank, stored, packed=True)
            if path.suffix == ".gz":
                raise InputError(
                    f"{path}: not a gzip file although its name says so; fetch it again"
                )
            return _read(path, file, rank, stored, packed=False)
    except EOFError as error:
        raise InputError(f"{path}: truncated gzip file; fetch it again") from error
    except (OSError, zlib.error) as error:
        if isinstance(error, OSError) and error.strerror:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        raise InputError(f"{path}: damaged gzip file ({error}); fetch it again") from error


def read_images_and_labels(images: Path, labels: Path) -> tuple[Tensor, Tensor]:
    """Read images and their labels.

    Returns:
        x uint8 ``[N, 1, height, width]``; y int64 ``[N]``.

    Raises:
        InputError: as ``read_idx``; or the two files hold different numbers of examples, or none.
    """
    x = read_idx(images, rank=3)
    y = read_idx(labels, rank=1)
    if len(x) != len(y):
        raise InputError(
            f"{images} holds {len(x):,} images, {labels.name} {len(y):,} labels: "
            "give files that belong together"
        )
    if x.numel() == 0:
        raise InputError(f"{images}: no pixels (shape {list(x.shape)}); at least one is needed")
    return x[:, None], y.long()


def _read(path: Path, stream: Stream, rank: int | None, stored: int, *, packed: bool) -> Tensor:
    """The header, then as many bytes as it declares, which have to be all."""
    header = stream.read(4)
    if len(header) < 4:
        raise InputError(f"{path}: {len(header)} bytes, too short for an IDX file")
    magic, found = int.from_bytes(header), header[3]
    fits = 0 < found <= MOST_DIMENSIONS if rank is None else found == rank
    if magic >> 8 != _UINT8 or not fits:
        wanted = f"0x{_UINT8 << 8 | rank:08x}" if rank is not None else "0x000008 and the rank"
        raise InputError(
            f"{path}: magic number 0x{magic:08x}, expected {wanted} "
            f"(IDX of unsigned bytes{'' if rank is None else f', {rank}-dimensional'})"
        )
    start = 4 + 4 * found
    sizes = stream.read(4 * found)
    if len(sizes) < 4 * found:
        raise InputError(f"{path}: {4 + len(sizes)} bytes, too short for its header of {start}")
    shape = tuple(int.from_bytes(sizes[at : at + 4]) for at in range(0, 4 * found, 4))
    size = math.prod(shape)
    if packed:
        remedy = "fetch it again, or unpack it by gunzip if it is genuine"
        check_unpacked(path, start + size, stored, remedy)
    elif start + size != stored:
        raise _other_size(path, shape, f"{stored - start:,}")
    array, held = read_array(path, stream, shape, np.dtype(np.uint8))
    # Looking for one more byte compares the checksum at the end of a gzip file too.
    if held < size or stream.read(1):
        raise _other_size(path, shape, f"{held:,}" if held < size else "more")
    return torch.from_numpy(array)


def _other_size(path: Path, shape: tuple[int, ...], held: str) -> InputError:
    return InputError(
        f"{path}: the header declares shape {described(shape)}, so {math.prod(shape):,} bytes, "
        f"the file holds {held}; fetch it again"
    )
