"""How the user's own arrays (.npz) become a split."""

from __future__ import annotations

import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus.data.dataset import Dataset, Split
from gradus.data.fitting import fill_gaps, standardize_columns, value_statistics
from gradus.data.partition import USUAL_PARTS, Parts, Rows, three_parts, training_parts
from gradus.data.targets import Targets, column_targets, row_targets
from gradus.data.unpacking import (
    MOST_DIMENSIONS,
    check_unpacked,
    described,
    read_array,
    stored_size,
)
from gradus.errors import InputError, quoted

_ALL = ("x", "y", *(f"{what}_{part}" for part in ("train", "validation", "test") for what in "xy"))
# what zipfile, its decompressors and NumPy, which evaluates a header as a literal of Python, raise
# beside OSError where a byte of the file is wrong
_DAMAGED = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
KEYS = _ALL
"""Of the arrays of a file."""

ReadTargets = Callable[[NDArray[Any], NDArray[Any]], Targets | None]
"""What reads targets, given inputs and targets; None where it leaves that to what is usual."""

_KEYS = "x and y, or x_train and y_train (and x_validation, y_validation, x_test, y_test)"


def load_arrays(
    path: Path,
    *,
    loss: str | None = None,
    missing: str | None = None,
    standardize: bool = False,
    parts: Parts = USUAL_PARTS,
) -> Split:
    """Read ``x`` and ``y``, or ``x_train`` and ``y_train``; and the other parts that are there.

    Those are ``x_test`` and ``y_test``, ``x_validation`` and ``y_validation``.

    Bytes (uint8) stay bytes and are divided by 255 when a batch is cut; ``[N, height, width]``
    becomes ``[N, 1, height, width]``. Every other type is taken as numbers, as they are.

    Args:
        path: the file.
        loss: name of the loss, or None; decides between classes and numbers where y does not.
        missing: what NaN in x means: None, it is refused; "mean" or "median" of the column over the
            training part (x ``[N, features]`` only); "drop", the example is left out.
        standardize: bring x to mean 0 and standard deviation 1: each column of ``[N, features]``,
            all values together where x has more dimensions or holds bytes.
        parts: how the parts are drawn that the file does not hold; 0 for validation leaves out the
            part that it holds.

    Raises:
        InputError: the file cannot be read, lacks an array, or holds arrays that do not fit.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "squares.npz"
        >>> np.savez(path, x=np.zeros((10, 8, 8), dtype=np.uint8), y=np.arange(10) % 2)
        >>> split = load_arrays(path, parts=Parts(test=0.2, validation=0))
        >>> split.train.x.shape, split.train.classes, len(split.test)
        (torch.Size([8, 1, 8, 8]), ('0', '1'), 2)
    """
    return split_of_arrays(
        str(path), _read(path), loss=loss, missing=missing, standardize=standardize, parts=parts
    )


def split_of_arrays(
    where: str,
    arrays: Mapping[str, NDArray[Any]],
    *,
    loss: str | None = None,
    missing: str | None = None,
    standardize: bool = False,
    parts: Parts = USUAL_PARTS,
    read: ReadTargets | None = None,
    name: str | None = None,
) -> Split:
    """The same of arrays in memory.

    Args:
        where: where they are from, for messages.
        arrays: by the keys of such a file.
        loss: as for ``load_arrays``.
        missing: likewise.
        standardize: likewise.
        parts: likewise.
        read: what reads the targets, given inputs and targets; None for what is usual.
        name: of the data; None for ``where``.
    """
    found = [_complete(where, key, x, y, missing) for key, x, y in _parts(where, arrays, parts)]
    x = np.concatenate([part[1] for part in found])
    y = np.concatenate([part[2] for part in found])
    targets = (None if read is None else read(x, y)) or _targets(where, y, loss)
    sizes = {suffix: len(part) for suffix, part, _ in found}
    train, validation, test = _rows(sizes, parts, targets.labels)
    data = _dataset(where, x, targets, train, missing=missing, standardize=standardize)
    return Split(
        data.subset(train),
        data.subset(test),
        name or where,
        targets.task,
        validation=data.subset(validation) if len(validation) else None,
    )


def _rows(sizes: dict[str, int], parts: Parts, labels: Tensor | None) -> Rows:
    """The rows of each part, those of the file one after another in this order."""
    ends = np.cumsum([0, *sizes.values()])
    own = {
        suffix: torch.arange(start, end)
        for suffix, start, end in zip(sizes, ends[:-1], ends[1:], strict=True)
    }
    n = next(iter(sizes.values()))
    labels = None if labels is None else labels[:n]
    if "_validation" in own:
        parts = replace(parts, validation=0)
    if "_test" in own:
        train, validation = training_parts(n, parts, labels=labels)
        rows = Rows(train, validation, own["_test"])
    else:
        rows = three_parts(n, parts, labels=labels)
    return rows._replace(validation=own.get("_validation", rows.validation))


