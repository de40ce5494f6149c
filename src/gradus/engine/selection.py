"""Which epoch's parameters a run keeps, and when it has waited long enough for better ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

Keep = Literal["best", "last"]

Score = Callable[["Tensor", "Tensor"], float]
"""A figure of outputs ``[n, m]`` and targets of all examples of a part."""

Scores = Mapping[str, Score]
"""Figures by name."""

NO_SCORES: Scores = MappingProxyType({})

ON_TEST = "chosen on the test part, as asked for: expect worse figures on other examples"
"""What is to be said of a choice that was made there."""

RISING = ("accuracy", "f1", "auc", "r2")


def rises(measure: str) -> bool:
    """Whether more of a measure is better.

    Example:
        >>> [rises(each) for each in ("test_accuracy", "test_loss", "validation_r2")]
        [True, False, True]
    """
    return measure.endswith(RISING)


class Epoch(Protocol):
    """What is known after an epoch: its number, and a column for each measure."""

    @property
    def epoch(self) -> int:
        """Counted from 1."""


AnEpoch = TypeVar("AnEpoch", bound=Epoch)


@dataclass(frozen=True)
class Selection:
    """What is chosen in a run, and by what.

    Attributes:
        measure: what epochs are compared by, as ``validation_loss``; None where nothing is chosen.
        keep: the parameters of which epoch remain: the best by the measure, or the last.
        patience: after how many epochs without a better one the run ends; None: never.
        score: what gives the measure, where it is neither a loss nor an accuracy, of which every
            evaluation has a column.
        rising: whether more of the measure is better, where its name does not tell.
    """

    measure: str | None = None
    keep: Keep = "last"
    patience: int | None = None
    score: Score | None = None
    rising: bool | None = None

    def score_on(self, part: str) -> Score | None:
        """What gives the measure, where it is taken on this part and is no column."""
        return self.score if (self.measure or "").startswith(part) else None

    def value(self, row: Epoch) -> float | None:
        """The measure after an epoch."""
        assert self.measure is not None
        found: float | None = getattr(row, "measured" if self.score else self.measure)
        return found

    @property
    def rises(self) -> bool:
        """Whether more of the measure is better."""
        return rises(self.measure or "") if self.rising is None else self.rising

    def worth(self, row: Epoch) -> float:
        """The measure after an epoch, so that less is better; infinite where it has no value."""
        value = self.value(row)
        if value is None or math.isnan(value):
            return math.inf
        return -value if self.rises else value

    def best(self, rows: Sequence[AnEpoch]) -> AnEpoch | None:
        """The first of the best epochs; None where nothing is compared, or there is no epoch.

        Example:
            >>> from gradus.engine.job import Evaluation
            >>> losses = (0.9, 0.5, 0.7, 0.5)
            >>> rows = [
            ...     Evaluation(epoch, 0, 1.0, 1.0, loss, None, None, None, 0)
            ...     for epoch, loss in enumerate(losses, start=1)
            ... ]
            >>> selection = Selection("validation_loss", patience=2)
            >>> selection.best(rows).epoch, selection.is_over(rows[2], rows[1])
            (2, False)
        """
        return min(rows, key=self.worth) if self.measure is not None and rows else None

    def is_over(self, latest: Epoch, best: Epoch | None) -> bool:
        """Whether the patience is spent after an epoch, the best so far being that one."""
        if self.patience is None or best is None:
            return False
        return latest.epoch - best.epoch >= self.patience


NOTHING_SELECTED = Selection()
