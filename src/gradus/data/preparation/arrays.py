"""What was fitted to the training part of arrays, and turns any arrays of the kind into x."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveInt, model_validator

from gradus.data.preparation.encoder import Scale
from gradus.data.preparation.fit import LARGEST, Fill, deviation, drawn
from gradus.data.preparation.goal import Classes, Quantities
from gradus.data.preparation.image_form import ImageForm
from gradus.errors import InputError, quoted

if TYPE_CHECKING:
    import torch

    from gradus.data.dataset import Dataset

Dtype = Literal["float32", "float64"]

CELLS = 2**22
"""Numbers that are converted at once: 32 MB."""


class Arrays(BaseModel):
    r"""How arrays become x, and what outputs of the model mean.

    $x = (v / r - c) / s$, where $c$ and $s$ are one number for all values, or one for each column.
    Bytes stay bytes until a batch is cut; numbers are brought to scale at once; integers, as the
    numbers of words, are themselves.

    Attributes:
        version: of this format.
        kind: of the preparation.
        shape: of one input.
        holds: ``bytes``, ``numbers`` or ``integers``.
        scale: r, what bytes are divided by.
        fill: of each column, what stands for a missing value; empty: none may be missing.
        centre: c; empty: nothing is subtracted.
        spread: s; empty: nothing is divided by.
        goal: what is predicted.
        images: what image files become, where the arrays were such; None: where they were not.

    Example:
        >>> from gradus.data.columns import Form
        >>> goal = Classes(name="y", form=Form("category"), names=("fig", "pear"))
        >>> grams = Arrays(shape=(1,), fill=(100,), centre=(100,), spread=(50,), goal=goal)
        >>> grams.inputs(np.array([[50.0], [np.nan]]), "float32").tolist()
        [[-1.0], [0.0]]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    kind: Literal["arrays"] = "arrays"
    shape: tuple[PositiveInt, ...]
    holds: Literal["bytes", "numbers", "integers"] = "numbers"
    scale: Scale = 1.0
    fill: tuple[FiniteFloat, ...] = ()
    centre: tuple[FiniteFloat, ...] = ()
    spread: tuple[Scale, ...] = ()
    goal: Annotated[Classes | Quantities, Field(discriminator="kind")]
    images: ImageForm | None = None

    @model_validator(mode="after")
    def _of_this_shape(self) -> Self:
        columns = {self.shape[0]} if len(self.shape) == 1 else set()
        if len(self.fill) not in {0} | columns:
            raise ValueError(f"fill: {len(self.fill)} values for inputs of {list(self.shape)}")
        if len(self.centre) != len(self.spread) or len(self.centre) not in {0, 1} | columns:
            raise ValueError(f"centre, spread: not of inputs of {list(self.shape)}")
        if self.holds == "bytes" and (self.fill or len(self.centre) > 1):
            raise ValueError("holds: bytes, of which none is missing and all are of one scale")
        if self.holds != "bytes" and self.scale != 1:
            raise ValueError("scale: is of bytes alone")
        if self.holds == "integers" and (self.fill or self.centre):
            raise ValueError("holds: integers, which are neither filled in nor brought to scale")
        if self.images is not None and (self.holds, self.shape) != ("bytes", self.images.shape):
            raise ValueError(f"images: are no bytes of {list(self.shape)}")
        return self

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one input."""
        return self.shape

    def dataset(
        self, x: NDArray[Any], rows: NDArray[np.int64] | None, y: torch.Tensor, dtype: Dtype
    ) -> Dataset:
        """Examples to train on.

        Args:
            x: ``[N, *shape]``, as ``checked`` leaves it.
            rows: of x, int64 ``[n]``; None for all.
            y: of these rows, as it is learned.
            dtype: of numbers.
        """
        import torch

        from gradus.data.dataset import Dataset

        classes = self.goal.names if isinstance(self.goal, Classes) else None
        if self.holds == "numbers":
            return Dataset(torch.from_numpy(self._numbers(x, rows, dtype)), y, classes)
        if self.holds == "integers":
            indices = torch.from_numpy((x if rows is None else x[rows]).astype(np.int64))
            return Dataset(indices, y, classes, dtype=getattr(torch, dtype))
        pixels = torch.from_numpy(x if rows is None else x[rows])
        return Dataset(pixels, y, classes, self.scale, *self._statistics)

    def inputs(self, x: NDArray[Any], dtype: Dtype) -> torch.Tensor:
        """Examples to predict for, ``[N, *shape]``, as ``checked`` leaves them."""
        import torch

        from gradus.data.dataset import converted

        if self.holds == "numbers":
            return torch.from_numpy(self._numbers(x, None, dtype))
        if self.holds == "integers":
            return torch.from_numpy(x.astype(np.int64))
        mean, std = self._statistics
        x = np.require(x, requirements="W")  # what is mapped may not be, which PyTorch minds
        return converted(torch.from_numpy(x), self.scale, mean, std, getattr(torch, dtype))

    def checked(self, given: Any, where: str) -> NDArray[Any]:
        """Refuse what is no array of the kind that was trained on; images may lack the channel.

        A CSR tensor is the array that it stands for.

        Raises:
            InputError: it is of another type or shape, or a value is missing or infinite.
        """
        x: NDArray[Any] = given if isinstance(given, np.ndarray) else given.to_dense().numpy()
        if self.holds == "bytes" and x.dtype != np.uint8:
            raise InputError(
                f"{where}: holds {quoted(str(x.dtype), 60)}, and the model was trained on bytes; "
                f"give uint8 from 0 to {self.scale:g}"
            )
        if self.holds == "numbers" and x.dtype == np.uint8:
            raise InputError(
                f"{where}: holds bytes, and the model was trained on numbers; give them in the "
                "scale of those, as float32"
            )
        if self.holds == "numbers" and x.dtype.kind not in "biuf":
            raise InputError(
                f"{where}: holds {quoted(str(x.dtype), 60)}, and the model was trained on numbers"
            )
        if self.holds == "integers" and x.dtype.kind not in "iu":
            raise InputError(
                f"{where}: holds {quoted(str(x.dtype), 60)}, and the model was trained on integers"
            )
        if x.shape[1:] == self.shape[1:] and self.shape[:1] == (1,) and x.ndim == len(self.shape):
            x = x[:, None]
        if x.shape[1:] != self.shape or x.ndim == 0:
            raise InputError(
                f"{where}: has shape {list(x.shape)}, and the model takes "
                f"[N, {', '.join(map(str, self.shape))}]"
            )
        if len(x) == 0:
            raise InputError(f"{where}: is empty: at least one row is needed")
        missing, infinite = faults(x)
        if infinite is not None:
            raise InputError(f"{where}: x{infinite} is infinite; give a finite number or NaN")
        if missing.any() and not self.fill:
            raise InputError(
                f"{where}: has missing values (NaN) in {missing.sum():,} rows, and the rows that "
                "trained had none: what stands for them is not known"
            )
        return x

    def record(self) -> dict[str, Any]:
        """As data for JSON."""
        return self.model_dump(mode="json")

    @property
    def _statistics(self) -> tuple[torch.Tensor, torch.Tensor] | tuple[None, None]:
        """Of bytes, as a batch takes them."""
        import torch

        if not self.centre:
            return None, None
        centre, spread = (
            torch.tensor(values[0], dtype=torch.float64) for values in (self.centre, self.spread)
        )
        return centre, spread

    def _numbers(
        self, x: NDArray[Any], rows: NDArray[np.int64] | None, dtype: Dtype
    ) -> NDArray[np.floating]:
        """Some rows as they are learned from."""
        n = len(x) if rows is None else len(rows)
        found = np.empty((n, *self.shape), dtype)
        for at in pieces(n, self.shape):
            with np.errstate(over="ignore"):
                part = x[at if rows is None else rows[at]].astype(np.float64)
            if self.fill:
                gaps = np.isnan(part)
                part[gaps] = np.broadcast_to(self.fill, part.shape)[gaps]
            if self.centre:
                part -= self.centre
                part /= self.spread
            with np.errstate(over="ignore"):
                found[at] = part
            if not np.isfinite(found[at]).all():
                raise InputError(
                    f"x holds numbers beyond {np.finfo(dtype).max:.1e}, the greatest of {dtype}; "
                    "train with --dtype float64"
                )
        return found


def fit_arrays(
    x: NDArray[Any],
    train: NDArray[np.int64],
    goal: Classes | Quantities,
    *,
    scale: float = 255.0,
    fill: Fill | None = None,
    standardize: bool = False,
    images: ImageForm | None = None,
    integers: bool = False,
    where: str = "x",
) -> Arrays:
    """The preparation of arrays, fitted to the rows that train.

    Args:
        x: ``[N, ...]``, bytes or numbers; NaN, where a value is missing, in ``[N, features]`` only.
        train: int64 ``[n]``, the rows that train.
        goal: what is predicted.
        scale: what bytes are divided by.
        fill: what stands for a missing value of a column; None: nothing, and none may be missing.
        standardize: bring x to mean 0 and deviation 1: each column of numbers ``[N, features]``,
            all values together of others.
        images: what image files became, where x was such.
        integers: take integers as they are.
        where: what x is called, for the message.

    Raises:
        InputError: a column has no value in the training part to be filled with, or numbers are too
            large for means and deviations.

    Example:
        >>> from gradus.data.columns import Form
        >>> goal = Classes(name="y", form=Form("category"), names=("fig", "pear"))
        >>> x = np.array([[1.0, 7.0], [3.0, 7.0], [np.nan, 7.0]])
        >>> fitted = fit_arrays(x, np.arange(3), goal, fill="mean", standardize=True)
        >>> fitted.fill, fitted.centre
        ((2.0, 7.0), (2.0, 7.0))
    """
    if integers:
        return Arrays(shape=tuple(x.shape[1:]), holds="integers", goal=goal)
    if fill is not None or standardize:
        _check_largest(x, train, where)
    shape = tuple(x.shape[1:])
    fills: tuple[float, ...] = ()
    centre: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()
    if x.dtype == np.uint8:
        if standardize:
            # Images are large, and those that train are often all that are there: no copy of them.
            centre, spread = _of_all(x if len(train) == len(x) else x[train], scale)
        return Arrays(
            shape=shape,
            holds="bytes",
            scale=scale,
            centre=centre,
            spread=spread,
            goal=goal,
            images=images,
        )
    if x.ndim == 2:
        if fill is not None:
            fills = tuple(value for block in _blocks(x, train) for value in _fills(block, fill))
            if np.isnan(fills).any():
                column = int(np.flatnonzero(np.isnan(fills))[0])
                raise InputError(
                    f"{where}: column '{column}' of x has no value in the training part to take "
                    f"the {fill} of; leave it out"
                )
        if standardize:
            at = 0
            for block in _blocks(x, train):
                width = block.shape[1]
                if fills:
                    block = np.where(np.isnan(block), fills[at : at + width], block)
                centre += tuple(block.mean(axis=0).tolist())
                spread += tuple(map(deviation, block.T))
                at += width
    elif standardize:
        centre, spread = _of_all(x[train].astype(np.float64), 1.0)
    return Arrays(shape=shape, fill=fills, centre=centre, spread=spread, goal=goal)


def faults(x: NDArray[Any]) -> tuple[NDArray[np.bool_], list[int] | None]:
    """Which rows have a missing value, and where the first infinite one stands."""
    missing, infinite = np.zeros(len(x), bool), None
    if x.dtype.kind != "f":
        return missing, infinite
    for at in pieces(len(x), x.shape[1:]):
        wrong = ~np.isfinite(x[at])
        if wrong.any():
            missing[at] = np.isnan(x[at]).reshape(at.stop - at.start, -1).any(axis=1)
            if infinite is None and (found := np.argwhere(np.isinf(x[at]))).size:
                infinite = [at.start + int(found[0, 0]), *found[0, 1:].tolist()]
    return missing, infinite


def pieces(n: int, shape: tuple[int, ...]) -> Iterator[slice]:
    """The rows of an array in pieces of some 4 million numbers."""
    size = max(1, CELLS // max(1, int(np.prod(shape, dtype=np.int64))))
    return (slice(at, min(at + size, n)) for at in np.arange(0, n, size).tolist())


def _check_largest(x: NDArray[Any], train: NDArray[np.int64], where: str) -> None:
    if x.dtype.kind != "f" or x.dtype.itemsize < 8:
        return
    for at in pieces(len(train), x.shape[1:]):
        part = np.abs(x[train[at]])
        if part.size and np.fmax.reduce(part, axis=None) > LARGEST:
            raise InputError(
                f"{where}: x holds numbers beyond {LARGEST:g}, of which no mean and deviation can "
                "be taken: bring them to a smaller scale"
            )


def _blocks(x: NDArray[Any], train: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
    """The training rows of some columns, one after another: a column whole, x in no second copy."""
    width = max(1, CELLS // len(train))
    for at in range(0, x.shape[1], width):
        yield x[train, at : at + width].astype(np.float64)


def _fills(block: NDArray[np.float64], by: Fill) -> list[float]:
    if not np.isnan(block).any():
        return list(block.mean(axis=0) if by == "mean" else np.median(drawn(block)[0], axis=0))
    known = ~np.isnan(block).all(axis=0)
    found = np.full(block.shape[1], np.nan)
    found[known] = (np.nanmean if by == "mean" else np.nanmedian)(block[:, known], axis=0)
    return found.tolist()


def _of_all(x: NDArray[Any], scale: float) -> tuple[tuple[float], tuple[float]]:
    import torch

    from gradus.data.fitting import value_statistics

    mean, std = value_statistics(torch.from_numpy(x), scale)
    return (mean.item(),), (std.item(),)
