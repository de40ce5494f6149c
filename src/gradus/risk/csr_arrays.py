"""What is wrong with sparse matrices of SciPy, and the arrays that they are made of in CSR."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradus.data.memory import too_wide
from gradus.errors import InputError, quoted

MOST_COLUMNS = 2**31 - 1
"""Of a sparse matrix: a column is a number of 32 bits."""


class CSR(NamedTuple):
    """A matrix of which no entry stands twice, and the columns of each row ascend."""

    starts: NDArray[np.int64]
    """``[rows + 1]``: where the entries of each row begin."""
    columns: NDArray[np.int32]
    """Of each entry."""
    values: NDArray[Any]
    """Of each entry."""


def csr_arrays(given: Any, name: str) -> CSR:
    """The arrays of a matrix of SciPy in any form, of whose memory they are where they can be.

    Args:
        given: the matrix, which is not changed.
        name: of it, for messages.

    Raises:
        InputError: it is no matrix ``[n, d]`` of numbers, or an index lies outside of it.

    Example:
        >>> from scipy.sparse import coo_array
        >>> csr_arrays(coo_array(([2.0, 3.0], ([0, 0], [1, 1])), (1, 2)), "X").values
        array([5.])
    """
    if given.ndim != 2:
        raise InputError(f"{name}: has shape {list(given.shape)}; give a matrix [N, features]")
    check_matrix(given.shape, str(given.dtype), name, is_numbers=given.dtype.kind in "biuf")
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
    return CSR(
        _shared(found.indptr, np.int64),
        _shared(found.indices[:entries], np.int32),
        _shared(found.data[:entries], found.data.dtype),
    )


def _shared(values: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """An array: itself, unless it is of another type or not to be written to."""
    return np.require(values, np.dtype(dtype).newbyteorder("="), ["C", "W"])


def check_matrix(shape: Any, dtype: str, name: str, *, is_numbers: bool) -> None:
    """Refuse what is no matrix of real numbers, or is too wide.

    Raises:
        InputError: it is such.
    """
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
