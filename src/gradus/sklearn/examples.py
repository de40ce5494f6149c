"""What nets are fitted to, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Examples:
    """N examples.

    Attributes:
        x: ``[N, features]``; a CSR matrix of SciPy where X is sparse.
        y: int64 ``[N]`` classes, or ``[N, m]`` numbers.
        classes: how many there are, None where y holds numbers.
        weights: what each example counts, ``[N]``; None where all count alike.
    """

    x: Any
    y: Array
    classes: int | None
    weights: Array | None = None

    @property
    def rows(self) -> int:
        """N."""
        return int(self.x.shape[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of x, and of what is computed."""
        found: np.dtype[Any] = self.x.dtype
        return found

    @property
    def outputs(self) -> int:
        """How many numbers a net gives for each."""
        return self.y.shape[1] if self.classes is None else self.classes

    def at(self, rows: Array) -> Examples:
        """Those of these rows."""
        weights = None if self.weights is None else self.weights[rows]
        return Examples(self.x[rows], self.y[rows], self.classes, weights)
