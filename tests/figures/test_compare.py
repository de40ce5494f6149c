"""Comparison against its definitions, worked by hand and by an independent implementation."""

from itertools import groupby
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from gradus import InputError
from gradus.figures.choice_notes import choice, notes
from gradus.sweep.compare import cells, places, ranking, sensitivity
from gradus.sweep.groups import varied
from gradus.sweep.importance import importance
from gradus.sweep.measures import STATUSES
from gradus.sweep.store import best_row
from tests.figures.sweeps import adam, grid, lecture, made, sgd


def table(**columns):
    n = len(columns["status"])
    given = {"run": [str(i) for i in range(n)], "seed": [0] * n, **columns}
    return SimpleNamespace(name="x", runs=pa.table(given))


def test_a_configuration_has_the_mean_and_its_interval():
    sweep = grid(seeds=4)
    rows = ranking(sweep).to_pylist()
    options = ("lr", "momentum", "batch_size")
    key = lambda row: tuple(row[name] for name in options)  # noqa: E731
    runs = sorted(sweep.runs.to_pylist(), key=key)
    for of, group in groupby(runs, key):
        members = list(group)
        (row,) = (row for row in rows if key(row) == of)
        losses = [run["test_loss"] for run in members if run["status"] == "finished"]
        assert row["runs"] == len(members)
        for status in STATUSES:
            assert row[status] == sum(run["status"] == status for run in members)
        if not losses:
            assert row["test_loss"] is None
            continue
        assert row["test_loss"] == pytest.approx(np.mean(losses), rel=1e-12)
        if len(losses) > 1:
            covers = stats.ttest_1samp(losses, 0).confidence_interval(0.95)
            assert row["test_loss_low"] == pytest.approx(covers.low, rel=1e-9)
            assert row["test_loss_high"] == pytest.approx(covers.high, rel=1e-9)
    assert sum(row["runs"] for row in rows) == sweep.runs.num_rows


def test_those_that_finished_come_first_and_nothing_is_dropped():
    sweep = table(
        status=["diverged", "finished", "pruned", "finished", "pruned", "stopped"],
        lr=[10.0, 0.1, 0.001, 0.01, 0.0001, 20.0],
        test_loss=[None, 0.5, 1.5, 0.4, 2.0, None],
        epochs_trained=[0, 9, 3, 9, 1, 0],
    )
    rows = ranking(sweep)
    assert rows["lr"].to_pylist() == [0.01, 0.1, 0.001, 0.0001, 10.0, 20.0]
    assert rows["rank"].to_pylist() == [1, 2, None, None, None, None]
    assert places(sweep.runs, "test_loss").tolist() == [5.5, 2, 3, 1, 4, 5.5]


def test_more_accuracy_is_better():
    sweep = table(
        status=["finished"] * 3,
        lr=[1.0, 0.1, 0.01],
        test_loss=[0.1, 0.2, 0.3],
        test_accuracy=[0.7, 0.9, 0.8],
    )
    assert ranking(sweep, "test_accuracy")["lr"].to_pylist() == [0.1, 0.01, 1.0]
    assert ranking(sweep)["lr"].to_pylist() == [1.0, 0.1, 0.01]


def test_equal_configurations_share_a_rank():
    sweep = table(
        status=["finished"] * 5,
        lr=[1.0, 0.1, 0.01, 0.001, 0.0001],
        test_loss=[0.5, 0.25, 0.5, 0.25, 1.0],
    )
    assert ranking(sweep)["rank"].to_pylist() == [1, 1, 3, 3, 5]


def test_a_run_that_failed_is_compared_and_counted():
    sweep = table(status=["failed", "finished"], lr=[1.0, 0.1], test_loss=[2.5, 0.5])
    rows = ranking(sweep).to_pylist()
    assert [(row["rank"], row["lr"], row["failed"]) for row in rows] == [(1, 0.1, 0), (2, 1.0, 1)]
    spread = table(
        status=["finished", "finished", "failed", "failed"],
        lr=[0.1, 0.1, 10.0, 10.0],
        seed=[0, 1, 0, 1],
        test_loss=[0.3, 0.4, 4.0, 4000.0],
    )
    assert ranking(spread)["may_be_best"].to_pylist() == [True, False]


