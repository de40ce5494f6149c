"""A risk on data of PyTorch: that on their tensors."""

import pytest
import scipy.sparse
import torch
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset

import gradus

X, Y = torch.randn(10, 3, generator=torch.Generator().manual_seed(0)), torch.arange(10) % 2
MODEL = torch.nn.Linear(3, 2)


@pytest.mark.parametrize(
    "data",
    [
        TensorDataset(X, Y),
        Subset(TensorDataset(X, Y), range(10)),
        {"x": X, "y": Y},
        (scipy.sparse.coo_array(X.numpy()), Y.numpy()),
        DataLoader(TensorDataset(X, Y), batch_size=3),
        DataLoader(TensorDataset(X, Y), batch_size=4, shuffle=True),
        list(DataLoader(TensorDataset(X, Y), batch_size=4)),
        [(X[:3].numpy(), Y[:3].numpy()), (X[3:], Y[3:])],
        [X, Y],
    ],
)
def test_all_examples_are_in_the_risk(data):
    expected = gradus.EmpiricalRisk(MODEL, gradus.CrossEntropyLoss(), (X, Y))
    risk = gradus.EmpiricalRisk(MODEL, torch.nn.CrossEntropyLoss(), data)
    w = torch.linspace(-1, 1, risk.dimension)
    torch.testing.assert_close(risk.value(w), expected.value(w))
    torch.testing.assert_close(risk.gradient(w), expected.gradient(w))
    assert risk.value(w) == risk.value(w)  # it is a function, also of a loader that shuffles


class Endless(IterableDataset):
    def __iter__(self):
        yield X[0], Y[0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (TensorDataset(X, Y, Y), "the data yield 3 things: let them yield x and y"),
        (Endless(), "the data have no length: give a dataset with a __len__"),
        ({"a": X}, r"the data have the keys \['a'\]: give x and y"),
        ("digits", r"the data are a str: give a pair \(x, y\), a dict of both"),
        (DataLoader([]), "the data hold no examples"),
        (iter([(X, Y)]), r"may have no end: give list\(data\)"),
        ([], "the data hold 0 things: give a pair"),
    ],
)
def test_what_is_no_such_data_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        gradus.EmpiricalRisk(MODEL, gradus.CrossEntropyLoss(), data)
