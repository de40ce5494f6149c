"""What is learned from the training part and applied to both: means for gaps, standardisation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus.errors import InputError, brief

_CHUNK = 1 << 22


def fill_gaps(
    x: NDArray[np.floating],
    train: NDArray[np.int64],
    names: Sequence[str],
    where: str,
    by: str,
) -> NDArray[np.floating]:
    """Replace NaN by the mean or the median of its column over the training rows.

    Args:
        x: ``[N, features]``, NaN where a value is missing.
        train: int64 ``[n]``, the rows that train.
        names: of the features, for the message.
        where: the file, for the message.
        by: mean or median.

    Raises:
        InputError: a column has no value in the training part.
    """
    from sklearn.impute import SimpleImputer

    empty = np.flatnonzero(np.isnan(x[train]).all(axis=0))
    if len(empty):
        raise InputError(
            f"{where}: column {brief(names[empty[0]])!r} has no value in the training part to take "
            f"the {by} of; leave it out"
        )
    filled: NDArray[np.floating] = SimpleImputer(strategy=by).fit(x[train]).transform(x)
    return filled


def standardize_columns(x: NDArray[np.floating], train: NDArray[np.int64]) -> NDArray[np.floating]:
    """Bring columns to mean 0 and standard deviation 1 over the training rows.

    Args:
        x: ``[N, features]``; constant columns are only centred.
        train: int64 ``[n]``, the rows that train.
    """
    from sklearn.preprocessing import StandardScaler

    scaled: NDArray[np.floating] = StandardScaler().fit(x[train]).transform(x)
    return scaled


def value_statistics(x: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """One mean and one standard deviation over all values of ``x / scale``.

    Bytes are counted, chunk by chunk, and never converted; the result is exact.

    Args:
        x: uint8 or floating, any shape.
        scale: what x is divided by when a batch is cut.

    Returns:
        mean and standard deviation, float64 ``[]``; the latter is 1 where all values are equal.

    Example:
        >>> mean, std = value_statistics(torch.tensor([[0, 255], [0, 255]], dtype=torch.uint8), 255)
        >>> mean.item(), std.item()
        (0.5, 0.5)
    """
    if x.dtype == torch.uint8:
        counts = torch.zeros(256, dtype=torch.int64)
        flat = x.reshape(-1)
        for start in range(0, len(flat), _CHUNK):
            counts += torch.bincount(flat[start : start + _CHUNK], minlength=256)
        values = torch.arange(256, dtype=torch.float64)
        weights = counts / counts.sum().double()
        mean = (weights * values).sum()
        std = (weights * (values - mean) ** 2).sum().sqrt()
    else:
        values = x.double()
        mean, std = values.mean(), values.std(correction=0)
    return mean / scale, torch.where(std > 0, std / scale, 1.0)
