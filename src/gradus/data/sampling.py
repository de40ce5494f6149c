"""In which order examples are visited: the samplings, as pure functions of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gradus.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SamplingName = Literal["full", "replacement", "shuffle", "sequential"]
SAMPLINGS: tuple[SamplingName, ...] = get_args(SamplingName)


@dataclass(frozen=True)
class Sampling:
    """How the N examples are cut into mini-batches, epoch by epoch.

    ``full``
        all N examples at every step: gradient descent. One batch an epoch; ``batch_size`` is N.
    ``replacement``
        B examples, each drawn uniformly from all N: with B = 1 stochastic gradient descent.
        ceil(N / B) batches an epoch, all of size B.
    ``shuffle``
        B examples without replacement, from a fresh permutation each epoch; the last batch holds
        what is left.
    ``sequential``
        B examples in the order of the data; the last batch holds what is left.

    The order is a pure function of (``seed``, epoch): any run can start in the middle.

    Args:
        name: one of the four.
        n: number of examples N.
        batch_size: B, 1 <= B <= N; not used by ``full``.
        seed: of the order, >= 0.

    Raises:
        InputError: unknown name, batch size out of range, negative seed.

    Example:
        >>> sampling = Sampling("shuffle", n=5, batch_size=2, seed=0)
        >>> sampling.steps
        3
        >>> [len(indices) for indices in sampling.epoch(0)]
        [2, 2, 1]
        >>> list(Sampling("sequential", n=5, batch_size=2).epoch(0))
        [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """

    name: SamplingName
    n: int
    batch_size: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.name not in SAMPLINGS:
            raise InputError(f"sampling {self.name}: unknown; choose {' | '.join(SAMPLINGS)}")
        if self.batch_size < 1:
            raise InputError(f"batch_size={self.batch_size}: at least 1 is needed")
        if self.batch_size > self.n and self.name != "full":
            raise InputError(
                f"batch_size={self.batch_size}: larger than the data, n={self.n}; give at most that"
            )
        if self.seed < 0:
            raise InputError(f"seed={self.seed}: give 0 or a positive integer")

    @property
    def steps(self) -> int:
        """Batches in one epoch."""
        return 1 if self.name == "full" else -(-self.n // self.batch_size)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """How many examples each batch of an epoch holds, ``[steps]``."""
        if self.name == "full":
            return np.array([self.n])
        sizes = np.full(self.steps, self.batch_size)
        if self.name != "replacement":
            sizes[-1] = self.n - self.batch_size * (self.steps - 1)
        return sizes

    def samples_before(self, step: int) -> int:
        """Examples consumed in the first ``step`` steps of a run."""
        if self.name == "full":
            return step * self.n
        epochs, rest = divmod(step, self.steps)
        per_epoch = self.steps * self.batch_size if self.name == "replacement" else self.n
        return epochs * per_epoch + rest * self.batch_size

    def epoch(self, epoch: int, device: torch.device | str = "cpu") -> Iterator[Tensor | slice]:
        """The batches of one epoch, as ``Dataset.batch`` takes them.

        Args:
            epoch: which one, counted from 0.
            device: where the indices are wanted; they move there once, not batch by batch.

        Yields:
            slices (``full``, ``sequential``) or int64 ``[B]`` views of one tensor of indices.
        """
        if self.name == "full":
            yield slice(0, self.n)
        elif self.name == "sequential":
            for start in range(0, self.n, self.batch_size):
                yield slice(start, min(start + self.batch_size, self.n))
        else:
            order = self.order(epoch).to(device)
            for start in range(0, len(order), self.batch_size):
                yield order[start : start + self.batch_size]

    def __iter__(self) -> Iterator[Tensor | slice]:
        """All batches, epoch after epoch, without end."""
        return chain.from_iterable(self.epoch(epoch) for epoch in count())

    def order(self, epoch: int) -> Tensor:
        """The indices of all examples of one epoch, batch after batch: int64, on the CPU.

        Args:
            epoch: which one, counted from 0.
        """
        import torch

        return torch.from_numpy(self.indices(epoch))

    def indices(self, epoch: int) -> NDArray[np.int64]:
        """The same as an array, without PyTorch."""
        random = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(0, epoch)))
        if self.name == "shuffle":
            return random.permutation(self.n)
        if self.name == "replacement":
            return random.integers(self.n, size=self.steps * self.batch_size)
        return np.arange(self.n)
