"""What is guessed of a column from its words, and how many of them the guess explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradus.data.columns.column import Form, absent
from gradus.data.columns.words import Words


@dataclass(frozen=True, eq=False)
class Guess:
    """A form, and what the words of a column mean if they are read by it.

    Attributes:
        form: how they are written.
        values: one a word, as a :class:`Column` has them; missing where it cannot be read so.
        told: what the words left open and was decided by a rule, or "".
    """

    form: Form
    values: NDArray[Any]
    told: str = ""

    def read(self, words: Words) -> int:
        """How many rows it explains."""
        return int(words.counts[~absent(self.values)].sum())

    def unread(self, words: Words) -> NDArray[np.intp]:
        """The rows that hold a word which it cannot read."""
        return np.flatnonzero(words.each(absent(self.values), False))
