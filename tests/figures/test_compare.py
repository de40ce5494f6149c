"""Comparison against its definitions, worked by hand and by an independent implementation."""

import math
from itertools import groupby
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from gradus import InputError
from gradus.sweep.compare import cells, places, ranking, sensitivity
from gradus.sweep.groups import varied
from gradus.sweep.importance import importance
from tests.figures.sweeps import adam, grid, lecture, made, sgd


def table(**columns):
    n = len(columns["status"])
    given = {"run": [str(i) for i in range(n)], "seed": [0] * n, **columns}
    return SimpleNamespace(name="x", runs=pa.table(given))


def test_a_configuration_has_the_mean_and_its_standard_error():
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
        for status in ("finished", "pruned", "diverged", "stopped"):
            assert row[status] == sum(run["status"] == status for run in members)
        if not losses:
            assert row["test_loss"] is None
            continue
        assert row["test_loss"] == pytest.approx(np.mean(losses), rel=1e-12)
        if len(losses) > 1:
            error = np.std(losses, ddof=1) / math.sqrt(len(losses))
            assert row["test_loss_error"] == pytest.approx(error, rel=1e-9)
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


def test_the_shares_of_a_grid_without_interactions_add_up_to_one():
    effects = {"lr": [0.0, 1.0, 5.0], "momentum": [0.0, 0.5], "batch_size": [0.0, 0.25, 0.1, 0.7]}
    values = [(a, b, c) for a in range(3) for b in range(2) for c in range(4)]
    loss = [
        effects["lr"][a] + effects["momentum"][b] + effects["batch_size"][c] for a, b, c in values
    ]
    sweep = table(
        status=["finished"] * len(values),
        lr=[10.0**-a for a, _, _ in values],
        momentum=[0.1 * b for _, b, _ in values],
        batch_size=[16 * (c + 1) for _, _, c in values],
        test_loss=loss,
    )
    rows = importance(sweep).to_pylist()
    total = np.var(loss)
    for row in rows:
        assert row["explained"] == pytest.approx(np.var(effects[row["option"]]) / total)
    assert sum(row["explained"] for row in rows) == pytest.approx(1.0)
    assert rows[0]["option"] == "lr"
    assert {row["option"]: row["best"] for row in rows} == {
        "lr": "1", "momentum": "0", "batch_size": "16",
    }  # fmt: skip


def test_the_share_of_the_seed_is_what_stays_within_configurations():
    sweep = table(
        status=["finished"] * 4,
        lr=[1.0, 1.0, 0.1, 0.1],
        seed=[0, 1, 0, 1],
        test_loss=[1.0, 3.0, 5.0, 7.0],
    )
    shares = {row["option"]: row["explained"] for row in importance(sweep).to_pylist()}
    assert shares == {"lr": pytest.approx(0.8), "seed": pytest.approx(0.2)}


def test_an_option_that_a_method_does_not_take_is_judged_where_it_is_taken():
    sweep = lecture()
    rows = {row["option"]: row for row in importance(sweep).to_pylist()}
    taken = sum(row["method"] == "sgd" for row in sweep.runs.to_pylist())
    assert rows["momentum"]["runs"] == taken
    assert rows["lr"]["runs"] == sweep.runs.num_rows
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
         "no run of this sweep has one; choose test_loss"),
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
