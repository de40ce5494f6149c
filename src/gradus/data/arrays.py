"""How the user's own arrays (.npz, a pair of .npy) become a split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus.data.array_files import read_npy, read_npz
from gradus.data.columns import Column, Form
from gradus.data.dataset import Split
from gradus.data.gaps import complete
from gradus.data.partition import USUAL_PARTS, Parts, Rows, three_parts, training_parts
from gradus.data.preparation import Arrays, Classes, Quantities, Sparse, fit_arrays, fit_sparse
from gradus.data.preparation.goal import Goal, outputs_of
from gradus.data.preparation.targets import goal_of, labels_for
from gradus.data.targets import Targets, class_targets, column_targets, label, row_targets
from gradus.errors import InputError, brief, quoted
from gradus.risk.sparse_matrices import as_csr

Matrix = NDArray[Any] | Tensor
"""An array, or a sparse matrix as a CSR tensor."""

KEYS = tuple(f"{what}{part}" for part in ("", "_train", "_validation", "_test") for what in "xy")
"""Of the arrays of a file."""


class ReadAs(NamedTuple):
    """How arrays are read where the model or the loss is the user's own."""

    targets: Callable[[NDArray[Any], NDArray[Any]], Targets | None]
    """Given inputs and targets; None where these are read as usual."""
    integers: Callable[[NDArray[Any]], bool]
    """Whether inputs that are integers stay what they are."""


SCALED = (
    "x: each column is divided by its largest absolute value; nothing is subtracted, so that what "
    "is 0 stays 0"
)
_KEYS = "x and y, or x_train and y_train (and x_validation, y_validation, x_test, y_test)"


@dataclass(frozen=True)
class ArrayOptions:
    """How the user wants arrays to be read and prepared.

    Attributes:
        target: the ``.npy`` file with the targets of x in another; None for a ``.npz`` file.
        loss: name of the loss, or None; decides between classes and numbers where y does not.
        missing: what NaN in x means: None, it is refused; "mean" or "median" of the column over the
            training part (x ``[N, features]`` only), and an example without a target is left out;
            "drop", every example with NaN is left out.
        standardize: bring x to mean 0 and standard deviation 1: each column of ``[N, features]``,
            all values together where x has more dimensions or holds bytes.
        standardize_target: likewise for numbers to predict.
        parts: how the parts are drawn that the file does not hold; 0 for validation leaves out the
            part that it holds.
        dtype: of x, where it holds numbers.
    """

    target: str | None = None
    loss: str | None = None
    missing: Literal["mean", "median", "drop"] | None = None
    standardize: bool = False
    standardize_target: bool = False
    parts: Parts = USUAL_PARTS
    dtype: Literal["float32", "float64"] = "float32"


USUAL = ArrayOptions()


def load_arrays(
    path: Path, options: ArrayOptions = USUAL, preparation: Arrays | Sparse | None = None
) -> Split:
    """Read ``x`` and ``y``, or ``x_train`` and ``y_train``; and the other parts that are there.

    Those are ``x_test`` and ``y_test``, ``x_validation`` and ``y_validation``. Or read x from a
    ``.npy`` file, and y from another.

    Bytes (uint8) stay bytes and are divided by 255 when a batch is cut; ``[N, height, width]``
    becomes ``[N, 1, height, width]``. Every other type is taken as numbers.

    Args:
        path: the file.
        options: what the user wants.
        preparation: what was fitted to other arrays of the kind, which is not fitted again.

    Raises:
        InputError: the file cannot be read, lacks an array, or holds arrays that do not fit.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "squares.npz"
        >>> np.savez(path, x=np.zeros((10, 8, 8), dtype=np.uint8), y=np.arange(10) % 2)
        >>> split = load_arrays(path, ArrayOptions(parts=Parts(test=0.2, validation=0)))
        >>> split.train.x.shape, split.train.classes, len(split.test)
        (torch.Size([8, 1, 8, 8]), ('0', '1'), 2)
    """
    where, arrays = _read(path, options.target)
    return split_of_arrays(where, arrays, options, preparation)


