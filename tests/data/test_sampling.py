"""The order is a pure function of (seed, epoch), and each sampling is what its name says."""

from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradus.data import SAMPLINGS, Sampling
from gradus.errors import InputError

sizes = st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))


def rows(batch, n):
    return list(range(n))[batch] if isinstance(batch, slice) else batch.tolist()


@settings(deadline=None)
@given(sizes, st.sampled_from(SAMPLINGS), st.integers(0, 2**32), st.integers(0, 1000))
def test_every_sampling(size, name, seed, epoch):
    n, batch_size = size
    sampling = Sampling(name, n, batch_size, seed)
    batches = [rows(batch, n) for batch in sampling.epoch(epoch)]
    again = [rows(batch, n) for batch in Sampling(name, n, batch_size, seed).epoch(epoch)]
    assert batches == again
    assert len(batches) == sampling.steps
    every = [row for batch in batches for row in batch]
    lengths = [len(batch) for batch in batches]
    if name == "replacement":
        assert lengths == [batch_size] * int(np.ceil(n / batch_size))
        assert set(every) <= set(range(n))
    else:
        assert sorted(every) == list(range(n))
    if name in ("full", "sequential"):
        assert every == list(range(n))
    if name == "full":
        assert lengths == [n]
    if name in ("shuffle", "sequential"):
        assert lengths[:-1] == [batch_size] * (len(batches) - 1)


@pytest.mark.parametrize("name", ["shuffle", "replacement"])
def test_epochs_and_seeds_give_other_orders(name):
    orders = [
        tuple(torch.cat(list(Sampling(name, 100, 10, seed).epoch(epoch))).tolist())
        for seed in (0, 1)
        for epoch in (0, 1)
    ]
    assert len(set(orders)) == 4


def seed_of(seed, epoch):
    """A stream of its own for the order of each epoch, apart from that of the split."""
    return np.random.SeedSequence(seed, spawn_key=(0, epoch))


def test_the_order_of_an_epoch_is_drawn_apart_from_all_else():
    order = torch.cat(list(Sampling("shuffle", 50, 7, seed=5).epoch(0))).tolist()
    assert order != np.random.default_rng(5).permutation(50).tolist()
    later = torch.cat(list(Sampling("shuffle", 50, 7, seed=5 + 2**32).epoch(0))).tolist()
    assert later != torch.cat(list(Sampling("shuffle", 50, 7, seed=5).epoch(1))).tolist()


@pytest.mark.parametrize("name", SAMPLINGS)
def test_samples_before_a_step_are_those_of_the_batches_before_it(name):
    sampling, total = Sampling(name, n=10, batch_size=4), 0
    batches = list(islice(sampling, 3 * sampling.steps))
    for step, batch in enumerate(batches):
        assert sampling.samples_before(step) == total
        total += batch.stop - batch.start if isinstance(batch, slice) else len(batch)


def test_shuffle_is_the_permutation_of_numpy():
    order = torch.cat(list(Sampling("shuffle", 30, 7, seed=5).epoch(3)))
    assert order.dtype == torch.int64
    assert order.tolist() == np.random.default_rng(seed_of(5, epoch=3)).permutation(30).tolist()


def test_replacement_is_uniform():
    n = 20
    draws = torch.cat([b for e in range(200) for b in Sampling("replacement", n, 1).epoch(e)])
    counts = np.bincount(draws.numpy(), minlength=n)
    expected = len(draws) / n
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    assert chi_squared < 43.8  # 0.1 % of the chi-squared distribution with 19 degrees of freedom


def test_batches_are_views_of_one_order():
    first, second = list(Sampling("shuffle", 8, 4).epoch(0))
    assert second.data_ptr() == first.data_ptr() + 4 * first.element_size()


def test_indices_move_at_once():
    assert all(b.device.type == "meta" for b in Sampling("shuffle", 8, 4).epoch(0, device="meta"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("shuffle", 10, 0), "batch_size=0: at least 1"),
        (("shuffle", 10, 11), "batch_size=11: larger than the data, n=10; give at most that"),
        (("random", 10, 2), "sampling random: unknown; choose full | replacement"),
        (("shuffle", 10, 2, -1), "seed=-1: give 0"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(InputError) as refusal:
        Sampling(*arguments)
    assert message in str(refusal.value)
