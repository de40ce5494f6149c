"""The split keeps the proportions of the classes, as scikit-learn's does, and follows its seed."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from gradus.data.partition import partition
from gradus.errors import InputError


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=80),
    st.floats(0.05, 0.9),
    st.integers(0, 2**32),
)
def test_every_row_is_in_one_part(labels, fraction, seed):
    n = len(labels)
    if np.ceil(round(fraction * n, 9)) >= n:
        return
    y = torch.tensor(labels)
    train, test = partition(n, test_fraction=fraction, seed=seed, labels=y)
    assert sorted(train.tolist() + test.tolist()) == list(range(n))
    assert len(test) == np.ceil(round(fraction * n, 9))
    again = partition(n, test_fraction=fraction, seed=seed, labels=y)
    assert torch.equal(again[0], train)
    counts = np.bincount(labels)
    counts = counts[counts > 0]
    if counts.min() >= 2 and min(len(test), len(train)) >= len(counts):
        shares = np.bincount(y[test], minlength=5)[np.unique(labels)]
        assert (np.abs(shares - counts * len(test) / n) < 1).all()


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.35])
def test_class_counts_agree_with_scikit_learn(fraction):
    y = torch.from_numpy(np.random.default_rng(0).choice(4, 403, p=[0.5, 0.3, 0.15, 0.05]))
    train, test = partition(403, test_fraction=fraction, seed=1, labels=y)
    other_train, other_test = train_test_split(y.numpy(), test_size=fraction, stratify=y.numpy())
    assert (len(train), len(test)) == (len(other_train), len(other_test))
    difference = np.bincount(y[test], minlength=4) - np.bincount(other_test, minlength=4)
    assert np.abs(difference).max() <= 1  # ties of rounding fall where they may


def test_a_class_of_one_row_makes_the_split_ignore_classes():
    train, test = partition(10, labels=torch.tensor([0] * 9 + [1]))
    assert (len(train), len(test)) == (8, 2)


def test_seeds_differ():
    assert not torch.equal(partition(100, seed=0)[1], partition(100, seed=1)[1])


def test_rounding_up_is_not_fooled_by_binary_fractions():
    assert len(partition(20, test_fraction=0.15)[1]) == 3


@pytest.mark.parametrize(
    ("n", "options", "message"),
    [
        (10, {"test_fraction": 0.0}, "--test-fraction 0.0"),
        (10, {"test_fraction": 1.0}, "--test-fraction 1.0"),
        (10, {"test_fraction": float("nan")}, "--test-fraction nan"),
        (10, {"test_fraction": 0.95}, "leaves no row of 10"),
        (1, {}, "leaves no row of 1"),
        (10, {"seed": -1}, "--seed -1"),
    ],
)
def test_refused(n, options, message):
    with pytest.raises(InputError) as refusal:
        partition(n, **options)
    assert message in str(refusal.value)
