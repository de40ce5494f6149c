"""A process that another has started: it trains with that one, and ends with it."""

from __future__ import annotations

import mmap
import os
import sys
import threading
from contextlib import suppress

from gradus.errors import InputError


def main(descriptor: int) -> None:
    """Join, train, end.

    Args:
        descriptor: of the file that holds what is handed over.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import cloudpickle

    from gradus.runs.processes.group import joined, of_environment
    from gradus.runs.train import join

    with suppress(InputError), joined(of_environment) as processes:
        with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as content:
            given = cloudpickle.loads(content)
        join(processes, **given)


def _end_with_parent() -> None:
    """The parent never writes: what ends is it."""
    sys.stdin.buffer.read()
    os._exit(1)
