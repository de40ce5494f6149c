"""How images and labels are read from IDX files, the format of MNIST."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gradus.errors import InputError

_UINT8 = 0x08


def read_idx(path: Path, rank: int | None = None) -> Tensor:
    """Read an IDX file of unsigned bytes, compressed (``.gz``) or not.

    Args:
        path: the file; whether it is compressed is seen from its first bytes.
        rank: number of dimensions that is wanted (3 for images, 1 for labels); None for any.

    Returns:
        uint8, of the shape that the file declares.

    Raises:
        InputError: the file cannot be read, is truncated, has another magic number than wanted, or
            holds more or fewer bytes than it declares.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "labels-idx1-ubyte"
        >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]))
        >>> read_idx(path, rank=1).tolist()
        [7, 8, 9]
    """
    content = _content(path)
    if len(content) < 4:
        raise InputError(f"{path}: {len(content)} bytes, too short for an IDX file")
    magic = int.from_bytes(content[:4])
    found = content[3]
    if magic >> 8 != _UINT8 or (found != rank if rank is not None else found == 0):
        wanted = f"0x{_UINT8 << 8 | rank:08x}" if rank is not None else "0x000008 and the rank"
        raise InputError(
            f"{path}: magic number 0x{magic:08x}, expected {wanted} "
            f"(IDX of unsigned bytes{'' if rank is None else f', {rank}-dimensional'})"
        )
    start = 4 + 4 * found
    if len(content) < start:
        raise InputError(f"{path}: {len(content)} bytes, too short for its header of {start}")
    shape = tuple(int.from_bytes(content[4 + 4 * i : 8 + 4 * i]) for i in range(found))
    if len(content) - start != math.prod(shape):
        raise InputError(
            f"{path}: the header declares shape {list(shape)}, so {math.prod(shape):,} bytes, "
            f"the file holds {len(content) - start:,}; fetch it again"
        )
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy())


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


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if content[:2] != b"\x1f\x8b":
        if path.suffix == ".gz":
            raise InputError(f"{path}: not a gzip file although its name says so; fetch it again")
        return content
    try:
        return gzip.decompress(content)
    except EOFError as error:
        raise InputError(f"{path}: truncated gzip file; fetch it again") from error
    except (OSError, zlib.error) as error:
        raise InputError(f"{path}: damaged gzip file ({error}); fetch it again") from error
