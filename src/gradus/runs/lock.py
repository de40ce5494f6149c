"""Who works in a folder: one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gradus.errors import InputError


@contextmanager
def locked(folder: Path, name: str = "lock") -> Iterator[None]:
    """Hold the lock of a folder: the file ``name``, in which the process id of its holder stands.

    The kernel gives the lock back when its holder ends, however it ends: a file that a killed
    process left behind locks nobody out. The holder may remove the file with all else in there.

    Raises:
        InputError: another process holds it; the message has its process id.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, locked(Path(folder)):
        ...     int((Path(folder) / "lock").read_text()) == os.getpid()
        True
    """
    descriptor = _opened(folder, folder / name)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _opened(folder: Path, path: Path) -> int:
    """The file, locked; one that its holder removed meanwhile is no lock, and made again."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode(errors="replace").strip()
            os.close(descriptor)
            who = f"process {holder}" if holder else "another process"
            raise InputError(
                f"{folder}: {who} is working there; wait for it, or end it first"
            ) from None
        if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
        os.close(descriptor)
