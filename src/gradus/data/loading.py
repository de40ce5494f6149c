"""How the data that the user names are found and made ready."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus.data.array_files import ENDINGS as ARRAYS
from gradus.data.catalogue import CATALOGUE, read_entry
from gradus.data.dataset import Split
from gradus.data.idx import read_images_and_labels
from gradus.data.partition import Parts, SplitName, three_parts, training_parts
from gradus.data.reading import AS_GUESSED, KINDS, SUFFIXES, Notation, is_separated
from gradus.data.reading.svmlight import KINDS as SPARSE
from gradus.data.reading.svmlight import SUFFIXES as SVMLIGHT
from gradus.data.streaming import USUAL_CACHE, Cache, holds_tables
from gradus.data.targets import check_loss, class_targets
from gradus.errors import InputError, quoted

if TYPE_CHECKING:
    from gradus.data.preparation import AnyPreparation, Arrays, Sparse
    from gradus.data.streaming.passes import Watch

EMBEDDED = "digits"
NAMES = (EMBEDDED, *CATALOGUE)
MISSING = ("mean", "median", "drop")

_ACCEPTED = (
    f"{', '.join(NAMES)}, a .npz file, a pair of .npy files, a table ({', '.join(KINDS)}), "
    f"sparse rows ({', '.join(SPARSE)}), a folder of images in one folder a class, or a folder of "
    "IDX files (train-images-idx3-ubyte, ..)"
)


def load(
    data: str | Path,
    *,
    target: str | None = None,
    loss: str | None = None,
    missing: str | None = None,
    standardize: bool = False,
    scaling: Literal["standard", "robust"] | None = None,
    pieces: int | None = 0,
    standardize_target: bool = False,
    validation_fraction: float | None = None,
    test_fraction: float | None = None,
    split: SplitName = "random",
    split_seed: int = 0,
    group: str | None = None,
    weights: str | None = None,
    validation: str | None = None,
    test: str | None = None,
    categorical: Sequence[str] = (),
    drop: Sequence[str] = (),
    image_size: tuple[int, int] | None = None,
    indices_from: int | None = None,
    data_dir: str | Path | None = None,
    dtype: Literal["float32", "float64"] = "float32",
    notation: Notation = AS_GUESSED,
    preparation: AnyPreparation | None = None,
    stream: bool = False,
    shuffle_buffer: int | None = None,
    cache: Cache = USUAL_CACHE,
    watch: Watch = lambda what, done, of: None,
) -> Split:
    """Load data by name or by path, ready to train on.

    Args:
        data: ``digits`` (embedded), ``fashion-mnist`` or ``mnist`` (found or downloaded); a
            ``.npz`` file; a ``.npy`` file, with ``target``; a table (of
            ``gradus.data.reading.SUFFIXES``); sparse rows, as a file of svmlight or a matrix of
            SciPy in ``.npz``, with ``target``; a folder of images, see
            `gradus.data.image_folder.image_folder`; or a folder with the four IDX files
            ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte``,
            ``t10k-labels-idx1-ubyte`` (or the same with ``.gz``).
        target: tables: the column that is predicted; a ``.npy`` file or a matrix: the file with its
            targets.
        loss: name of the loss that will be used: ``cross-entropy``, ``nll``, ``kl-div`` (classes),
            ``mse``, ``l1`` (numbers); None where it is to follow from the targets (``Split.task``).
            For ``kl-div`` classes become rows of probabilities.
        missing: tables and arrays: what a missing value means: "mean" or "median" of its column
            over the training part; "drop", its row is left out. None: of a table the median, else
            it is refused.
        standardize: bring inputs to mean 0 and standard deviation 1 over the training part: each
            column of numbers of a table, all pixels together of images.
        scaling: tables: how columns are standardised: "standard", so; or "robust", by median and
            quartiles, extremes drawn in.
        pieces: tables: into how many pieces each column of numbers is cut, a feature each; 0: none;
            None: after the size of the table.
        standardize_target: tables and arrays: whether numbers to predict are brought to mean 0 and
            deviation 1 likewise.
        validation_fraction: share of the training examples that are held for validation; None for
            0.15 of a file or folder that has no validation part of its own, and for 0 of the data
            that are known by name.
        test_fraction: share of the rows that test, where the data have no test part of their own;
            None for 0.2.
        split: how the parts are drawn: ``random``, in the proportions of the classes; or ``time``
            (tables and arrays), the last rows test and those before them validate.
        split_seed: of the draw, >= 0.
        group: tables: the column whose values never stand in two parts. It is no feature.
        weights: tables: the column of what each row counts in the loss. It is no feature.
        validation: tables, svmlight: a file of the same kind, whose rows validate.
        test: likewise, whose rows test.
        categorical: tables: columns whose values are names, also where they are numbers.
        drop: tables: columns to leave out.
        image_size: folders of images: height and width that they are brought to.
        indices_from: svmlight: from which number indices count; None: as the file says.
        data_dir: folder in which the files of ``fashion-mnist`` and ``mnist`` are looked for first.
        dtype: of x, where it holds numbers.
        notation: tables: how values are written, as far as that is known.
        preparation: how the data become x, where that was fitted to others before; what else says
            that is not looked at.
        stream: tables: whether rows are not held in memory, as
            `gradus.data.streaming.stream.stream_table` does; ``data`` may be a folder of them then.
        shuffle_buffer: rows of such a table that are shuffled together, about.
        cache: where the prepared rows of such a table lie.
        watch: told how far the passes over such a table are.

    Returns:
        The part that trains, the one that validates where there is one, the one that tests, and
        what is known about them.

    Raises:
        InputError: the data are unknown, cannot be read, or do not fit the options; an option does
            not apply to the data.

    Example:
        >>> split = load("digits")
        >>> split.description
        'digits: 1,437 train + 360 test, 1×8×8 images, 10 classes'
        >>> x, y = split.train.batch(slice(0, 16))
        >>> x.shape, y.shape
        (torch.Size([16, 1, 8, 8]), torch.Size([16]))
    """
    check_loss(loss)
    if missing is not None and missing not in MISSING:
        raise InputError(f"--missing {missing}: unknown; choose {' | '.join(MISSING)}")
    name = str(data)
    if not name:
        raise InputError(f"data: is empty; give {_ACCEPTED}")
    files = {"validation": validation, "test": test}
    apart = {part: file for part, file in files.items() if file is not None}
    parts = Parts(test_fraction, validation_fraction, split_seed, split, group, tuple(apart))
    given = {
        "--target": target,
        "--missing": missing,
        "--test-fraction": test_fraction,
        "--scaling": scaling,
        "--pieces": pieces or None,
        "--standardize-target": standardize_target or None,
        "--split": None if split == "random" else split,
        "--group": group,
        "--weights": weights,
        "--validation": validation,
        "--test": test,
        "--categorical": ",".join(categorical),
        "--drop": ",".join(drop),
        "--separator": notation.separator,
        "--decimal": notation.decimal,
        "--missing-values": ",".join(notation.missing_values),
        "--indices-from": None if indices_from is None else str(indices_from),
        "--image-size": None if image_size is None else ",".join(map(str, image_size)),
        "--data-dir": data_dir,
        "--stream": stream or None,
        "--shuffle-buffer": shuffle_buffer,
    }

    def accept(*flags: str) -> None:
        for flag, value in given.items():
            if flag not in flags and value not in (None, ""):
                raise InputError(
                    f"{flag} {quoted(value)}: does not apply to {quoted(name)}; leave the option "
                    "out"
                )

    path = Path(data)
    suffix = path.suffix.lower()
    is_table = name.lower().endswith(SUFFIXES) or (stream and os.path.isdir(path))
    of_arrays = _of_kind(preparation, name, is_table=is_table)
    if name == EMBEDDED:
        accept("--test-fraction")
        return _digits(loss, standardize, parts, _dense(of_arrays, name))
    if name in CATALOGUE:
        accept("--data-dir")
        entry = CATALOGUE[name]
        train, tests = read_entry(entry, None if data_dir is None else Path(data_dir))
        parts = _usual(parts, 0)
        known = _dense(of_arrays, name)
        return _images(name, train, tests, entry.classes, loss, standardize, parts, known)
    if os.path.isdir(path) and not is_table and not holds_idx(path):
        if target is not None and holds_tables(path):
            raise InputError(
                f"{quoted(name)}: a folder of tables, which is streamed: give --stream"
            )
        accept("--image-size", "--test-fraction")
        from gradus.data.images import ImageOptions, load_images

        images = ImageOptions(loss, standardize, image_size, parts, dtype)
        return load_images(path, images, _dense(of_arrays, name))
    if os.path.isdir(path) and not is_table:
        accept()
        train, tests = _idx_folder(path)
        classes = tuple(str(i) for i in range(1 + int(max(train[1].max(), tests[1].max()))))
        known = _dense(of_arrays, name)
        return _images(name, train, tests, classes, loss, standardize, parts, known)
    is_svmlight = name.lower().endswith(SVMLIGHT)
    if (suffix in ARRAYS or is_table or is_svmlight) and not (os.path.isfile(path) or stream):
        raise InputError(f"{quoted(name)}: no such file; give {_ACCEPTED}")
    if suffix in ARRAYS or is_svmlight:
        from gradus.data.arrays import ArrayOptions, load_arrays

        how = ArrayOptions(
            target,
            loss,
            cast(Literal["mean", "median", "drop"] | None, missing),
            standardize,
            standardize_target,
            parts,
            dtype,
        )
        of_all = ("--missing", "--standardize-target", "--test-fraction", "--split")
        if is_svmlight:
            from gradus.data.sparse_files import load_svmlight

            accept(*of_all, "--validation", "--test", "--indices-from")
            of_sparse = _sparse(of_arrays, name)
            base = cast(Literal[0, 1] | None, indices_from)
            return load_svmlight(path, how, base, apart, of_sparse)
        if suffix == ".npz":
            from gradus.data.sparse_files import load_matrix

            if (matrix := load_matrix(path, how, of_arrays)) is not None:
                accept(*of_all, "--target")
                return matrix
        accept(*of_all, *(["--target"] if suffix == ".npy" else []))
        return load_arrays(path, how, of_arrays)
    if is_table:
        accept(
            "--target",
            "--missing",
            "--scaling",
            "--pieces",
            "--standardize-target",
            "--test-fraction",
            "--split",
            "--group",
            "--weights",
            "--validation",
            "--test",
            "--categorical",
            "--drop",
            "--decimal",
            "--missing-values",
            *(["--stream", "--shuffle-buffer"] if stream else []),
            *(["--separator"] if is_separated(path) else []),
        )
        if scaling is not None and not standardize:
            raise InputError(
                f"--scaling {scaling}: says how numbers are standardised, which --no-standardize "
                "turns off; leave one of them out"
            )
        from gradus.data.table_options import TableOptions
        from gradus.data.tables import load_table

        options = TableOptions(
            target,
            loss,
            cast(Literal["mean", "median", "drop"], missing or "median"),
            (scaling or "standard") if standardize else "none",
            pieces,
            standardize_target,
            categorical,
            drop,
            parts,
            weights,
            dtype,
            notation,
        )
        if stream:
            from gradus.data.streaming.stream import stream_table

            fitted = preparation if preparation is None or preparation.kind == "table" else None
            loaded = stream_table(
                path, options, cache, buffer=shuffle_buffer, preparation=fitted, watch=watch
            )
        elif preparation is not None and preparation.kind == "table":
            from gradus.data.prepared import load_prepared

            loaded = load_prepared(path, preparation, options)
        else:
            loaded = load_table(path, options)
        if not apart:
            return loaded
        from gradus.data.apart import with_parts
        from gradus.data.reading import read_source

        for flag, file in apart.items():
            if not file.lower().endswith(SUFFIXES) or not os.path.isfile(file):
                raise InputError(
                    f"--{flag} {quoted(file)}: no file of a table; give one as DATA is"
                )
        sources = {part: read_source(Path(file), notation) for part, file in apart.items()}
        return with_parts(loaded, sources, options)
    if os.path.isfile(path):
        raise InputError(f"{quoted(name)}: a kind of file that is not read; give {_ACCEPTED}")
    near = difflib.get_close_matches(name.lower(), NAMES, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise InputError(f"{quoted(name)}: unknown data; {hint}give {_ACCEPTED}")


def _usual(parts: Parts, validation: float) -> Parts:
    """The same, with what is held for validation where nothing is said of it."""
    return replace(parts, validation=parts.validation_or(validation))


def _of_kind(
    preparation: AnyPreparation | None, name: str, *, is_table: bool
) -> Arrays | Sparse | None:
    """The preparation of arrays, None where there is none or it is that of a table.

    Raises:
        InputError: it is not for data of this kind.
    """
    if preparation is None:
        return None
    if preparation.kind == "table":
        if not is_table:
            raise InputError(f"{quoted(name)}: is no table, and the model was trained on one")
        return None
    if is_table:
        raise InputError(f"{quoted(name)}: is a table, and the model was trained on arrays")
    return preparation


def _dense(preparation: Arrays | Sparse | None, name: str) -> Arrays | None:
    """The preparation of what is not sparse."""
    if preparation is not None and preparation.kind == "sparse":
        raise InputError(f"{quoted(name)}: is not sparse, and the model was trained on what is")
    return preparation


def _sparse(preparation: Arrays | Sparse | None, name: str) -> Sparse | None:
    """The preparation of what is sparse."""
    if preparation is not None and preparation.kind != "sparse":
        raise InputError(f"{quoted(name)}: is sparse, and the model was trained on arrays")
    return preparation


def _digits(loss: str | None, standardize: bool, parts: Parts, prepared: Arrays | None) -> Split:
    table = _digits_table()
    x = torch.from_numpy(table[:, :-1].copy()).reshape(-1, 1, 8, 8)
    y = torch.from_numpy(table[:, -1].astype(np.int64))
    parts = _usual(parts, 0)
    rest, _, test = three_parts(len(x), replace(parts, validation=0), labels=y)
    return _images(
        EMBEDDED,
        (x[rest], y[rest]),
        (x[test], y[test]),
        tuple("0123456789"),
        loss,
        standardize,
        parts,
        prepared,
        scale=16.0,
    )


@cache
def _digits_table() -> NDArray[np.uint8]:
    """The rows of the file, a class behind each image; a sweep asks for them once a seed."""
    # The file is read where scikit-learn keeps it: importing scikit-learn takes longer than to
    # train on it.
    spec = find_spec("sklearn")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0])
    return np.loadtxt(folder / "datasets/data/digits.csv.gz", dtype=np.uint8, delimiter=",")


def holds_idx(folder: Path) -> bool:
    """Whether a folder holds files of IDX."""
    return any("idx" in path.name and path.is_file() for path in folder.glob("*-ubyte*"))


def _idx_folder(folder: Path) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    def found(stem: str) -> Path:
        for path in (folder / stem, folder / f"{stem}.gz"):
            if path.is_file():
                return path
        raise InputError(f"{folder}: the folder holds no {stem} (or {stem}.gz); give {_ACCEPTED}")

    train, test = (
        (found(f"{part}-images-idx3-ubyte"), found(f"{part}-labels-idx1-ubyte"))
        for part in ("train", "t10k")
    )
    return read_images_and_labels(*train), read_images_and_labels(*test)


def _images(
    name: str,
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    classes: tuple[str, ...],
    loss: str | None,
    standardize: bool,
    parts: Parts,
    prepared: Arrays | None,
    scale: float = 255.0,
) -> Split:
    from gradus.data.arrays import goal_for
    from gradus.data.preparation import fit_arrays

    if train[0].shape[1:] != test[0].shape[1:]:
        raise InputError(
            f"{name}: training images have shape {list(train[0].shape[1:])}, test images "
            f"{list(test[0].shape[1:])}; give images of one shape"
        )
    trains, validates = training_parts(len(train[0]), parts, labels=train[1])
    if prepared is None:
        targets, tests = (class_targets(y, classes, loss, name) for _, y in (train, test))
        goal, _ = goal_for(targets, trains, scale=False)
        prepared = fit_arrays(
            train[0].numpy(), trains.numpy(), goal, scale=scale, standardize=standardize
        )
    else:
        targets, tests = (
            class_targets(_known(y, classes, prepared, name), _names(prepared), loss, name)
            for _, y in (train, test)
        )
    x, x_test = (prepared.checked(images.numpy(), name) for images, _ in (train, test))
    train_part, validation = (
        prepared.dataset(x, None if len(of) == len(x) else of.numpy(), targets.y[of], "float32")
        if len(of)
        else None
        for of in (trains, validates)
    )
    assert train_part is not None
    return Split(
        train_part,
        prepared.dataset(x_test, None, tests.y, "float32"),
        name,
        "classification",
        validation=validation,
        preparation=prepared,
    )


def _known(y: Tensor, classes: tuple[str, ...], prepared: Arrays, name: str) -> Tensor:
    """Classes by their numbers in the training that prepared the data."""
    known = _names(prepared)
    if unknown := [each for each in classes if each not in known]:
        raise InputError(f"{name}: has the class {unknown[0]}, which the model was not trained on")
    return torch.tensor([known.index(each) for each in classes])[y]


def _names(prepared: Arrays) -> tuple[str, ...]:
    """Of the classes that a preparation knows; none where it is for numbers."""
    return prepared.goal.names if prepared.goal.kind == "classes" else ()
