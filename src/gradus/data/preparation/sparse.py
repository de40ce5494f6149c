"""What was fitted to the training part of sparse inputs, and turns any of the kind into x."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from gradus.data.preparation.encoder import Scale
from gradus.data.preparation.goal import Classes, Quantities
from gradus.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from gradus.data.dataset import Dataset

Dtype = Literal["float32", "float64"]


class Sparse(BaseModel):
    r"""How sparse inputs become x, and what outputs of the model mean.

    $x_j = v_j / s_j$. Nothing is subtracted: what is not kept is 0, and stays 0.

    Attributes:
        version: of this format.
        kind: of the preparation.
        columns: how many there are.
        spread: s, the largest absolute value of each column among the training rows, 1 where there
            is none; empty: nothing is divided by.
        goal: what is predicted.
        base: from which number the indices of files of svmlight count, where they came from one.

    Example:
        >>> import torch
        >>> from gradus.data.columns import Form
        >>> from gradus.risk.sparse import csr_of
        >>> goal = Classes(name="y", form=Form("category"), names=("fig", "pear"))
        >>> halves = Sparse(columns=2, spread=(1, 2), goal=goal)
        >>> halves.inputs(csr_of(torch.tensor([[0.0, 5.0]])), "float32").to_dense().tolist()
        [[0.0, 2.5]]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    kind: Literal["sparse"] = "sparse"
    columns: PositiveInt
    spread: tuple[Scale, ...] = ()
    goal: Annotated[Classes | Quantities, Field(discriminator="kind")]
    base: Literal[0, 1] | None = None

    @model_validator(mode="after")
    def _one_for_each_column(self) -> Self:
        if len(self.spread) not in (0, self.columns):
            raise ValueError(f"spread: {len(self.spread)} values for {self.columns} columns")
        return self

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one input."""
        return (self.columns,)

    def dataset(
        self, x: Tensor, rows: NDArray[np.int64] | None, y: Tensor, dtype: Dtype
    ) -> Dataset:
        """Examples to train on.

        Args:
            x: CSR ``[N, columns]``, as ``checked`` leaves it.
            rows: of x, int64 ``[n]``; None for all.
            y: of these rows, as it is learned.
            dtype: of x.
        """
        import torch

        from gradus.data.dataset import Dataset
        from gradus.risk.sparse import rows_at

        classes = self.goal.names if isinstance(self.goal, Classes) else None
        some = x if rows is None else rows_at(x, torch.from_numpy(rows))
        return Dataset(self.inputs(some, dtype), y, classes)

    def inputs(self, x: Tensor, dtype: Dtype) -> Tensor:
        """Examples to predict for, CSR ``[N, columns]``, as ``checked`` leaves them.

        Raises:
            InputError: a number is too large for the type.
        """
        import torch

        from gradus.risk.sparse import csr, parts_of

        starts, columns, values = parts_of(x)
        if self.spread:
            values = values / torch.tensor(self.spread, dtype=torch.float64)[columns]
        found = values.to(getattr(torch, dtype))
        if not np.isfinite(found.numpy()).all():  # in torch it takes the memory of two copies
            raise InputError(
                f"x holds numbers beyond {np.finfo(dtype).max:.1e}, the greatest of {dtype}; "
                "train with --dtype float64"
            )
        return csr(starts, columns, found, self.columns)

    def checked(self, given: Any, where: str) -> Tensor:
        """Examples of the kind that was trained on: sparse, or an array of numbers.

        Raises:
            InputError: they are of another type or shape, or a value is no finite number.
        """
        from gradus.risk.sparse_matrices import as_csr, faults

        x = as_csr(given, where)
        if x.shape[1] != self.columns:
            raise InputError(
                f"{where}: has shape {list(x.shape)}, and the model takes [N, {self.columns}]"
            )
        if len(x) == 0:
            raise InputError(f"{where}: is empty: at least one row is needed")
        missing, infinite = faults(x)
        if infinite is not None:
            raise InputError(f"{where}: x{infinite} is infinite; give a finite number")
        if missing.any():
            raise InputError(
                f"{where}: has missing values (NaN) in {missing.sum():,} rows; leave them out, or "
                "give a number"
            )
        return x

    def record(self) -> dict[str, Any]:
        """As data for JSON."""
        return self.model_dump(mode="json")


def fit_sparse(
    x: Tensor, train: NDArray[np.int64], goal: Classes | Quantities, *, standardize: bool = False
) -> Sparse:
    """The preparation of sparse inputs, fitted to the rows that train.

    Args:
        x: CSR ``[N, columns]``.
        train: int64 ``[n]``, the rows that train.
        goal: what is predicted.
        standardize: divide each column by its largest absolute value.

    Example:
        >>> import torch
        >>> from gradus.data.columns import Form
        >>> from gradus.risk.sparse import csr_of
        >>> goal = Classes(name="y", form=Form("category"), names=("fig", "pear"))
        >>> x = csr_of(torch.tensor([[0.0, -4.0], [0.0, 2.0], [9.0, 0.0]]))
        >>> fit_sparse(x, np.arange(2), goal, standardize=True).spread
        (1.0, 4.0)
    """
    columns = x.shape[1]
    if not standardize:
        return Sparse(columns=columns, goal=goal)
    import torch

    from gradus.risk.sparse import parts_of, rows_at

    _, at, values = parts_of(rows_at(x, torch.from_numpy(train)))
    largest = torch.zeros(columns, dtype=torch.float64)
    largest.scatter_reduce_(0, at.long(), values.double().abs(), "amax")
    largest[largest == 0] = 1.0
    return Sparse(columns=columns, spread=tuple(largest.tolist()), goal=goal)
