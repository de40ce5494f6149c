"""How many threads take the steps of a fit: one each, where fits run side by side."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from sklearn.utils._openmp_helpers import _openmp_effective_n_threads


class _Holders:
    """Who takes one thread now, and how many torch took before the first of them came."""

    def __init__(self) -> None:
        self.lock, self.number = Lock(), 0
        self.before: int | None = None


_HOLDERS = _Holders()


def of_a_fit() -> int:
    """How many threads the steps of a fit may take: as many as torch, where that was imported."""
    if _HOLDERS.number:
        return 1
    torch = _torch()
    return int(_openmp_effective_n_threads() if torch is None else torch.get_num_threads())


def are_taken() -> bool:
    """Whether fits run side by side."""
    return _HOLDERS.number > 0


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Within, an engine takes one thread: nets side by side are faster than threads of each.

    Torch, where it was imported, has one number for the process, which threads that begin take
    over, and one in each thread: this one's comes back at once, that of the process with the last
    who holds it.
    """
    torch = _torch()
    with _HOLDERS.lock:
        own = None if torch is None else torch.get_num_threads()
        if _HOLDERS.number == 0:
            _HOLDERS.before = own
        _HOLDERS.number += 1
        if torch is not None:
            torch.set_num_threads(1)
    try:
        yield
    finally:
        with _HOLDERS.lock:
            _HOLDERS.number -= 1
            if torch is not None:
                is_last = not _HOLDERS.number and _HOLDERS.before is not None
                torch.set_num_threads(_HOLDERS.before if is_last else own)


def _torch() -> Any:
    """PyTorch, where it is all there."""
    found = sys.modules.get("torch")
    return found if hasattr(found, "set_num_threads") else None
