"""Which examples train and which test."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gradus.errors import InputError

TEST_FRACTION = 0.2


def partition(
    n: int, *, test_fraction: float | None = None, seed: int = 0, labels: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Split the rows 0..n-1 at random, in the proportions of the classes where there are any.

    A class with a single row cannot be in both parts; where one exists, or where either part would
    be smaller than the number of classes, the split is drawn without regard to classes.

    Args:
        n: number of rows.
        test_fraction: share of the rows that test, rounded up; None for 0.2.
        seed: of the draw.
        labels: int64 ``[n]`` class indices, or None.

    Returns:
        int64 indices of the rows that train and of those that test.

    Raises:
        InputError: the fraction is not strictly between 0 and 1, or leaves a part without rows.

    Example:
        >>> train, test = partition(10, test_fraction=0.3, seed=0)
        >>> len(train), len(test), sorted(torch.cat([train, test]).tolist()) == list(range(10))
        (7, 3, True)
    """
    from sklearn.model_selection import train_test_split

    fraction = TEST_FRACTION if test_fraction is None else test_fraction
    if not 0 < fraction < 1:
        raise InputError(f"--test-fraction {fraction}: give a number between 0 and 1, such as 0.2")
    n_test = int(np.ceil(fraction * n))
    if n_test >= n:
        raise InputError(
            f"--test-fraction {fraction}: leaves none of {n} rows to train on; give less"
        )
    stratify = None
    if labels is not None:
        counts = np.bincount(labels.numpy())
        counts = counts[counts > 0]
        if counts.min() >= 2 and min(n_test, n - n_test) >= len(counts):
            stratify = labels.numpy()
    train, test = train_test_split(
        np.arange(n), test_size=n_test, random_state=seed, stratify=stratify
    )
    return torch.from_numpy(train), torch.from_numpy(test)
