"""Who works in a folder: one process at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gradus.errors import InputError
from gradus.runs.files import NO_LINK, open_plain, own_folder

CONTENT = re.compile(rb"\d{0,20}\n?")
"""What a lock holds: a process id, or nothing where its process was killed before it wrote it."""

ORPHAN_SECONDS = 10.0
"""So long processes have to end that a killed holder started: they notice it at once."""

NO_PLAIN_FILE = (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EINVAL)
"""What opening a link, a folder, a socket and a pipe or device ends in."""


@contextmanager
def locked(folder: Path, name: str = "lock") -> Iterator[int]:
    """Hold the lock of a folder: the file ``name``, in which the process id of its holder stands.

    The kernel gives the lock back when its holder ends, however it ends: a file that a killed
    process left behind locks nobody out. Processes that inherit the descriptor, which is given,
    hold it too: of a holder that was killed they are waited for. The holder may remove the file
    with all else in there. A file that is no lock of ours (a link, another name of a file
    elsewhere, one with other content) is left as it is.

    Raises:
        InputError: another process holds it, the message has its process id; or what stands there
            is no lock.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, locked(Path(folder)):
        ...     int((Path(folder) / "lock").read_text()) == os.getpid()
        True
    """
    descriptor = _locked(folder, folder / name)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _locked(folder: Path, path: Path) -> int:
    """The file, locked; one that its holder removed meanwhile is no lock, and made again."""
    until = time.monotonic() + ORPHAN_SECONDS
    while True:
        descriptor = _opened(folder, path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode(errors="replace").strip()
            os.close(descriptor)
            if holder and not _runs(int(holder)) and time.monotonic() < until:
                time.sleep(0.02)
                continue
            who = f"process {holder}" if holder else "another process"
            raise InputError(
                f"{folder}: {who} is working there; wait for it, or end it first"
            ) from None
        if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
        os.close(descriptor)


def _runs(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _opened(folder: Path, path: Path) -> int:
    """The file, made where it is missing.

    Raises:
        InputError: what stands there is no lock of ours.
    """
    while True:
        if path.parent == folder:
            folder.mkdir(parents=True, exist_ok=True)
        else:
            own_folder(path.parent)
        try:
            descriptor = open_plain(path, os.O_RDWR | NO_LINK)
        except FileNotFoundError:
            try:
                return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_LINK, 0o644)
            except (FileExistsError, FileNotFoundError):
                continue  # another process has made it, or removed the folder, meanwhile
        except OSError as error:
            if error.errno in NO_PLAIN_FILE:
                raise _foreign(path) from None
            raise
        links = os.fstat(descriptor).st_nlink
        if links > 1 or CONTENT.fullmatch(os.pread(descriptor, 64, 0)) is None:
            os.close(descriptor)
            raise _foreign(path)
        return descriptor


def _foreign(path: Path) -> InputError:
    return InputError(
        f"{path}: is no lock that Gradus has made, and is left as it is; remove it if nobody "
        "needs it"
    )
