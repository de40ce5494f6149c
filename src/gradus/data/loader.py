"""Batches in the order of a ``torch.utils.data.DataLoader``, which is not ours."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from gradus.data.sampling import Sampling
from gradus.errors import OwnCodeError, reason


@final
@dataclass(frozen=True)
class LoaderOrder(Sampling):
    """The mini-batches of a loader, epoch by epoch, as it gives them.

    Args:
        loader: it; its workers, its sampler and what puts its batches together are used.
        numbers: whether targets are numbers to predict, also where they are integers.
        dtype: of numbers.
        times: how many of its batches are one here.
    """

    loader: DataLoader[Any] | None = None
    numbers: bool = False
    dtype: torch.dtype = torch.float32
    times: int = 1

    def __post_init__(self) -> None:
        pass

    @property
    def steps(self) -> int:
        """Batches in one epoch."""
        return -(-len(self._loader) // self.times)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """How many examples each batch is expected to hold, ``[steps]``; only the loader knows."""
        return np.full(self.steps, self.batch_size * self.times)

    def samples_before(self, step: int) -> int:
        """About how many examples are consumed in the first ``step`` steps."""
        epochs, rest = divmod(step, self.steps)
        return epochs * self.n + rest * self.batch_size * self.times

    def epoch(self, epoch: int, device: torch.device | str = "cpu") -> Iterator[Any]:
        """The batches of one epoch, each x and y on a device.

        Raises:
            OwnCodeError: the loader fails, or gives something else.
        """
        for x, y in self._joined():
            yield (
                x.to(
                    device, self.dtype if x.is_floating_point() or x.dtype == torch.uint8 else None
                ),
                as_target(y, numbers=self.numbers, dtype=self.dtype).to(device),
            )

    def _joined(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of the loader, several as one where that is wanted."""
        pairs = pairs_of(self._loader, "data")
        if self.times == 1:
            yield from pairs
            return
        while some := list(itertools.islice(pairs, self.times)):
            x, y = (torch.cat(each) for each in zip(*some, strict=True))
            yield x, y

    def indices(self, epoch: int) -> NDArray[np.int64]:
        """Examples have no numbers here.

        Raises:
            TypeError: always.
        """
        raise TypeError("only the loader knows in which order its examples come")

    @property
    def _loader(self) -> DataLoader[Any]:
        assert self.loader is not None
        return self.loader


def pairs_of(loader: DataLoader[Any], name: str) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of a loader, each x ``[B, ...]`` and y ``[B, ...]``.

    Raises:
        OwnCodeError: it fails, or gives something else; the message begins with the name.
    """
    batches = iter(loader)
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except OwnCodeError:
            raise
        except Exception as error:
            raise OwnCodeError(f"{name}: the loader fails: {reason(error)}") from error
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            held = (
                f"{len(batch)} things" if isinstance(batch, tuple | list) else f"a {_kind(batch)}"
            )
            raise OwnCodeError(
                f"{name}: the loader yields {held}; let it yield x and y, as by collate_fn"
            )
        x, y = batch
        if not (isinstance(x, Tensor) and isinstance(y, Tensor)):
            raise OwnCodeError(
                f"{name}: the loader yields a {_kind(x)} and a {_kind(y)}; let it yield tensors"
            )
        if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
            raise OwnCodeError(
                f"{name}: the loader yields x of shape {list(x.shape)} and y of shape "
                f"{list(y.shape)}: both need one row per example"
            )
        yield x, y


def as_target(y: Tensor, *, numbers: bool, dtype: torch.dtype) -> Tensor:
    """Targets as a loss takes them: int64 classes, or numbers ``[B, m]``.

    Raises:
        OwnCodeError: a class is no whole number.
    """
    if not numbers and y.is_floating_point() and y.numel() == len(y):  # as zeros and ones may be
        if not bool((y == y.round()).all()):
            raise OwnCodeError("data: y holds classes as numbers first, and then what is no class")
        y = y.reshape(-1).long()
    if not (numbers or y.is_floating_point()):
        return y.long()
    y = y.to(dtype)
    return y[:, None] if y.ndim == 1 else y


@contextmanager
def as_it_was(loader: DataLoader[Any]) -> Iterator[None]:
    """Within, the loader is read; its generators stand afterwards where they stood.

    Workers that persist and were started within are ended: with them the next reading would draw
    nothing, where a first one draws a seed.
    """
    generators = {
        id(each): each
        for part in (loader, loader.sampler, loader.batch_sampler)
        if isinstance(each := getattr(part, "generator", None), torch.Generator)
    }
    states = {key: each.get_state() for key, each in generators.items()}
    persisting = loader._iterator
    try:
        with torch.random.fork_rng():
            yield
    finally:
        loader._iterator = persisting
        for key, each in generators.items():
            each.set_state(states[key])


def _kind(value: object) -> str:
    return type(value).__name__
