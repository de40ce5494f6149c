"""Which rows of a long table figures are taken of: so many that are drawn, as they go by."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST = 1_000_000
"""Rows that figures are taken of, at most: a share of them is known to 0.1 %, 19 times of 20."""


class Drawn:
    """A uniform sample of the rows that go by, each with all that is known of it.

    Every row is given a number at random, the same in every run; those of the least numbers stay.

    Args:
        most: rows that are drawn, `MOST` if nothing is said; of no more, all are, in their
            order.

    Example:
        >>> drawn = Drawn(most=3)
        >>> for first in (0, 10, 20):
        ...     drawn.add(np.arange(first, first + 10))
        >>> drawn.rows, [len(each) for each in drawn.arrays()]
        (30, [3])
    """

    def __init__(self, most: int | None = None) -> None:
        self.most = MOST if most is None else most
        self.rows = 0
        """That went by."""
        self._random = np.random.default_rng(0)
        self._held: list[tuple[NDArray[Any], ...]] = []
        self._count = 0

    def add(self, *arrays: NDArray[Any]) -> None:
        """More rows: arrays of the same length, of which each holds something of every row."""
        n = len(arrays[0])
        self._held.append((self._random.random(n), *arrays))
        self.rows += n
        self._count += n
        if self._count > 2 * self.most:
            self._draw()

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """What was added of those that are drawn."""
        self._draw()
        return self._held[0][1:]

    def _draw(self) -> None:
        together = tuple(map(np.concatenate, zip(*self._held, strict=True)))
        if self._count > self.most:
            least = np.sort(np.argpartition(together[0], self.most)[: self.most])
            together = tuple(each[least] for each in together)
        self._held, self._count = [together], len(together[0])
