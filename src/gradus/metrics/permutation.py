"""How much worse a model is where a column says nothing: its values go to other examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradus.metrics.figure import Values
from gradus.metrics.uncertainty import standard_error, student_quantile

REPEATS = 5
"""Permutations of a column, at most."""

Losses = Callable[[NDArray[Any], NDArray[np.int64]], Values]
"""Of inputs ``[n, features]`` and the examples that they stand for, what each loses, ``[n]``."""


@dataclass(frozen=True)
class Importance:
    """What a model loses with a column.

    Attributes:
        column: its name.
        lost: the mean over examples and permutations.
        low: where its interval of 95 % begins; None where there are less than three examples.
        high: where it ends.
    """

    column: str
    lost: float
    low: float | None
    high: float | None

    def as_record(self) -> dict[str, Any]:
        """In the words of JSON."""
        return asdict(self)


def permutation_importance(
    x: NDArray[Any], columns: Sequence[tuple[str, slice]], losses: Losses, *, most: int
) -> list[Importance]:
    r"""What is lost where the values of a column are permuted, the most important first.

    With the loss $\ell_i$ of an example, and $\ell_i^{(\pi)}$ where the column is that of another,

    $$\frac1n \sum_i \Big( \overline{\ell_i^{(\pi)}} - \ell_i \Big),$$

    the mean in it over permutations. Its interval is Student's over examples. It says what this
    model uses, not what could be learned: of two columns that say the same either may seem to
    matter little.

    Args:
        x: ``[n, features]``.
        columns: names, and which features belong to each.
        losses: of the model.
        most: rows that go through the model, at most; of more examples a fixed draw is taken.

    Example:
        >>> x = np.arange(40.0).reshape(20, 2) % 7
        >>> found = permutation_importance(
        ...     x, [("a", slice(0, 1)), ("b", slice(1, 2))],
        ...     lambda inputs, at: (inputs[:, 1] - x[at, 1]) ** 2, most=1000,
        ... )
        >>> [each.column for each in found], found[1].lost, found[0].low > 0
        (['b', 'a'], 0.0, True)

    Source:
        L. Breiman, Random forests, Machine Learning 45 (2001), section 10; A. Fisher, C. Rudin,
        F. Dominici, All models are wrong, but many are useful, JMLR 20 (2019), eq. 3.
    """
    n = max(1, min(len(x), most // max(1, len(columns))))
    repeats = max(1, min(REPEATS, most // (n * max(1, len(columns)))))
    random = np.random.default_rng(0)
    examples = np.sort(random.permutation(len(x))[:n])
    at = np.tile(examples, repeats)
    base = losses(x[examples], examples)
    found = []
    for name, features in columns:
        order = np.concatenate([random.permutation(examples) for _ in range(repeats)])
        inputs = x[at]
        inputs[:, features] = x[order, features]
        more = losses(inputs, at).reshape(repeats, n).mean(axis=0) - base
        found.append(_importance(name, more))
    return sorted(found, key=lambda each: -each.lost)


def _importance(name: str, more: Values) -> Importance:
    lost, n = float(more.mean()), len(more)
    if n < 3:
        return Importance(name, lost, None, None)
    half = student_quantile(n - 1) * standard_error(more)
    return Importance(name, lost, lost - half, lost + half)
