"""Which examples train, which validate and which test."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradus.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from gradus.data.dataset import Dataset

Numbers = NDArray[np.int64]

TEST_FRACTION = 0.2
"""Of all examples, where the data have no test part of their own."""

VALIDATION_FRACTION = 0.15
"""Of the training examples of a user's own data, which have no validation part of their own."""

SplitName = Literal["random", "time"]


@dataclass(frozen=True)
class Parts:
    """How the parts of data are drawn.

    Attributes:
        test: share of all examples that test; None for 0.2. Data that have a test part of their own
            take no other.
        validation: share of the training examples that are held for validation, 0 for none; None
            for what is usual for the data.
        seed: of the draw, >= 0.
        split: ``random``; or ``time``, the last examples test, and those before them validate.
        group: the column whose values never stand in two parts.
        apart: parts that are given by themselves: no rows are drawn for them.
    """

    test: float | None = None
    validation: float | None = None
    seed: int = 0
    split: SplitName = "random"
    group: str | None = None
    apart: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, share in (("test", self.test), ("validation", self.validation)):
            if name in self.apart and share:
                raise InputError(f"--{name}-fraction {share}: --{name} is given; leave it out")
        if self.test is not None and not 0 < self.test < 1:
            raise InputError(
                f"--test-fraction {self.test}: give a number between 0 and 1, such as 0.2"
            )
        if self.validation is not None and not 0 <= self.validation < 1:
            raise InputError(
                f"--validation-fraction {self.validation}: give 0, for no validation part, or a "
                "number below 1, such as 0.15"
            )
        if self.seed < 0:
            raise InputError(f"--split-seed {self.seed}: give 0 or a positive integer")
        if self.split == "time" and self.group is not None:
            raise InputError(
                f"--group {self.group}: cannot be kept together by --split time, which cuts the "
                "rows where they stand; use one of them"
            )

    def validation_or(self, usual: float) -> float:
        """The share that validates, where this is the usual one."""
        return usual if self.validation is None else self.validation


USUAL_PARTS = Parts()


class Rows(NamedTuple):
    """The rows of each part: int64 ``[n]``, ascending; ``validation`` may be empty."""

    train: Tensor
    validation: Tensor
    test: Tensor


def three_parts(
    n: int, parts: Parts, *, labels: Tensor | None = None, groups: NDArray[np.int64] | None = None
) -> Rows:
    """Split the rows 0..n-1 into those that train, validate and test.

    The test part is drawn first, then the validation part from the rest: what tests does not depend
    on how many rows validate. Both are drawn at random, in the proportions of the classes where
    there are any; or, for ``time``, are the last rows. Rows of one group stay together: groups are
    taken in a random order, each where it brings the numbers of the classes nearer to their shares,
    so that the sizes of the parts are approximate.

    Args:
        n: number of rows.
        parts: how they are drawn.
        labels: int64 ``[n]`` class indices, or None.
        groups: int64 ``[n]``, the group of each row, or None.

    Raises:
        InputError: a part that is wanted would be empty, or no row would be left to train on.

    Example:
        >>> import torch
        >>> rows = three_parts(10, Parts(test=0.2, validation=0.25))
        >>> [len(part) for part in rows], sorted(torch.cat(rows).tolist()) == list(range(10))
        ([6, 2, 2], True)
        >>> [part.tolist() for part in three_parts(6, Parts(0.2, 0.25, split="time"))]
        [[0, 1, 2], [3], [4, 5]]
    """
    import torch

    of_class = None if labels is None else labels.numpy()
    rest, test = np.arange(n), np.empty(0, np.int64)
    if "test" not in parts.apart:
        fraction = TEST_FRACTION if parts.test is None else parts.test
        rest, test = _halves(n, fraction, "--test-fraction", 0, parts, of_class, groups)
    left = [None if given is None else given[rest] for given in (of_class, groups)]
    train, validation = trained_and_held(len(rest), parts, *left)
    return Rows(*map(torch.from_numpy, (rest[train], rest[validation], test)))