def _read(path: Path) -> dict[str, NDArray[Any]]:
    stored_size(path)
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path}: not a whole .npz file; save it by numpy.savez")
    try:
        with zipfile.ZipFile(path) as file:
            members = {entry.filename.removesuffix(".npy"): entry for entry in file.infolist()}
            return {key: _array(path, file, members[key]) for key in _ALL if key in members}
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except _DAMAGED as error:
        raise InputError(
            f"{path}: damaged ({quoted(error)}); save it again by numpy.savez"
        ) from error


def _array(path: Path, file: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    """One array: its header first, then as many bytes as that says, which have to be all."""
    key = entry.filename.removesuffix(".npy")
    remedy = "save it again, by numpy.savez if it was by numpy.savez_compressed"
    check_unpacked(path, entry.file_size, path.stat().st_size, remedy)
    with file.open(entry) as stream:
        shape, by_columns, dtype = _header(path, key, stream)
        size = math.prod(shape) * dtype.itemsize
        held = entry.file_size - stream.tell()
        if size != held:
            raise InputError(
                f"{path}: array {key!r} declares shape {described(shape)}, so {size:,} bytes, the "
                f"file holds {held:,}; save it again by numpy.savez"
            )
        values, held = read_array(path, stream, shape[::-1] if by_columns else shape, dtype)
        # Looking for one more byte compares the checksum.
        if held < size or stream.read(1):
            raise ValueError("its content has another length than it declares")
    if dtype.kind == "U" and not _is_unicode(values):
        raise ValueError("text with characters that do not exist")
    values = values.T if by_columns else values
    return values if dtype.isnative else values.astype(dtype.newbyteorder("="))


def _is_unicode(text: NDArray[np.str_]) -> bool:
    """Whether its code points, four bytes each, are characters: NumPy does not look."""
    if text.nbytes == 0:
        return True
    points = text.reshape(-1).view(np.dtype(text.dtype.str[0] + "u4"))
    return bool(((points < 0xD800) | ((points > 0xDFFF) & (points <= 0x10FFFF))).all())


def _header(path: Path, key: str, stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether the columns come first, and type."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, by_columns, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise InputError(
            f"{path}: array {key!r} has named fields, or a type of a newer NumPy; save plain "
            "numbers or text by numpy.savez"
        )
    if dtype.hasobject:
        raise InputError(
            f"{path}: array {key!r} holds Python objects, which are never read; save plain "
            "numbers or text by numpy.savez"
        )
    if len(shape) > MOST_DIMENSIONS or not all(0 <= size < 2**62 for size in shape):
        raise ValueError(f"no array has shape {described(shape)}")
    return shape, by_columns, dtype


def _parts(
    where: str, arrays: Mapping[str, NDArray[Any]], wanted: Parts
) -> list[tuple[str, NDArray[Any], NDArray[Any]]]:
    """The arrays by part, each with the suffix of its keys; x and y of the same length."""
    refused = {"_test": wanted.test, "_validation": wanted.validation}
    suffix = "_train" if "x_train" in arrays or "y_train" in arrays else ""
    suffixes = [suffix]
    for part, fraction in refused.items():
        if not {f"x{part}", f"y{part}"} & arrays.keys():
            continue
        if fraction:
            raise InputError(
                f"--{part[1:]}-fraction {fraction}: {where} has a {part[1:]} part of its own "
                f"(x{part}, y{part}); leave the option out"
            )
        if fraction is None:
            suffixes.append(part)
    parts = []
    for suffix in suffixes:
        for key in ("x" + suffix, "y" + suffix):
            if key not in arrays:
                found = ", ".join(arrays) or "none of them"
                raise InputError(
                    f"{where}: array {key!r} is missing; give {_KEYS} (found: {found})"
                )
            if arrays[key].ndim == 0 or len(arrays[key]) == 0:
                raise InputError(f"{where}: array {key!r} is empty: at least one row is needed")
        x, y = arrays["x" + suffix], arrays["y" + suffix]
        if len(x) != len(y):
            raise InputError(
                f"{where}: {'x' + suffix!r} has {len(x)} rows, {'y' + suffix!r} has {len(y)}: "
                "give one target per example"
            )
        parts.append((suffix, _inputs(where, "x" + suffix, x), y))
    shapes = [x.shape[1:] for _, x, _ in parts]
    if len(set(shapes)) > 1 or len({y.shape[1:] for _, _, y in parts}) > 1:
        names = " and ".join(suffix[1:] for suffix in suffixes[1:])
        raise InputError(f"{where}: the {names} part has other shapes than the training part")
    return parts


def _inputs(where: str, key: str, x: NDArray[Any]) -> NDArray[Any]:
    """Inputs ``[N, ...]`` of at least two dimensions: uint8 as they are, else floating."""
    if x.dtype == np.uint8:
        if x.ndim == 3:
            return x[:, None]
        if x.ndim == 4 and x.shape[-1] in (1, 3, 4) and x.shape[1] not in (1, 3, 4):
            raise InputError(
                f"{where}: {key!r} has shape {x.shape}; "
                f"give images as [N, channels, height, width], here {key}.transpose(0, 3, 1, 2)"
            )
    elif x.dtype.kind not in "biuf":
        raise InputError(
            f"{where}: {key!r} holds {quoted(str(x.dtype), 60)}; give numbers (text goes into a "
            "CSV)"
        )
    elif x.dtype not in (np.float32, np.float64):
        x = x.astype(np.float64)
    return x[:, None] if x.ndim == 1 else x


def _complete(
    where: str, suffix: str, x: NDArray[Any], y: NDArray[Any], missing: str | None
) -> tuple[str, NDArray[Any], NDArray[Any]]:
    """Refuse NaN, or leave the examples out; infinity is refused always."""
    for key, values in (("x" + suffix, x), ("y" + suffix, y)):
        if values.dtype.kind == "f" and (infinite := np.isinf(values)).any():
            row = np.argwhere(infinite)[0].tolist()
            raise InputError(f"{where}: {key}{row} is infinite; give a finite number or NaN")
    x_gaps, y_gaps = _gaps(x), _gaps(y)
    if y_gaps.any() and missing != "drop":
        raise InputError(
            f"{where}: {'y' + suffix!r} has missing values (NaN) in {y_gaps.sum()} rows; "
            "leave them out by --missing drop"
        )
    if x_gaps.any() and missing is None:
        columns = ""
        if x.ndim == 2:
            counts = np.isnan(x).sum(axis=0)
            shown = [f"column {i} ({counts[i]})" for i in np.flatnonzero(counts)]
            columns = f": {', '.join(shown[:5])}{', ..' if len(shown) > 5 else ''}"
        raise InputError(
            f"{where}: {'x' + suffix!r} has missing values (NaN) in {x_gaps.sum()} rows{columns}; "
            "choose --missing mean | median | drop"
        )
    if x_gaps.any() and missing in ("mean", "median") and x.ndim > 2:
        raise InputError(
            f"--missing {missing}: needs columns, {'x' + suffix!r} in {where} has shape "
            f"{list(x.shape)}; use --missing drop"
        )
    if missing == "drop":
        kept = ~(x_gaps | y_gaps)
        if not kept.any():
            raise InputError(f"{where}: every row has a missing value, --missing drop leaves none")
        x, y = x[kept], y[kept]
    return suffix, x, y


def _gaps(values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype.kind != "f":
        return np.zeros(len(values), dtype=bool)
    gaps: NDArray[np.bool_] = np.isnan(values).reshape(len(values), -1).any(axis=1)
    return gaps


def _targets(where: str, y: NDArray[Any], loss: str | None) -> Targets:
    what = f"y in {where}"
    if y.dtype.kind not in "biufU":
        raise InputError(f"{what} holds {quoted(str(y.dtype), 60)}; give numbers, booleans or text")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 1:
        return column_targets(y, loss, what)
    if y.ndim == 2 and y.dtype.kind != "U":
        return row_targets(y.astype(np.float64), loss, what)
    raise InputError(f"{what} has shape {list(y.shape)}; give [N] or [N, m] numbers")


def _dataset(
    where: str,
    x: NDArray[Any],
    targets: Targets,
    train: Tensor,
    *,
    missing: str | None,
    standardize: bool,
) -> Dataset:
    scale = 255.0 if x.dtype == np.uint8 else 1.0
    mean = std = None
    if x.ndim == 2 and x.dtype != np.uint8:
        if missing is not None and np.isnan(x).any():
            names = [str(i) for i in range(x.shape[1])]
            x = fill_gaps(x, train.numpy(), names, where, missing)
        if standardize:
            x = standardize_columns(x, train.numpy())
    elif standardize:
        mean, std = value_statistics(torch.from_numpy(x)[train], scale)
    return Dataset(torch.from_numpy(x), targets.y, targets.classes, scale, mean, std)
