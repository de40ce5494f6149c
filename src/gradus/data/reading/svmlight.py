r"""Files of svmlight and LIBSVM: a label and the entries of a sparse row, ``index:value``, a line.

A block of lines becomes a text of two columns, a line for each entry and for each label, which
stands where no index does: ``1 3:5 7:2`` is ``:1``, ``3:5``, ``7:2``. So pyarrow's reader of CSV
parses the numbers. Where something is wrong the lines are looked at one by one, to say where.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, NoReturn, cast

import numpy as np
from numpy.typing import NDArray

from gradus.data.memory import too_wide
from gradus.data.reading.contents import HEAD, check_contents
from gradus.data.reading.packing import open_unpacked
from gradus.errors import InputError, quoted

KINDS = (".svm", ".svmlight", ".libsvm")
PACKED = (".gz", ".bz2", ".zst")
SUFFIXES = (*KINDS, *(kind + packing for kind in KINDS for packing in PACKED))
"""How the names of such files end."""

BLOCK = 2**24
"""Bytes that are parsed at once."""

MOST_COLUMNS = 2**31 - 1

Base = Literal[0, 1]

_SPACES = bytes.maketrans(b" \t\r", b"\n\n\n")
_NONE = np.iinfo(np.int32).min
"""In the place of an index where a label stands."""

Numbers = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class SparseRows:
    """What such a file holds.

    Attributes:
        starts: int64 ``[n + 1]``, where the entries of each row begin.
        columns: int32, of each entry, from 0 on.
        values: of each entry.
        labels: float64 ``[n]``.
        width: how many columns there are.
        base: from which number the indices of the file count.
        left_out: columns of the file beyond those asked for.
    """

    starts: NDArray[np.int64]
    columns: NDArray[np.int32]
    values: Numbers
    labels: NDArray[np.float64]
    width: int
    base: Base
    left_out: int = 0


def read_svmlight(
    path: Path,
    base: Base | None = None,
    width: int | None = None,
    dtype: Literal["float32", "float64"] = "float64",
) -> SparseRows:
    r"""The rows of a file of svmlight or LIBSVM, plain or packed by gzip, bzip2 or zstd.

    What stands behind ``#`` is a comment.

    Args:
        path: the file.
        base: from which number its indices count; None: from 0 where one of them is 0, else from 1.
        width: how many columns are read, those beyond are left out; None: all that there are.
        dtype: of the values.

    Raises:
        InputError: it cannot be read; or a line is wrong: which, and what would be right.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "news.svm"
        >>> _ = path.write_text("+1 1:0.5 3:2\n-1 2:1 # a comment\n")
        >>> rows = read_svmlight(path)
        >>> rows.labels.tolist(), rows.starts.tolist(), rows.columns.tolist(), rows.values.tolist()
        ([1.0, -1.0], [0, 2, 3], [0, 2, 1], [0.5, 2.0, 1.0])
    """
    labels, counts, columns, values = [], [], [], []
    for block in _blocks(path):
        found = _parsed(block) or _parsed(_tidied(block))
        if found is None:
            _refuse(path, base)
        at, numbers = found
        is_label = at == _NONE
        ends = np.flatnonzero(is_label)
        labels.append(numbers[ends])
        counts.append(np.diff(np.append(ends, len(at))) - 1)
        columns.append(at[~is_label])
        values.append(_narrow(numbers[~is_label], dtype, path))
    if not labels:
        raise InputError(f"{path}: is empty: give a line for each example, as 1 3:0.5 7:2")
    at = np.concatenate(columns)
    if not len(at):
        raise InputError(f"{path}: holds labels alone; give entries too, as 1 3:0.5 7:2")
    least, most = int(at.min()), int(at.max())
    if base == 1 and least == 0:
        _refuse(path, base)
    if width is None:
        _check_fits(path, most)
    base = base if base is not None else 0 if least == 0 else 1
    rows = SparseRows(
        np.append(0, np.cumsum(np.concatenate(counts))).astype(np.int64),
        at if base == 0 else at - np.int32(1),
        np.concatenate(values),
        np.concatenate(labels),
        most - base + 1,
        base,
    )
    return rows if width is None else _cut(rows, width)


def _check_fits(path: Path, most: int) -> None:
    """Refuse an index that asks for a larger model than this machine trains."""
    if (fault := too_wide(most)) is None:
        return
    with open_unpacked(path) as stream:
        for number, line in enumerate(stream, start=1):
            if re.search(rb"\s0*%d:" % most, line.partition(b"#")[0]):
                raise InputError(f"{path}, line {number}: index {most} asks for {fault}")


def _blocks(path: Path) -> Iterator[bytes]:
    """The text in blocks of whole lines, without comments."""
    with open_unpacked(path) as stream:
        rest = stream.read(HEAD)
        check_contents(path, rest)
        rest = rest.removeprefix(codecs.BOM_UTF8)
        while True:
            piece = stream.read(BLOCK)
            whole, _, rest = (rest + piece).rpartition(b"\n") if piece else (rest, b"", b"")
            if b"#" in whole:
                whole = re.sub(rb"#[^\n]*", b"", whole)
            if whole.strip():
                yield whole
            if not piece:
                return


def _parsed(block: bytes) -> tuple[NDArray[np.int32], NDArray[np.float64]] | None:
    """Indices and values in the order of the text, labels among them; None where any is wrong."""
    import pyarrow as pa
    from pyarrow import csv

    if b"+" in block:  # a label as LIBSVM writes it, which the reader does not take
        block = block.replace(b"\n+", b"\n").removeprefix(b"+")
    lines = block.count(b"\n") + 1
    text = b":" + block.replace(b"\n", b"\n:").translate(_SPACES)
    try:
        table = csv.read_csv(
            cast(IO[bytes], pa.BufferReader(text)),
            csv.ReadOptions(column_names=["index", "value"]),
            csv.ParseOptions(delimiter=":", quote_char=False),
            csv.ConvertOptions(
                column_types={"index": pa.int32(), "value": pa.float64()}, null_values=[""]
            ),
        )
    except pa.ArrowInvalid:
        return None
    index, value = (table[name].combine_chunks() for name in ("index", "value"))
    if index.null_count != lines:
        return None
    at = index.fill_null(_NONE).to_numpy(zero_copy_only=False)
    is_label = at == _NONE
    numbers = value.to_numpy(zero_copy_only=False)
    if value.null_count:  # where a line is empty
        gaps = value.is_null().to_numpy(zero_copy_only=False)
        if (gaps & ~is_label).any():
            return None
        at, numbers, is_label = at[~gaps], numbers[~gaps], is_label[~gaps]
    ascends = (at[1:] > at[:-1]) | is_label[1:]
    if not ascends.all() or not is_label[:1].all() or (at[~is_label] < 0).any():
        return None
    if np.isinf(numbers).any():
        return None
    return at, numbers


def _tidied(block: bytes) -> bytes:
    """The same without space before a label and without signs that say nothing."""
    block = re.sub(rb"^[ \t\r]+", b"", block, flags=re.MULTILINE)
    return re.sub(rb"(?<![^\s:])\+(?=[\d.])", b"", block)


def _narrow(values: NDArray[np.float64], dtype: str, path: Path) -> Numbers:
    if dtype == "float64":
        return values
    with np.errstate(over="ignore"):
        found = values.astype(np.float32)
    if np.isinf(found).any():
        raise InputError(
            f"{path}: holds {values[np.isinf(found)][0]:g}, beyond the greatest number of float32; "
            "train with --dtype float64"
        )
    return found


def _cut(rows: SparseRows, width: int) -> SparseRows:
    """The same with so many columns."""
    kept = rows.columns < width
    if kept.all():
        return SparseRows(*(rows.starts, rows.columns, rows.values, rows.labels, width, rows.base))
    before = np.append(0, np.cumsum(kept))
    return SparseRows(
        before[rows.starts],
        rows.columns[kept],
        rows.values[kept],
        rows.labels,
        width,
        rows.base,
        len(np.unique(rows.columns[~kept])),
    )


def _refuse(path: Path, base: Base | None) -> NoReturn:
    """Say which line is wrong, and what would be right."""
    with open_unpacked(path) as stream:
        for number, line in enumerate(stream, start=1):
            text = line.decode("utf-8-sig" if number == 1 else "utf-8", "replace").partition("#")[0]
            if (fault := _fault(text.split(), base)) is not None:
                raise InputError(f"{path}, line {number}: {fault}")
    raise InputError(f"{path}: is no file of svmlight; give lines such as 1 3:0.5 7:2")


def _fault(tokens: list[str], base: Base | None) -> str | None:
    """What is wrong with a line; None where nothing is."""
    if not tokens:
        return None
    label, *entries = tokens
    if "," in label:
        return f"has several labels ({quoted(label, 60)}), of which one is learned; give one"
    if (fault := _no_number(label)) is not None:
        return f"the label '{quoted(label, 60)}' {fault}; give a label, then index:value"
    before = -1
    for entry in entries:
        if (fault := _fault_of(entry, before, base)) is not None:
            return f"'{quoted(entry, 60)}': {fault}"
        before = int(entry.partition(":")[0])
    return None


def _fault_of(entry: str, before: int, base: Base | None) -> str | None:
    """The same of an entry that stands behind one of this index."""
    index, colon, value = entry.partition(":")
    if index == "qid":
        return "says which rows are ranked together, and no loss ranks; leave qid out"
    if not colon:
        return f"is no entry; give index:value, as 3:{quoted(entry, 20)}"
    if not re.fullmatch(r"[+]?\d+", index):
        return f"its index '{quoted(index, 60)}' is no whole number >= 0"
    at = int(index)
    if at > MOST_COLUMNS:
        return f"index {at} is too large; {MOST_COLUMNS:,} is the greatest"
    if at == 0 and base == 1:
        return "index 0, where indices count from 1; give --indices-from 0"
    if (fault := _no_number(value)) is not None:
        return f"its value '{quoted(value, 60)}' {fault}"
    if at == before:
        return f"index {at} stands twice; give each once"
    if at < before:
        return f"index {at} comes after {before}; let them ascend in each line"
    return None


def _no_number(text: str) -> str | None:
    """What a text is instead of a number; None where it is one."""
    try:
        number = float(text)
    except ValueError:
        return "is no number"
    if "_" in text:
        return "is no number"
    return "is infinite" if np.isinf(number) else None
