"""Comparison over seeds against its definitions, and by simulation: intervals cover."""

import numpy as np
import pytest
from scipy import stats

from gradus.sweep.paired import compare, interval, seeds_to_tell

SIMULATED = 2000
SLACK = 3 * np.sqrt(0.05 * 0.95 / SIMULATED)
"""Three standard deviations of a share of 5 % among so many."""


def test_the_interval_is_that_of_scipy():
    values = np.random.default_rng(0).normal(3, 2, (5, 7))
    mean, low, high = interval(values)
    for row, *found in zip(values, mean, low, high, strict=True):
        expected = stats.ttest_1samp(row, 0).confidence_interval(0.95)
        assert found == pytest.approx([row.mean(), expected.low, expected.high], rel=1e-12)


def test_the_difference_to_the_best_is_the_paired_one():
    values = np.random.default_rng(1).normal(size=(4, 6)) + np.arange(4)[:, None]
    found = compare(values)
    assert found.best == np.argmin(values.mean(axis=1))
    for i in set(range(4)) - {found.best}:
        # The best is one of three that i might have been compared with: Bonferroni.
        test = stats.ttest_rel(values[i], values[found.best]).confidence_interval(1 - 0.05 / 3)
        at = [found.difference_low[i], found.difference_high[i]]
        assert at == pytest.approx([test.low, test.high], rel=1e-9)


@pytest.mark.parametrize("seeds", [2, 3, 5, 16])
def test_intervals_cover(seeds):
    random = np.random.default_rng(seeds)
    _, low, high = interval(random.normal(1.0, 0.3, (SIMULATED, seeds)))
    missed = 1 - np.mean((low <= 1.0) & (high >= 1.0))
    assert missed == pytest.approx(0.05, abs=SLACK)


def simulated(random, means, deviations, seeds):
    """Losses of configurations: what a seed does to all, and what is of each alone."""
    shared = 2.0 * random.standard_normal(seeds)
    return (
        means[:, None] + shared + deviations[:, None] * random.standard_normal((len(means), seeds))
    )


SCENES = {
    "all equal": (np.zeros(8), np.ones(8)),
    "a few": (np.array([0.0, 0.0, 0.1, 0.5, 1.0, 3.0]), np.ones(6)),
    "the best is the noisiest": (np.array([0.0, 0.1, 0.1, 0.1, 2.0]), np.array([5.0, 1, 1, 1, 1])),
}


@pytest.mark.parametrize(("configurations", "seeds"), [(2, 3), (12, 3), (30, 10)])
def test_differences_to_the_best_cover_although_it_was_chosen_by_them(configurations, seeds):
    """Without a correction 79 % of the intervals cover, of 30 equal configurations and 10 seeds."""
    random = np.random.default_rng(0)
    covered = []
    for _ in range(SIMULATED // 4):
        equal = np.zeros(configurations)
        found = compare(simulated(random, equal, equal + 1, seeds))
        others = np.arange(configurations) != found.best
        covered.append(((found.difference_low <= 0) & (found.difference_high >= 0))[others].mean())
    error = np.std(covered) / np.sqrt(len(covered))
    assert np.mean(covered) >= 0.95 - 3 * error


@pytest.mark.parametrize("seeds", [2, 4, 10])
@pytest.mark.parametrize("scene", SCENES)
def test_the_best_configuration_is_hardly_ever_given_up(scene, seeds):
    means, deviations = SCENES[scene]
    random = np.random.default_rng(0)
    draws = SIMULATED // 4
    lost = sum(
        not compare(simulated(random, means, deviations, seeds)).may_be_best[0]
        for _ in range(draws)
    )
    assert lost / draws <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / draws)


def test_pairs_tell_what_unpaired_runs_do_not():
    random = np.random.default_rng(0)
    values = simulated(random, np.array([0.0, 0.5]), np.full(2, 0.1), 16)
    assert stats.ttest_ind(*values).pvalue > 0.05
    assert compare(values).may_be_best.tolist() == [True, False]


def test_one_seed_cannot_tell():
    found = compare(np.array([[1.0], [2.0], [3.0]]))
    assert not found.told
    assert found.may_be_best.all()
    assert np.isnan(found.difference_low).all()
    assert np.isnan(found.low).all()


def test_a_configuration_with_a_lost_seed_is_not_the_best():
    found = compare(np.array([[0.1, np.nan, 0.1], [0.5, 0.6, 0.5], [0.5, 0.7, 0.6]]))
    assert found.best == 1
    assert not found.may_be_best[0]


def test_equal_configurations_cannot_be_told_apart():
    found = compare(np.tile([0.3, 0.5, 0.4], (3, 1)))
    assert found.may_be_best.all()
    assert found.difference_high.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("configurations", [2, 5, 20, 100])
def test_so_many_seeds_tell_twice_the_deviation(configurations):
    seeds = seeds_to_tell(configurations)
    critical = lambda n: stats.t.ppf(1 - 0.05 / (configurations - 1), n - 1)  # noqa: E731
    assert critical(seeds) <= 2 * np.sqrt(seeds)
    assert seeds == 2 or critical(seeds - 1) > 2 * np.sqrt(seeds - 1)


def test_a_configuration_is_given_up_for_any_that_is_better():
    """The last is no worse than the best, whose seeds are far apart, but than the second."""
    found = compare(np.array([[-3.0, 3.0, -0.3], [0.0, 0.1, 0.0], [1.0, 1.1, 1.01]]))
    assert found.best == 0
    assert found.difference_low[2] < 0 < found.difference_high[2]
    assert found.may_be_best.tolist() == [True, True, False]
