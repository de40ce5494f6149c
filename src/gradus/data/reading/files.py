"""Which reader reads a file, after its name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from gradus.data.reading.csv_files import read_csv
from gradus.data.reading.packing import PACKINGS
from gradus.data.reading.parquet import read_parquet
from gradus.data.reading.source import Source
from gradus.errors import InputError, brief

_TEXT: dict[str, Callable[[Path], Source]] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".txt": read_csv,
}
_OTHER: dict[str, Callable[[Path], Source]] = {".parquet": read_parquet}
_READERS = (
    _TEXT
    | _OTHER
    | {suffix + packing: reader for suffix, reader in _TEXT.items() for packing in PACKINGS}
)

KINDS = (*_TEXT, *_OTHER)
"""The endings of files that are read as tables; those of text may have .gz or .zst behind them."""

SUFFIXES = tuple(_READERS)
"""The same with those."""


def read_source(path: Path) -> Source:
    r"""Read a table by the reader of its ending, one of ``SUFFIXES``.

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
    name = path.name.lower()
    source = next(reader for suffix, reader in _READERS.items() if name.endswith(suffix))(path)
    names = source.names
    repeated = [(name, count) for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise InputError(
            f"{path}: {repeated[0][1]} columns are named {brief(repeated[0][0])!r}; "
            "give each a name of its own"
        )
    if source.arrow.num_rows == 0:
        raise InputError(f"{path}: names of columns but no rows; at least two rows are needed")
    return source
