"""How much is imported at once without a search for unreachable objects among it."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

_alone = False


@contextmanager
def without_collection() -> Iterator[None]:
    """Import in the body: Python's garbage collector is off meanwhile.

    torch and matplotlib make hundreds of thousands of objects that all stay. Searching them again
    and again as they become more takes a third of the time of importing them.

    Example:
        >>> with without_collection():
        ...     import gradus.engine.native
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if _alone:
            gc.freeze()
        if was_enabled:
            gc.enable()


def own_process() -> None:
    """Say that this process does nothing but run Gradus.

    What it imports then stays out of every later collection, and its memory is left to the system
    at the end, which takes it back at once.
    """
    global _alone
    _alone = True
    atexit.register(gc.freeze)