def split_of_arrays(
    where: str,
    arrays: Mapping[str, Matrix],
    options: ArrayOptions = USUAL,
    preparation: Arrays | Sparse | None = None,
    *,
    read: ReadAs | None = None,
    name: str | None = None,
) -> Split:
    """The same of arrays in memory.

    Args:
        where: where they are from, for messages.
        arrays: by the keys of such a file; x may be a CSR tensor.
        options: what the user wants.
        preparation: as for ``load_arrays``.
        read: how they are read; None for what is usual.
        name: of the data; None for ``where``.
    """
    found, notes = [], []
    for suffix, x, y in _parts(where, arrays, options.parts):
        x, y, dropped, filled = complete(where, suffix, x, y, options.missing)
        found.append((suffix, x, y))
        if dropped:
            notes.append(f"x{suffix}, y{suffix}: {dropped:,} rows with missing values are left out")
        if filled:
            notes.append(
                f"x{suffix}: {filled:,} rows have missing values, filled with the "
                f"{options.missing} of the column"
            )
    _, inputs, labels = map(list, zip(*found, strict=True))
    if len(found) > 1 and not isinstance(inputs[0], Tensor):  # what is sparse is not copied
        inputs = [np.concatenate(inputs)]
    x, y = inputs[0], labels[0] if len(found) == 1 else np.concatenate(labels)
    if preparation is None:
        targets = (None if read is None else read.targets(x, y)) or _targets(where, y, options.loss)
    else:
        targets = targets_for(preparation.goal, y, f"y in {where}", options.loss)
    sizes = {suffix: len(part) for suffix, part, _ in found}
    if preparation is None:
        _check_classes(where, sizes, targets)
    rows = rows_of(sizes, options.parts, targets.labels)
    if preparation is None:
        goal, targets = goal_for(targets, rows.train, scale=options.standardize_target)
        if isinstance(x, Tensor):
            preparation = fit_sparse(x, rows.train.numpy(), goal, standardize=options.standardize)
            notes += [SCALED] if options.standardize else []
        else:
            fill = options.missing
            preparation = fit_arrays(
                x,
                rows.train.numpy(),
                goal,
                fill=None if fill is None or fill == "drop" else fill,
                standardize=options.standardize,
                integers=read is not None and _are_indices(x, options) and read.integers(x),
                where=where,
            )
    else:
        inputs = [preparation.checked(each, where) for each in inputs]
        if isinstance(preparation.goal, Quantities):
            scaled = preparation.goal.scaled(targets.y.numpy())
            targets = replace(targets, y=torch.from_numpy(scaled))
    return split_of(preparation, inputs, targets.y, rows, name or where, options.dtype, notes)


def _are_indices(x: NDArray[Any], options: ArrayOptions) -> bool:
    """Whether inputs may be numbers of words and the like, to which nothing is to be done."""
    is_asked = options.standardize or options.missing is not None
    return x.dtype.kind in "iu" and x.dtype != np.uint8 and not is_asked


def split_of(
    preparation: Arrays | Sparse,
    inputs: Sequence[Any],
    y: Tensor,
    rows: Rows,
    name: str,
    dtype: Literal["float32", "float64"],
    notes: list[str],
) -> Split:
    """The parts of prepared arrays.

    Args:
        preparation: of them.
        inputs: x of all rows, in one piece or several; none of the parts lies in two of these.
        y: of all rows, as it is learned.
        rows: of each part.
        name: what the user called the data.
        dtype: of x, where it holds numbers.
        notes: what is to be said of the file.
    """
    train, validation, test = (
        preparation.dataset(*_within(inputs, of.numpy()), y[of], dtype) if len(of) else None
        for of in rows
    )
    assert train is not None
    assert test is not None
    task: Literal["classification", "regression"] = (
        "classification" if isinstance(preparation.goal, Classes) else "regression"
    )
    return Split(
        train, test, name, task, validation=validation, preparation=preparation,
        notes=tuple(notes),
    )  # fmt: skip


def _within(pieces: Sequence[Any], rows: NDArray[np.int64]) -> tuple[Any, NDArray[np.int64]]:
    """The piece in which some rows of all pieces lie, and which of its own they are."""
    ends = np.cumsum([len(piece) for piece in pieces])
    at = int(np.searchsorted(ends, rows[0], side="right"))
    return pieces[at], rows - (ends[at] - len(pieces[at]))


def rows_of(sizes: Mapping[str, int], parts: Parts, labels: Tensor | None) -> Rows:
    """The rows of each part, those of the data one after another in this order."""
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


