"""What is predicted, when all rows of the targets have gone by once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gradus.data.columns import Column
from gradus.data.preparation import Classes, Quantities, Quantity
from gradus.data.preparation.fit import LARGEST
from gradus.data.preparation.goal import Goal
from gradus.data.preparation.targets import names_of, targets_of
from gradus.data.streaming.statistics import Counts, Moments
from gradus.data.targets import label
from gradus.errors import InputError, brief

MOST_CLASSES = 1000
"""Classes of a target whose rows are streamed: a table of more is none of classes."""


class GoalStatistics:
    """What the rows of the targets hold.

    Args:
        columns: some of their rows, as they were recognised.
        path: of the table, for messages.
    """

    def __init__(self, columns: Sequence[Column], path: Path) -> None:
        self.columns, self.path = columns, path
        self.missing = [0] * len(columns)
        self.trains = 0
        self.moments = [Moments() for _ in columns]
        self.ends = [Moments() for _ in columns]
        self.sample: list[list[NDArray[np.float64]]] = [[] for _ in columns]
        self.values: Counter[float] = Counter()
        """How many training rows hold each number of a single target; 0 where others alone do."""
        self.many = False
        self.names, self.all_names = Counts(), Counts()

    def add(
        self,
        columns: Sequence[Column],
        complete: NDArray[np.bool_],
        train: NDArray[np.bool_],
        sampled: NDArray[np.bool_],
    ) -> None:
        """Some rows: those with all targets, those of them that train, and that stand for all."""
        self.trains += int(train.sum())
        for at, column in enumerate(columns):
            self.missing[at] += int(column.missing.sum())
            if column.form.kind in ("category", "text", "date", "time"):
                if column.form.kind == "category":
                    self.names.add(column.words, column.values[train])
                    self.all_names.add(column.words, column.values[complete])
                continue
            values = column.values[train]
            self.moments[at].add(values)
            self.ends[at].add(column.values[complete])
            self.sample[at].append(column.values[sampled])
            if len(columns) == 1 and not self.many:
                self._count(values, column.values[complete])

    def _count(self, train: NDArray[np.float64], complete: NDArray[np.float64]) -> None:
        for values, weight in ((complete, 0), (train, 1)):
            distinct, counts = np.unique(values, return_counts=True)
            self.values.update(
                dict(zip(distinct.tolist(), (weight * counts).tolist(), strict=True))
            )
        self.many = len(self.values) > MOST_CLASSES

    def goal(self, loss: str | None, *, scale: bool) -> tuple[Goal, list[Column]]:
        """What is predicted, and columns of a few rows that hold all that is said of the targets.

        Raises:
            InputError: a column holds what cannot be predicted, or the loss is for another kind.
        """
        if not self.trains:
            raise InputError(f"{self.path}: no row that trains has a target; give more rows")
        shown = [self._shown(at) for at in range(len(self.columns))]
        found = targets_of(shown, loss, str(self.path))
        if found.classes is None:
            return self._quantities(scale=scale), [
                Column(column.name, column.form, np.array([ends.low, ends.high]))
                for column, ends in zip(self.columns, self.ends, strict=True)
            ]
        (column,) = self.columns
        if self.many or len(found.classes) > MOST_CLASSES or not self.names.exact:
            raise InputError(
                f"{self.path}: target column {brief(column.name)!r} holds more than "
                f"{MOST_CLASSES:,} classes; predict numbers by --loss mse, or join classes"
            )
        counts = self._counts()
        shares = tuple(counts.get(name, 0) / self.trains for name in found.classes)
        return Classes(
            name=column.name, form=column.form, names=found.classes, shares=shares
        ), shown

    def _shown(self, at: int) -> Column:
        """A column that has each value once, or those that stand for all."""
        column = self.columns[at]
        if column.form.kind == "category":
            words = tuple(self.all_names.of)
            return Column(column.name, column.form, np.arange(len(words), dtype=np.int32), words)
        if column.form.kind in ("text", "date", "time"):
            return column
        if len(self.columns) == 1 and not self.many:
            return Column(column.name, column.form, np.array(sorted(self.values)))
        sample = np.concatenate(self.sample[at])
        return Column(column.name, column.form, sample if len(sample) else np.zeros(1))

    def _counts(self) -> dict[str, int]:
        """How many training rows each class has, by its name."""
        (column,) = self.columns
        if column.form.kind == "category":
            return dict(self.names.of)
        if column.form.kind == "flag" and column.form.flags != ("0", "1"):
            words = names_of(column)
            return {words[int(value)]: count for value, count in self.values.items()}
        return {label(value): count for value, count in self.values.items()}

    def _quantities(self, *, scale: bool) -> Quantities:
        def quantity(at: int) -> Quantity:
            column, moments = self.columns[at], self.moments[at]
            largest = max(abs(moments.low), abs(moments.high))
            if largest > LARGEST:
                raise InputError(
                    f"target {brief(column.name)!r} holds {largest:g}, of which no mean square can "
                    f"be taken: bring it below {LARGEST:g}"
                )
            sample = np.concatenate(self.sample[at])
            return Quantity(
                name=column.name,
                form=column.form,
                centre=moments.mean if scale else 0.0,
                scale=moments.deviation if scale else 1.0,
                mean=moments.mean,
                median=float(np.median(sample)) if len(sample) else moments.mean,
            )

        return Quantities(targets=tuple(map(quantity, range(len(self.columns)))))
