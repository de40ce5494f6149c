"""What is known of how good a model is, as one figure: its value, how far it may be off, by why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradus.metrics.uncertainty import standard_error

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """One figure of a model on some examples.

    Attributes:
        value: of the model; None where these examples have none.
        low: where the interval of 95 % begins; None where there is none.
        high: where it ends.
        constant: what the best constant prediction reaches on the same examples.
        reason: why the value or its interval is missing, in words.

    Example:
        >>> Figure(0.9, 0.83, 0.95, constant=0.6).as_record()["constant"]
        0.6
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    constant: float | None = None
    reason: str | None = None

    def as_record(self) -> dict[str, Any]:
        """In the words of JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Linearised:
    r"""A figure, and how each example moves it: what its standard error follows from.

    A figure is a function T of the distribution of the examples. Its influence function is the
    derivative towards one of them, and the variance of T over samples is that of its mean,

    $$T(\hat P) - T(P) \approx \frac{1}{n} \sum_i U_i, \qquad
      U_i = \frac{d}{d\varepsilon} T((1 - \varepsilon) \hat P + \varepsilon \delta_i).$$

    That is the infinitesimal jackknife: what a bootstrap over the examples tends to, in one pass.

    Attributes:
        value: of the figure.
        influence: ``[n]``, of each example; its mean is 0.

    Source:
        L. A. Jaeckel, The infinitesimal jackknife, Bell Laboratories MM 72-1215-11 (1972);
        B. Efron, The Jackknife, the Bootstrap and Other Resampling Plans (1982), ch. 6.
    """

    value: float
    influence: Values

    @property
    def standard_error(self) -> float:
        """Of the value over samples of as many examples; NaN where there are less than two."""
        return standard_error(self.influence)


def too_few(n: int) -> str:
    """Why so many examples have no interval."""
    return "one example has no interval" if n == 1 else f"{n} examples are too few for an interval"