def test_what_learned_nothing_is_not_chosen_whatever_its_measure():
    """A linear model at a rate of 50 is often right; its loss is beyond that of the constant."""
    high = table(
        status=["failed", "failed", "finished", "finished"],
        lr=[50.0, 50.0, 0.001, 0.001],
        seed=[0, 1, 0, 1],
        test_loss=[7.0, 8.0, 2.2, 2.1],
        test_accuracy=[0.85, 0.86, 0.13, 0.14],
    )
    rows = ranking(high, "test_accuracy").to_pylist()
    assert [(row["rank"], row["lr"]) for row in rows] == [(1, 0.001), (2, 50.0)]
    assert str(rows[0]["difference"]) == "0.0"
    assert choice(high, "test_accuracy").configuration == "lr 0.001"
    assert best_row(high.runs, "test_accuracy")["lr"] == 0.001
    none = table(status=["failed", "diverged"], lr=[1.0, 0.1], test_loss=[2.5, None])
    assert choice(none) is None
    assert notes(none) == ["of no configuration did all runs finish: none is chosen"]


def test_what_was_cut_is_among_those_of_which_one_was_chosen():
    cut = table(
        status=["finished", "pruned", "pruned"],
        lr=[1.0, 0.1, 0.01],
        test_loss=[0.3, None, None],
    )
    assert "of 3 configurations, 2 of them not trained to the end" in notes(cut)[0]


def test_differences_are_taken_within_seeds():
    random = np.random.default_rng(0)
    of_seed = random.standard_normal(16)
    lr, seed = np.repeat([0.05, 0.07], 16), np.tile(np.arange(16), 2)
    loss = 2 + of_seed[seed] + np.where(lr == 0.07, 0.2, 0) + 0.05 * random.standard_normal(32)
    sweep = table(status=["finished"] * 32, lr=lr, seed=seed, test_loss=loss)
    best, other = ranking(sweep).to_pylist()
    test = stats.ttest_rel(loss[16:], loss[:16])
    assert other["difference"] == pytest.approx((loss[16:] - loss[:16]).mean())
    assert other["difference_low"] == pytest.approx(test.confidence_interval(0.95).low)
    assert test.statistic > 8 * stats.ttest_ind(loss[16:], loss[:16]).statistic
    assert (best["may_be_best"], other["may_be_best"]) == (True, False)
    assert best["test_loss_high"] > other["test_loss_low"]  # apart from pairs they overlap


def test_with_one_seed_nothing_is_told():
    sweep = table(status=["finished"] * 3, lr=[1.0, 0.1, 0.01], test_loss=[0.1, 0.2, 0.3])
    ranked = ranking(sweep)
    assert ranked["may_be_best"].to_pylist() == [None] * 3
    assert ranked["test_loss_low"].to_pylist() == [None] * 3
    assert any("--seeds 4" in note for note in notes(sweep))


def test_few_seeds_say_that_they_are_few():
    random = np.random.default_rng(0)
    for seeds, few in ((2, True), (6, False)):
        lr, seed = np.repeat(np.geomspace(0.01, 1, 12), seeds), np.tile(np.arange(seeds), 12)
        loss = random.standard_normal(12 * seeds)
        sweep = table(status=["finished"] * len(lr), lr=lr, seed=seed, test_loss=loss)
        said = " ".join(notes(sweep))
        assert "cannot be told from it" in said
        assert ("2 seeds are few: from --seeds 6 on" in said) == few


def test_what_is_said_of_the_others_is_said_of_those_that_were_compared():
    lr, seed = np.repeat([0.1, 0.2, 0.3], 3), np.tile(np.arange(3), 3)
    loss = lr + 0.001 * np.array([0, 1, 2, 1, 0, 2, 1, 2, 0])
    statuses = ["finished"] * 6 + ["pruned"] * 3
    for of, whole in ((6, ""), (9, " whose runs all finished")):
        given = {"lr": lr, "seed": seed, "test_loss": loss}
        part = {name: values[:of] for name, values in given.items()}
        said = notes(table(status=statuses[:of], **part))[-1]
        assert said == f"no other{whole} may be the best (differences within seeds, 95 %, Holm)"


