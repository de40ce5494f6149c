"""A threshold decides as it says; no other reaches more on the examples that it is chosen on."""

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from gradus.metrics import Threshold, best_threshold, figures_of_classes
from gradus.metrics.predictions import ClassPredictions
from gradus.metrics.threshold import MEASURES

BY_SCIKIT_LEARN = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "f1": lambda y, said: sk.f1_score(y, said, average="macro", labels=[0, 1], zero_division=0),
}


def pairs(p):
    p = np.asarray(p, dtype=float)
    return np.column_stack([1 - p, p])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=2, max_size=12),
    st.sampled_from(sorted(MEASURES)),
    st.integers(0, 1),
)
def test_no_threshold_reaches_more_and_it_reaches_what_it_says(examples, measure, of):
    p, y = pairs([share / 10 for share, _ in examples]), np.array([yes for _, yes in examples]) * 1
    if y.min() == y.max():
        with pytest.raises(ValueError, match="of one class"):
            best_threshold(p, y, of, measure)
        return
    score = BY_SCIKIT_LEARN[measure]
    found = best_threshold(p, y, of, measure)
    assert 0 < found.at < 1
    assert score(y, found.decide(p)) == pytest.approx(found.reached)
    everywhere = {at: score(y, Threshold(of, at).decide(p)) for at in np.arange(1, 20, 2) / 20}
    assert found.reached == pytest.approx(max(everywhere.values()))
    assert score(y, Threshold(of, 0.5).decide(p)) == pytest.approx(found.likeliest)


def test_what_rounding_does_not_tell_apart_is_not_told_apart():
    below, one = np.nextafter(1.0, 0.0), 1.0
    y = np.array([0, 1, 1, 0])
    found = best_threshold(pairs([below, one, one, below]), y, 1, "accuracy")
    assert (found.at < 1, found.reached) == (True, 0.5)


def test_figures_are_of_the_decisions_and_those_of_probabilities_stay():
    p, y = pairs([0.1, 0.2, 0.35, 0.3, 0.4, 0.9]), np.array([0, 0, 0, 1, 1, 1])
    likely, early = (
        ClassPredictions(p, y, ("no", "yes"), threshold).figures([0.5, 0.5])
        for threshold in (None, Threshold(1, 0.25))
    )
    assert (likely["accuracy"].value, early["accuracy"].value) == (4 / 6, 5 / 6)
    for name in ("log_loss", "auc", "calibration_error"):
        assert likely[name] == early[name]
    assert early == figures_of_classes(
        p, y, shares=[0.5, 0.5], classes=["no", "yes"], decisions=[0, 0, 1, 1, 1, 1]
    )
