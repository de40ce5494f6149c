"""On which examples is a risk taken: the data as a risk sees them, their batches and chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from torch.utils.data import Dataset as TorchDataset

from gradus.errors import quoted
from gradus.risk.sparse import csr_of, in_pieces, is_csr, rows_at
from gradus.risk.sparse_matrices import as_csr

Indices = Tensor | slice
Batch = Indices | tuple[Tensor, Tensor]


ROWS_AT_ONCE = 4096
"""Examples of a dataset of PyTorch that are put together at once."""


class Examples(Protocol):
    """Data from which batches are cut: N examples (x_i, y_i)."""

    def __len__(self) -> int:
        """N, the number of examples."""

    def batch(self, indices: Indices) -> tuple[Tensor, Tensor]:
        """The examples at these indices, as the model and the loss take them."""


class TensorPair:
    """Data given as two tensors x ``[N, ...]`` and y ``[N, ...]``; x may be a matrix of SciPy."""

    def __init__(self, x: Any, y: Any) -> None:
        x, y = _as_tensor(x), _as_tensor(y)
        if len(x) != len(y):
            raise ValueError(f"x holds {len(x)} examples but y holds {len(y)}")
        if len(x) == 0:
            raise ValueError("the data hold no examples")
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: Indices) -> tuple[Tensor, Tensor]:
        """The examples at these indices."""
        x = rows_at(self.x, indices) if is_csr(self.x) else self.x[indices]
        return x, self.y[indices]


def _as_tensor(given: Any) -> Tensor:
    """What is given as a tensor; of a sparse one CSR."""
    if hasattr(given, "tocsr"):
        return as_csr(given, "x")
    if not isinstance(given, Tensor) and hasattr(given, "__array__"):
        given = given.__array__()  # columns of a frame
    found = torch.as_tensor(given)
    return found if found.layout == torch.strided else csr_of(found)


def given_examples(data: Any) -> Examples:
    """The examples of what is given: a pair, a dict, data of PyTorch or of Gradus, or batches.

    Raises:
        ValueError: it is none of these, or x and y do not go together.
    """
    if isinstance(data, Mapping):
        if set(data) != {"x", "y"}:
            raise ValueError(f"the data have the keys {quoted(sorted(data))}: give x and y")
        data = data["x"], data["y"]
    if isinstance(data, tuple | list) and all(map(_is_batch, data)) and data:
        return _together(data)
    if isinstance(data, tuple | list):
        if len(data) != 2:
            raise ValueError(f"the data hold {len(data)} things: give a pair, x and y")
        return TensorPair(*data)
    if isinstance(data, TorchDataset | DataLoader):
        return read_whole(data)
    if isinstance(data, Iterator):
        raise ValueError("the data can be gone through once, and may have no end: give list(data)")
    if not hasattr(data, "batch"):
        raise ValueError(
            f"the data are a {type(data).__name__}: give a pair (x, y), a dict of both, a list of "
            "such pairs, a dataset or a loader of PyTorch, or a gradus.data.Dataset"
        )
    examples: Examples = data
    return examples


def read_whole(data: TorchDataset[Any] | DataLoader[Any]) -> TensorPair:
    """All examples of a dataset or a loader of PyTorch, read once: f is a function of w alone.

    Raises:
        ValueError: it has no end, yields something else than x and y, or none at all.
    """
    loader = data if isinstance(data, DataLoader) else DataLoader(data, batch_size=ROWS_AT_ONCE)
    if isinstance(loader.dataset, IterableDataset) and not hasattr(loader.dataset, "__len__"):
        raise ValueError("the data have no length: give a dataset with a __len__")
    return _together(loader)


def _is_batch(given: Any) -> bool:
    """Whether it is a pair of tensors or arrays, as a list of batches holds."""
    is_pair = isinstance(given, tuple | list) and len(given) == 2
    return is_pair and all(hasattr(each, "shape") for each in given)


def _together(batches: Iterable[Any]) -> TensorPair:
    """The examples of all batches."""
    found: list[tuple[Tensor, Tensor]] = []
    for batch in batches:
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            held = len(batch) if isinstance(batch, tuple | list) else type(batch).__name__
            raise ValueError(f"the data yield {held} things: let them yield x and y")
        found.append((_as_tensor(batch[0]), _as_tensor(batch[1])))
    if not found:
        raise ValueError("the data hold no examples")
    x, y = (torch.cat(each) for each in zip(*found, strict=True))
    return TensorPair(x, y)


def examples_of(data: Examples, batch: Batch) -> tuple[Tensor, Tensor]:
    """The examples x and y of a batch, which may be these tensors themselves."""
    return batch if isinstance(batch, tuple) else data.batch(batch)


def weights_of(data: Examples, batch: Batch) -> Tensor | None:
    """What each example of a batch counts, ``[B]``; None where all count alike.

    Data say so by ``weights``, a tensor ``[N]``. Examples that are given as tensors count alike.
    """
    weights: Tensor | None = getattr(data, "weights", None)
    return None if weights is None or isinstance(batch, tuple) else weights[batch]


def mean_weight_of(data: Examples, loss: object) -> float | None:
    """The mean of what its examples count, by which those of any batch are divided.

    None where all count alike, and where the loss does not divide by each in the same way, as by
    class weights, or without targets that it ignores: batches are then divided by their own.
    """
    weights: Tensor | None = getattr(data, "weights", None)
    if weights is None or getattr(loss, "weight", None) is not None:
        return None
    ignored, y = getattr(loss, "ignore_index", None), getattr(data, "y", None)
    if ignored is not None and isinstance(y, Tensor) and bool((y == ignored).any()):
        return None
    return float(weights.double().mean())


def size_of(batch: Batch | None, examples: int) -> int:
    """How many examples a batch holds, of data that hold so many."""
    if batch is None:
        return examples
    if isinstance(batch, slice):
        return len(range(*batch.indices(examples)))
    return len(batch[0]) if isinstance(batch, tuple) else len(batch)


def in_chunks(batch: Batch | None, examples: int, size: int) -> Sequence[Batch]:
    """A batch, or the whole data, in batches of at most ``size`` examples.

    Args:
        batch: indices into the data, a slice of it, a pair of tensors, or None for the whole data.
        examples: how many the data hold.
        size: the largest number of examples in a chunk.

    Raises:
        ValueError: a slice holds no example.
    """
    if isinstance(batch, tuple):
        return list(zip(in_pieces(batch[0], size), batch[1].split(size), strict=True))
    if isinstance(batch, Tensor):
        return list(torch.split(batch, size)) if len(batch) > size else [batch]
    chosen = range(examples)[batch or slice(None)]
    if not chosen:
        raise ValueError(f"the batch {batch} holds none of the {examples} examples")
    chunks = (chosen[at : at + size] for at in range(0, len(chosen), size))
    return [slice(chunk.start, chunk.stop, chunk.step) for chunk in chunks]
