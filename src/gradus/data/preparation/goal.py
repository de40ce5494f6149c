"""What is predicted: how the target becomes y, and outputs of a model what the user asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from gradus.data.columns import Form
from gradus.data.preparation.encoder import DistinctNames, Scale


def _of(*kinds: str) -> Callable[[Form], Form]:
    """Refuse a form of another kind."""

    def checked(form: Form) -> Form:
        if form.kind not in kinds:
            raise ValueError(f"is of {form.kind}, which is not predicted")
        if form.kind == "flag" and form.flags is None:
            raise ValueError("is a flag without its two words")
        return form

    return checked


class Classes(BaseModel):
    """A class of several.

    Attributes:
        kind: of the goal.
        name: of the column.
        form: what the column holds.
        names: of the classes, in the order of the outputs.
        shares: of each among the training rows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["classes"] = "classes"
    name: str
    form: Annotated[Form, AfterValidator(_of("number", "flag", "category"))]
    names: Annotated[DistinctNames, Field(min_length=1)]
    shares: tuple[FiniteFloat, ...] = ()

    @model_validator(mode="after")
    def _a_share_each(self) -> Self:
        if self.shares and len(self.shares) != len(self.names):
            raise ValueError(f"shares: {len(self.shares)} for {len(self.names)} classes")
        return self


class Quantity(BaseModel):
    r"""A number; y is $(t - c) / s$.

    Attributes:
        name: of the column.
        form: what the column holds.
        centre: c, in the unit of the target.
        scale: s.
        mean: of the training rows.
        median: likewise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    form: Annotated[Form, AfterValidator(_of("number", "flag"))]
    centre: FiniteFloat = 0.0
    scale: Scale = 1.0
    mean: FiniteFloat = 0.0
    median: FiniteFloat = 0.0

    @property
    def is_scaled(self) -> bool:
        """Whether it is learned in another unit than its own."""
        return (self.centre, self.scale) != (0.0, 1.0)


class Quantities(BaseModel):
    """Numbers.

    Attributes:
        kind: of the goal.
        targets: one or several.

    Example:
        >>> price = Quantity(name="price", form=Form("number"), centre=100, scale=20)
        >>> price = Quantities(targets=(price,))
        >>> y = price.scaled(np.array([[120.0], [80.0]]))
        >>> y.tolist(), price.unscaled(y).tolist()
        ([[1.0], [-1.0]], [[120.0], [80.0]])
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["quantities"] = "quantities"
    targets: Annotated[tuple[Quantity, ...], Field(min_length=1)]

    def scaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Targets as they are learned, ``[N, m]``."""
        return (values - self._row("centre")) / self._row("scale")

    def unscaled(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Outputs in the units of the targets, ``[N, m]``."""
        return outputs * self._row("scale") + self._row("centre")

    def _row(self, what: str) -> NDArray[np.float64]:
        return np.array([getattr(target, what) for target in self.targets])


Goal = Classes | Quantities


def outputs_of(goal: Goal) -> int:
    """How many numbers a model gives for each row."""
    return len(goal.names if isinstance(goal, Classes) else goal.targets)
