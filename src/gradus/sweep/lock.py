"""Who works on a sweep: one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gradus.errors import InputError


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a sweep, ``folder/lock``, in which the process id of its holder stands.

    The kernel gives the lock back when its holder ends, however it ends: a file that a killed
    process left behind locks nobody out, and is never removed, so that no two processes can hold
    two files of this name.

    Raises:
        InputError: another process holds it; the message has its process id.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, locked(Path(folder)):
        ...     int((Path(folder) / "lock").read_text()) == os.getpid()
        True
    """
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode(errors="replace").strip()
            who = f"process {holder}" if holder else "another process"
            raise InputError(
                f"{folder}: {who} is working on this sweep; wait for it, or end it first"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
