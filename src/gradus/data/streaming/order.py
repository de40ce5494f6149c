"""In which order rows that are streamed train: buffers of buckets, each shuffled, one read ahead.

In epoch e the buckets are permuted, and so many of them at a time are a buffer, whose rows are
permuted: the order is a pure function of (seed, epoch). What is left of a buffer behind its last
whole batch stands before the rows of the next. While one buffer trains the next is read by a
thread, into memory that is used again.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray

from gradus.data.dataset import Dataset
from gradus.data.sampling import Sampling
from gradus.data.streaming.rows_file import RowsFile

BUFFER = 2**26
"""Bytes of the rows of a buffer, about, where nothing is said of it."""

Storage = tuple[NDArray[Any], NDArray[Any]]


class Buffer(NamedTuple):
    """Rows in memory, which train before those of the next."""

    data: Dataset
    order: NDArray[np.int64]
    """In which the rows of ``data`` train, batch after batch."""
    first: int
    """The number of its first step within the epoch."""
    until: int
    """That behind its last."""


@dataclass
class Waiting:
    """For how long training has waited for rows, in seconds."""

    seconds: float = 0.0


@final
@dataclass(frozen=True)
class StreamOrder(Sampling):
    """The mini-batches of rows that are read as they train, epoch by epoch.

    Its steps are those of ``shuffle``: each row once an epoch, and a last batch of what is left.

    Args:
        rows: where they lie.
        classes: their names, None where numbers are predicted.
        buffer: rows that are shuffled together, about; None for 64 MB of them.
        waiting: counts.
    """

    rows: RowsFile | None = None
    classes: tuple[str, ...] | None = None
    buffer: int | None = None
    waiting: Waiting = field(default_factory=Waiting, compare=False)

    @property
    def _rows(self) -> RowsFile:
        assert self.rows is not None
        return self.rows

    @property
    def groups(self) -> int:
        """How many buffers an epoch has: each has a batch at least, whatever buckets it is of."""
        sizes = np.sort(self._rows.sizes("train"))
        wanted = self.buffer or max(1, BUFFER // self._rows.layout.row)
        groups = max(1, min(len(sizes), round(self.n / wanted)))
        while groups > 1 and sizes[: len(sizes) // groups].sum() < self.batch_size:
            groups -= 1
        return int(groups)

    @property
    def digest(self) -> str:
        """Of all rows: others have another."""
        return self._rows.digest

    def buffers(self, epoch: int, step: int = 0) -> Generator[Buffer]:
        """The buffers of an epoch, from that of a step on; each is there until the next is taken.

        Args:
            epoch: which one, counted from 0.
            step: a step of it.

        Raises:
            InputError: the rows cannot be read any more.
        """
        plan = self._plan(epoch)
        begin = next((at for at, (_, _, until, _) in enumerate(plan) if step < until), len(plan))
        longest = max((left + rows for _, _, _, (left, rows) in plan), default=0)
        storages = [self._rows.layout.storage(longest) for _ in range(min(2, len(plan)))]
        with ThreadPoolExecutor(1, "gradus-rows") as thread:
            before: tuple[Storage, NDArray[np.int64]] | None = None
            if begin < len(plan) and plan[begin][3][0]:  # what is left of the one before it
                storage = storages[(begin - 1) % 2]
                own = np.random.default_rng(self._seed(epoch, begin - 1))
                left, rows = plan[begin - 1][3]
                self._load(plan[begin - 1][0], storage, left)
                before = storage, _shuffled(own, left, rows)
            waiting = self._submit(thread, epoch, plan, begin, storages, before)
            for at in range(begin, len(plan)):
                _, first, until, (left, rows) = plan[at]
                started = time.perf_counter()
                assert waiting is not None
                order = waiting.result()
                self.waiting.seconds += time.perf_counter() - started
                storage = storages[at % 2]
                waiting = self._submit(thread, epoch, plan, at + 1, storages, (storage, order))
                taken = order[: (until - first) * self.batch_size]
                yield Buffer(self._dataset(storage, left + rows), taken, first, until)

    def epoch(self, epoch: int, device: torch.device | str = "cpu") -> Iterator[Any]:
        """The batches of one epoch, each x and y on a device."""
        for buffer in self.buffers(epoch):
            order = torch.from_numpy(buffer.order)
            for at in range(0, len(order), self.batch_size):
                x, y = buffer.data.batch(order[at : at + self.batch_size])
                yield x.to(device), y.to(device)

    def indices(self, epoch: int) -> NDArray[np.int64]:
        """Rows have no numbers here.

        Raises:
            TypeError: always.
        """
        raise TypeError("rows that are streamed have no numbers; take epoch or buffers")

    def _plan(self, epoch: int) -> list[tuple[NDArray[np.int64], int, int, tuple[int, int]]]:
        """Each buffer: its buckets, its first step and that behind its last, rows left and own."""
        sizes = np.array(self._rows.sizes("train"))
        buckets = np.random.default_rng(self._seed(epoch)).permutation(len(sizes))
        found, before = [], 0
        groups = np.array_split(buckets, self.groups)
        for at, group in enumerate(groups, start=1):
            rows = int(sizes[group].sum())
            first, left = divmod(before, self.batch_size)
            before += rows
            until = self.steps if at == len(groups) else before // self.batch_size
            found.append((group, first, until, (left, rows)))
        return found

    def _seed(self, epoch: int, *of: int) -> np.random.SeedSequence:
        return np.random.SeedSequence(self.seed, spawn_key=(0, epoch, *of))

    def _submit(
        self,
        thread: ThreadPoolExecutor,
        epoch: int,
        plan: list[tuple[NDArray[np.int64], int, int, tuple[int, int]]],
        at: int,
        storages: list[Storage],
        before: tuple[Storage, NDArray[np.int64]] | None,
    ) -> Future[NDArray[np.int64]] | None:
        """Begin to read a buffer; what comes of it is the order of its rows."""
        if at >= len(plan):
            return None
        group, _, _, (left, rows) = plan[at]
        storage = storages[at % 2]

        def read() -> NDArray[np.int64]:
            if left:
                assert before is not None
                (x, y), order = before
                storage[0][:left], storage[1][:left] = x[order[-left:]], y[order[-left:]]
            self._load(group, storage, left)
            return _shuffled(np.random.default_rng(self._seed(epoch, at)), left, rows)

        return thread.submit(read)

    def _load(self, group: NDArray[np.int64], storage: Storage, at: int) -> None:
        for bucket in group.tolist():
            at = self._rows.load("train", bucket, storage, at)

    def _dataset(self, storage: Storage, rows: int) -> Dataset:
        x, y = (torch.from_numpy(each[:rows]) for each in storage)
        return Dataset(x, y, self.classes, dtype=x.dtype)


def _shuffled(random: np.random.Generator, left: int, rows: int) -> NDArray[np.int64]:
    """What is left of the buffer before, then the rows of this one."""
    return np.concatenate([np.arange(left), left + random.permutation(rows)])
