"""Which reader reads a file, after its name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from gradus.data.reading.csv_files import read_csv, stream_csv
from gradus.data.reading.excel import read_excel
from gradus.data.reading.feather import read_feather, stream_feather
from gradus.data.reading.json_lines import read_json_lines
from gradus.data.reading.notation import AS_GUESSED, Notation, without
from gradus.data.reading.packing import PACKINGS
from gradus.data.reading.parquet import read_parquet, stream_parquet
from gradus.data.reading.source import Source
from gradus.errors import InputError, brief

_Read = Callable[[Path, str | None], Source]
_Stream = Callable[[Path, str | None], Iterator[Source]]


def _typed(
    read: Callable[[Path], Source], stream: Callable[[Path], Iterator[Source]] | None = None
) -> tuple[_Read, _Stream]:
    """The readers of a file whose fields nothing separates; it is one piece, if it has no other."""
    pieces = stream or (lambda path: iter([read(path)]))
    return lambda path, separator: read(path), lambda path, separator: pieces(path)


_TEXT: dict[str, tuple[_Read, _Stream]] = {
    ".csv": (read_csv, stream_csv),
    ".tsv": (read_csv, stream_csv),
    ".txt": (read_csv, stream_csv),
    ".jsonl": _typed(read_json_lines),
    ".ndjson": _typed(read_json_lines),
}
_OTHER: dict[str, tuple[_Read, _Stream]] = {
    ".parquet": _typed(read_parquet, stream_parquet),
    ".feather": _typed(read_feather, stream_feather),
    ".arrow": _typed(read_feather, stream_feather),
    ".xlsx": _typed(read_excel),
}
_PACKED = {suffix + packing: both for suffix, both in _TEXT.items() for packing in PACKINGS}
_READERS = _TEXT | _OTHER | _PACKED

KINDS = (*_TEXT, *_OTHER)
"""The endings of files that are read as tables; those of text may have .gz or .zst behind them."""

SUFFIXES = tuple(_READERS)
"""The same with those."""


_under_way: dict[Path, Future[Source]] = {}
"""Files that are being read ahead."""


@contextmanager
def reading_ahead(path: Path) -> Iterator[None]:
    r"""Begin to read a table beside what is done in the body: ``read_source`` there waits for it.

    What cannot be read is said there too, and nowhere where nobody asks.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "fruit.csv"
        >>> _ = path.write_text("grams,fruit\n150,apple\n")
        >>> with reading_ahead(path):
        ...     source = read_source(path)  # after something else
        >>> source.names
        ['grams', 'fruit']
    """
    with ThreadPoolExecutor(1) as thread:
        _under_way[path] = thread.submit(_read_source, path, AS_GUESSED)
        try:
            yield
        finally:
            _under_way.pop(path, None)


def read_source(path: Path, notation: Notation = AS_GUESSED) -> Source:
    r"""Read a table by the reader of its ending, one of ``SUFFIXES``.

    Args:
        path: the file.
        notation: what the user says of how it is written.

    Raises:
        InputError: the file cannot be read, is damaged or empty, or two columns share a name.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "fruit.csv"
        >>> _ = path.write_text("grams; fruit; bin\n150; apple; 01\n120; banana; 02\n")
        >>> source = read_source(path)
        >>> source.names, source.notes
        (['grams', 'fruit', 'bin'], ("fields separated by ';'",))
        >>> source.arrow["grams"].to_pylist(), source.text("bin").to_pylist(), source.place(1)
        ([150, 120], ['01', '02'], 'line 3')
    """
    ahead = _under_way.pop(path, None) if notation == AS_GUESSED else None
    return _read_source(path, notation) if ahead is None else ahead.result()


def _read_source(path: Path, notation: Notation) -> Source:
    source = written_as(_reader(path)[0](path, notation.separator), notation)
    _check(source)
    if source.arrow.num_rows == 0:
        raise _no_rows(path)
    return source


def stream(path: Path, notation: Notation = AS_GUESSED) -> Iterator[Source]:
    r"""Read a table in pieces of rows, of which there is no more than one in memory.

    CSV, Parquet and Arrow come in pieces, other files in one. In a text file a column may be
    numbers in one piece and text in another: ``Source.text`` gives what stands there in all.

    Args:
        path: the file.
        notation: what the user says of how it is written.

    Raises:
        InputError: as of ``read_source``.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "numbers.csv"
        >>> _ = path.write_text("a,b\n" + "1,2\n" * 10)
        >>> sum(piece.arrow.num_rows for piece in stream(path))
        10
    """
    rows = 0
    for piece in _reader(path)[1](path, notation.separator):
        source = written_as(piece, notation)
        _check(source)
        rows += source.arrow.num_rows
        if source.arrow.num_rows:
            yield source
    if not rows:
        raise _no_rows(path)


def is_separated(path: Path) -> bool:
    """Whether a file is one of fields with a separator between them, after its name.

    Example:
        >>> is_separated(Path("a.csv.gz")), is_separated(Path("a.jsonl"))
        (True, False)
    """
    return Path(re.sub(r"\.(gz|zst)$", "", path.name.lower())).suffix in (".csv", ".tsv", ".txt")


def written_as(source: Source, notation: Notation) -> Source:
    """A table of which it is known how it is written."""
    if notation.decimal is None and not notation.missing_values:
        return source
    arrow = without(source.arrow, notation.missing_values)
    return replace(source, arrow=arrow, decimal=notation.decimal)


def _reader(path: Path) -> tuple[_Read, _Stream]:
    name = path.name.lower()
    for suffix, both in _READERS.items():
        if name.endswith(suffix):
            return both
    raise InputError(f"{path}: a kind of file that is not read as a table; give {', '.join(KINDS)}")


def _check(source: Source) -> None:
    """Refuse names that several columns share, and a table without columns."""
    if not source.names:
        raise InputError(f"{source.path}: no columns; give names of columns and rows")
    counts = Counter(source.names)
    repeated = [(name, count) for name, count in counts.items() if count > 1]
    if repeated:
        raise InputError(
            f"{source.path}: {repeated[0][1]} columns are named {brief(repeated[0][0])!r}; "
            "give each a name of its own"
        )


def _no_rows(path: Path) -> InputError:
    return InputError(f"{path}: names of columns but no rows; write rows below them")