def training_parts(
    n: int, parts: Parts, *, labels: Tensor | None = None, groups: NDArray[np.int64] | None = None
) -> tuple[Tensor, Tensor]:
    """Split training rows 0..n-1 into those that train and those that validate, as `three_parts`.

    Example:
        >>> train, validation = training_parts(20, Parts(validation=0.15))
        >>> len(train), len(validation)
        (17, 3)
    """
    import torch

    of_class = None if labels is None else labels.numpy()
    train, held = trained_and_held(n, parts, of_class, groups)
    return torch.from_numpy(train), torch.from_numpy(held)


def trained_and_held(
    n: int, parts: Parts, labels: Numbers | None = None, groups: Numbers | None = None
) -> tuple[Numbers, Numbers]:
    """The same of arrays, and as arrays."""
    fraction = parts.validation_or(VALIDATION_FRACTION)
    if fraction == 0 or "validation" in parts.apart:
        return np.arange(n), np.empty(0, np.int64)
    return _halves(n, fraction, "--validation-fraction", 1, parts, labels, groups)


def held_in_turn(
    n: int, n_held: int, turn: int, seed: int, labels: Numbers | None = None
) -> NDArray[np.bool_]:
    """Which training rows 0..n-1 are held for a model that is not the first of several.

    In turn, different rows are held, about as many each time, in the proportions of the classes:
    models that are averaged then have learned from all rows together, and each is judged on rows
    that it did not see.

    Args:
        n: number of rows.
        n_held: rows that validate for the first model.
        turn: 0 for the second model, 1 for the third, and so on; where all rows had theirs, from
            the beginning.
        seed: of the draw.
        labels: int64 ``[n]`` class indices, or None.

    Example:
        >>> turns = [held_in_turn(10, 3, turn, seed=0) for turn in range(3)]
        >>> [int(held.sum()) for held in turns], bool(np.any(turns, axis=0).all())
        ([4, 3, 3], True)
    """
    order = np.random.default_rng([seed, 2]).permutation(n)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    turns = max(2, n // n_held)
    held = np.zeros(n, dtype=bool)
    held[order[turn % turns :: turns]] = True
    return held


def check_turns(n: int, n_held: int, nets: int) -> None:
    """Refuse rows that cannot be held in turn: each net is to learn from some, and to hold some.

    Args:
        n: training rows of the first net.
        n_held: rows that validate for it.
        nets: how many take turns.

    Raises:
        InputError: they are too few.
    """
    if n < 2 and nets > 1:
        raise InputError(
            f"too few rows: {n + n_held} are left to train and to validate on, where {nets} nets "
            f"that each hold others need {n_held + 2}; give more rows, or --models 1"
        )


def in_turn(
    train: Dataset, validation: Dataset, net: int, seed: int, labels: Tensor | None
) -> tuple[Dataset, Dataset]:
    """What a net learns from and is chosen on, where each holds other rows.

    Args:
        train: what the first net learns from.
        validation: what it is chosen on.
        net: its number; 0 is the first.
        seed: of the draw.
        labels: int64 ``[n]`` class indices of the training rows, or None.
    """
    if net == 0:
        return train, validation
    import torch

    from gradus.data.dataset import joined

    of_class = None if labels is None else labels.numpy()
    held = held_in_turn(len(train), len(validation), net - 1, seed, of_class)
    kept, held_now = (torch.from_numpy(np.flatnonzero(rows)) for rows in (~held, held))
    return joined(train.subset(kept), validation), train.subset(held_now)


def _halves(
    n: int,
    fraction: float,
    flag: str,
    stream: int,
    parts: Parts,
    labels: Numbers | None,
    groups: Numbers | None,
) -> tuple[Numbers, Numbers]:
    """The rows that stay and those that are held, both ascending."""
    # 0.15 * 20 is 3.0000000000000004 in binary: rounded up it must not become 4
    n_held = math.ceil(round(fraction * n, 9))
    if n_held >= n and (parts.test if stream == 0 else parts.validation) is None:
        other, way = ("test", "") if stream == 0 else ("validate", ", or --validation-fraction 0")
        raise InputError(
            f"{n} {'row is' if n == 1 else 'rows are'} left to train on and to {other} on, where "
            f"two are needed; give more rows{way}"
        )
    if n_held >= n:
        raise InputError(
            f"{flag} {fraction}: leaves no row of {n} to train on; give less, or more rows"
        )
    if parts.split == "time":
        return np.arange(n - n_held), np.arange(n - n_held, n)
    # The first stream is that of records from before there was a second.
    random = np.random.default_rng(parts.seed if stream == 0 else [parts.seed, stream])
    if groups is None:
        held = _by_class(n, n_held, labels, random)
    else:
        splits_again = stream == 0 and parts.validation_or(VALIDATION_FRACTION) > 0
        least = 2 if splits_again else 1
        held = _by_group(groups, fraction, labels, random, f"--group {parts.group}", least)
    return np.flatnonzero(~held), np.flatnonzero(held)


def _by_class(
    n: int, n_held: int, labels: Numbers | None, random: np.random.Generator
) -> NDArray[np.bool_]:
    """Which rows are held: in the proportions of the classes.

    A class with a single row cannot be in both parts; where one exists, or where either part would
    be smaller than the number of classes, rows are drawn without regard to classes.
    """
    # scikit-learn's train_test_split draws the same kind of split, but importing it takes longer
    # than training on the smaller data sets does.
    classes = [np.arange(n)] if labels is None else _classes(labels, n_held)
    shares = _shares(np.array([len(rows) for rows in classes]), n_held)
    held = np.zeros(n, dtype=bool)
    for rows, share in zip(classes, shares, strict=True):
        held[random.permutation(rows)[:share]] = True
    return held


def _classes(labels: NDArray[np.int64], n_held: int) -> list[NDArray[np.int64]]:
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    smallest_part = min(n_held, len(labels) - n_held)
    if min(len(rows) for rows in classes) < 2 or smallest_part < len(classes):
        return [np.arange(len(labels))]
    return classes


def _shares(sizes: NDArray[np.int64], n_held: int) -> NDArray[np.int64]:
    """How many of each class are held: proportional, whole, summing up (largest remainders)."""
    exact = sizes * n_held / sizes.sum()
    shares: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    largest = np.argsort(shares - exact, kind="stable")
    shares[largest[: n_held - shares.sum()]] += 1
    return shares


def _by_group(
    groups: Numbers,
    fraction: float,
    labels: Numbers | None,
    random: np.random.Generator,
    flag: str,
    least: int,
) -> NDArray[np.bool_]:
    """Which rows are held: whole groups, near the shares of the classes; ``least`` groups stay."""
    names, codes = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise InputError(
            f"{flag}: one group alone is left to split, which cannot stand in two parts; name a "
            "column with more values, or hold fewer parts"
        )
    of_class = np.zeros(len(groups), np.int64) if labels is None else labels
    counts = np.zeros((len(names), of_class.max() + 1))
    np.add.at(counts, (codes, of_class), 1)
    wanted = fraction * counts.sum(axis=0)
    distance = [float(((count - wanted) ** 2).sum()) for count in counts]
    taken, held = np.zeros(len(names), bool), np.zeros_like(wanted)
    for group in random.permutation(len(names)):
        nearer = ((held + counts[group] - wanted) ** 2).sum() < ((held - wanted) ** 2).sum()
        if nearer and taken.sum() < len(names) - least:
            taken[group] = True
            held += counts[group]
    if not taken.any():  # every group alone is more than twice what is wanted
        taken[int(np.argmin(distance))] = True
    return taken[codes]
