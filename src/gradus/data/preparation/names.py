"""How a column of names becomes features: one indicator for each, one for the rare together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np

from gradus.data.columns import Column, among
from gradus.data.preparation.encoder import DistinctNames, Encoder, Features

RARE = 0.01
"""A name of a smaller share of the training rows is pooled with the others of the kind."""

MOST_NAMES = 30
"""Names with an indicator of their own; rarer ones are pooled."""


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Names in the order of the alphabet; of size, where all of them are numbers.

    Example:
        >>> in_order({"10", "9", "009"}), in_order({"10", "9", "a"})
        (('009', '9', '10'), ('10', '9', 'a'))
    """
    known = sorted(names)
    try:
        return tuple(sorted(known, key=float))
    except ValueError:
        return tuple(known)


class Names(Encoder):
    """Indicators: 1 for the name that stands there, 0 for the others.

    A name that the training rows do not hold is the pooled one; where no name was rare there is
    none, and all are 0. A missing name is one of its own where the training rows have any.

    Attributes:
        kind: of the encoder.
        names: those with an indicator of their own.
        pooled: how many rare names share one; 0: there is none.

    Example:
        >>> from gradus.data.columns import Form
        >>> colour = Names(name="colour", form=Form("category"), names=("blue", "red"), pooled=3)
        >>> column = Column("colour", colour.form, np.array([0, 1, 2]), ("red", "blue", "pink"))
        >>> colour.features
        ('colour=blue', 'colour=red', 'colour=(other)')
        >>> colour.encode(column).tolist()
        [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """

    held: ClassVar[str] = "category"
    kind: Literal["category"] = "category"
    names: DistinctNames
    pooled: int = 0

    @property
    def values(self) -> tuple[str, ...]:
        """One feature a name."""
        own = tuple(f"{self.name}={name}" for name in self.names)
        return (*own, f"{self.name}=(other)") if self.pooled else own

    @property
    def done(self) -> str:
        """How many names there are."""
        pooled = f", {self.pooled:,} rare ones as one" if self.pooled else ""
        return f"{len(self.names):,} indicators{pooled}"

    def reduced(self, column: Column) -> Column:
        """The column with those names alone that have an indicator; the others are one."""
        known = among(column.words, self.names)
        if not (unknown := np.flatnonzero(known < 0)).size:
            words = self.names
        else:
            words = (*self.names, column.words[unknown[0]])
        of_word = np.append(np.where(known < 0, len(self.names), known), -1).astype(np.int32)
        return replace(column, values=of_word[column.values], words=words)

    def encode_values(self, column: Column) -> Features:
        """The indicators."""
        width = len(self.names)
        known = among(column.words, self.names)
        of_word = np.append(np.where(known < 0, width if self.pooled else -1, known), -1)
        at = of_word[column.values]  # a missing one is the word at -1, the last
        found = np.zeros((len(at), width + bool(self.pooled)))
        rows = np.flatnonzero(at >= 0)
        found[rows, at[rows]] = 1
        return found
