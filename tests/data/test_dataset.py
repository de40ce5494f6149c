"""A batch is what the plain script makes of the same images; bytes stay bytes until then."""

import dataclasses

import numpy as np
import pytest
import torch

from gradus.data import Dataset, Split
from gradus.errors import InputError


@pytest.fixture
def images() -> Dataset:
    random = np.random.default_rng(0)
    x = torch.from_numpy(random.integers(0, 256, (50, 1, 4, 5), dtype=np.uint8))
    y = torch.from_numpy(random.integers(0, 3, 50))
    return Dataset(x, y, classes=("a", "b", "c"), scale=255.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "indices", [None, slice(3, 19), torch.tensor([7, 7, 0, 49])], ids=["all", "slice", "gather"]
)
def test_batch_is_the_image_divided_by_255(images, dtype, indices):
    x, y = images.to(dtype=dtype).batch(indices)
    rows = slice(None) if indices is None else indices
    assert x.dtype == dtype
    assert torch.equal(x, images.x[rows].to(dtype) / 255)
    assert torch.equal(y, images.y[rows])


def test_bytes_stay_bytes_and_slices_share_memory(images):
    moved = images.to(device="cpu", dtype=torch.float64)
    assert moved.x is images.x
    assert images.subset(slice(2, 9)).x.data_ptr() == images.x[2:].data_ptr()


def test_unscaled_slices_of_floats_are_views():
    data = Dataset(torch.rand(6, 2), torch.rand(6, 3))
    x, y = data.batch(slice(2, 4))
    assert x.data_ptr() == data.x[2:].data_ptr()
    assert y.data_ptr() == data.y[2:].data_ptr()


def test_standardisation_follows_the_division(images):
    mean, std = torch.tensor(0.3, dtype=torch.float64), torch.tensor(0.2, dtype=torch.float64)
    data = dataclasses.replace(images, mean=mean, std=std)
    x, _ = data.batch(slice(0, 5))
    assert x.dtype == torch.float32
    expected = (images.x[:5].double() / 255 - 0.3) / 0.2
    torch.testing.assert_close(x.double(), expected, rtol=0, atol=1e-5)


def test_floats_are_stored_in_the_dtype_of_the_batches():
    data = Dataset(torch.rand(4, 2, dtype=torch.float64), torch.rand(4, 1, dtype=torch.float64))
    assert [part.dtype for part in data.batch()] == [torch.float32, torch.float32]
    single = data.to(dtype=torch.float32)
    assert single.x.dtype == single.y.dtype == torch.float32
    double = data.to(dtype=torch.float64)
    assert torch.equal(double.batch()[0], data.x)


@pytest.mark.parametrize(
    ("y", "classes", "outputs"),
    [
        (torch.tensor([0, 1, 1]), ("a", "b", "c"), 3),
        (torch.tensor([0, 1, 1]), None, 2),
        (torch.rand(3, 1), None, 1),
        (torch.rand(3, 4), None, 4),
        (torch.rand(3, 2), ("a", "b"), 2),
    ],
)
def test_outputs(y, classes, outputs):
    data = Dataset(torch.rand(3, 7), y, classes)
    assert (len(data), data.input_shape, data.outputs) == (3, (7,), outputs)


def test_subset_gathers(images):
    part = images.subset(torch.tensor([4, 1]))
    assert torch.equal(part.y, images.y[[4, 1]])
    assert (part.classes, part.scale) == (images.classes, 255.0)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.rand(3, 2), torch.zeros(4, dtype=torch.int64), "x has shape [3, 2] and y has shape"),
        (torch.rand(0, 2), torch.zeros(0, dtype=torch.int64), "no examples"),
        (torch.ones(3, 2, dtype=torch.int32), torch.rand(3, 1), "x is torch.int32"),
        (torch.rand(3, 2), torch.rand(3), "y[:, None]"),
        (torch.rand(3, 2), torch.ones(3, dtype=torch.int32), "y is torch.int32"),
    ],
)
def test_refused(x, y, message):
    with pytest.raises(InputError) as refusal:
        Dataset(x, y)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("x", "y", "classes", "target", "description"),
    [
        ((3, 1, 8, 8), None, ("a", "b"), None, "d: 2 train + 1 test, 1×8×8 images, 2 classes"),
        ((3, 1), 1, None, "z", "d: 2 train + 1 test, 1 feature, 1 number to predict (z)"),
        ((3, 5, 2), 2, None, None, "d: 2 train + 1 test, 5×2 inputs, 2 numbers to predict"),
    ],
)
def test_description(x, y, classes, target, description):
    targets = torch.zeros(3, dtype=torch.int64) if y is None else torch.rand(3, y)
    data = Dataset(torch.rand(x), targets, classes)
    task = "regression" if classes is None else "classification"
    split = Split(data.subset(slice(0, 2)), data.subset(slice(2, 3)), "d", task, target=target)
    assert split.description == description
