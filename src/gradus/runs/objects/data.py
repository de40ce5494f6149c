"""Data that are handed over as objects: arrays, datasets, tables in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from gradus.data.arrays import KEYS, ArrayOptions, Matrix, ReadAs, split_of_arrays
from gradus.data.dataset import Dataset, Split, Task
from gradus.data.in_memory import is_frame
from gradus.data.partition import Parts, three_parts, training_parts
from gradus.errors import InputError, brief, quoted
from gradus.models.own import is_object, told
from gradus.risk.precision import is_narrow
from gradus.risk.sparse_matrices import as_csr, is_sparse
from gradus.runs.objects.batches import Batches
from gradus.runs.objects.handed import OF_PARTS, OF_TABLES, Data, refuse
from gradus.runs.objects.identity import Identity, digest_of
from gradus.runs.objects.loaders import of_loader
from gradus.runs.objects.tables import of_table

if TYPE_CHECKING:
    from gradus.data.preparation import AnyPreparation
    from gradus.runs.spec import RunSpec

Arrays = dict[str, Matrix]
ACCEPTED = (
    "give (X, y), a dict with the keys x and y, a gradus.data.Dataset, a torch Dataset or "
    "DataLoader, a table with target=, or an iterable of batches with length="
)

WEIGHTS = frozenset({"weights", "weight", "sample_weight", "w"})
"""What is likely meant to say how much each example counts."""


def data_of(
    given: Any,
    validation: Any = None,
    test: Any = None,
    *,
    has_target: bool = False,
    length: int | None = None,
) -> Data:
    """The data that were handed over, and the parts of them that were given apart.

    Args:
        given: the data.
        validation: a part of them.
        test: likewise.
        has_target: whether a column was named that is predicted: a dict is a table then.
        length: of how many batches an epoch is; they are an iterable of such then.

    Raises:
        InputError: they are of no kind that is taken, or do not go together.
    """
    if length is not None:
        batches = Batches(given, length, "data")
        return of_loader(batches.loader(), validation, test, _pair, batches)
    parts = {"validation": validation, "test": test}
    is_table = is_frame(given) or (has_target and isinstance(given, Mapping))
    apart = {name: part for name, part in parts.items() if part is not None}
    if is_table:
        return of_table(given, apart)
    if isinstance(given, Split):
        if apart:
            raise InputError(f"{next(iter(apart))}: a Split says itself what its parts are")
        return _of_split(given)
    if isinstance(given, DataLoader):
        return of_loader(given, validation, test, _pair)
    if isinstance(given, Dataset):
        return _of_dataset(given, validation, test)
    suffix = "" if validation is None and test is None else "_train"
    arrays = _arrays(given, "data", suffix)
    for name, part in parts.items():
        if part is not None:
            arrays |= _arrays(part, name, f"_{name}")

    def load(spec: RunSpec, read: ReadAs | None, preparation: AnyPreparation | None) -> Split:
        refuse(spec, OF_TABLES, "arrays")
        drawn = Parts(
            spec.test_fraction, spec.validation_fraction, spec.split_seed, spec.split, spec.group
        )
        how = ArrayOptions(
            None,
            None if is_object(spec.loss) else spec.loss,
            spec.missing,
            spec.standardize,
            spec.standardize_target,
            drawn,
            spec.dtype,
        )
        if preparation is not None and preparation.kind == "table":
            raise InputError("data: are arrays, and the model was trained on a table")
        return split_of_arrays("data", arrays, how, preparation, read=read, name="arrays")

    return Data(load, Identity("arrays", _shapes(arrays), content=digest_of(arrays)))


def _arrays(given: Any, name: str, suffix: str) -> Arrays:
    """X and y by the keys of an array file."""
    if isinstance(given, Mapping):
        if not suffix and given.keys() <= set(KEYS) and {"x", "x_train"} & given.keys():
            return {key: _array(value, f"{name}[{key!r}]") for key, value in given.items()}
        if {"x", "y"} < given.keys() and given.keys() <= {"x", "y", *WEIGHTS}:
            raise InputError(
                f"{name}: {next(iter(given.keys() & WEIGHTS))!r} is no key of a dict of arrays; "
                "give gradus.data.Dataset(x, y, weights=..), or a table with target= and weights= "
                "by the names of columns"
            )
        if set(given) != {"x", "y"}:
            raise InputError(
                f"{name}: a dict with the keys {brief(', '.join(map(repr, given)), 120)}; "
                f"{ACCEPTED}"
            )
        given = given["x"], given["y"]
    elif isinstance(given, torch.utils.data.Dataset):
        given = _stacked(given, name)
    elif not isinstance(given, tuple | list):
        accepted = "give what it holds, by .collect()" if hasattr(given, "collect") else ACCEPTED
        raise InputError(f"{name}: a {type(given).__name__}; {accepted}")
    if len(given) != 2:
        raise InputError(f"{name}: holds {len(given)} things, where X and y are taken; {ACCEPTED}")
    return {
        f"{key}{suffix}": _array(value, f"{key.upper() if key == 'x' else key} of {name}")
        for key, value in zip("xy", given, strict=True)
    }


def _pair(given: Any, name: str) -> tuple[Tensor, Tensor]:
    """X and y as tensors."""
    if isinstance(given, Dataset):
        return given.batch()
    x, y = (
        each if isinstance(each, Tensor) else torch.from_numpy(each)
        for each in _arrays(given, name, "").values()
    )
    return x, y


def _array(given: Any, name: str) -> Matrix:
    """An array of NumPy of what is one, or can be made one; a CSR tensor of what is sparse."""
    if is_sparse(given):
        return as_csr(given, name)
    if isinstance(given, Tensor):
        tensor = given.detach().cpu()
        numbers: NDArray[Any] = (tensor.float() if is_narrow(tensor.dtype) else tensor).numpy()
        return numbers
    try:
        values: NDArray[Any] = np.asarray(given)
    except Exception as error:
        raise InputError(f"{name}: is no array ({told(error)})") from error
    if values.dtype.kind == "O" and all(isinstance(each, str) for each in values.flat):
        values = values.astype(str)
    if values.dtype.kind in "mM":
        is_date = values.dtype.kind == "M"
        held, since = ("dates", "(values - start)") if is_date else ("durations", "values")
        raise InputError(
            f"{name}: holds {held}, where numbers are taken; give their number of days, as "
            f"{since} / numpy.timedelta64(1, 'D')"
        )
    if values.ndim == 0 or values.dtype.kind == "O":
        raise InputError(f"{name}: {quoted(given, 60)} is no array of numbers or text; {ACCEPTED}")
    return values


def _stacked(given: torch.utils.data.Dataset[Any], name: str) -> tuple[Tensor, Tensor]:
    """The examples of a dataset of PyTorch, all at once."""
    if isinstance(given, torch.utils.data.IterableDataset) or not hasattr(given, "__len__"):
        raise InputError(
            f"{name}: {type(given).__name__} has no length and no order of its own; give a Dataset "
            "with __len__ and __getitem__"
        )
    if isinstance(given, torch.utils.data.TensorDataset):
        examples: Any = given.tensors
    else:
        try:
            rows = [given[at] for at in range(len(given))]
            examples = torch.utils.data.default_collate(rows)
        except Exception as error:
            raise InputError(
                f"{name}: the examples of {type(given).__name__} cannot be put together: "
                f"{told(error)}"
            ) from error
    if not isinstance(examples, tuple | list) or len(examples) != 2:
        is_several = isinstance(examples, tuple | list)
        held = f"holds {len(examples)} things" if is_several else f"is a {type(examples).__name__}"
        raise InputError(f"{name}: an example of {type(given).__name__} {held}; give x and y")
    x, y = examples
    return x, y


def _of_split(given: Split) -> Data:
    def load(spec: RunSpec, read: ReadAs | None, preparation: AnyPreparation | None) -> Split:
        of_arrays = ("missing", "standardize", "standardize_target")
        refuse(spec, (*OF_TABLES, *OF_PARTS, *of_arrays), "data in their parts")
        return given

    parts = {"train": given.train, "validation": given.validation, "test": given.test}
    return Data(load, _identity({name: part for name, part in parts.items() if part is not None}))


def _of_dataset(given: Dataset, validation: Any, test: Any) -> Data:
    own = {"validation": validation, "test": test}
    for name, part in own.items():
        if part is not None and not isinstance(part, Dataset):
            raise InputError(
                f"{name}: a {type(part).__name__}; give a gradus.data.Dataset, as data"
            )

    def load(spec: RunSpec, read: ReadAs | None, preparation: AnyPreparation | None) -> Split:
        refuse(spec, (*OF_TABLES, "missing", "standardize", "standardize_target"), "a Dataset")
        drawn = Parts(spec.test_fraction, spec.validation_fraction, spec.split_seed, spec.split)
        for name, part, wanted in (
            ("validation", validation, drawn.validation),
            ("test", test, drawn.test),
        ):
            if part is not None and wanted:
                raise InputError(f"--{name}-fraction {wanted}: {name}= is given; leave it out")
        data, labels = given, None
        if not given.y.is_floating_point():
            labels = given.y if given.y.ndim == 1 else None
            if given.classes is None and labels is not None:
                data = replace(given, classes=tuple(map(str, range(given.outputs))))
        classes = data.classes
        if validation is not None:
            drawn = replace(drawn, validation=0)
        if test is None:
            rows = three_parts(len(data), drawn, labels=labels)
            train, held, tests = rows.train, rows.validation, data.subset(rows.test)
        else:
            train, held = training_parts(len(data), drawn, labels=labels)
            tests = replace(test, classes=classes)
        validates = data.subset(held) if len(held) else None
        if validation is not None:
            validates = replace(validation, classes=classes)
        task: Task = "regression" if classes is None else "classification"
        return Split(data.subset(train), tests, "arrays", task, validation=validates)

    parts = {"train": given, "validation": validation, "test": test}
    return Data(load, _identity({name: part for name, part in parts.items() if part is not None}))


def _identity(parts: Mapping[str, Dataset]) -> Identity:
    tensors = {
        f"{key}_{name}": value
        for name, part in parts.items()
        for key, value in (("x", part.x), ("y", part.y), ("weights", part.weights))
        if value is not None
    }
    return Identity("arrays", _shapes(tensors), content=digest_of(tensors))


def _shapes(arrays: Mapping[str, Any]) -> dict[str, list[int]]:
    return {name: list(values.shape) for name, values in arrays.items()}