def check_own_part(where: str, part: str, fraction: float | None, holds: str) -> bool:
    """Whether a part that data bring along is to be looked at.

    Args:
        where: the data.
        part: ``test`` or ``validation``.
        fraction: that the user wants to be drawn.
        holds: where the part stands in them.

    Raises:
        InputError: another part is to be drawn.
    """
    if fraction:
        raise InputError(
            f"--{part}-fraction {fraction}: {where} has a {part} part of its own ({holds}); leave "
            "the option out"
        )
    return fraction is None


def target_array(path: Path, target: str | None) -> NDArray[Any]:
    """The targets of the examples in a ``.npy`` file: in another.

    Raises:
        InputError: it is not named, or cannot be read.
    """
    if target is None:
        raise InputError(f"{path}: say which file holds the targets by --target, as --target y.npy")
    file = Path(target)
    if file.suffix.lower() != ".npy":
        raise InputError(
            f"--target {quoted(target, 60)}: the targets of {path} are to stand in a .npy file too"
        )
    beside = path.parent / file.name
    if not file.exists() and beside.exists():
        raise InputError(f"--target {quoted(target)}: no such file; did you mean {beside}?")
    if file.exists() and path.exists() and file.samefile(path):
        raise InputError(f"--target {quoted(target)}: is the file with x; name that with y")
    return read_npy(file)


def _read(path: Path, target: str | None) -> tuple[str, dict[str, NDArray[Any]]]:
    """What the files are called in messages, and their arrays."""
    if path.suffix.lower() == ".npy":
        y = target_array(path, target)
        return f"{path} with {target}", {"x": read_npy(path), "y": y}
    return str(path), read_npz(path, KEYS)


def _parts(
    where: str, arrays: Mapping[str, Any], wanted: Parts
) -> list[tuple[str, Any, NDArray[Any]]]:
    """The arrays by part, each with the suffix of its keys; x and y of the same length."""
    fractions = {"_test": wanted.test, "_validation": wanted.validation}
    suffixes = ["_train" if "x_train" in arrays or "y_train" in arrays else ""]
    for part, fraction in fractions.items():
        if {f"x{part}", f"y{part}"} & arrays.keys() and check_own_part(
            where, part[1:], fraction, f"x{part}, y{part}"
        ):
            suffixes.append(part)
    parts = []
    for suffix in suffixes:
        for key in ("x" + suffix, "y" + suffix):
            if key not in arrays:
                found = ", ".join(arrays) or "none of them"
                raise InputError(
                    f"{where}: array {key!r} is missing; give {_KEYS} (found: {found})"
                )
            if arrays[key].ndim == 0 or 0 in arrays[key].shape:
                raise InputError(
                    f"{where}: array {key!r} is empty: at least one row, of one number, is needed"
                )
        x, y = arrays["x" + suffix], arrays["y" + suffix]
        check_lengths(x, y, where, suffix)
        if not isinstance(x, Tensor):
            x = inputs_of(x, f"{where}: {'x' + suffix!r}")
        parts.append((suffix, x, y))
    if len({type(x) for _, x, _ in parts}) > 1:
        parts = [(suffix, as_csr(x, f"{where}: {'x' + suffix!r}"), y) for suffix, x, y in parts]
    shapes = [x.shape[1:] for _, x, _ in parts]
    if len(set(shapes)) > 1 or len({y.shape[1:] for _, _, y in parts}) > 1:
        names = " and ".join(suffix[1:] for suffix in suffixes[1:])
        shown = ", ".join(
            f"{name}{suffix} [{', '.join(map(str, ['N', *each.shape[1:]]))}]"
            for suffix, *pair in parts
            for name, each in zip("xy", pair, strict=True)
        )
        raise InputError(
            f"{where}: the {names} part has other shapes than the training part: {shown}"
        )
    return parts


def check_lengths(x: Matrix, y: NDArray[Any], where: str, suffix: str = "") -> None:
    """Refuse targets that are not one for each example.

    Raises:
        InputError: they are not.
    """
    if len(x) != len(y):
        raise InputError(
            f"{where}: {'x' + suffix!r} has {len(x)} rows, {'y' + suffix!r} has {len(y)}: "
            "give one target per example"
        )


