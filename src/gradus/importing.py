"""What is imported without a search for unreachable objects, and what is asked without PyTorch."""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import TypeIs

_alone = False


@contextmanager
def without_collection(*, amid_run: bool = False) -> Iterator[None]:
    """Import in the body: Python's garbage collector is off meanwhile.

    torch and matplotlib make hundreds of thousands of objects that all stay. Searching them again
    and again as they become more takes a third of the time of importing them.

    Args:
        amid_run: whether a run is under way, whose objects do not all stay.

    Example:
        >>> with without_collection():
        ...     import gradus.engine.native
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if _alone and not amid_run:
            gc.freeze()
        if was_enabled:
            gc.enable()


def own_process() -> None:
    """Say that this process does nothing but run Gradus.

    What it imports then stays out of every later collection, and its memory is left to the system
    at the end, which takes it back at once; but for what is unreachable by then. A run that is
    called back from and its engine hold each other, and the core tells of each of its objects that
    outlives the process.
    """
    global _alone
    _alone = True
    atexit.register(_end)


def _end() -> None:
    gc.collect()
    gc.freeze()


def is_tensor(value: object) -> TypeIs[Tensor]:
    """Whether this is a tensor of PyTorch: where nobody has imported that, nothing is.

    Example:
        >>> import torch
        >>> is_tensor(torch.zeros(2)), is_tensor(2.0)
        (True, False)
    """
    kind: type[Tensor] | None = getattr(sys.modules.get("torch"), "Tensor", None)
    return kind is not None and isinstance(value, kind)
