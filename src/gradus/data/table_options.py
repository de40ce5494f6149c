"""How the user wants a table to be read and prepared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gradus.data.partition import USUAL_PARTS, Parts
from gradus.data.preparation import Fill, Scaling
from gradus.data.reading import AS_GUESSED, Notation


@dataclass(frozen=True)
class TableOptions:
    """How the user wants a table to be read and prepared.

    Attributes:
        target: the column that is predicted, or several with commas between.
        loss: name of the loss, or None; decides between classes and numbers where the target does
            not.
        missing: what becomes of a missing value: a number is the mean or the median of its column
            over the training part, and a feature says so; or its row is left out ("drop").
        scaling: of numbers.
        pieces: into how many each column of numbers is cut, 0 for none; None: after the size.
        standardize_target: whether numbers to predict are learned at mean 0 and deviation 1.
        categorical: columns whose values are names, also where they are numbers.
        drop: columns to leave out.
        parts: how the rows are split. The column of its group is no feature.
        weights: the column of what each row counts in the loss, which is no feature.
        dtype: of x.
        notation: how values are written, as far as the user says that.
    """

    target: str | None
    loss: str | None = None
    missing: Literal["mean", "median", "drop"] = "median"
    scaling: Scaling = "none"
    pieces: int | None = 0
    standardize_target: bool = False
    categorical: Sequence[str] = ()
    drop: Sequence[str] = ()
    parts: Parts = USUAL_PARTS
    weights: str | None = None
    dtype: Literal["float32", "float64"] = "float32"
    notation: Notation = AS_GUESSED

    @property
    def fill(self) -> Fill:
        """What stands for a missing number; in new rows too, where rows were left out."""
        return "median" if self.missing == "drop" else self.missing