def inputs_of(x: NDArray[Any], what: str) -> NDArray[Any]:
    """Inputs ``[N, ...]`` of at least two dimensions, images with their channel.

    Args:
        x: as the user gives them.
        what: which array that is, for the message.

    Raises:
        InputError: they are no numbers, or images whose channels come last.
    """
    if x.dtype == np.uint8:
        if x.ndim == 3:
            return x[:, None]
        if x.ndim == 4 and x.shape[-1] in (1, 3, 4) and x.shape[1] not in (1, 3, 4):
            raise InputError(
                f"{what} has shape {x.shape}; give images as [N, channels, height, width], here "
                "x.transpose(0, 3, 1, 2)"
            )
    elif x.dtype.kind not in "biuf":
        raise InputError(
            f"{what} holds {quoted(str(x.dtype), 60)}; give numbers (text goes into a CSV)"
        )
    return x[:, None] if x.ndim == 1 else x


def _targets(where: str, y: NDArray[Any], loss: str | None) -> Targets:
    y, what = flat_targets(y, where), f"y in {where}"
    if y.ndim == 1:
        return column_targets(y, loss, what)
    return row_targets(y.astype(np.float64), loss, what)


def _check_classes(where: str, sizes: Mapping[str, int], targets: Targets) -> None:
    """Refuse a class that only another part than that of training has."""
    if targets.classes is None or targets.labels is None:
        return
    first, *others = torch.split(targets.labels, list(sizes.values()))
    trained = set(first.tolist())
    for suffix, labels in zip(list(sizes)[1:], others, strict=True):
        if unknown := sorted(set(labels.tolist()) - trained):
            known = brief(", ".join(brief(targets.classes[at]) for at in sorted(trained)), 120)
            raise InputError(
                f"{where}: y{suffix} holds {brief(targets.classes[unknown[0]])!r}, a class that "
                f"does not train; those that do are {known}"
            )


def flat_targets(y: NDArray[Any], where: str) -> NDArray[Any]:
    """Targets ``[N]``, or several numbers ``[N, m]``.

    Raises:
        InputError: they are of another type or shape.
    """
    what = f"y in {where}"
    if y.dtype.kind not in "biufU":
        raise InputError(f"{what} holds {quoted(str(y.dtype), 60)}; give numbers, booleans or text")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 1 or (y.ndim == 2 and y.dtype.kind != "U"):
        return y
    raise InputError(f"{what} has shape {list(y.shape)}; give [N] or [N, m] numbers")


def goal_for(targets: Targets, train: Tensor, *, scale: bool) -> tuple[Goal, Targets]:
    """What is predicted, and the targets as they are learned."""
    nothing = np.empty(0)
    if targets.classes is None:
        count = targets.y.shape[1]
        names = ["y"] if count == 1 else [str(at) for at in range(count)]
        columns = [Column(name, Form("number"), nothing) for name in names]
        return goal_of(columns, targets, train.numpy(), scale=scale)
    form = Form("category")
    if targets.labels is not None:
        return goal_of([Column("y", form, nothing)], targets, train.numpy(), scale=scale)
    shares = tuple(targets.y[train].mean(dim=0).tolist())
    return Classes(name="y", form=form, names=targets.classes, shares=shares), targets


def targets_for(goal: Goal, y: NDArray[Any], what: str, loss: str | None = None) -> Targets:
    """The targets of other examples of the kind, numbers in their own unit.

    Args:
        goal: what is predicted.
        y: ``[N]`` or ``[N, m]``; rows of probabilities too, where classes are predicted.
        what: whose targets these are, for the message.
        loss: name of the loss, or None.

    Raises:
        InputError: there are others, or a class that was not trained on.
    """
    y = flat_targets(y, what.removeprefix("y in "))
    if isinstance(goal, Classes):
        if y.ndim == 1:
            distinct, at = np.unique(y, return_inverse=True)
            words = tuple(label(value) for value in distinct)
            column = Column("y", goal.form, at.astype(np.int32), words)
            labels = torch.from_numpy(labels_for(goal, column, what))
            return class_targets(labels, goal.names, loss, what)
        if y.shape[1] == len(goal.names):
            return row_targets(y.astype(np.float64), loss or "cross-entropy", what)
    elif y.dtype.kind in "biuf" and (y[:, None] if y.ndim == 1 else y).shape[1] == outputs_of(goal):
        return Targets(torch.from_numpy(y.reshape(len(y), -1).astype(np.float64)), None, None)
    trained = f"{outputs_of(goal)} {'classes' if isinstance(goal, Classes) else 'numbers'}"
    raise InputError(
        f"{what} has shape {list(y.shape)} of {brief(str(y.dtype))}, and the model was trained on "
        f"{trained}"
    )
