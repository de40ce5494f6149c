"""Which epoch's parameters a run keeps, and when it has waited long enough for better ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

Measure = Literal[
    "validation_loss", "validation_accuracy", "test_loss", "test_accuracy", "train_loss"
]
"""A column of the evaluation by which epochs are told better or worse."""

Keep = Literal["best", "last"]


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
        measure: what epochs are compared by; None where nothing is chosen.
        keep: the parameters of which epoch remain: the best by the measure, or the last.
        patience: after how many epochs without a better one the run ends; None: never.
    """

    measure: Measure | None = None
    keep: Keep = "last"
    patience: int | None = None

    def worth(self, row: Epoch) -> float:
        """The measure after an epoch, so that less is better."""
        assert self.measure is not None
        value: float | None = getattr(row, self.measure)
        value = math.nan if value is None else value
        return -value if self.measure.endswith("accuracy") else value

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
