"""Inputs of which only what is not zero is kept: CSR tensors, their rows, and what makes them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor

PIECE = 1 << 17
"""Entries that are gathered at once."""


def is_csr(x: Tensor) -> bool:
    """Whether a tensor keeps its rows compressed."""
    return x.layout == torch.sparse_csr


def csr(starts: Tensor, columns: Tensor, values: Tensor, width: int) -> Tensor:
    """A CSR tensor ``[n, width]`` of its three parts, which nothing checks.

    Args:
        starts: int64 ``[n + 1]``, where the entries of each row begin; the last is where they end.
        columns: int32 ``[entries]``, of each entry: those of a row ascend, none stands twice.
        values: of each entry, floating.
        width: how many columns there are.

    Example:
        >>> columns = torch.tensor([1, 0], dtype=torch.int32)
        >>> csr(torch.tensor([0, 1, 2]), columns, torch.tensor([5.0, 7.0]), 3).to_dense().tolist()
        [[0.0, 5.0, 0.0], [7.0, 0.0, 0.0]]
    """
    _announce()
    shape = (len(starts) - 1, width)
    return torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=False)


def parts_of(x: Tensor) -> tuple[Tensor, ...]:
    """The strided tensors of which a tensor is made: itself, or the three parts of a CSR one."""
    return (x.crow_indices(), x.col_indices(), x.values()) if is_csr(x) else (x,)


def rows_at(x: Tensor, indices: Tensor | slice) -> Tensor:
    """Some rows of a tensor: gathered, or in one piece.

    Args:
        x: ``[n, ...]``, CSR or strided.
        indices: int64 ``[B]``, or a slice.

    Example:
        >>> x = csr_of(torch.tensor([[0.0, 5.0], [7.0, 0.0], [0.0, 9.0]]))
        >>> rows_at(x, torch.tensor([2, 0])).to_dense().tolist()
        [[0.0, 9.0], [0.0, 5.0]]
        >>> rows_at(x, slice(1, 3)).to_dense().tolist()
        [[7.0, 0.0], [0.0, 9.0]]
    """
    if not is_csr(x):
        return x[indices] if isinstance(indices, slice) else x.index_select(0, indices)
    starts, columns, values = parts_of(x)
    if isinstance(indices, slice):
        first, end, stride = indices.indices(len(x))
        if stride != 1:
            return rows_at(x, torch.arange(first, end, stride))
        own = starts[first : max(first, end) + 1]
        within = slice(int(own[0]), int(own[-1]))
        return csr(own - own[0], columns[within], values[within], x.shape[1])
    indices = torch.as_tensor(indices)
    if len(indices) and bool((indices.diff() == 1).all()):  # in one piece: nothing is copied
        return rows_at(x, slice(int(indices[0]), int(indices[-1]) + 1))
    own = starts[indices]
    counts = starts[indices + 1] - own
    begins = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    entries = int(begins[-1])
    to = columns.new_empty(entries), values.new_empty(entries)
    # What says where they stand takes three times the memory of them: it is made a piece at a time.
    cuts = torch.searchsorted(begins, torch.arange(0, entries, PIECE)).tolist()
    for first, last in pairwise([*cuts, len(indices)]):
        some = slice(int(begins[first]), int(begins[last]))
        moved = (own[first:last] - begins[first:last]).repeat_interleave(counts[first:last])
        at = moved.add_(torch.arange(some.start, some.stop))
        for whole, part in zip((columns, values), to, strict=True):
            torch.index_select(whole, 0, at, out=part[some])
    return csr(begins, *to, x.shape[1])


def stacked(tensors: Sequence[Tensor]) -> Tensor:
    """The rows of several tensors, one after another.

    Example:
        >>> x = csr_of(torch.tensor([[0.0, 5.0]]))
        >>> stacked([x, x]).to_dense().tolist()
        [[0.0, 5.0], [0.0, 5.0]]
    """
    if not is_csr(tensors[0]):
        return torch.cat(list(tensors))
    starts, columns, values = zip(*map(parts_of, tensors), strict=True)
    counts = torch.cat([each.diff() for each in starts])
    begins = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return csr(begins, torch.cat(columns), torch.cat(values), tensors[0].shape[1])


def in_pieces(x: Tensor, size: int) -> list[Tensor]:
    """The rows of a tensor, so many at once."""
    if not is_csr(x):
        return list(x.split(size))
    return [rows_at(x, slice(at, at + size)) for at in range(0, max(len(x), 1), size)]


def csr_of(x: Tensor) -> Tensor:
    """A matrix as CSR of the form that ``csr`` takes, whatever the layout that it has.

    What stands twice is added up, and the columns of a row are brought in order.

    Args:
        x: ``[n, d]``, strided, COO, CSC or CSR.

    Raises:
        ValueError: an index lies outside of the matrix, or the parts are of no such layout.

    Example:
        >>> at = [[0, 0], [1, 1]]
        >>> twice = torch.sparse_coo_tensor(at, [2.0, 3.0], (1, 2), check_invariants=True)
        >>> csr_of(twice).to_dense().tolist()
        [[0.0, 5.0]]
    """
    _announce()
    if is_csr(x):
        # Those of a user may be in any order, which PyTorch neither needs nor has a function for.
        starts, columns, values = parts_of(x)
        _check_indices(starts, columns, len(values), x.shape)
        rows = torch.arange(len(x)).repeat_interleave(starts.diff())
        keys = rows * x.shape[1] + columns
        if not bool((keys.diff() > 0).all()):
            x = torch.sparse_coo_tensor(
                torch.stack([rows, columns.long()]), values, x.shape, check_invariants=False
            )
    elif x.layout == torch.sparse_coo and x._nnz():
        indices = x._indices()
        outside = (indices < 0) | (indices >= torch.tensor(x.shape)[:, None])
        if bool(outside.any()):
            raise ValueError(f"an index lies outside of the shape {list(x.shape)}")
    if x.layout == torch.sparse_coo:
        x = x.coalesce()
    x = x if is_csr(x) else x.to_sparse_csr()
    starts, columns, values = parts_of(x)
    return csr(starts.long(), columns.int(), values, x.shape[1])


def _check_indices(starts: Tensor, columns: Tensor, entries: int, shape: torch.Size) -> None:
    if int(starts[0]) != 0 or int(starts[-1]) != entries or bool((starts.diff() < 0).any()):
        raise ValueError("the row pointers do not ascend from 0 to the number of entries")
    if entries and not 0 <= int(columns.min()) <= int(columns.max()) < shape[1]:
        outside = int(columns.max()) if int(columns.max()) >= shape[1] else int(columns.min())
        raise ValueError(f"column {outside} lies outside of the shape {list(shape)}")


@cache
def _announce() -> None:
    """Take the warning that PyTorch gives with the first CSR tensor: that they are new."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.zeros(1, 1).to_sparse_csr()
