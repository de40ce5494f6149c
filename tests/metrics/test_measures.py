"""What epochs are compared by is what scikit-learn says of the same outputs."""

import math

import numpy as np
import pytest
import sklearn.metrics as sk

from gradus.metrics.measures import OF_CLASSES, OF_NUMBERS
from tests.metrics.test_classes import predictions

CLASSES = {
    "balanced_accuracy": lambda p, y: sk.balanced_accuracy_score(y, p.argmax(axis=1)),
    "f1": lambda p, y: sk.f1_score(y, p.argmax(axis=1), average="macro"),
    "auc": lambda p, y: sk.roc_auc_score(y, p if p.shape[1] > 2 else p[:, 1], multi_class="ovr"),
    "log_loss": lambda p, y: sk.log_loss(y, p),
}
NUMBERS = {
    "r2": sk.r2_score,
    "rmse": sk.root_mean_squared_error,
    "mae": sk.mean_absolute_error,
}


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("name", OF_CLASSES)
def test_of_classes(name, classes):
    p, labels = predictions(200, classes, seed=classes)
    assert OF_CLASSES[name](p, labels) == pytest.approx(CLASSES[name](p, labels), rel=1e-12)


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("name", OF_NUMBERS)
def test_of_numbers_the_mean_over_targets(name, targets):
    random = np.random.default_rng(targets)
    y = random.normal(size=(50, targets)) * 10.0 ** np.arange(targets)
    said = y + random.normal(size=y.shape)
    assert OF_NUMBERS[name](said, y) == pytest.approx(NUMBERS[name](y, said), rel=1e-12)


def test_what_has_no_value_is_no_number():
    assert math.isnan(OF_CLASSES["auc"](np.eye(3)[[0, 1]], np.array([0, 1])))
    assert math.isnan(OF_NUMBERS["r2"](np.zeros((3, 1)), np.ones((3, 1))))
