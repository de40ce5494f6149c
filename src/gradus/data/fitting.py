"""What is learned from the values of the training part: their mean and their deviation."""

from __future__ import annotations

import torch
from torch import Tensor

_CHUNK = 1 << 22


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
