"""How one column becomes features: what that is fitted to, and what it gives."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from gradus.data.columns import Column, Form

Features = NDArray[np.float64]
"""``[N, k]``: k features of N rows."""


class Encoder(BaseModel):
    """What turns a column into features; as a value it is what the record of a run keeps.

    Attributes:
        name: of the column.
        form: what it holds and how that is written.
        missing: whether a feature says where the value is missing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    form: Form
    missing: bool = False

    @property
    @abstractmethod
    def values(self) -> tuple[str, ...]:
        """Names of the features that say what the value is."""

    @property
    @abstractmethod
    def done(self) -> str:
        """What is done with the column, for the user."""

    @abstractmethod
    def encode_values(self, column: Column) -> Features:
        """The features that say what the value is, ``[N, k]``, finite where it is missing too."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of all features, in their order."""
        return (*self.values, f"{self.name}=(missing)") if self.missing else self.values

    def encode(self, column: Column) -> Features:
        """All features of a column of this form, ``[N, k]``."""
        found = self.encode_values(column)
        if self.missing:
            return np.column_stack([found, column.missing])
        return found
