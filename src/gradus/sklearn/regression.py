"""What is predicted is a number, or several."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin

from gradus.errors import InputError, quoted
from gradus.sklearn.estimator import Array, Call, Estimator, Fit
from gradus.sklearn.examples import Examples

LOSSES = ("mse", "l1", "huber", "pinball")

LARGEST = 1e100
"""Targets, whose squares are numbers too."""


class Regressor(RegressorMixin, Estimator):  # type: ignore[misc]
    """An estimator of numbers, whose nets give them at mean 0 and deviation 1."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on X ``[N, d]`` and numbers y ``[N]`` or ``[N, m]``.

        Args:
            X: numbers: an array, a frame, or a sparse matrix.
            y: what is to be predicted.
            sample_weight: ``[N]``, >= 0: a row of weight 2 counts as one that stands there twice.
        """
        return self._fitted(X, y, sample_weight)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """One more epoch, over these rows, with what the method remembers of those before.

        Args:
            X: ``[N, d]``. The rows of the first call fix how columns and targets are scaled.
            y: ``[N]`` or ``[N, m]``.
            sample_weight: as in ``fit``.
        """
        return self._fitted(X, y, sample_weight, partial=True)

    def predict(self, X: Any) -> Array:
        """What is expected of each row, ``[N]`` or ``[N, m]``, in the unit of y."""
        outputs = self._outputs(X).mean(axis=0, dtype=np.float64)
        found: Array = outputs * self._scale + self._centre
        return found[:, 0] if self._one_dimensional else found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _loss(self) -> dict[str, Any]:
        if self.loss not in LOSSES:
            raise InputError(f"loss {quoted(self.loss)}: choose {' | '.join(LOSSES)}")
        return {"loss": self.loss, "delta": self.delta, "quantile": self.quantile}

    def _targets(self, y: Array, call: Call) -> Array:
        try:
            found = y.astype(np.float64, copy=False)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"y: {quoted(error)}; give numbers, or take a classifier for names"
            ) from None
        if not call.goes_on:
            self._one_dimensional = y.ndim == 1
        found = found[:, None] if y.ndim == 1 else found
        if abs(found).max() > LARGEST:
            raise InputError(f"y holds numbers beyond {LARGEST:g}: give them in a larger unit")
        if call.goes_on and found.shape[1] != len(self._scale):
            raise InputError(
                f"y holds {found.shape[1]} numbers a row, and {len(self._scale)} were fitted"
            )
        return found

    def _examples(self, x: Any, fit: Fit, call: Call) -> Examples:
        y, weights = fit.y, fit.weights
        if not call.goes_on:
            from gradus.data.preparation.fit import deviation

            m = y.shape[1]
            self._centre, self._scale = np.zeros(m), np.ones(m)
            if self.standardize_target:
                self._centre = np.average(y, axis=0, weights=weights)
                self._scale = np.array([deviation(column, weights) for column in y.T])
        scaled = ((y - self._centre) / self._scale).astype(x.dtype)
        return Examples(x, scaled, None, weights)
