"""By which clock an examination keeps to its time."""

from __future__ import annotations

import time
from collections.abc import Callable

_clock: Callable[[], float] = time.monotonic


def now() -> float:
    """Seconds, of which only differences mean anything."""
    return _clock()


def keep_by(clock: Callable[[], float]) -> None:
    """Keep by another: ``time.process_time`` where others use the machine too.

    Example:
        >>> import time
        >>> keep_by(time.process_time)
        >>> keep_by(time.monotonic)
    """
    global _clock
    _clock = clock
