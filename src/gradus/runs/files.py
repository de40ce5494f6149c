"""Files of a record: written whole or not at all, and never through a link.

A folder may come from elsewhere, and hold a link where a file of ours would be. Nothing is written
through it, and nothing is waited for that is no plain file. Links to the folder itself are the
user's own, and followed.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any

from gradus.errors import InputError

NO_LINK = os.O_NOFOLLOW | os.O_CLOEXEC


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it appears whole or not at all: beside, fsync, rename.

    What stood there is replaced: where that was a link, the link is, and not what it led to.

    Raises:
        OSError: it cannot be written; ``filename`` is its path.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_whole(Path(folder) / "notes", b"all of it")
        ...     read_whole(Path(folder) / "notes")
        b'all of it'
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.unlink(missing_ok=True)  # left by a process that was killed, or laid as a trap
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_LINK, 0o666)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def sync_folder(folder: Path) -> None:
    """Have it on the disk which files a folder holds."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def own_folder(path: Path) -> Path:
    """A folder within a record, made where it is missing.

    Raises:
        InputError: a link stands there: what is written would stand elsewhere.
        OSError: it cannot be made.
    """
    if path.is_symlink():
        raise InputError(
            f"{path}: is a link, through which nothing is written; put a folder in its place, or "
            "remove it"
        )
    path.mkdir(parents=True, exist_ok=True)
    return path


def open_plain(path: Path, flags: int = os.O_RDONLY) -> int:
    """The descriptor of a plain file: no folder, no pipe, no device.

    Links are followed unless ``flags`` say otherwise.

    Raises:
        OSError: there is none.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is no plain file", str(path))
    return descriptor


def read_whole(path: Path) -> bytes:
    """The content of a plain file.

    Raises:
        OSError: there is none.
    """
    with open(open_plain(path), "rb") as file:
        return file.read()


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        OSError: there is no such plain file.
        ValueError: it is no JSON, or nested deeper than can be read.
    """
    try:
        return _shallow(json.loads(read_whole(path)))
    except RecursionError:
        raise ValueError("nested too deep") from None


LARGEST_TOML = 4_000_000
"""Bytes of a specification: one of more is none, and would be read for minutes."""

DEEP_KEY = re.compile(r"""(?<![\w."'-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){16}""")
"""A key of so many parts: reading it takes a time that grows with their square."""


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """The text of a TOML file, and its content.

    Raises:
        OSError: there is no such plain file.
        ValueError: it is no TOML, or larger or nested deeper than a specification is.
    """
    text = read_whole(path).decode()
    if len(text) > LARGEST_TOML:
        raise ValueError(f"{len(text) / 1e6:.0f} MB are more than a specification has")
    if DEEP_KEY.search(text) is not None:
        raise ValueError("nested too deep")
    try:
        return text, _shallow(tomllib.loads(text))
    except RecursionError:
        raise ValueError("nested too deep") from None


DEEPEST = 50
"""Levels of lists and tables: no file of ours has more, and everyone who looks at them can go."""


def _shallow(content: Any) -> Any:
    """The same, unless it is nested so deep that looking at it may end in a RecursionError."""
    level = [content]
    for _ in range(DEEPEST):
        inner = [part for part in level if isinstance(part, dict | list)]
        if not inner:
            return content
        level = [
            each for part in inner for each in (part.values() if isinstance(part, dict) else part)
        ]
    raise ValueError("nested too deep")


def finite(value: Any) -> Any:
    """The same value with numbers that JSON does not know (inf, NaN) as their names."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
