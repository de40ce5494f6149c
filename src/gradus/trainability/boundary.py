"""Which points of a lattice are run: all of a coarse one, then those along the boundary.

A square of the lattice whose known points do not agree is divided, down to single cells: a
quadtree. What is found on an edge counts for the squares on both sides, so that the boundary is
followed from square to square. Points of squares that agree are taken for what their corners are.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from typing import final

import numpy as np
from numpy.typing import NDArray

from gradus.runs.spec import RunSpec, run_id
from gradus.sweep.search import Search

UNKNOWN, TRAINED, LOST = -1, 0, 1

States = NDArray[np.int8]
Numbers = NDArray[np.float64]


def coarsest(size: int) -> int:
    """Into how many cells a side is divided before the boundary is known: 4 to 32.

    Example:
        >>> [coarsest(size) for size in (4, 64, 256, 1024)]
        [4, 8, 32, 32]
    """
    return max(min(size, 4), min(32, size // 8))


def wanted(states: States, coarse: int) -> NDArray[np.bool_]:
    """``[n + 1, n + 1]``: which points have to be known next.

    Args:
        states: of the points, ``UNKNOWN``, ``TRAINED`` or ``LOST``; n is a power of two.
        coarse: cells a side of which every corner is wanted.

    Example:
        >>> states = np.full((5, 5), TRAINED, np.int8)
        >>> states[1::2], states[:, 1::2] = UNKNOWN, UNKNOWN
        >>> states[4, 4] = LOST
        >>> wanted(states, 2).astype(int)
        array([[0, 0, 0, 0, 0],
               [0, 0, 0, 0, 0],
               [0, 0, 0, 1, 0],
               [0, 0, 1, 1, 1],
               [0, 0, 0, 1, 0]])
    """
    size = len(states) - 1
    stride = size // coarse
    found = np.zeros(states.shape, bool)
    found[::stride, ::stride] = True
    while stride > 1:
        half, squares = stride // 2, size // stride
        near = states[::half, ::half]
        nine = np.lib.stride_tricks.sliding_window_view(near, (3, 3))[::2, ::2]
        mixed = (nine == LOST).any((2, 3)) & (nine == TRAINED).any((2, 3))
        divided = np.zeros(near.shape, bool)
        for i, j in itertools.product(range(3), repeat=2):
            divided[i : i + 2 * squares - 1 : 2, j : j + 2 * squares - 1 : 2] |= mixed
        found[::half, ::half] |= divided
        stride = half
    next_ones: NDArray[np.bool_] = found & (states == UNKNOWN)
    return next_ones


def filled(values: Numbers, coarse: int) -> Numbers:
    """The same with the mean of the nearest known corners where there is NaN.

    Args:
        values: ``[n + 1, n + 1]``, at least those of the coarse lattice known.
        coarse: its cells a side.

    Example:
        >>> values = np.full((3, 3), np.nan)
        >>> values[::2, ::2] = [[1, 3], [5, 7]]
        >>> filled(values, 1).tolist()
        [[1.0, 2.0, 3.0], [3.0, 4.0, 5.0], [5.0, 6.0, 7.0]]
    """
    full, stride = values.copy(), (len(values) - 1) // coarse
    while stride > 1:
        near = full[:: stride // 2, :: stride // 2]
        corners = near[::2, ::2]
        for part, ends in (
            (near[::2, 1::2], [corners[:, :-1], corners[:, 1:]]),
            (near[1::2, ::2], [corners[:-1], corners[1:]]),
            (near[1::2, 1::2], [corners[:-1, :-1], corners[:-1, 1:], corners[1:, :-1],
                                corners[1:, 1:]]),
        ):  # fmt: skip
            several = np.stack(ends)
            known = np.isfinite(several)
            mean = np.where(known, several, 0.0).sum(0) / np.where(known.any(0), known.sum(0), 1)
            lacking = np.isnan(part)
            part[lacking] = np.where(known.any(0), mean, np.nan)[lacking]
        stride //= 2
    return full


@final
class Boundary(Search):
    """Asks for the runs of the points that are wanted, the coarse ones first.

    Args:
        size: cells a side, a power of two.
        coarse: those of the lattice that is run whole.
        spec_at: the run of the point in a row and a column.
        is_lost: whether a run that came to this loss is lost; None: it diverged.
    """

    at_once = 1024

    def __init__(
        self,
        size: int,
        coarse: int,
        spec_at: Callable[[int, int], RunSpec],
        is_lost: Callable[[float | None], bool],
    ) -> None:
        self.coarse, self._spec_at, self._is_lost = coarse, spec_at, is_lost
        self.states: States = np.full((size + 1, size + 1), UNKNOWN, np.int8)
        self.losses: Numbers = np.full((size + 1, size + 1), np.nan)
        self._places: dict[str, list[tuple[int, int]]] = {}
        self._taken = np.zeros(self.states.shape, bool)
        self._told: dict[str, float | None] = {}
        self._queue: deque[RunSpec] = deque()
        self._open: set[str] = set()

    @property
    def runs(self) -> int:
        """How many runs the points have that were asked for; neighbours may share one."""
        return len(self._places)

    @property
    def done(self) -> int:
        """Of how many of them it is known what came out."""
        return self.runs - len(self._open)

    @property
    def waits(self) -> bool:  # noqa: D102  (said by Search)
        return bool(self._open)

    def ask(self, n: int) -> list[RunSpec]:  # noqa: D102  (said by Search)
        asked: list[RunSpec] = []
        while len(asked) < n and (self._queue or self._enqueue()):
            asked.append(self._queue.popleft())
        return asked

    def tell(self, run: str, value: float | None) -> None:  # noqa: D102  (said by Search)
        self._told[run] = value
        self._open.discard(run)
        for place in self._places.get(run, ()):
            self._note(place, value)

    def _enqueue(self) -> bool:
        """Queue what is wanted and was not asked for; what is known already is noted at once."""
        while not self._queue:
            places = np.argwhere(wanted(self.states, self.coarse) & ~self._taken).tolist()
            if not places:
                return False
            for row, column in places:
                self._taken[row, column] = True
                spec = self._spec_at(row, column)
                name = run_id(spec)
                is_new = name not in self._places
                self._places.setdefault(name, []).append((row, column))
                if name in self._told:
                    self._note((row, column), self._told[name])
                elif is_new:
                    self._open.add(name)
                    self._queue.append(spec)
        return True

    def _note(self, place: tuple[int, int], value: float | None) -> None:
        self.states[place] = LOST if self._is_lost(value) else TRAINED
        self.losses[place] = np.nan if value is None else value
