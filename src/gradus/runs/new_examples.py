"""New examples as a model takes them, in whatever they come: tables, arrays and their files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus.data.image_files import pixels_of
from gradus.data.image_folder import IMAGES, as_text, images_in, images_of_classes
from gradus.data.images import form_for
from gradus.data.in_memory import source_of
from gradus.data.preparation import AnyPreparation, Arrays, Classes, Preparation, Sparse
from gradus.data.preparation.arrays import faults, pieces
from gradus.data.preparation.targets import labels_for
from gradus.data.prepared import check_columns, column_as, inputs_of
from gradus.data.reading import Notation, Source, stream
from gradus.data.streaming.table_files import table_files
from gradus.data.unfamiliar import Unfamiliar
from gradus.errors import InputError, brief, quoted
from gradus.risk.sparse import rows_at
from gradus.risk.sparse_matrices import as_csr, is_sparse

if TYPE_CHECKING:
    from gradus.data.preparation.goal import Goal

Dtype = Literal["float32", "float64"]


@dataclass(frozen=True, eq=False)
class Piece:
    """Some new examples.

    Attributes:
        x: as the model takes them, ``[n, ...]``.
        beside: columns that are to stand beside what is predicted, ``n`` each.
    """

    x: Tensor
    beside: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Known:
    """Examples of which the target is known.

    Attributes:
        x: as the model takes them, ``[n, ...]``.
        truth: int64 ``[n]``, the classes by their numbers; or float64 ``[n, m]``, numbers in their
            own unit.
        left_out: how many there were without a target.
    """

    x: Tensor
    truth: NDArray[Any]
    left_out: int = 0


def whole(preparation: AnyPreparation, given: Any, dtype: Dtype, seen: Unfamiliar) -> Piece:
    """New examples at once.

    Args:
        preparation: of the run.
        given: a file; or in memory, what `source_of` takes of a table, an array of arrays.
        dtype: of x.
        seen: told of every column of a table, and of rows of an array with gaps.

    Raises:
        InputError: they cannot be read, or are not of the kind that was trained on.
    """
    if preparation.kind == "table":
        source = source_of(given, preparation.notation)
        return Piece(inputs_of(preparation, source, dtype, seen.look))
    if preparation.kind == "arrays" and _is_of_images(given):
        found = _images(given)
        pixels = pixels_of([path for _, path in found], form_for(preparation, str(given)))
        return Piece(preparation.inputs(pixels, dtype), {"file": [name for name, _ in found]})
    if preparation.kind == "sparse":
        found, where, _ = _sparse(preparation, given, seen)
        return Piece(preparation.inputs(preparation.checked(found, where), dtype))
    x, where = _array(given)
    x = preparation.checked(x, where)
    seen.filled(int(faults(x)[0].sum()))
    return Piece(preparation.inputs(x, dtype))


def in_pieces(
    preparation: AnyPreparation, path: Path, dtype: Dtype, seen: Unfamiliar
) -> Iterator[Piece]:
    """The new examples of a file, of which there are no more in memory than a piece holds.

    Raises:
        InputError: as of ``whole``.
    """
    if preparation.kind == "table":
        for source in _rows_of(path, preparation.notation):
            yield Piece(inputs_of(preparation, source, dtype, seen.look))
        return
    if preparation.kind == "sparse":
        yield whole(preparation, path, dtype, seen)
        return
    if _is_of_images(path):
        form = form_for(preparation, str(path))
        found = _images(path)
        for rows in pieces(len(found), form.shape):
            some = found[rows]
            pixels = pixels_of([file for _, file in some], form)
            yield Piece(preparation.inputs(pixels, dtype), {"file": [name for name, _ in some]})
        return
    x, where = _array(path)
    x = preparation.checked(x, where)
    for rows in pieces(len(x), preparation.shape):
        seen.filled(int(faults(x[rows])[0].sum()))
        yield Piece(preparation.inputs(x[rows], dtype))


def with_targets(
    preparation: AnyPreparation, given: Any, target: Any, dtype: Dtype, seen: Unfamiliar
) -> Iterator[Known]:
    """Examples of which the target is known, of a table's files a piece at a time.

    Those where it is missing are left out: a piece may have none.

    Args:
        preparation: of the run.
        given: a table with the columns of the target, or arrays: a ``.npz`` file with x and y, a
            ``.npy`` file or an array with x.
        target: where x has no targets beside it, the ``.npy`` file or the array that has them.
        dtype: of x.
        seen: as of ``whole``.

    Raises:
        InputError: as of ``whole``; or no example of an array has a target, or one has a class that
            was not trained on.
    """
    if preparation.kind == "table":
        if target is not None:
            raise InputError(
                f"--target {quoted(target, 60)}: is for arrays; a table has the columns of the "
                "target, which are found by their names"
            )
        if isinstance(given, str | os.PathLike):
            for source in _rows_of(Path(given), preparation.notation):
                yield _of_table(preparation, source, dtype, seen)
        else:
            source = source_of(given, preparation.notation)
            yield _of_table(preparation, source, dtype, seen)
        return
    yield _of_arrays(preparation, given, target, dtype, seen)


def _rows_of(path: Path, notation: Notation) -> Iterator[Source]:
    """The rows of a file, or of the files of a folder, some at a time."""
    return table_files(path).pieces(notation) if path.is_dir() else stream(path, notation)


def _of_table(preparation: Preparation, source: Source, dtype: Dtype, seen: Unfamiliar) -> Known:
    goal = preparation.goal
    targets = (goal,) if isinstance(goal, Classes) else goal.targets
    check_columns([str(target.name) for target in targets], source)
    columns = [column_as(source, str(target.name), target.form) for target in targets]
    missing = np.any([column.missing for column in columns], axis=0)
    columns = [column.rows(~missing) for column in columns]
    truth = (
        labels_for(goal, columns[0], str(source.path))
        if isinstance(goal, Classes)
        else np.column_stack([column.values.astype(np.float64) for column in columns])
    )
    x = inputs_of(preparation, source, dtype, seen.look, ~missing)
    return Known(x, truth, int(missing.sum()))


def _of_arrays(
    preparation: Arrays | Sparse, given: Any, target: Any, dtype: Dtype, seen: Unfamiliar
) -> Known:
    from gradus.data.array_files import read_npz
    from gradus.data.arrays import check_lengths, targets_for

    if preparation.kind == "arrays" and _is_of_images(given):
        if target is not None:
            raise InputError(
                f"--target {quoted(target, 60)}: is for arrays; the class of an image is the name "
                "of its folder"
            )
        return _of_image_folder(preparation, Path(given), dtype)
    x: Any
    if preparation.kind == "sparse":
        x, where, y = _sparse(preparation, given, seen)
        if target is not None or y is None:
            y = _target(given, where, target)
    elif _ending(given) == ".npz":
        if target is not None:
            raise InputError(
                f"--target {quoted(target, 60)}: is for a .npy file; {given} is to hold y beside x"
            )
        path = Path(given)
        found = read_npz(path, ("x", "y"))
        x, y, where = _named(path, found, "x"), _named(path, found, "y"), str(path)
    else:
        x, where = _array(given)
        y = _target(given, where, target)
    check_lengths(x, y, where)
    x = preparation.checked(x, where)
    missing, infinite = faults(y)
    if infinite is not None:
        raise InputError(f"{where}: y{infinite} is infinite; give a finite number or NaN")
    if missing.all():
        raise none_has_a_target(f"{where}: no example", ["y"])
    if missing.any():
        kept = np.flatnonzero(~missing)
        x, y = rows_at(x, torch.from_numpy(kept)) if is_sparse(x) else x[kept], y[kept]
    if preparation.kind == "arrays":
        seen.filled(int(faults(x)[0].sum()))
    targets = targets_for(preparation.goal, y, f"y in {where}")
    truth = _labels(preparation.goal, targets.y)
    return Known(preparation.inputs(x, dtype), truth, int(missing.sum()))


def _of_image_folder(preparation: Arrays, root: Path, dtype: Dtype) -> Known:
    form, goal = form_for(preparation, str(root)), preparation.goal
    if not isinstance(goal, Classes):
        raise InputError(f"{root}: are images of classes, and the model predicts numbers")
    files, names = images_of_classes(root)
    at = {name: number for number, name in enumerate(goal.names)}
    if unknown := [name for name in names if name not in at]:
        known = brief(", ".join(map(brief, goal.names)), 120)
        raise InputError(
            f"{root}: has the class {brief(unknown[0])!r}, which was not trained on; known are "
            f"{known}"
        )
    truth = np.array([at[name] for name in names])
    return Known(preparation.inputs(pixels_of(files, form), dtype), truth)


def _images(given: Any) -> list[tuple[str, Path]]:
    """The images of a file or folder that is given, or of a list of such, with their names."""
    if isinstance(given, str | os.PathLike):
        return images_in(Path(given))
    return [(as_text(Path(each)), Path(each)) for each in given]


def _is_of_images(given: Any) -> bool:
    """Whether a folder is given, or an image, or a list of paths."""
    if isinstance(given, str | os.PathLike):
        return os.path.isdir(given) or _ending(given) in IMAGES
    is_list = isinstance(given, list | tuple) and len(given) > 0
    return is_list and all(isinstance(each, str | os.PathLike) for each in given)


def _labels(goal: Goal, y: Tensor) -> NDArray[Any]:
    """Classes by their numbers, of rows of probabilities the likeliest; or numbers."""
    if isinstance(goal, Classes) and y.is_floating_point():
        y = y.argmax(dim=1)
    found: NDArray[Any] = y.numpy()
    return found


def none_has_a_target(none: str, names: Sequence[str]) -> InputError:
    """What is said where there is nothing to hold predictions against."""
    shown = ", ".join(map(brief, names))
    return InputError(f"{none} has a target ({shown}): nothing can be evaluated")


def _target(given: Any, where: str, target: Any) -> Any:
    """The targets of examples, where they do not stand beside them."""
    from gradus.data.arrays import target_array

    if target is None and not isinstance(given, str | os.PathLike):
        raise InputError(f"{where}: has no targets beside it; give them too, as run.evaluate(X, y)")
    if isinstance(target, str | os.PathLike) or target is None:
        return target_array(Path(where), None if target is None else os.fspath(target))
    return _as_array(target, "the targets")


def _sparse(
    preparation: Sparse, given: Any, seen: Unfamiliar
) -> tuple[Any, str, NDArray[Any] | None]:
    """Sparse examples, what they are called in messages, and their targets where they have such."""
    if not isinstance(given, str | os.PathLike):
        return _as_array(given, "the array"), "the array", None
    from gradus.data.sparse_files import read_rows

    x, y, left_out = read_rows(Path(given), preparation)
    seen.left_out(left_out, preparation.columns)
    return x, os.fspath(given), y


def _array(given: Any) -> tuple[Any, str]:
    """An array with new examples, and what it is called in messages."""
    from gradus.data.array_files import read_npy, read_npz

    if not isinstance(given, str | os.PathLike):
        return _as_array(given, "the array"), "the array"
    path = Path(given)
    if _ending(given) == ".npz":
        return _named(path, read_npz(path, ("x",)), "x"), f"{path}: 'x'"
    if _ending(given) == ".npy":
        return read_npy(path), str(path)
    raise InputError(
        f"{quoted(given)}: is no array, and the model was trained on such; give a .npz file with "
        "x in it, a .npy file, an image, or a folder of images"
    )


def _named(path: Path, arrays: Mapping[str, NDArray[Any]], key: str) -> NDArray[Any]:
    if key not in arrays:
        raise InputError(f"{path}: array {key!r} is missing; save the new examples under that name")
    return arrays[key]


def _as_array(given: Any, what: str) -> Any:
    """An array in memory, or a list of numbers; a CSR tensor of what is sparse.

    Raises:
        InputError: it is nothing of the kind.
    """
    if is_sparse(given):
        return as_csr(given, what)
    inner = [getattr(each, "ndim", 0) for each in given] if isinstance(given, tuple) else []
    if len(inner) == 2 and inner[0] > inner[1] > 0:
        raise InputError(f"{what}: a pair; give X alone, or run.evaluate(X, y)")
    if isinstance(given, torch.Tensor):
        given = given.detach().cpu().numpy()
    try:
        found = np.asarray(given)
    except ValueError:  # rows of several lengths
        found = np.empty(0, object)
    if found.dtype.kind not in "biufU":
        raise InputError(
            f"{what}: a {type(given).__name__} is no array of numbers; give a path, an array, or a "
            "matrix of SciPy"
        )
    return found


def _ending(given: Any) -> str:
    is_path = isinstance(given, str | os.PathLike)
    return Path(given).suffix.lower() if is_path else ""