def test_the_choice_says_on_what_it_was_made():
    given = {"status": ["finished"] * 3, "lr": [1.0, 0.1, 0.01], "test_loss": [0.3, 0.1, 0.2]}
    on_test = table(**given)
    assert choice(on_test).on_test
    assert any("chosen on the test part, as asked for" in note for note in notes(on_test))
    held = table(
        **given,
        measure=["validation-loss"] * 3,
        validation_loss=[0.1, 0.2, 0.3],
        test_accuracy=[0.9, 0.95, 0.8],
        test_standard_error=[0.02] * 3,
        test_examples=[100] * 3,
    )
    found = choice(held)
    assert (found.configuration, found.value, found.test_loss) == ("lr 1", 0.1, 0.3)
    assert found.test_interval == pytest.approx(stats.binomtest(90, 100).proportion_ci(
        method="wilson"))  # fmt: skip
    said = notes(held)
    assert said[0] == (
        "chosen: lr 1, by validation loss 0.1000, of 3 configurations; "
        "test loss 0.3000 ± 0.0200 (standard error); "
        "test accuracy 90.00 % (82.56 to 94.48) on 100 examples"
    )
    assert not any("as asked for" in note for note in said)


def test_thirty_draws_of_noise_name_no_option():
    random = np.random.default_rng(0)
    sweep = table(
        status=["finished"] * 30,
        lr=10 ** random.uniform(-5, 0, 30),
        momentum=random.uniform(0, 1, 30),
        test_loss=random.standard_normal(30),
    )
    for row in importance(sweep).to_pylist():
        assert (row["explained"], row["best"]) == (None, None)
        assert row["p"] > 0.05


def test_an_option_that_a_method_does_not_take_is_judged_where_it_is_taken():
    sweep = lecture()
    rows = {row["option"]: row for row in importance(sweep).to_pylist()}
    taken = sum(row["method"] == "sgd" for row in sweep.runs.to_pylist())
    assert rows["momentum"]["configurations"] == taken
    assert rows["lr"]["configurations"] == sweep.runs.num_rows
    mixed = made("mixed", [sgd(0.1, 0.5, 16), sgd(0.01, 0.5, 16), adam(0.001, 16)])
    assert varied(mixed.runs) == ["method", "lr"]


def test_sensitivity_is_best_mean_and_worst_over_what_is_free():
    sweep = grid(seeds=1)
    runs = sweep.runs.to_pylist()
    for row in sensitivity(sweep, "lr", "momentum").to_pylist():
        own = [r for r in runs if (r["lr"], r["momentum"]) == (row["lr"], row["momentum"])]
        losses = [r["test_loss"] for r in own if r["status"] == "finished"]
        assert row["runs"] == len(own)
        assert row["diverged"] == sum(r["status"] == "diverged" for r in own)
        expected = [min(losses), np.mean(losses), max(losses)] if losses else [None] * 3
        for name, value in zip(("best", "mean", "worst"), expected, strict=True):
            assert row[name] == (None if value is None else pytest.approx(value))
    assert cells(sweep, ("lr", "momentum", "batch_size")).num_rows == sweep.runs.num_rows


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda s: ranking(s, "loss"), r"choose test_loss .*did you mean test_loss\?"),
        (lambda s: sensitivity(s, "lrr"), r"lrr: does not vary .* choose lr \| .*mean lr\?"),
        (lambda s: sensitivity(s, "seed"), "seed: does not vary in this sweep"),
        (lambda s: ranking(made("x", [sgd(0.1, 0, 16)], accuracies=False), "test_accuracy"),
         "none of these runs has one; choose test_loss"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_said(ask, message):
    with pytest.raises(InputError, match=message):
        ask(grid(seeds=1))


def test_a_sweep_in_which_everything_diverged_is_ranked_too():
    sweep = made("lost", [sgd(10.0, 0.5, 16), sgd(20.0, 0.5, 16)])
    rows = ranking(sweep).to_pylist()
    assert [row["rank"] for row in rows] == [None, None]
    assert [row["diverged"] for row in rows] == [1, 1]
