"""What a model says of examples, beside what is true of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradus.metrics.classes import figures_of_classes
from gradus.metrics.figure import Figure, Values
from gradus.metrics.numbers import figures_of_numbers
from gradus.metrics.quantiles import figures_of_quantiles
from gradus.metrics.threshold import Threshold

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class ClassPredictions:
    """Probabilities of classes.

    Attributes:
        probabilities: ``[n, C]``.
        labels: ``[n]``, the classes of the examples, from 0 to C - 1.
        classes: their names.
        threshold: of two classes, from which probability on one is decided for; None: the likelier.

    Example:
        >>> said = ClassPredictions(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([0, 1]), ("a", "b"))
        >>> said.commonest, said.table()["prediction"].to_pylist()
        (('a', 2), ['a', 'a'])
    """  # noqa: E501

    probabilities: Values
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    threshold: Threshold | None = None

    @property
    def examples(self) -> int:
        """How many there are."""
        return len(self.labels)

    @property
    def decisions(self) -> NDArray[np.int64]:
        """``[n]``: the class that each is taken for, the most probable unless a threshold says."""
        if self.threshold is not None:
            return self.threshold.decide(self.probabilities)
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @property
    def commonest(self) -> tuple[str, int]:
        """The class that most examples are taken for, and how many are."""
        counts = np.bincount(self.decisions)
        return self.classes[counts.argmax()], int(counts.max())

    def figures(self, shares: ArrayLike | None) -> dict[str, Figure]:
        """See `figures_of_classes`."""
        return figures_of_classes(
            self.probabilities,
            self.labels,
            shares=shares,
            classes=self.classes,
            decisions=self.decisions,
        )

    def table(self) -> pa.Table:
        """``target`` and ``prediction``, as names, and ``p(class)`` of each class."""
        import pyarrow as pa

        named = (
            pa.DictionaryArray.from_arrays(each.astype(np.int32), list(self.classes))
            for each in (self.labels, self.decisions)
        )
        columns: dict[str, Any] = dict(zip(("target", "prediction"), named, strict=True))
        for name, column in zip(self.classes, self.probabilities.T, strict=True):
            columns[f"p({name})"] = column.astype(np.float32)
        return pa.table(columns)

    @classmethod
    def of_table(
        cls, table: pa.Table, classes: Sequence[str], threshold: Threshold | None = None
    ) -> ClassPredictions:
        """The predictions that stand in a table.

        Raises:
            KeyError: a column is missing, or a target is none of the classes.
            ValueError: a column holds no numbers, or there is no example.
        """
        number: dict[str | None, int] = {name: at for at, name in enumerate(classes)}
        labels = np.array([number[name] for name in table["target"].to_pylist()], dtype=np.int64)
        p = _numbers(table, [f"p({name})" for name in classes])
        return cls(p, labels, tuple(classes), threshold)


@dataclass(frozen=True, eq=False)
class NumberPredictions:
    """Numbers, in the units of their targets.

    Attributes:
        values: ``[n, m]``, what is predicted.
        targets: ``[n, m]``, what is true.
        names: of the m targets.
        quantile: that is predicted, None where it is no quantile.

    Example:
        >>> said = NumberPredictions(np.array([[1.5]]), np.array([[2.0]]), ("price",))
        >>> said.table().to_pylist()
        [{'target': 2.0, 'prediction': 1.5}]
    """

    values: Values
    targets: Values
    names: tuple[str, ...]
    quantile: float | None = None

    @property
    def examples(self) -> int:
        """How many there are."""
        return len(self.targets)

    def figures(
        self,
        mean: ArrayLike | None,
        median: ArrayLike | None,
        quantiles: ArrayLike | None = None,
    ) -> dict[str, Figure]:
        """See `figures_of_numbers`; `figures_of_quantiles` where a quantile is predicted."""
        if self.quantile is not None:
            return figures_of_quantiles(
                *(self.values, self.targets, self.quantile), constant=quantiles, names=self.names
            )
        return figures_of_numbers(
            self.values, self.targets, mean=mean, median=median, names=self.names
        )

    def table(self) -> pa.Table:
        """``target`` and ``prediction``; of several targets ``target(name)`` and so on."""
        import pyarrow as pa

        columns: dict[str, Any] = {}
        for at, name in enumerate(self.names):
            of = f"({name})" if len(self.names) > 1 else ""
            columns |= {f"target{of}": self.targets[:, at], f"prediction{of}": self.values[:, at]}
        return pa.table(columns)

    @classmethod
    def of_table(
        cls, table: pa.Table, names: Sequence[str], quantile: float | None = None
    ) -> NumberPredictions:
        """The predictions that stand in a table.

        Raises:
            KeyError: a column is missing.
            ValueError: a column holds no numbers, or there is no example.
        """
        of = [f"({name})" if len(names) > 1 else "" for name in names]
        targets, values = (
            _numbers(table, [f"{what}{each}" for each in of]) for what in ("target", "prediction")
        )
        return cls(values, targets, tuple(names), quantile)


def _numbers(table: pa.Table, names: Sequence[str]) -> Values:
    """Columns beside each other, ``[n, columns]``."""
    found = np.column_stack([table[name].to_numpy() for name in names]).astype(np.float64)
    if not len(found) or not np.isfinite(found).all():
        raise ValueError(f"its columns {', '.join(names)} hold no numbers for every example")
    return found


Predictions = ClassPredictions | NumberPredictions
