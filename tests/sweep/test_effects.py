"""Which option mattered: against an independent implementation, on noise and on planted effects."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from sklearn.feature_selection import f_classif

from gradus.sweep.effects import LEVEL, Factor, effects, scores
from gradus.sweep.importance import importance
from tests.sweep.simulated import KINDS, simulated

SWEEPS = 200


def found(kind, random, *, planted):
    options, seed, configuration, worth = simulated(kind, random, planted=planted)
    names = ["first", "second", "method" if kind == "two methods" else "third"]
    factors = [
        Factor(name, values, ordered=name != "method")
        for name, values in zip(names, options, strict=False)
    ]
    return effects(factors, scores(seed, configuration, worth), permutations=499)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_hardly_ever_given_an_importance(kind):
    random = np.random.default_rng(1)
    named = sum(
        any(effect.share is not None for effect in found(kind, random, planted=False))
        for _ in range(SWEEPS)
    )
    assert named <= 0.05 * SWEEPS


def test_noise_is_given_no_importance_where_configurations_are_pruned_whole():
    """Pruning puts all seeds of a configuration in one tier: they agree, and it means nothing."""
    random = np.random.default_rng(1)
    lr, momentum = (axis.ravel() for axis in np.meshgrid([1.0, 0.1, 0.01, 0.001], [0, 0.5, 0.9]))
    configuration, seed = np.repeat(np.arange(12), 3), np.tile(np.arange(3), 12)
    named = 0
    for _ in range(100):
        loss = random.standard_normal((12, 3))
        kept = loss.mean(axis=1).argsort().argsort() < 4
        runs = pa.table(
            {
                "status": np.where(kept, "finished", "pruned")[configuration].tolist(),
                "epochs_trained": np.where(kept, 9, 1)[configuration],
                "lr": lr[configuration],
                "momentum": momentum[configuration],
                "seed": seed,
                "test_loss": loss.ravel(),
            }
        )
        rows = importance(SimpleNamespace(name="halved", runs=runs)).to_pylist()
        named += any(row["explained"] is not None for row in rows)
    assert named <= 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_effect_comes_first(kind):
    random = np.random.default_rng(2)
    firsts = [found(kind, random, planted=True)[0] for _ in range(SWEEPS)]
    assert sum(effect.name == "first" for effect in firsts) >= 0.95 * SWEEPS
    assert sum(effect.share is not None for effect in firsts) >= 0.8 * SWEEPS


@pytest.mark.parametrize("levels", [2, 3, 5])
def test_the_share_of_one_option_is_omega_squared(levels):
    random = np.random.default_rng(levels)
    codes = np.arange(60) % levels
    worth = random.standard_normal(60) + 2.0 * codes
    places = scores(np.zeros(60, int), np.arange(60), worth)
    (effect,) = effects([Factor("method", codes.astype(float), ordered=False)], places)
    statistic = f_classif(places, codes)[0][0]
    between = (levels - 1) * (statistic - 1)
    assert effect.share == pytest.approx(between / (between + 60), rel=1e-9)


def test_shares_of_a_grid_without_noise_are_those_of_its_variance():
    random = np.random.default_rng(0)
    first, second = (a.ravel().astype(float) for a in np.meshgrid(np.arange(4), np.arange(3)))
    a, b = random.permutation(4) * 3.0, random.permutation(3) * 1.0
    places = (a[first.astype(int)] + b[second.astype(int)])[:, None]
    found = effects([Factor("second", second, True), Factor("first", first, True)], places)
    total = np.var(places)
    assert [effect.name for effect in found] == ["first", "second"]
    assert [effect.share for effect in found] == pytest.approx(
        [np.var(a) / total, np.var(b) / total]
    )


def test_thirty_draws_of_noise_do_not_explain_themselves():
    """Each draw has a rate of its own: one level for every run explains all, and says nothing."""
    random = np.random.default_rng(0)
    factors = [Factor(name, random.uniform(size=30), True) for name in ("lr", "momentum")]
    places = scores(np.zeros(30, int), np.arange(30), random.standard_normal(30))
    for effect in effects(factors, places):
        assert effect.share is None
        assert effect.p > LEVEL


@pytest.mark.parametrize("n", [1, 2, 4])
def test_too_few_configurations_say_nothing(n):
    factors = [Factor(name, np.arange(float(n)), True) for name in ("lr", "momentum")]
    places = scores(np.zeros(n, int), np.arange(n), np.arange(float(n)))
    assert all(effect.share is None for effect in effects(factors, places))


def test_seeds_tell_what_three_configurations_cannot():
    lr = Factor("lr", np.arange(3.0), True)
    random = np.random.default_rng(0)
    worth = np.arange(3.0)[:, None] + 0.1 * random.standard_normal((3, 5))
    seed, configuration = np.tile(np.arange(5), 3), np.repeat(np.arange(3), 5)
    (effect,) = effects([lr], scores(seed, configuration, worth.ravel()))
    assert effect.share > 0.9
    (alone,) = effects([lr], scores(seed[::5], configuration[::5], worth[:, 0]))
    assert alone.share is None


def test_an_option_that_acts_only_together_with_another_is_told_where_seeds_are_repeated():
    lr, momentum = (a.ravel().astype(float) for a in np.meshgrid(np.arange(4), np.arange(2)))
    random = np.random.default_rng(0)
    crossing = np.where(momentum == 1, lr, 3 - lr)
    worth = crossing[:, None] + 0.3 * random.standard_normal((8, 4))
    seed, configuration = np.tile(np.arange(4), 8), np.repeat(np.arange(8), 4)
    factors = [Factor("lr", lr, True), Factor("momentum", momentum, True)]
    for effect in effects(factors, scores(seed, configuration, worth.ravel())):
        assert effect.share > 0.8


def test_places_are_shared_by_equals_and_taken_within_seeds():
    worth = np.array([1.0, 11.0, 2.0, 12.0, np.inf, np.inf, np.inf, np.inf])
    table = scores(np.tile([0, 1], 4), np.repeat(np.arange(4), 2), worth)
    assert table.tolist() == [[0.125] * 2, [0.375] * 2, [0.75] * 2, [0.75] * 2]
