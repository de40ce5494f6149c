"""How one column becomes features: what that is fitted to, and what it gives."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from gradus.data.columns import Column, Form

Features = NDArray[np.float64]
"""``[N, k]``: k features of N rows."""


Scale = Annotated[FiniteFloat, Field(gt=0)]


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("a name stands there twice")
    return names


DistinctNames = Annotated[tuple[str, ...], AfterValidator(_distinct)]


class Encoder(BaseModel):
    """What turns a column into features; as a value it is what the record of a run keeps.

    Attributes:
        name: of the column.
        form: what it holds and how that is written.
        missing: whether a feature says where the value is missing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    held: ClassVar[str]
    """The kind of the columns that it is for."""

    name: str
    form: Form
    missing: bool = False

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        if self.form.kind != self.held:
            raise ValueError(f"form: is of {self.form.kind}, where {self.held} belongs")
        if self.held == "flag" and self.form.flags is None:
            raise ValueError("form: is a flag without its two words")
        return self

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
