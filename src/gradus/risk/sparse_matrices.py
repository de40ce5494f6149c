"""How sparse matrices of SciPy and PyTorch become CSR tensors, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus.errors import InputError, quoted
from gradus.risk.csr_arrays import check_matrix, csr_arrays
from gradus.risk.sparse import csr, csr_of, is_csr, parts_of


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
    check_matrix(tensor.shape, str(tensor.dtype), name, is_numbers=not tensor.is_complex())
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
    starts, columns, values = map(torch.from_numpy, csr_arrays(given, name))
    return csr(starts, columns, _numbers(values), given.shape[1])


def _dense(given: Any, name: str) -> Tensor:
    values = np.asarray(given)
    check_matrix(values.shape, str(values.dtype), name, is_numbers=values.dtype.kind in "biuf")
    return _numbers(torch.from_numpy(np.array(values)))


def _numbers(values: Tensor) -> Tensor:
    """The same as floating-point numbers that hold them."""
    if values.dtype in (torch.float32, torch.float64):
        return values
    small = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.float16, torch.bfloat16)
    return values.to(torch.float32 if values.dtype in small else torch.float64)
