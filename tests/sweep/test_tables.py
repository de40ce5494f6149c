"""Sweeps on tables of the user's: what follows from the size of a table does so in a sweep, too."""

import pytest

from gradus import InputError, RunSpec, SweepSpec
from gradus.runs.job import load_for, resolved
from gradus.runs.spec import run_id
from gradus.sweep import runs_of
from gradus.sweep.backlog import Backlog
from gradus.sweep.configurations import pruning_of
from gradus.sweep.messages import Task
from gradus.sweep.planning import epochs_of
from gradus.sweep.result import RUNS, row
from gradus.sweep.search import Listed
from gradus.sweep.split_cache import SplitCache
from gradus.sweep.training import Trainer

FLOWERS = {"data": "examples/iris.csv", "target": "species"}


def spec(**changes):
    base = {**FLOWERS, **changes.pop("base", {})}
    return SweepSpec(**{"base": base, "vary": {"lr": "0.1,0.01"}, **changes})


@pytest.fixture
def splits():
    cache = SplitCache(None)
    yield cache
    cache.close()


def test_a_run_of_a_sweep_is_sized_as_one_alone(splits):
    run = runs_of(spec(base={"epochs": 1}))[0]
    alone = RunSpec(**FLOWERS, lr=0.1, epochs=1)
    split = load_for(alone, None)
    sized = resolved(alone, split)
    found = splits.resolved(run)
    for name in ("batch_size", "pieces", "standardize_target", "epochs"):
        assert getattr(found, name) == getattr(sized, name)
    assert found.batch_size == 25 != run.batch_size
    assert (found.models, found.patience, found.auto) == (1, None, ())


def test_a_row_says_what_a_run_took(splits, tmp_path):
    run = runs_of(spec(base={"epochs": 1}))[0]
    trainer = Trainer(tmp_path, send=print, heartbeat=lambda make: None)
    trainer._splits[1] = splits.get(run).split
    said = row(trainer.train(Task(run_id(run), run, 1)), 1)
    assert said["batch_size"] == splits.resolved(run).batch_size
    assert said["loss"] == "cross-entropy"
    assert RunSpec.model_validate_json(said["spec"]) == run
    assert said["run"] == run_id(run)


def test_seeds_of_the_parts_load_a_table_once_to_know_its_size(splits, monkeypatch):
    many = runs_of(spec(base={"split_seed": "seed"}, seeds=5))
    assert len({splits.resolved(run).batch_size for run in many}) == 1
    assert splits._count == 1


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, 126),
        ({"base": {"epochs": 9}}, 9),
        ({"search": "random", "trials": 3, "vary": {"lr": "log:1e-3:1"}}, 126),
    ],
)
def test_pruning_knows_the_epochs_that_follow_from_the_size(splits, changes, wanted):
    made = spec(prune="asha", **changes)
    assert epochs_of(made, runs_of(made), splits) == wanted
    assert epochs_of(made, None, splits) == wanted


def test_a_run_pauses_at_rungs_below_its_own_epochs(splits):
    made = spec(prune="halving", first_rung=12, base={"measure": "accuracy"})
    runs = runs_of(made)
    pruning = pruning_of(made, runs, epochs_of(made, runs, splits))
    backlog = Backlog(
        Listed(runs), pruning, lambda run: 1.0, RUNS.empty_table(), {}, splits.resolved
    )
    first = backlog.take(2)
    assert [(item.until, item.resolved.epochs) for item in first] == [(12, 126)] * 2
    assert first[0].spec == runs[0]


def test_a_rung_beyond_the_epochs_of_the_table_is_refused_in_one_line(splits):
    made = spec(prune="asha", first_rung=126)
    with pytest.raises(
        InputError, match=r"--first-rung 126: nothing would be compared, of the 126 "
    ):
        epochs_of(made, runs_of(made), splits)
    # Of other data it is known before they are read.
    with pytest.raises(InputError, match="--first-rung 10: nothing would be compared"):
        SweepSpec.read({"vary": {"lr": "1,0.1"}, "prune": "asha", "first_rung": 10})


def test_tables_of_other_sizes_have_no_common_rungs(splits, tmp_path):
    (tmp_path / "few.csv").write_text("x,y\n" + "".join(f"{i},{i % 2}\n" for i in range(40)))
    few = RunSpec(data=str(tmp_path / "few.csv"), target="y", epochs=7).fixed
    runs = [*runs_of(spec()), few]
    with pytest.raises(InputError, match="they have 7 and 126 epochs: give --epochs one value"):
        epochs_of(spec(prune="asha"), runs, splits)
