"""How files with sparse inputs become a split: svmlight and LIBSVM, matrices of SciPy in .npz."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus.data.array_files import read_npz
from gradus.data.arrays import ArrayOptions, split_of_arrays, target_array
from gradus.data.dataset import Split
from gradus.data.preparation import Arrays, Sparse
from gradus.data.reading.svmlight import SUFFIXES, Base, SparseRows, read_svmlight
from gradus.data.unfamiliar import left_out
from gradus.errors import InputError, quoted
from gradus.risk.sparse import csr
from gradus.risk.sparse_matrices import as_csr

FORMATS = ("csr", "csc", "coo")
"""Of the matrices that ``scipy.sparse.save_npz`` writes, those that are read."""

_PARTS = {"coo": ("row", "col", "data"), None: ("indices", "indptr", "data")}


def is_svmlight(given: Any) -> bool:
    """Whether the name of a file is that of one of svmlight.

    Example:
        >>> is_svmlight("news.svm.gz"), is_svmlight("news.csv")
        (True, False)
    """
    return str(given).lower().endswith(SUFFIXES)


def load_svmlight(
    path: Path,
    options: ArrayOptions,
    base: Base | None = None,
    apart: Mapping[str, str] | None = None,
    preparation: Sparse | None = None,
) -> Split:
    r"""The parts of a file of svmlight or LIBSVM.

    Args:
        path: the file.
        options: how the user wants it to be read and prepared.
        base: from which number its indices count; None: as the file says.
        apart: files of parts by ``validation`` and ``test``, whose columns are those of the first.
        preparation: what was fitted to other rows, which is not fitted again.

    Raises:
        InputError: a file cannot be read, or a line of it is wrong.

    Example:
        >>> import tempfile
        >>> from gradus.data.partition import Parts
        >>> path = Path(tempfile.mkdtemp()) / "news.svm"
        >>> _ = path.write_text("+1 1:0.5 3:2\n-1 2:1\n" * 5)
        >>> load_svmlight(path, ArrayOptions(parts=Parts(validation=0))).description
        '...news.svm: 8 train + 2 test, 3 features, 2 classes'
    """
    width = None
    if preparation is not None:
        base, width = preparation.base, preparation.columns
    rows = read_svmlight(path, base, width, options.dtype)
    notes = _notes(path, rows)
    parts = {"_train" if apart else "": rows}
    for name, file in (apart or {}).items():
        if not is_svmlight(file) or not Path(file).is_file():
            raise InputError(f"--{name} {quoted(file)}: no file of svmlight; give one as DATA is")
        part = read_svmlight(Path(file), rows.base, rows.width, options.dtype)
        parts[f"_{name}"] = part
        notes += _notes(Path(file), part)
    arrays = {
        key: value
        for suffix, part in parts.items()
        for key, value in ((f"x{suffix}", tensor_of(part)), (f"y{suffix}", part.labels))
    }
    split = split_of_arrays(str(path), arrays, options, preparation)
    assert isinstance(split.preparation, Sparse)
    kept = split.preparation.model_copy(update={"base": rows.base})
    return replace(split, preparation=kept, notes=(*split.notes, *notes))


def tensor_of(rows: SparseRows) -> Tensor:
    """The entries as a CSR tensor."""
    starts, columns, values = map(torch.from_numpy, (rows.starts, rows.columns, rows.values))
    return csr(starts, columns, values, rows.width)


def _notes(path: Path, rows: SparseRows) -> list[str]:
    if not rows.left_out:
        return []
    return [f"{path}: {left_out(rows.left_out, rows.width)}"]


def load_matrix(
    path: Path, options: ArrayOptions, preparation: Arrays | Sparse | None = None
) -> Split | None:
    """The parts of a matrix that SciPy wrote; None where the file holds none.

    Args:
        path: the ``.npz`` file.
        options: how the user wants it to be read; ``target`` is the ``.npy`` file of the targets,
            where they do not stand under ``y`` in the file itself.
        preparation: what was fitted to other rows, which is not fitted again.

    Raises:
        InputError: it cannot be read, is no whole matrix, or has no targets.
    """
    found = read_matrix(path)
    if found is None:
        return None
    x, y = found
    where = str(path)
    if options.target is not None or y is None:
        y, where = target_array(path, options.target), f"{path} with {options.target}"
    return split_of_arrays(where, {"x": x, "y": y}, options, preparation)


def read_matrix(path: Path) -> tuple[Tensor, NDArray[Any] | None] | None:
    """A matrix that ``scipy.sparse.save_npz`` wrote, and what stands under ``y`` beside it.

    None where the file holds no such matrix.

    Raises:
        InputError: it cannot be read, or is no whole matrix.

    Example:
        >>> import tempfile
        >>> import numpy as np, scipy.sparse
        >>> path = Path(tempfile.mkdtemp()) / "x.npz"
        >>> scipy.sparse.save_npz(path, scipy.sparse.csc_array(np.eye(2)))
        >>> x, y = read_matrix(path)
        >>> x.to_dense().tolist(), y
        ([[1.0, 0.0], [0.0, 1.0]], None)
    """
    arrays = read_npz(path, ("format", "shape"))
    if len(arrays) < 2:
        return None
    arrays |= read_npz(path, ("data", "indices", "indptr", "row", "col", "y"))
    kind = _text(arrays["format"])
    if kind not in FORMATS:
        raise InputError(
            f"{path}: holds a matrix of format {quoted(kind, 20)}; save it as CSR: "
            "scipy.sparse.save_npz(path, matrix.tocsr())"
        )
    for name in _PARTS.get(kind, _PARTS[None]):
        if name not in arrays or arrays[name].ndim != 1:
            raise InputError(
                f"{path}: array {name!r} is missing or no vector; save the matrix again by "
                "scipy.sparse.save_npz"
            )
    import scipy.sparse

    shape = tuple(arrays["shape"].ravel().tolist())
    try:
        parts = [arrays[name] for name in _PARTS.get(kind, _PARTS[None])]
        if kind == "coo":
            row, column, data = parts
            matrix = scipy.sparse.coo_array((data, (row, column)), shape)
        else:
            indices, starts, data = parts
            matrix = getattr(scipy.sparse, f"{kind}_array")((data, indices, starts), shape)
    except (ValueError, TypeError, IndexError) as error:
        raise InputError(f"{path}: is no whole matrix ({quoted(error)})") from error
    return as_csr(matrix, str(path)), arrays.get("y")


def _text(value: NDArray[Any]) -> str:
    found = value.item() if value.size == 1 else ""
    return found.decode(errors="replace") if isinstance(found, bytes) else str(found)


def read_rows(path: Path, preparation: Sparse) -> tuple[Any, NDArray[Any] | None, int]:
    """New rows of a file: inputs, targets if they are there, how many columns did not train.

    Raises:
        InputError: it cannot be read.
    """
    if is_svmlight(path):
        dtype: Literal["float64"] = "float64"
        rows = read_svmlight(path, preparation.base, preparation.columns, dtype)
        return tensor_of(rows), rows.labels, rows.left_out
    if path.suffix.lower() == ".npz":
        found = read_matrix(path)
        if found is not None:
            return (*found, 0)
        arrays = read_npz(path, ("x", "y"))
        if "x" in arrays:
            return arrays["x"], arrays.get("y"), 0
    if path.suffix.lower() == ".npy":
        from gradus.data.array_files import read_npy

        return read_npy(path), None, 0
    raise InputError(
        f"{path}: the model was trained on sparse inputs; give a file of svmlight, a matrix that "
        "scipy.sparse.save_npz wrote, or a .npy file"
    )
