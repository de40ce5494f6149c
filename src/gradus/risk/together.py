"""Which examples of a batch are whose, where several processes evaluate it together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from gradus.risk.chunks import Mass
from gradus.risk.examples import Batch, size_of
from gradus.risk.precision import wide
from gradus.risk.tensors import Tensors


class Together(Protocol):
    """The processes that train one run, as one of them sees them."""

    @property
    def rank(self) -> int:
        """Which of them this one is, counted from 0."""

    @property
    def size(self) -> int:
        """How many there are."""

    def added(self, values: Tensor) -> Tensor:
        """The sum of what each of them gives, the same for all to the bit; may overwrite it.

        All of them have to ask for the same sums in the same order.
        """


def share(examples: int, together: Together) -> slice:
    """Which examples of a batch of so many this process evaluates: consecutive ones, or none.

    Example:
        >>> from types import SimpleNamespace
        >>> [share(5, SimpleNamespace(rank=rank, size=2)) for rank in range(2)]
        [slice(0, 2, None), slice(2, 5, None)]
    """
    rank, size = together.rank, together.size
    return slice(examples * rank // size, examples * (rank + 1) // size)


def cut(batch: Batch | None, examples: int, together: Together) -> Batch | None:
    """This process's share of a batch of data that hold so many examples; None where it is empty.

    Example:
        >>> from types import SimpleNamespace
        >>> last = SimpleNamespace(rank=1, size=2)
        >>> cut(slice(10, 15), 100, last), cut(torch.tensor([7]), 100, last)
        (slice(12, 15, 1), tensor([7]))
        >>> cut(torch.tensor([7]), 100, SimpleNamespace(rank=0, size=2)) is None
        True
    """
    at = share(size_of(batch, examples), together)
    if at.start == at.stop:
        return None
    if isinstance(batch, tuple):
        return batch[0][at], batch[1][at]
    if isinstance(batch, Tensor):
        return batch[at]
    chosen = range(examples)[batch or slice(None)][at]
    return slice(chosen.start, chosen.stop, chosen.step)


def added(
    together: Together, totals: Sequence[Tensor], masses: Sequence[Mass], gradients: Tensors
) -> tuple[Tensor, Tensor, Tensors]:
    """The sums of all processes' chunks: of the losses, of what divides them, of the gradients.

    They go as one vector of d + 2 numbers, of float32 at least.
    """
    sums = wide(gradients)
    like = sums.values[0]
    total = sum(totals, like.new_zeros(()))
    mass = like.new_zeros(()) + sum(masses)
    parts = [*(value.reshape(-1) for value in sums.values), total.view(1), mass.view(1)]
    flat = together.added(torch.cat(parts))
    *values, total, mass = flat.split([*(value.numel() for value in sums.values), 1, 1])
    shaped = [new.view(old.shape) for new, old in zip(values, sums.values, strict=True)]
    return total.view(()), mass.view(()), Tensors(shaped)
