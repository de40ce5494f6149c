"""A sweep chooses on validation, unless it names another measure; what it chose, it tests once."""

import numpy as np
import pytest

from gradus import InputError, RunSpec, SweepSpec, open_sweep, train, train_sweep
from gradus.figures.choice_notes import notes
from gradus.runs.train import load_for
from gradus.sweep.compare import ranking
from gradus.sweep.result import worths
from gradus.sweep.space import runs_of
from gradus.sweep.toml_file import read_toml, to_toml

RATES = {"lr": "1,0.1,0.01"}


def spec(base=None, **changes):
    usual = {"model": "linear", "epochs": 3, "engine": "eager"}
    return SweepSpec.read({"base": usual | (base or {}), "vary": RATES} | changes)


def test_runs_are_compared_by_the_loss_on_validation_unless_it_is_said(tmp_path):
    assert spec().measure == "validation_loss"
    named = spec({"measure": "test-accuracy"})
    assert named.measure == "test_accuracy"
    assert {run.measure for run in runs_of(named)} == {"test-accuracy"}
    for each in (spec(), named):
        path = tmp_path / "sweep.toml"
        path.write_text(to_toml(each))
        assert read_toml(path) == each


def test_seeds_see_the_same_examples_of_which_some_are_held():
    runs = runs_of(spec(seeds=3))
    assert {run.validation_fraction for run in runs} == {0.15}
    assert {(run.seed, run.split_seed) for run in runs} == {(0, 0), (1, 0), (2, 0)}
    split = load_for(runs[0], None)
    assert [len(each) for each in (split.train, split.validation, split.test)] == [1221, 216, 360]
    own = runs_of(spec({"split_seed": "seed"}, seeds=3))
    assert {(run.seed, run.split_seed) for run in own} == {(0, 0), (1, 1), (2, 2)}
    of_the_user = runs_of(spec({"data": "own.csv", "target": "y"}))
    assert {run.validation_fraction for run in of_the_user} == {None}  # which holds as many


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"vary": {"measure": "test-loss,train-loss"}}, "--measure is what all runs are compared"),
        ({"around": {"base": {"measure": "test-loss"}}}, "--measure is what all runs are compared"),
        ({"base": {"measure": "los"}}, "--measure los: choose validation-loss"),
        (
            {"base": {"validation_fraction": 0}},
            "--measure validation-loss: --valid",
        ),
        ({"base": {"patience": 2, "epochs": 9}, "prune": "asha"}, "--patience ends runs by"),
    ],
)
def test_what_cannot_be_measured_is_said(given, said):
    with pytest.raises(InputError, match=said):
        SweepSpec.read({"vary": RATES} | given)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    base = {"measure": "validation-accuracy", "keep": "best"}
    return train_sweep(spec(base, seeds=2), name="x", out=tmp_path_factory.mktemp("s"), workers=1)


def test_a_row_holds_the_figures_of_the_epoch_that_its_run_kept(trained):
    rows = trained.evaluation.to_pylist()
    for row in trained.runs.to_pylist():
        own = sorted((r for r in rows if r["run"] == row["run"]), key=lambda r: r["epoch"])
        accuracies = [each["validation_accuracy"] for each in own]
        best = int(np.argmax(accuracies))
        assert row["kept_epoch"] == row["best_epoch"] == best + 1
        for name in ("train_loss", "running_train_loss", "validation_loss", "test_loss"):
            assert row[name] == own[best][name]
        assert [each["epoch"] for each in own if each["test_loss"] is not None] == [best + 1]
        assert row["best_validation_loss"] == min(each["validation_loss"] for each in own)
        assert row["test_examples"] == 360
        assert row["test_standard_error"] > 0


def test_the_best_is_the_best_by_the_measure(trained):
    accuracies = trained.runs["validation_accuracy"].to_pylist()
    assert worths(trained.runs) == [-accuracy for accuracy in accuracies]
    for measure in ("validation_accuracy", "test_loss"):
        best = trained.best(measure).spec
        assert (best.lr, best.seed) == (ranking(trained, measure)["lr"][0].as_py(), 0)


def test_pruning_compares_on_validation_and_tests_only_what_was_not_cut(tmp_path):
    pruned = train_sweep(
        spec({"epochs": 3}, prune="halving"), name="p", out=tmp_path, workers=1
    )  # of three runs one goes on after the first epoch
    first = {
        row["run"]: row["validation_loss"]
        for row in pruned.evaluation.to_pylist()
        if row["epoch"] == 1
    }
    rows = {row["run"]: row for row in pruned.runs.to_pylist()}
    best = min(first, key=first.get)
    assert [run for run, row in rows.items() if row["status"] == "finished"] == [best]
    assert {run for run, row in rows.items() if row["test_loss"] is not None} == {best}


@pytest.mark.parametrize("prune", [None, "halving"])
def test_a_figure_chooses_and_is_tested_once(tmp_path, prune):
    swept = train_sweep(spec({"measure": "f1"}, prune=prune), name="f", out=tmp_path, workers=1)
    assert swept.spec.measure == "validation_f1"
    rows = swept.evaluation.to_pylist()
    kept = [row for row in swept.runs.to_pylist() if row["status"] == "finished"]
    assert len(kept) == (1 if prune else 3)
    for row in kept:
        own = [each for each in rows if each["run"] == row["run"]]
        figures = [each["validation_f1"] for each in sorted(own, key=lambda each: each["epoch"])]
        assert row["validation_f1"] == row["best_validation_f1"] == max(figures)
        alone = train(RunSpec.model_validate_json(row["spec"]))
        assert row["test_f1"] == pytest.approx(alone.summary["figures"]["test"]["f1"]["value"])
    best = swept.best().summary["final"]["validation_f1"]
    assert best == max(row["validation_f1"] for row in kept)
    opened = open_sweep(swept.folder)
    assert ranking(opened)["validation_f1"][0].as_py() == best
    assert ranking(opened, "test_f1").column_names.count("test_f1") == 1
    assert any("test macro F1" in note for note in notes(opened))


def test_a_figure_that_no_run_has_is_none_to_compare_by(trained):
    with pytest.raises(InputError, match="validation_f1: none of these runs has one; choose "):
        ranking(trained, "validation_f1")
    with pytest.raises(InputError, match="measure f2: choose validation_loss"):
        ranking(trained, "f2")


def test_the_specification_of_a_run_says_no_measure_of_its_own():
    assert RunSpec().measure is None
