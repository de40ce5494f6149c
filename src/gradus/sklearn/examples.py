"""What nets are fitted to, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    def outputs(self) -> int:
        """How many numbers a net gives for each."""
        return self.y.shape[1] if self.classes is None else self.classes
