"""What fits to the same rows have in common: how X becomes what nets see is made once."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

BYTES = 2**29
"""So much is kept at most; what was asked for longest ago goes first."""


class Kept:
    """What was made, by what it was made of."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._found: OrderedDict[tuple[Any, ...], tuple[Any, int]] = OrderedDict()
        self._bytes = 0

    def get(self, key: tuple[Any, ...]) -> Any:
        """What was made of this, or None."""
        with self._lock:
            if key not in self._found:
                return None
            self._found.move_to_end(key)
            return self._found[key][0]

    def put(self, key: tuple[Any, ...], made: Any, size: int) -> None:
        """Keep what was made of this, of so many bytes."""
        with self._lock:
            if key in self._found or size > BYTES:
                return
            self._found[key] = made, size
            self._bytes += size
            while self._bytes > BYTES:
                self._bytes -= self._found.popitem(last=False)[1][1]


_kept: list[Kept] = []
"""Innermost last: empty where nothing is shared."""


@contextmanager
def shared() -> Iterator[None]:
    """Within, in any thread, what was made of some rows is not made of them again."""
    kept = Kept()
    _kept.append(kept)
    try:
        yield
    finally:
        _kept.remove(kept)


def once(made_of: tuple[Any, ...], make: Callable[[], T], size: Callable[[T], int]) -> T:
    """What ``make`` gives, made once of the same where that is shared.

    Args:
        made_of: all that it depends on: arrays of numbers, and what is hashable.
        make: makes it.
        size: how many bytes it takes.

    Example:
        >>> with shared():
        ...     [once((np.arange(3), "sum"), lambda: at, lambda _: 8) for at in (1, 2)]
        [1, 1]
    """
    innermost = _kept[-1:]  # at once: other threads may leave
    if not innermost:
        return make()
    (kept,) = innermost
    key = tuple(_digest(each) if isinstance(each, np.ndarray) else each for each in made_of)
    found: T | None = kept.get(key)
    if found is None:
        found = make()
        kept.put(key, found, size(found))
    return found


def _digest(array: NDArray[Any]) -> tuple[Any, ...]:
    """The same for arrays of the same numbers, and for no others."""
    content = hashlib.sha256(np.ascontiguousarray(array).view(np.uint8).data)
    return array.dtype.str, array.shape, content.digest()
