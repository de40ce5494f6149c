"""Means and deviations are scikit-learn's and NumPy's, taken over the training rows alone."""

import numpy as np
import pytest
import torch
from sklearn.impute import SimpleImputer

from gradus.data.fitting import fill_gaps, standardize_columns, value_statistics
from gradus.errors import InputError

TRAIN = np.arange(0, 30)
X = np.random.default_rng(0).normal(3, 5, (40, 4))


def test_standardised_over_the_training_rows():
    x = X.copy()
    x[:, 3] = 7.0  # constant: centred, not divided
    got = standardize_columns(x, TRAIN)
    np.testing.assert_allclose(got, (x - x[TRAIN].mean(0)) / [*x[TRAIN, :3].std(0), 1], rtol=1e-12)
    assert (got[:, 3] == 0).all()


@pytest.mark.parametrize("by", ["mean", "median"])
def test_gaps_are_filled_from_the_training_rows(by):
    x = X.copy()
    x[[1, 5, 35], [0, 2, 2]] = np.nan
    got = fill_gaps(x, TRAIN, list("abcd"), "t.csv", by)
    np.testing.assert_array_equal(got, SimpleImputer(strategy=by).fit(x[TRAIN]).transform(x))


def test_a_column_without_training_values_has_no_mean():
    x = X.copy()
    x[TRAIN, 2] = np.nan
    with pytest.raises(InputError, match=r"t\.csv: column 'c' has no value in the training part"):
        fill_gaps(x, TRAIN, list("abcd"), "t.csv", "mean")


@pytest.mark.parametrize("scale", [1.0, 16.0, 255.0])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_statistics_of_all_values(scale, dtype):
    values = np.random.default_rng(0).integers(0, 256, (70, 1, 300, 201)).astype(dtype)
    mean, std = value_statistics(torch.from_numpy(values), scale)
    scaled = values.astype(np.float64) / scale
    np.testing.assert_allclose([mean, std], [scaled.mean(), scaled.std()], rtol=1e-9)


def test_equal_values_are_not_divided():
    _, std = value_statistics(torch.full((3, 2), 9, dtype=torch.uint8), 255.0)
    assert std.item() == 1.0
