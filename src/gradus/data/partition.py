"""Which examples train and which test."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
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
        int64 indices, ascending, of the rows that train and of those that test.

    Raises:
        InputError: the fraction is not strictly between 0 and 1, or leaves no row to train on; the
            seed is negative.

    Example:
        >>> train, test = partition(10, test_fraction=0.3, seed=0)
        >>> len(train), len(test), sorted(torch.cat([train, test]).tolist()) == list(range(10))
        (7, 3, True)
    """
    fraction = TEST_FRACTION if test_fraction is None else test_fraction
    if not 0 < fraction < 1:
        raise InputError(f"--test-fraction {fraction}: give a number between 0 and 1, such as 0.2")
    if seed < 0:
        raise InputError(f"--seed {seed}: give 0 or a positive integer")
    # 0.15 * 20 is 3.0000000000000004 in binary: rounded up it must not become 4
    n_test = math.ceil(round(fraction * n, 9))
    if n_test >= n:
        raise InputError(
            f"--test-fraction {fraction}: leaves no row of {n} to train on; give less, or more rows"
        )
    # scikit-learn's train_test_split draws the same kind of split, but importing it takes longer
    # than training on the smaller data sets does.
    random = np.random.default_rng(seed)
    groups = [np.arange(n)] if labels is None else _groups(labels.numpy(), n_test)
    shares = _shares(np.array([len(group) for group in groups]), n_test)
    tests = np.zeros(n, dtype=bool)
    for group, share in zip(groups, shares, strict=True):
        tests[random.permutation(group)[:share]] = True
    return torch.from_numpy(np.flatnonzero(~tests)), torch.from_numpy(np.flatnonzero(tests))


def _groups(labels: NDArray[np.int64], n_test: int) -> list[NDArray[np.int64]]:
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    smallest_part = min(n_test, len(labels) - n_test)
    if min(len(group) for group in groups) < 2 or smallest_part < len(groups):
        return [np.arange(len(labels))]
    return groups


def _shares(sizes: NDArray[np.int64], n_test: int) -> NDArray[np.int64]:
    """How many of each group test: proportional, whole, summing to n_test (largest remainders)."""
    exact = sizes * n_test / sizes.sum()
    shares: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    largest = np.argsort(shares - exact, kind="stable")
    shares[largest[: n_test - shares.sum()]] += 1
    return shares
