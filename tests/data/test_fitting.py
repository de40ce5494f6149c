"""The mean and the deviation of all values are NumPy's."""

import numpy as np
import pytest
import torch

from gradus.data.fitting import value_statistics


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
