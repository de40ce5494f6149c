"""The parts are disjoint and make up everything, in the proportions of the classes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from gradus.data.dataset import Dataset, joined
from gradus.data.partition import Parts, held_in_turn, in_turn, three_parts, training_parts
from gradus.errors import InputError


def held_of(n, fraction):
    """A share of n rows, rounded up, as exact fractions would be."""
    return int(np.ceil(round(fraction * n, 9)))


def split_in_two(n, fraction=0.2, seed=0, labels=None):
    train, validation, test = three_parts(n, Parts(fraction, 0, seed), labels=labels)
    assert len(validation) == 0
    return train, test


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=4, max_size=80),
    st.floats(0.05, 0.6),
    st.floats(0, 0.6),
    st.integers(0, 2**32),
    st.sampled_from(["random", "time"]),
)
def test_every_row_is_in_one_part(labels, test, validation, seed, split):
    n = len(labels)
    n_test = held_of(n, test)
    n_validation = held_of(n - n_test, validation)
    if n_test + n_validation >= n:
        return
    y = torch.tensor(labels)
    parts = Parts(test, validation, seed, split)
    rows = three_parts(n, parts, labels=y)
    assert sorted(torch.cat(rows).tolist()) == list(range(n))
    assert [len(part) for part in rows] == [n - n_test - n_validation, n_validation, n_test]
    assert all(part.tolist() == sorted(part.tolist()) for part in rows)
    assert all(map(torch.equal, rows, three_parts(n, parts, labels=y)))
    # What tests does not depend on how many rows validate.
    assert torch.equal(rows.test, three_parts(n, Parts(test, 0, seed, split), labels=y).test)
    if split == "time":
        assert torch.cat(rows).tolist() == list(range(n))
        return
    for whole, held in ((torch.arange(n), rows.test), (torch.cat(rows[:2]), rows.validation)):
        counts = np.bincount(y[whole], minlength=5)
        present = counts[counts > 0]
        if (
            len(held)
            and present.min() >= 2
            and min(len(held), len(whole) - len(held)) >= len(present)
        ):
            shares = np.bincount(y[held], minlength=5)
            assert (np.abs(shares - counts * len(held) / len(whole)) < 1).all()


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.35])
def test_class_counts_agree_with_scikit_learn(fraction):
    y = torch.from_numpy(np.random.default_rng(0).choice(4, 403, p=[0.5, 0.3, 0.15, 0.05]))
    train, test = split_in_two(403, fraction, 1, y)
    other_train, other_test = train_test_split(y.numpy(), test_size=fraction, stratify=y.numpy())
    assert (len(train), len(test)) == (len(other_train), len(other_test))
    difference = np.bincount(y[test], minlength=4) - np.bincount(other_test, minlength=4)
    assert np.abs(difference).max() <= 1  # ties of rounding fall where they may


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 12), min_size=3, max_size=40),
    st.floats(0.05, 0.5),
    st.floats(0.05, 0.5),
    st.integers(0, 2**32),
)
def test_no_group_stands_in_two_parts(sizes, test, validation, seed):
    groups = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    y = torch.from_numpy(np.random.default_rng(seed + 1).integers(0, 3, len(groups)))
    if len(groups) < 6:
        return
    try:
        rows = three_parts(len(groups), Parts(test, validation, seed, group="g"), labels=y,
                           groups=groups)  # fmt: skip
    except InputError as refused:  # one group is left where two are needed
        assert "one group alone" in str(refused) or "leaves no row" in str(refused)  # noqa: PT017
        return
    assert sorted(torch.cat(rows).tolist()) == list(range(len(groups)))
    names = [set(groups[part.numpy()]) for part in rows]
    assert all(names)
    assert sum(map(len, names)) == len(set(groups))


def test_parts_of_many_small_groups_are_as_large_as_asked_and_stratified():
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(300), 4)
    y = torch.from_numpy(random.choice(3, 1200, p=[0.6, 0.3, 0.1]))
    rows = three_parts(1200, Parts(0.2, 0.25, 0, group="g"), labels=y, groups=groups)
    for part, fraction in zip(rows, (0.6, 0.2, 0.2), strict=True):
        counts, wanted = np.bincount(y[part], minlength=3), fraction * np.bincount(y, minlength=3)
        # A group more or less brings no class nearer: it is off by less than a group has.
        assert np.linalg.norm(counts - wanted) <= 2 * 4


def test_a_class_of_one_row_makes_the_split_ignore_classes():
    train, test = split_in_two(10, labels=torch.tensor([0] * 9 + [1]))
    assert (len(train), len(test)) == (8, 2)


def test_seeds_draw_other_parts():
    one, other = (three_parts(100, Parts(0.2, 0.2, seed)) for seed in (0, 1))
    assert not any(map(torch.equal, one, other))


def test_rounding_up_is_not_fooled_by_binary_fractions():
    assert len(split_in_two(20, 0.15)[1]) == 3


def test_a_part_for_validation_is_drawn_alone_where_the_data_have_a_test_part():
    train, validation = training_parts(100, Parts(validation=0.15))
    rows = three_parts(125, Parts(0.2, 0.15))
    assert (len(train), len(validation)) == (85, 15) == (len(rows.train), len(rows.validation))


@pytest.mark.parametrize(
    ("n", "options", "message"),
    [
        (10, {"test": 0.0}, "--test-fraction 0.0"),
        (10, {"test": 1.0}, "--test-fraction 1.0"),
        (10, {"test": float("nan")}, "--test-fraction nan"),
        (10, {"validation": -0.1}, "--validation-fraction -0.1"),
        (10, {"validation": 1.0}, "--validation-fraction 1.0"),
        (10, {"test": 0.95}, "leaves no row of 10"),
        (1, {}, "1 row is left to train on and to test on, where two are needed; give more rows"),
        (2, {}, "1 row is left to train on and to validate on, where"),
        (1, {"test": 0.2}, "leaves no row of 1"),
        (10, {"validation": 0.95}, "--validation-fraction 0.95: leaves no row of 8"),
        (10, {"seed": -1}, "--split-seed -1"),
        (10, {"split": "time", "group": "a"}, "--group a: cannot be kept together by --split time"),
    ],
)
def test_refused(n, options, message):
    with pytest.raises(InputError) as refusal:
        three_parts(n, Parts(**options))
    assert message in str(refusal.value)


def test_in_turn_each_net_is_chosen_on_other_rows():
    rows = torch.arange(40)
    data = Dataset(rows[:, None].float(), rows % 2)
    train, validation = data.subset(slice(0, 34)), data.subset(slice(34, 40))
    turns = [in_turn(train, validation, net, 0, train.y) for net in range(4)]
    for learned, held in turns:
        assert torch.equal(joined(learned, held).x.flatten().sort().values, rows.float())
    chosen_on = torch.cat([held.x for _, held in turns])
    assert len(chosen_on.unique()) == len(chosen_on)


def test_the_test_part_leaves_groups_to_validate_on():
    groups = np.concatenate([np.zeros(100, np.int64), np.arange(1, 21)])
    rows = three_parts(120, Parts(group="who"), groups=groups)
    assert [len(part) for part in rows] == [100, 1, 19]


def test_one_group_cannot_be_split():
    with pytest.raises(InputError, match="--group who: one group alone"):
        three_parts(10, Parts(group="who"), groups=np.zeros(10, np.int64))


@pytest.mark.parametrize(("n", "n_held"), [(100, 17), (100, 60), (7, 1), (100, 100)])
def test_in_turn_all_rows_are_held_once_in_the_shares_of_the_classes(n, n_held):
    labels = np.arange(n) % 3
    turns = max(2, n // n_held)
    held = [held_in_turn(n, n_held, turn, 5, labels) for turn in range(turns)]
    assert np.sum(held, axis=0).tolist() == [1] * n
    counts = np.array([np.bincount(labels[each], minlength=3) for each in held])
    assert np.ptp(counts, axis=0).max() <= 2
    assert np.ptp(counts.sum(axis=1)) <= 1
    assert np.array_equal(held_in_turn(n, n_held, turns, 5, labels), held[0])
