"""What is predicted: how the target becomes y, and outputs of a model what the user asked for."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, FiniteFloat

from gradus.data.columns import Form


class Classes(BaseModel):
    """A class of several.

    Attributes:
        kind: of the goal.
        name: of the column, None where it has none.
        form: what the column holds.
        names: of the classes, in the order of the outputs.
        shares: of each among the training rows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["classes"] = "classes"
    name: str | None
    form: Form | None = None
    names: tuple[str, ...]
    shares: tuple[FiniteFloat, ...] = ()


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
    form: Form | None = None
    centre: FiniteFloat = 0.0
    scale: FiniteFloat = 1.0
    mean: FiniteFloat = 0.0
    median: FiniteFloat = 0.0


class Quantities(BaseModel):
    """Numbers.

    Attributes:
        kind: of the goal.
        targets: one or several.

    Example:
        >>> price = Quantities(targets=(Quantity(name="price", centre=100, scale=20),))
        >>> y = price.scaled(np.array([[120.0], [80.0]]))
        >>> y.tolist(), price.unscaled(y).tolist()
        ([[1.0], [-1.0]], [[120.0], [80.0]])
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["quantities"] = "quantities"
    targets: tuple[Quantity, ...]

    def scaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Targets as they are learned, ``[N, m]``."""
        return (values - self._row("centre")) / self._row("scale")

    def unscaled(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Outputs in the units of the targets, ``[N, m]``."""
        return outputs * self._row("scale") + self._row("centre")

    def _row(self, what: str) -> NDArray[np.float64]:
        return np.array([getattr(target, what) for target in self.targets])


Goal = Classes | Quantities
