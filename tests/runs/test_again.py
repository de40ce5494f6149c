"""A run that is trained once more: what stays of its spec, and what is chosen anew."""

import json
from pathlib import Path

import pytest

import gradus
from gradus import InputError, RunSpec
from gradus.cli import main
from gradus.runs.again import again
from gradus.runs.job import load_for, resolved
from gradus.runs.table_defaults import COURSE, LEARNED

TABLE = {"data": "examples/iris.csv", "target": "species"}

CASES = {
    # given then; changes; what it is now; what is said
    "nothing": ({}, {}, {"method": "adamw", "lr": LEARNED["lr"], "epochs": 7}, None),
    "what was given": ({"lr": 0.1}, {"seed": 1}, {"lr": 0.1, "seed": 1, "epochs": 7}, None),
    "another method takes its own rate": (
        {},
        {"method": "sgd"},
        {"lr": 0.001, "schedule": "constant", "weight_decay": 0.0, "momentum": 0.5, "epochs": 7},
        f"--lr 0.001 (was {LEARNED['lr']}), --weight-decay 0.0 (was {LEARNED['weight_decay']}), "
        "--schedule constant (was cosine)",
    ),
    "and the rate that was given": (
        {"lr": 0.1},
        {"method": "sgd"},
        {"lr": 0.1, "schedule": "constant"},
        f"--weight-decay 0.0 (was {LEARNED['weight_decay']}), --schedule constant (was cosine)",
    ),
    "of other rows, their number": (
        {},
        {"validation_fraction": 0.3},
        {"lr": LEARNED["lr"]},
        "--pieces by the data, --standardize-target by the data, --batch-size by the data, "
        "--epochs by the data, --patience by the data, --models by the data",
    ),
    "but for what was given": (
        {"batch_size": 9, "models": 2, "patience": 3, "pieces": 4},
        {"validation_fraction": 0.3},
        {"batch_size": 9, "models": 2, "patience": 3, "pieces": 4},
        "--standardize-target by the data, --epochs by the data",
    ),
    "what is given now": ({}, {"epochs": 3, "lr": "0.5"}, {"epochs": 3, "lr": 0.5}, None),
    "unscaled": (
        {},
        {"standardize": False},
        {"standardize": False, "pieces": 0, "scaling": None},
        "--pieces 0 (was 32)",
    ),
}


def recorded(given):
    """The spec of a run on a table as its record holds it, and what was chosen for it."""
    spec = RunSpec(**TABLE, **given)
    automatic = spec.auto
    sized = {"epochs": 7} if "epochs" in automatic else {}
    return spec.model_copy(update={**sized, "auto": ()}), automatic


@pytest.mark.parametrize("case", CASES)
def test_what_was_given_stays_and_what_was_chosen_is_chosen_anew_where_it_is_another(case):
    given, changes, wanted, said = CASES[case]
    spec, told = again(*recorded(given), changes)
    assert {name: getattr(spec, name) for name in wanted} == wanted
    assert told == (None if said is None else f"chosen anew: {said}")


def test_of_no_table_everything_stays():
    spec = RunSpec(method="adam", batch_size=32)
    assert again(spec, (), {"lr": "0.1"}) == (spec.model_copy(update={"lr": 0.1}), None)


def test_a_spec_that_is_not_resolved_stays_so():
    spec = RunSpec(**TABLE)
    assert again(spec, (), {"seed": 3})[0] == spec.model_copy(update={"seed": 3})


def test_a_run_trains_once_more_from_its_record_and_from_its_folder(tmp_path, capsys):
    run = gradus.train(RunSpec(**TABLE, epochs=1, models=1), out=tmp_path / "run")
    same = run.train()
    assert same.spec == run.spec
    assert same.history.equals(run.history)
    with pytest.raises(SystemExit) as ended:
        main(["train", "--spec", str(tmp_path / "run"), "--method", "sgd", "--epochs", "2",
              "--out", str(tmp_path / "other")])  # fmt: skip
    err = capsys.readouterr().err
    assert ended.value.code in (None, 0, 3), err
    assert f"gradus: chosen anew: --lr 0.001 (was {LEARNED['lr']}), --weight-decay 0.0 " in err
    kept = json.loads((tmp_path / "other/run.json").read_text())["spec"]
    assert (kept["method"], kept["lr"], kept["epochs"]) == ("sgd", 0.001, 2)


def test_code_of_a_record_runs_only_where_it_is_named(tmp_path):
    run = gradus.train(RunSpec(model="linear", epochs=1), out=tmp_path / "run")
    path = tmp_path / "run/run.json"
    path.write_text(path.read_text().replace('"model": "linear"', '"model": "evil:make"'))
    with pytest.raises(InputError, match="its model evil:make is code"):
        gradus.open_run(tmp_path / "run").train()
    assert gradus.open_run(tmp_path / "run").train(model="linear").status == run.status


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda path: None, "sweeps/x does not exist; give a TOML file, a run.json, or the folder"),
        (lambda path: path.mkdir(), "x holds neither run.json nor sweep.toml"),
    ],
)
def test_what_holds_no_spec_is_one_line(tmp_path, monkeypatch, capsys, made, message):
    monkeypatch.chdir(tmp_path)
    made(Path("x"))
    with pytest.raises(SystemExit) as ended:
        main(["train", "--spec", "x"])
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert message in line


def test_what_is_replaced_in_a_copy_follows_from_no_data_any_more():
    spec = RunSpec(**TABLE).model_copy(update={"epochs": 3, "models": 2, "batch_size": 7})
    found = resolved(spec, load_for(spec, None))
    assert (found.epochs, found.models, found.batch_size) == (3, 2, 7)
    assert found.patience == COURSE["patience"]  # and what is not, does
