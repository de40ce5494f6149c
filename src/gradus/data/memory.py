"""How much memory there is, and what asks for more of it."""

from __future__ import annotations

import os
from pathlib import Path

COPIES = 16
"""Numbers that training keeps of a column at least: the weights of two classes, what a method
remembers of them, and copies of the latest and of the best."""


def memory() -> int:
    """Bytes of memory that this process may have, about."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(found, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # no group, or one without a limit
        return found


def too_wide(columns: int) -> str | None:
    """Why no linear model of so many columns trains on this machine; None where one may.

    Example:
        >>> too_wide(47_236) is None, too_wide(2**62) is None
        (True, False)
    """
    needed, there = COPIES * 4 * columns, memory()
    if needed <= there:
        return None
    return (
        f"{columns:,} columns, whose linear model takes {needed / 2**30:,.0f} GB to train, of "
        f"{there / 2**30:.0f} GB: number those that occur, or hash them to fewer"
    )
