"""A split in shared memory: an unnamed file that every worker maps."""

from __future__ import annotations

import dataclasses
import mmap
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradus.data.dataset import Dataset, Split
from gradus.risk.sparse import csr, is_csr, parts_of

ALIGNMENT = 64


@dataclass(frozen=True)
class TensorLocation:
    """Where a tensor lies in the file."""

    offset: int
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class SparseLocation:
    """Where the parts of a CSR tensor lie in the file."""

    parts: tuple[TensorLocation, ...]
    columns: int


@dataclass(frozen=True, eq=False)
class SharedSplit:
    """A split whose tensors lie in an unnamed file, which needs no cleaning up.

    The operating system frees it with the last process that has it open, however that ends.

    Attributes:
        descriptor: of the file, in the process that wrote it.
        size: of the file, in bytes.
        split: the split, each tensor replaced by its location.
    """

    descriptor: int
    size: int
    split: Any

    def close(self) -> None:
        """Close the descriptor; processes that have mapped the file keep it."""
        os.close(self.descriptor)


def share(split: Split) -> SharedSplit:
    """Copy the tensors of a split to where other processes can map them.

    Example:
        >>> from gradus.data.loading import load
        >>> split = load("digits")
        >>> shared = share(split)
        >>> mapped = attach(shared.descriptor, shared.size, shared.split)
        >>> mapped.description == split.description, torch.equal(mapped.test.x, split.test.x)
        (True, True)
        >>> shared.close()
    """
    tensors: list[Tensor] = []
    size = 0

    def placed(tensor: Tensor) -> TensorLocation | SparseLocation:
        if is_csr(tensor):
            return SparseLocation(tuple(map(strided, parts_of(tensor))), tensor.shape[1])
        return strided(tensor)

    def strided(tensor: Tensor) -> TensorLocation:
        nonlocal size
        size = -(-size // ALIGNMENT) * ALIGNMENT
        place = TensorLocation(size, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        tensors.append(tensor)
        size += tensor.numel() * tensor.element_size()
        return place

    described = _replaced(split, Tensor, placed)
    # In memory where the machine has such a folder; written back to a disk by nobody.
    memory = Path("/dev/shm")
    folder = memory if os.access(memory, os.W_OK) and _free(memory) > size else None
    with tempfile.TemporaryFile(dir=folder) as file:
        for tensor in tensors:
            file.seek(-(-file.tell() // ALIGNMENT) * ALIGNMENT)
            file.write(tensor.contiguous().numpy().data)
        file.truncate(max(size, 1))
        file.flush()
        return SharedSplit(os.dup(file.fileno()), max(size, 1), described)


def attach(descriptor: int, size: int, described: Any) -> Split:
    """The split in a file; what is written to its tensors stays in this process."""
    mapped = mmap.mmap(descriptor, size, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    return placed_in(mapped, described)


def placed_in(memory: Any, described: Any) -> Split:
    """The split in what has the content of its file, which is not copied."""

    def tensor(place: TensorLocation | SparseLocation) -> Tensor:
        if isinstance(place, SparseLocation):
            starts, columns, entries = map(tensor, place.parts)
            return csr(starts, columns, entries, place.columns)
        dtype = np.dtype(place.dtype)
        count = int(np.prod(place.shape, dtype=np.int64))
        values = np.frombuffer(memory, dtype, count, place.offset)
        return torch.from_numpy(values).reshape(place.shape)

    split: Split = _replaced(described, TensorLocation | SparseLocation, tensor)
    return split


def _replaced(split: Any, kind: Any, by: Any) -> Any:
    """The split with every value of this kind, in each of its parts, replaced."""

    def part(data: Dataset) -> Dataset:
        changes: Mapping[str, Any] = {
            field.name: by(value)
            for field in dataclasses.fields(data)
            if isinstance(value := getattr(data, field.name), kind)
        }
        changed: Dataset = _with(data, changes)
        return changed

    parts = {
        name: part(data)
        for name in ("train", "validation", "test")
        if (data := getattr(split, name)) is not None
    }
    return _with(split, parts)


def _with(value: Any, changes: Mapping[str, Any]) -> Any:
    """The same dataclass with some fields changed, whatever they hold: nothing is checked."""
    copy = object.__new__(type(value))
    for field in dataclasses.fields(value):
        changed = changes.get(field.name, getattr(value, field.name))
        object.__setattr__(copy, field.name, changed)
    return copy


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
