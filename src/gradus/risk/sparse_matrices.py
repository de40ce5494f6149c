"""How sparse matrices of SciPy and PyTorch become CSR tensors, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus.data.memory import too_wide
from gradus.errors import InputError, quoted
from gradus.risk.sparse import csr, csr_of, is_csr, parts_of

MOST_COLUMNS = 2**31 - 1
"""Of a sparse matrix: a column is a number of 32 bits."""


def is_sparse(given: Any) -> bool:
    """Whether a matrix is sparse, of SciPy or of PyTorch.

    Example:
        >>> from scipy.sparse import coo_array
        >>> is_sparse(coo_array(np.eye(2))), is_sparse(np.eye(2)), is_sparse(torch.eye(2))
        (True, False, False)
    """
    if isinstance(given, Tensor):
        return given.layout != torch.strided
    return type(given).__module__.startswith("scipy.sparse")


def as_csr(given: Any, name: str) -> Tensor:
    """A CSR tensor of a matrix in any form, of whose memory it is where it can be.

    Entries that stand twice are added up, and the columns of each row brought in order, in a copy:
    what was given is not changed. Booleans and integers become float64, or float32 where that holds
    them.

    Args:
        given: a matrix or an array of SciPy, a tensor of PyTorch, an array of NumPy.
        name: of it, for messages.

    Raises:
        InputError: it is no matrix ``[n, d]`` of numbers, or an index lies outside of it.

    Example:
        >>> from scipy.sparse import coo_array
        >>> twice = coo_array(([2, 3], ([0, 0], [1, 1])), (1, 2))
        >>> as_csr(twice, "X").to_dense().tolist()
        [[0.0, 5.0]]
    """
    if not isinstance(given, Tensor):
        return _of_scipy(given, name) if is_sparse(given) else csr_of(_dense(given, name))
    tensor: Tensor = given.detach().cpu()
    _check(tensor.shape, str(tensor.dtype), name, is_numbers=not tensor.is_complex())
    if is_csr(tensor) and tensor.col_indices().dtype == torch.int32 and tensor.is_floating_point():
        return tensor
    try:
        found = csr_of(tensor)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{name}: is no whole sparse matrix ({quoted(error)})") from error
    starts, columns, values = parts_of(found)
    return csr(starts, columns, _numbers(values), found.shape[1])


def faults(x: Tensor) -> tuple[NDArray[np.bool_], list[int] | None]:
    """Which rows have a missing value (NaN), and where the first infinite one stands."""
    starts, columns, values = parts_of(x)
    missing = torch.zeros(len(x), dtype=torch.bool)
    if np.isfinite(values.numpy()).all():  # of which row each is takes as much memory as they do
        return missing.numpy(), None
    rows = torch.repeat_interleave(starts.diff())
    missing[rows[values.isnan()]] = True
    infinite = torch.nonzero(values.isinf())[:1].flatten().tolist()
    where = [int(rows[infinite[0]]), int(columns[infinite[0]])] if infinite else None
    return missing.numpy(), where


def _of_scipy(given: Any, name: str) -> Tensor:
    if given.ndim != 2:
        raise InputError(f"{name}: has shape {list(given.shape)}; give a matrix [N, features]")
    _check(given.shape, str(given.dtype), name, is_numbers=given.dtype.kind in "biuf")
    rows, columns = given.shape
    if given.format == "coo":
        _check_within(given.row, rows, "row", name)
        _check_within(given.col, columns, "column", name)
    elif given.format in ("csr", "csc"):
        inner, outer = (columns, rows) if given.format == "csr" else (rows, columns)
        _check_within(given.indices, inner, "column" if given.format == "csr" else "row", name)
        starts, entries = given.indptr, min(len(given.indices), len(given.data))
        is_whole = len(starts) == outer + 1 and starts[0] == 0 and starts[-1] <= entries
        if not is_whole or (np.diff(starts) < 0).any():
            raise InputError(
                f"{name}: its row pointers (indptr) do not ascend from 0 to the number of entries"
            )
    found = given.tocsr()
    if not found.has_canonical_format:
        found = found.copy()
        found.sum_duplicates()
    entries = int(found.indptr[-1])
    return csr(
        _shared(found.indptr, np.int64),
        _shared(found.indices[:entries], np.int32),
        _numbers(_shared(found.data[:entries], found.data.dtype)),
        columns,
    )


def _shared(values: NDArray[Any], dtype: Any) -> Tensor:
    """An array as a tensor: itself, unless it is of another type or not to be written to."""
    return torch.from_numpy(np.require(values, np.dtype(dtype).newbyteorder("="), ["C", "W"]))


def _dense(given: Any, name: str) -> Tensor:
    values = np.asarray(given)
    _check(values.shape, str(values.dtype), name, is_numbers=values.dtype.kind in "biuf")
    return _numbers(torch.from_numpy(np.array(values)))


def _numbers(values: Tensor) -> Tensor:
    """The same as floating-point numbers that hold them."""
    if values.dtype in (torch.float32, torch.float64):
        return values
    small = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.float16, torch.bfloat16)
    return values.to(torch.float32 if values.dtype in small else torch.float64)


def _check(shape: Any, dtype: str, name: str, *, is_numbers: bool) -> None:
    if len(shape) != 2:
        raise InputError(f"{name}: has shape {list(shape)}; give a matrix [N, features]")
    if not is_numbers:
        raise InputError(f"{name}: holds {quoted(dtype, 60)}; give real numbers")
    if shape[1] > MOST_COLUMNS:
        raise InputError(
            f"{name}: has {shape[1]:,} columns; {MOST_COLUMNS:,} are the most: hash them to fewer"
        )
    if (fault := too_wide(shape[1])) is not None:
        raise InputError(f"{name}: has {fault}")


def _check_within(indices: Any, end: int, what: str, name: str) -> None:
    if len(indices) and not 0 <= indices.min() <= indices.max() < end:
        outside = indices.max() if indices.max() >= end else indices.min()
        raise InputError(f"{name}: {what} {outside} lies outside of its {end:,} {what}s")
