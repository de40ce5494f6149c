"""scikit-learn's own checks of what an estimator has to be, all of them."""

import pytest
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from gradus.sklearn import (
    GradusClassifier,
    GradusLinearClassifier,
    GradusLinearRegressor,
    GradusRegressor,
    SweepCV,
)

SMALL = {"hidden": (16,), "models": 1, "epochs": 32, "lr": 0.01, "pieces": 8}


def search(estimator):
    return SweepCV(estimator, {"lr": [0.1, 0.2]}, cv=2, n_jobs=2, error_score="raise")


# scikit-learn casts labels that are no numbers before it refuses them
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
@parametrize_with_checks(
    [
        GradusClassifier(**SMALL),
        GradusRegressor(**SMALL),
        GradusLinearClassifier(epochs=60),
        GradusLinearRegressor(epochs=60),
        search(GradusLinearClassifier(epochs=20, random_state=0)),
    ]
)
def test_what_an_estimator_has_to_be(estimator, check):
    check(estimator)


@pytest.mark.long
@pytest.mark.parametrize(
    "estimator",
    [
        *(GradusClassifier(), GradusRegressor(), GradusLinearClassifier(), GradusLinearRegressor()),
        *(GradusLinearClassifier(loss=loss) for loss in ("hinge", "modified-huber")),
        search(GradusLinearRegressor(epochs=30, random_state=0)),
    ],
    ids=repr,
)
def test_what_an_estimator_has_to_be_as_it_is(estimator):
    check_estimator(estimator, on_skip=None)
