"""One pass finds what all rows at once would have shown, exactly or to the error that is stated."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradus.data.partition import Parts
from gradus.data.streaming import statistics
from gradus.data.streaming.parts import TEST, TRAIN, UNUSED, VALIDATION, Shares, uniform
from gradus.data.streaming.statistics import Counts, Moments

PIECES = st.lists(st.lists(st.floats(-1e6, 1e6), max_size=20), min_size=1, max_size=6)


@settings(deadline=None)
@given(PIECES, st.sampled_from([0.0, 1e9]))
def test_moments_of_pieces_are_those_of_the_whole(pieces, centre):
    moments, whole = Moments(), np.concatenate([np.array(piece) + centre for piece in pieces])
    if len(whole) == 0:
        return
    for piece in pieces:
        moments.add(np.array(piece) + centre)
    assert (moments.n, moments.low, moments.high) == (len(whole), whole.min(), whole.max())
    assert moments.mean == pytest.approx(whole.mean(), rel=1e-12, abs=1e-6)
    assert moments.m2 == pytest.approx(((whole - whole.mean()) ** 2).sum(), rel=1e-6, abs=1e-2)


def test_counts_of_many_names_are_off_by_less_than_is_said(monkeypatch):
    monkeypatch.setattr(statistics, "MOST_WORDS", 20)
    random, counts, truth = np.random.default_rng(0), Counts(), Counter()
    for _ in range(30):
        words = tuple(f"w{min(int(at), 500)}" for at in random.zipf(1.3, 50))
        distinct = tuple(dict.fromkeys(words))
        codes = np.array([distinct.index(word) for word in words], np.int32)
        truth.update(words)
        counts.add(distinct, codes)
    assert len(counts.of) <= 20
    assert not counts.exact
    for word, count in truth.items():
        assert 0 <= count - counts.of[word] <= 30 * 50 / 10


def test_numbers_of_rows_are_uniform_and_those_of_other_draws_are_others():
    drawn = [uniform(0, 20_000, seed, stream) for seed in (0, 1) for stream in (0, 1)]
    for numbers in drawn:
        # the distance of Kolmogorov and Smirnov: beyond 1.95 / sqrt(n) once in a thousand times
        at = np.arange(1, len(numbers) + 1) / len(numbers)
        assert np.abs(np.sort(numbers) - at).max() < 1.95 / np.sqrt(len(numbers))
        assert abs(np.corrcoef(numbers[1:], numbers[:-1])[0, 1]) < 4 / np.sqrt(len(numbers))
    assert np.abs(np.corrcoef(drawn) - np.eye(4)).max() < 4 / np.sqrt(20_000)


@pytest.mark.parametrize(
    ("parts", "rows", "expected"),
    [
        (Parts(), 1000, (0.2, 0.2, 0.15, 0.15)),
        (Parts(), 10_000_000, (0.01, 0.01, 100_000 / 9_900_000, 100_000 / 9_900_000)),
        (Parts(test=0.5, validation=0.5), 10_000_000, (0.5, 0.01, 0.5, 0.02)),
        (Parts(validation=0), 1000, (0.2, 0.2, 0, 0)),
        (Parts(apart=("test", "validation")), 1000, (0, 0, 0, 0)),
    ],
)
def test_parts_are_as_large_as_is_asked_and_no_larger_than_memory_allows(parts, rows, expected):
    shares = Shares.of(parts, rows)
    found = shares.test, shares.tested, shares.validation, shares.validated
    assert found == pytest.approx(expected)


def test_every_row_is_dealt_to_a_part_whoever_asks():
    shares = Shares.of(Parts(test=0.3, validation=0.2), 400_000)
    part = shares.dealt(0, 400_000)
    assert (shares.dealt(1234, 10) == part[1234:1244]).all()
    sizes = np.bincount(part, minlength=4) / 400_000
    assert sizes[TEST] == pytest.approx(0.25, abs=0.003)  # 100,000 of them, of 120,000
    assert sizes[VALIDATION] == pytest.approx(0.7 * 0.2, abs=0.003)
    assert sizes[TRAIN] == pytest.approx(0.7 * 0.8, abs=0.003)
    assert sizes[UNUSED] == pytest.approx(0.05, abs=0.003)
