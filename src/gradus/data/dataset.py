"""What the examples are: the tensors x and y, and how a batch is cut from them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gradus.errors import InputError
from gradus.risk.sparse import csr_of, is_csr, rows_at, stacked

if TYPE_CHECKING:
    from gradus.data.loader import LoaderOrder
    from gradus.data.preparation import AnyPreparation
    from gradus.data.streaming.order import StreamOrder

Task = Literal["classification", "regression"]

SAMPLE = 10_000
"""How many examples of the training part are evaluated at the end of an epoch, at most."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """N examples (x_i, y_i), kept as they were read until a batch is cut.

    Images stay one tensor of bytes: they are converted, divided by ``scale`` and standardised batch
    by batch, so that memory holds one byte per pixel and no Python runs per example.

    Args:
        x: inputs ``[N, ...]``, uint8 (images ``[N, channels, height, width]``) or floating (tables
            ``[N, features]``); or int64, numbers of words and the like, which stay as they are; or
            sparse, floating ``[N, features]``, kept as CSR and without scale, mean and std.
        y: targets: int64 ``[N]`` class indices, or floating ``[N, m]`` (m numbers to predict, or
            one row of class probabilities per example).
        classes: names of the classes where ``y`` holds classes, None for regression.
        scale: what x is divided by when a batch is cut (255 for bytes).
        mean: subtracted after the division; broadcasts against ``[..., *input_shape]``.
        std: divided by after the subtraction; broadcasts likewise.
        dtype: of the batches.
        weights: what each example counts in a mean loss, floating ``[N]`` and >= 0; None where all
            count alike. An accuracy is a share of the examples all the same.

    Raises:
        InputError: x, y and weights differ in length, are empty, or have a type that no batch can
            be cut of; or x is sparse, and no matrix of numbers or to be centred.

    Example:
        >>> x = torch.arange(12, dtype=torch.uint8).reshape(3, 1, 2, 2)
        >>> data = Dataset(x, torch.tensor([0, 1, 1]), classes=("low", "high"), scale=255.0)
        >>> len(data), data.input_shape, data.outputs
        (3, (1, 2, 2), 2)
        >>> images, labels = data.batch(slice(0, 2))
        >>> images.shape, images.dtype, labels.tolist()
        (torch.Size([2, 1, 2, 2]), torch.float32, [0, 1])
    """

    x: Tensor
    y: Tensor
    classes: tuple[str, ...] | None = None
    scale: float = 1.0
    mean: Tensor | None = None
    std: Tensor | None = None
    dtype: torch.dtype = torch.float32
    weights: Tensor | None = None

    def __post_init__(self) -> None:
        for name, given in (("x", self.x), ("y", self.y), ("weights", self.weights)):
            if given is not None and not isinstance(given, Tensor):
                raise InputError(
                    f"{name}: a {type(given).__name__}, where a tensor is taken; give "
                    f"torch.as_tensor({name})"
                )
        if self.x.layout != torch.strided:
            self._make_csr()
        if self.x.ndim == 0 or self.y.ndim == 0 or len(self.x) != len(self.y):
            raise InputError(
                f"x has shape {list(self.x.shape)} and y has shape {list(self.y.shape)}: "
                "both need one row per example"
            )
        if self.weights is not None and self.weights.shape != self.x.shape[:1]:
            raise InputError(
                f"weights have shape {list(self.weights.shape)} for {len(self.x)} examples: one is "
                "needed for each"
            )
        if len(self.x) == 0:
            raise InputError("the data hold no examples: at least one is needed")
        if self.x.dtype not in (torch.uint8, torch.int64) and not self.x.is_floating_point():
            raise InputError(
                f"x is {self.x.dtype}: give uint8 (images), floating-point numbers, or int64 "
                "(numbers of words and the like)"
            )
        if self.y.is_floating_point():
            if self.y.ndim < 2:
                raise InputError(
                    f"y holds numbers in shape {list(self.y.shape)}: give [N, m], here y[:, None]"
                )
        elif self.y.dtype != torch.int64:
            raise InputError(f"y is {self.y.dtype}: give int64 classes or floating-point numbers")

    def _make_csr(self) -> None:
        x = self.x
        if x.ndim != 2 or not x.is_floating_point():
            raise InputError(
                f"x is sparse, of {x.dtype} in shape {list(x.shape)}: give floating-point numbers "
                "[N, features]"
            )
        if (self.scale, self.mean, self.std) != (1.0, None, None):
            raise InputError(
                "x is sparse, and scale, mean or std are given: nothing is subtracted where only "
                "what is not zero is kept; divide the values themselves"
            )
        if is_csr(x) and x.col_indices().dtype == torch.int32:
            return
        try:
            object.__setattr__(self, "x", csr_of(x))
        except (RuntimeError, ValueError) as error:
            raise InputError(f"x is sparse, and no such matrix: {error}") from error

    def __len__(self) -> int:
        return len(self.x)

    @property
    def is_sparse(self) -> bool:
        """Whether x is a CSR tensor: then so is that of every batch."""
        return is_csr(self.x)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.x.shape[1:])

    @property
    def outputs(self) -> int:
        """How many numbers a model is to give per example: one per class, or m."""
        if self.classes is not None:
            return len(self.classes)
        if self.y.is_floating_point():
            return self.y.shape[1]
        return int(self.y.max()) + 1

    def batch(self, indices: Tensor | slice | None = None) -> tuple[Tensor, Tensor]:
        """Cut a batch and convert it: ``x / scale``, then ``(x - mean) / std``, in ``dtype``.

        Args:
            indices: int64 ``[B]`` on the device of the data (gathered), a slice (no gather: a view
                is converted), or None for all examples.

        Returns:
            x ``[B, *input_shape]`` in ``dtype``, CSR where the data are sparse; whole numbers as
            they are; y ``[B]`` int64 or
            ``[B, m]`` in ``dtype``.
        """
        x = _at(self.x, indices)
        if x.dtype == torch.int64 or self.is_sparse:
            return x if x.dtype == torch.int64 else x.to(self.dtype), self.targets(indices)
        return converted(x, self.scale, self.mean, self.std, self.dtype), self.targets(indices)

    def targets(self, indices: Tensor | slice | None = None) -> Tensor:
        """The targets of a batch alone: y as ``batch`` gives it."""
        y = _at(self.y, indices)
        return y.to(self.dtype) if y.is_floating_point() else y

    def to(
        self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Dataset:
        """Move the data to ``device`` and let batches come in ``dtype``; bytes stay bytes.

        Floating tensors are stored in ``dtype`` from then on, so that cutting a batch converts
        nothing.

        Example:
            >>> data = Dataset(torch.rand(4, 2, dtype=torch.float64), torch.tensor([0, 1, 0, 1]))
            >>> data.batch()[0].dtype, data.to(dtype=torch.float64).batch()[0].dtype
            (torch.float32, torch.float64)
        """
        kept = self.dtype if dtype is None else dtype

        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(device=device, dtype=kept if tensor.is_floating_point() else None)

        return dataclasses.replace(
            self,
            x=moved(self.x),
            y=moved(self.y),
            mean=None if self.mean is None else moved(self.mean),
            std=None if self.std is None else moved(self.std),
            dtype=kept,
            weights=None if self.weights is None else moved(self.weights),
        )

    @cached_property
    def fixed_sample(self) -> Dataset:
        """At most 10,000 of the examples, the same always: what stands for all where that is long.

        Example:
            >>> data = Dataset(torch.rand(12_000, 1), torch.zeros(12_000, dtype=torch.int64))
            >>> len(data.fixed_sample), len(data.subset(slice(0, 9)).fixed_sample)
            (10000, 9)
        """
        n = len(self)
        if n <= SAMPLE:
            return self
        drawn = np.sort(np.random.default_rng(0).permutation(n)[:SAMPLE])
        return self.subset(torch.from_numpy(drawn).to(self.x.device))

    def subset(self, indices: Tensor | slice) -> Dataset:
        """The examples at ``indices`` (int64 ``[n]``, gathered; or a slice, shared)."""
        weights = None if self.weights is None else _at(self.weights, indices)
        return dataclasses.replace(
            self, x=_at(self.x, indices), y=_at(self.y, indices), weights=weights
        )


def converted(
    x: Tensor, scale: float, mean: Tensor | None, std: Tensor | None, dtype: torch.dtype
) -> Tensor:
    """Inputs as a model takes them: ``x / scale``, then ``(x - mean) / std``, in ``dtype``."""
    x = x.to(dtype)
    if scale != 1.0:
        x = x.div(scale)
    if mean is not None:
        x = x - mean.to(dtype)
    if std is not None:
        x = x / std.to(dtype)
    return x


def joined(first: Dataset, second: Dataset) -> Dataset:
    """The examples of two parts of the same data, one after the other.

    Example:
        >>> data = Dataset(torch.arange(4.0)[:, None], torch.tensor([0, 1, 0, 1]))
        >>> joined(data.subset(slice(2, 4)), data.subset(slice(0, 1))).y.tolist()
        [0, 1, 0]
    """
    weights = None
    if first.weights is not None and second.weights is not None:
        weights = torch.cat([first.weights, second.weights])
    return dataclasses.replace(
        first,
        x=stacked([first.x, second.x]),
        y=torch.cat([first.y, second.y]),
        weights=weights,
    )


def _at(values: Tensor, indices: Tensor | slice | None) -> Tensor:
    if indices is None:
        return values
    return rows_at(values, indices)


class Treatment(NamedTuple):
    """What was done with a column of a table, in words for the user."""

    column: str
    taken_for: str
    missing: int
    """Rows without a value."""
    done: str


@dataclass(frozen=True, eq=False)
class Split:
    """Data to train on, to choose on and to test on, and what is known about them.

    Args:
        train: the examples that the risk is taken over.
        test: those that what was chosen is measured on.
        name: what the user called the data.
        task: whether the targets are classes or numbers.
        features: names of the columns of x where x is a table, else None.
        target: name of the column that is predicted where there is one, else None.
        validation: the examples that anything is chosen on, None where none are held.
        preparation: what turns other data of the same kind into x; None where that is not known.
        treatments: what was done with each column of the table.
        notes: what else was done with the file and its rows, a line each.
        order: in which the examples come, where that is not ours; ``train`` is then a sample of
            them.
        apart: parts that were given by themselves.

    Example:
        >>> data = Dataset(torch.rand(4, 2), torch.tensor([0, 1, 0, 1]), classes=("no", "yes"))
        >>> split = Split(data.subset(slice(0, 3)), data.subset(slice(3, 4)), "toy",
        ...               "classification")
        >>> split.description
        'toy: 3 train + 1 test, 2 features, 2 classes'
    """

    train: Dataset
    test: Dataset
    name: str
    task: Task
    features: tuple[str, ...] | None = None
    target: str | None = None
    validation: Dataset | None = None
    preparation: AnyPreparation | None = None
    treatments: tuple[Treatment, ...] = ()
    notes: tuple[str, ...] = ()
    order: LoaderOrder | StreamOrder | None = None
    apart: tuple[str, ...] = ()

    @property
    def trains(self) -> int:
        """How many examples train."""
        return len(self.train) if self.order is None else self.order.n

    @property
    def description(self) -> str:
        """One line for the user: name, sizes, shape of an input, what is predicted."""
        shape = self.train.input_shape
        kind = "images" if len(shape) == 3 else "inputs"
        what = f"{'×'.join(map(str, shape))} {kind}"
        if len(shape) == 1:
            what = _count(shape[0], "feature")
        if self.task == "classification":
            predicted = _count(self.train.outputs, "class", "classes")
        else:
            predicted = _count(self.train.outputs, "number") + " to predict"
        if self.target is not None:
            predicted += f" ({self.target})"
        held = f" + {len(self.validation):,} validation" if self.validation is not None else ""
        sizes = f"{self.trains:,} train{held} + {len(self.test):,} test"
        return f"{self.name}: {sizes}, {what}, {predicted}"


def _count(n: int, one: str, many: str | None = None) -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"
