"""What is predicted is a class: labels of any type, and the probabilities of each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from gradus.errors import InputError, quoted
from gradus.sklearn.estimator import Array, Call, Estimator, Fit
from gradus.sklearn.examples import Examples


class Classifier(ClassifierMixin, Estimator):  # type: ignore[misc]
    """An estimator of labels, whose nets give a logit for each class."""

    classes_: Array

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on X ``[N, d]`` and labels y ``[N]``, of any type.

        Args:
            X: numbers: an array, a frame, or a sparse matrix.
            y: labels.
            sample_weight: ``[N]``, >= 0: a row of weight 2 counts as one that stands there twice.
        """
        return self._fitted(X, y, sample_weight)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """One more epoch, over these rows, with what the method remembers of those before.

        Args:
            X: ``[N, d]``. The rows of the first call fix how columns are scaled and cut.
            y: labels ``[N]``.
            classes: all labels; needed in the first call.
            sample_weight: as in ``fit``.
        """
        return self._fitted(X, y, sample_weight, classes=classes, partial=True)

    def decision_function(self, X: Any) -> Array:
        """Scores: of two classes the logarithm of their odds, ``[N]``; else ``[N, C]``."""
        scores: Array = self._log_probabilities(X)
        if len(self.classes_) > 2:
            return scores
        odds: Array = scores[:, 1] - scores[:, 0]
        return odds

    def predict(self, X: Any) -> Array:
        """The likeliest label of each row, ``[N]``."""
        likeliest = self._log_probabilities(X).argmax(axis=1)
        found: Array = self.classes_[likeliest]
        return found

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, ``[N, C]``, the mean of those of the nets."""
        found: Array = softmax(self._log_probabilities(X), axis=1)
        return found

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of ``predict_proba``."""
        found: Array = log_softmax(self._log_probabilities(X), axis=1)
        return found

    def _log_probabilities(self, X: Any) -> Array:
        """Logarithms of the mean probabilities, of one net but for a constant in each row."""
        outputs = self._outputs(X)
        found: Array = outputs[0]
        if len(outputs) > 1:
            found = logsumexp(log_softmax(outputs, axis=2), axis=0) - math.log(len(outputs))
        return found

    def _loss(self) -> dict[str, Any]:
        return {"loss": "cross-entropy", "label_smoothing": self.label_smoothing}

    def _targets(self, y: Array, call: Call) -> Array:
        if call.partial and not call.goes_on and call.classes is None:
            raise InputError("partial_fit needs classes in its first call: all that may come")
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        if call.classes is not None:
            known = np.unique(call.classes)
            if call.goes_on and not np.array_equal(known, self.classes_):
                raise InputError("classes: are others than in the first call of partial_fit")
        else:
            known = self.classes_ if call.goes_on else np.unique(y)
        is_given = call.goes_on or call.classes is not None
        unknown = np.setdiff1d(y, known) if is_given else known[:0]
        if len(unknown):
            other, shown = quoted(unknown.tolist()[0], 60), ", ".join(map(str, known[:5]))
            raise InputError(f"y holds {other}, which is none of the classes {shown}")
        if len(known) < 2:
            only = quoted(known.tolist()[0], 60)
            where = ", where sample_weight is more than 0" if call.trimmed else ""
            raise InputError(f"y holds 1 class, {only}{where}: two at least are needed")
        self.classes_ = known
        found: NDArray[np.int64] = np.searchsorted(known, y)
        return found

    def _examples(self, x: Any, fit: Fit, call: Call) -> Examples:
        weights = fit.weights
        if self.class_weight is not None:
            if call.partial and isinstance(self.class_weight, str):
                raise InputError(
                    f"class_weight {quoted(self.class_weight)}: partial_fit does not know how "
                    "often each class will come; give what each class counts, by label"
                )
            class_weights = compute_class_weight(
                _class_weight(self.class_weight, self.classes_.tolist()),
                classes=self.classes_,
                y=self.classes_[fit.y],
                sample_weight=fit.weights,
            )
            if (class_weights < 0).any() or not class_weights[fit.y].any():
                raise InputError(
                    f"class_weight {quoted(self.class_weight)}: give numbers >= 0, and more than 0 "
                    "to a class that y holds"
                )
            weights = class_weights[fit.y] * (1 if weights is None else weights)
        return Examples(x, fit.y, len(self.classes_), weights)


def _class_weight(given: Any, classes: Sequence[Any]) -> Any:
    """What each class counts, as the user gives it.

    Raises:
        InputError: it is neither ``balanced`` nor a number for each class by its label.
    """
    if isinstance(given, str) and given == "balanced":
        return given
    if not isinstance(given, Mapping):
        example = ", ".join(f"{label!r}: {at}" for at, label in enumerate(classes[:2], start=1))
        raise InputError(
            f"class_weight {quoted(given, 60)}: give balanced, or what each class counts by its "
            f"label, as {{{example}}}"
        )
    unknown = [label for label in given if label not in classes]
    if unknown and any(label not in given for label in classes):
        known = ", ".join(map(str, classes[:5])) + (", .." if len(classes) > 5 else "")
        raise InputError(
            f"class_weight {quoted(unknown[0], 60)}: no such class in y; there are {known}"
        )
    for label, weight in given.items():
        is_number = isinstance(weight, int | float | np.number) and not isinstance(weight, bool)
        if not is_number or not np.isfinite(weight):
            raise InputError(
                f"class_weight {quoted(weight, 60)}: is no number, which class {quoted(label, 60)} "
                "would count; give one >= 0"
            )
    return given
