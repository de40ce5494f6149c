"""Which files are one table, how long it is about, and whether it is still the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gradus.data.memory import memory
from gradus.data.reading import KINDS, SUFFIXES, Notation, Source, is_separated, stream
from gradus.data.unpacking import stored_size
from gradus.errors import InputError, brief, quoted

STREAMED = tuple(kind for kind in KINDS if kind not in (".jsonl", ".ndjson", ".xlsx"))
"""Endings of the files that are read in pieces; those of text may have .gz or .zst behind them."""

SHARE_OF_MEMORY = 0.25
"""A table whose numbers alone need more of the memory is not read at once, unless so wanted."""

ENDS = 2**16
"""Bytes of a file, at its beginning and at its end, that are held against what they were."""

_BEGINNING = 2**20
_UNPACKED = 4
"""Times as long text is, about, than its packed file."""


@dataclass(frozen=True)
class TableFiles:
    """Files whose rows are one table, in the order of their names.

    Attributes:
        root: the file, or the folder that holds them.
        files: one or several, of one kind.
    """

    root: Path
    files: tuple[Path, ...]

    def pieces(self, notation: Notation) -> Iterator[Source]:
        """Their rows, some at a time.

        Raises:
            InputError: a file cannot be read, or has other columns than the first.
        """
        names: list[str] | None = None
        for path in self.files:
            for piece in stream(path, notation):
                if names is None:
                    names = piece.names
                elif set(piece.names) != set(names):
                    raise InputError(self._of_other_columns(path, piece.names, names))
                yield piece

    @cached_property
    def rows(self) -> int:
        """How many rows there are: exactly of Parquet and Arrow, about of text."""
        return max(1, sum(map(_rows_of, self.files)))

    @cached_property
    def columns(self) -> int:
        """How many columns there are, about: of the first file."""
        return _columns_of(self.files[0])

    def fingerprint(self) -> str:
        """What changes with the files: names, sizes, times, and the ends of their contents.

        Raises:
            InputError: one is not there any more.
        """
        digest = hashlib.sha256()
        for path in self.files:
            try:
                with path.open("rb") as file:
                    known = os.fstat(file.fileno())
                    head = file.read(ENDS)
                    file.seek(max(0, known.st_size - ENDS))
                    tail = file.read(ENDS)
            except OSError as error:
                raise InputError(f"{path}: cannot be read ({quoted(error)})") from None
            of = "" if path == self.root else path.relative_to(self.root).as_posix()
            digest.update(repr((of, known.st_size, known.st_mtime_ns)).encode())
            digest.update(hashlib.sha256(head).digest() + hashlib.sha256(tail).digest())
        return digest.hexdigest()

    def _of_other_columns(self, path: Path, given: list[str], names: list[str]) -> str:
        lacking = [name for name in names if name not in given]
        more = [name for name in given if name not in names]
        what = (
            f"lacks the column {brief(lacking[0])!r}"
            if lacking
            else f"has a column {brief(more[0])!r}"
        )
        than = "other pieces" if path == self.files[0] else str(self.files[0])
        return f"{path}: {what}, unlike {than}; give all files of a table the same columns"


def table_files(path: Path) -> TableFiles:
    """The file, or the files of a folder, in the order of their names.

    Raises:
        InputError: there are none, they are of several kinds, or of one that is not streamed.
    """
    if path.is_file():
        files = [path]
    elif path.is_dir():
        files = sorted(_tables_in(path))
        if not files:
            raise InputError(
                f"{path}: the folder holds no table; give files that end in {', '.join(STREAMED)}"
            )
    else:
        raise InputError(f"{quoted(str(path))}: no such file or folder")
    kinds = {_kind(file): file for file in reversed(files)}
    if len(kinds) > 1:
        one, other = list(kinds.values())[:2]
        raise InputError(
            f"{path}: holds tables of several kinds, as {other.name} and {one.name}; keep one kind "
            "in the folder"
        )
    if (kind := next(iter(kinds))) not in STREAMED:
        raise InputError(
            f"{files[0]}: {kind} is read at once, and not streamed; give {', '.join(STREAMED)}, or "
            "leave out --stream"
        )
    for file in files:
        keys = [part for part in file.relative_to(path).parts[:-1] if "=" in part]
        if keys:
            raise InputError(
                f"{file}: the name of the folder {keys[0]!r} is no column here; write the column "
                "into the files"
            )
    return TableFiles(path, tuple(files))


def holds_tables(folder: Path) -> bool:
    """Whether a folder holds tables that are streamed, before anything else that it may hold."""
    return next(_tables_in(folder), None) is not None


def exceeds_memory(path: Path) -> bool:
    """Whether the numbers of a table would need more than its share of the memory.

    What says nothing of that, as a file that is not there, does not.
    """
    if not path.is_file() or _kind(path) not in STREAMED:
        return False
    files = TableFiles(path, (path,))
    limit = SHARE_OF_MEMORY * memory()
    return path.stat().st_size * 8 > limit and files.rows * files.columns * 8 > limit


def _tables_in(folder: Path) -> Iterator[Path]:
    """Files of tables below a folder; what others leave there, as _SUCCESS, is none."""
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        for name in names:
            if name.lower().endswith(SUFFIXES) and not name.startswith((".", "_")):
                yield Path(root, name)


def _kind(path: Path) -> str:
    """The ending that says how a file is read; none where it is no table."""
    name = path.name.lower()
    suffix = next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")
    return suffix.removesuffix(".gz").removesuffix(".zst")


def _rows_of(path: Path) -> int:
    import pyarrow as pa

    try:
        if is_separated(path):
            beginning, size = _text(path)
            return round(beginning.count(b"\n") * size / max(len(beginning), 1))
        import pyarrow.dataset

        kind: Any = "parquet" if _kind(path) == ".parquet" else "feather"
        return int(pyarrow.dataset.dataset(path, format=kind).count_rows())
    except (OSError, ValueError, pa.ArrowException):  # said where it is read
        return 1


def _columns_of(path: Path) -> int:
    import pyarrow as pa

    try:
        if is_separated(path):
            line = _text(path)[0].partition(b"\n")[0]
            return 1 + max(map(line.count, (b",", b";", b"\t", b"|")))
        import pyarrow.dataset

        kind: Any = "parquet" if _kind(path) == ".parquet" else "feather"
        return len(pyarrow.dataset.dataset(path, format=kind).schema)
    except (OSError, ValueError, pa.ArrowException):
        return 1


def _text(path: Path) -> tuple[bytes, float]:
    """The beginning of a text file, and how long it is about."""
    import pyarrow as pa

    packed = path.suffix.lower() in (".gz", ".zst")
    with pa.input_stream(str(path)) as text:
        return text.read(_BEGINNING), stored_size(path) * (_UNPACKED if packed else 1)
