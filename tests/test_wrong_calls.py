"""Every call of Python that is wrong ends in one line of Gradus's own, in the words of the call."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

import gradus
from gradus import InputError, RunSpec, SweepSpec
from gradus.sweep import Point

X = np.zeros((6, 2), np.float32)


@pytest.fixture(scope="module")
def run() -> gradus.Run:
    return gradus.train(RunSpec(model="linear", epochs=1, validation_fraction=0.9))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which ``mine`` would be a sweep, but for what else stands there."""
    folder = tmp_path_factory.mktemp("sweeps")
    (folder / "mine").mkdir()
    (folder / "mine" / "notes.txt").touch()
    return folder


RATES = SweepSpec(vary={"lr": "1,0.1"})

SWEEPS: list[tuple[dict[str, Any], str]] = [
    ({"vary": {"lr": "abc"}}, "lr=abc: must be a valid number"),
    ({"base": {"lr": "abc"}}, "lr=abc: must be a valid number"),
    ({"vary": {"lr": "auto"}}, "lr=auto: is found for a run by itself; give numbers"),
    ({"vary": {"lr": []}}, "lr: has no value; give some, as A,B"),
    ({"vary": {"lrr": "1"}}, "lrr: no such option (did you mean lr?)"),
    ({"vary": {"batch_size": "0"}}, "batch_size=0: must be greater than or equal to 1"),
    ({"vary": {"model": nn.Linear(2, 2)}}, "model: an object of Linear, where a spec takes a name"),
    ({"vary": "lr"}, 'vary: is no table of options: give a dict, as {"lr": 0.1}'),
    ({"around": [{"base": {"lr": "a"}}]}, "lr=a: must be a valid number"),
    ({"lr": "1"}, "lr: is an option of runs: write it under base or vary"),
    ({"seed": 2, "vary": {"lr": "1"}}, "seed: is an option of runs"),
    ({"seed_s": 2, "vary": {"lr": "1"}}, "seed_s: no such key (did you mean seeds?)"),
    ({"vary": {"lr": "1"}, "seeds": 0}, "seeds=0: must be greater than or equal to 1"),
    ({"vary": {"lr": "log:1e-3:1"}, "trials": 3}, "trials needs search=random or optuna"),
    ({"vary": {"lr": "1"}, "prune": "x"}, "prune=x: choose halving | asha"),
    ({}, "nothing varies: give an option several values, as lr=0.1,0.01"),
]


@pytest.mark.parametrize(("given", "said"), SWEEPS)
def test_sweeps_that_cannot_be(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        SweepSpec(**given)
    assert str(caught.value).startswith(said)
    assert len(str(caught.value).splitlines()) == 1


CALLS: list[tuple[Any, str]] = [
    (lambda run, at: gradus.train_sweep(3), "train_sweep: a int; give a SweepSpec"),
    (lambda run, at: gradus.train_sweep(RATES, out=3), "out 3: give the path of a folder"),
    (lambda run, at: gradus.train_sweep(RATES, out=at, name="a/b"), "name=a/b: is not the name"),
    (lambda run, at: gradus.train_sweep(RATES, out=at, name=3), "name=3: is not the name"),
    (lambda run, at: gradus.train_sweep(RATES, out=at, name="mine"), "{at}/mine: holds no sweep"),
    (
        lambda run, at: gradus.train_sweep(RATES, out=at, workers=0),
        "workers=0: give a whole number",
    ),
    (
        lambda run, at: gradus.train_sweep(RATES, out=at, on="moon"),
        "on=moon: is no place; give ray",
    ),
    (
        lambda run, at: gradus.train_sweep(RATES, out=at, gpus_per_run=2),
        "gpus_per_run=2: is for a cluster; give on=ray",
    ),
    (lambda run, at: gradus.resume_sweep(3), "resume_sweep 3: give the path of a folder"),
    (lambda run, at: gradus.open_sweep(at / "none"), "{at}/none: holds no sweep"),
    (lambda run, at: gradus.tune("digits", lr=0.1), "lr=0.1: is what the search finds"),
    (lambda run, at: gradus.tune("digits", free=["lrr"]), "free=lrr: choose lr, batch-size"),
    (lambda run, at: gradus.tune("digits", free="momentum,x"), "free=x: choose lr"),
    (lambda run, at: gradus.tune("digits", budget=-1), "budget=-1: give a number of trainings"),
    (lambda run, at: gradus.trainability_map(X), "data array("),
    (lambda run, at: gradus.trainability_map(x="model"), "x=model: is no option of a run that"),
    (lambda run, at: gradus.trainability_map(y="lr"), "y=lr: is the other axis already"),
    (lambda run, at: gradus.trainability_map(lr=1), "lr: is an axis of the map (x); leave it out"),
    (lambda run, at: gradus.trainability_map(size=3), "size=3: give a power of two"),
    (lambda run, at: gradus.diagnose(3), "diagnose 3: give a run, the folder of its record"),
    (lambda run, at: gradus.diagnose(run, budget="x"), "budget=x: give a number of seconds"),
    (lambda run, at: gradus.diagnose(run, lr=3), "lr: stands in the run; leave it out"),
    (lambda run, at: gradus.open_run(3), "open_run 3: give the path of a folder"),
    (lambda run, at: gradus.open_run(None), "open_run None: give the path of a folder"),
    (lambda run, at: gradus.open_run(at), "{at} holds no record of a run"),
    (lambda run, at: gradus.compare(run, 3), "compare 3: give runs, or the folders"),
    (lambda run, at: gradus.compare([run, run]), "compare: a list of 2; give runs one by one"),
    (lambda run, at: gradus.compare(run), "compare: two runs or more are compared, not 1"),
    (lambda run, at: gradus.export(run, "paper"), "to=paper: choose csv | json"),
    (lambda run, at: run.export("tensorboard", at), "to=tensorboard: choose csv | json"),
    (
        lambda run, at: run.export("json", at / "no/a.json"),
        "out={at}/no/a.json: there is no folder",
    ),
    (lambda run, at: run.export("json", 3), "out 3: give the path of a file"),
    (lambda run, at: gradus.export("run", "csv"), "export run: give a run or a sweep"),
    (
        lambda run, at: run.evaluate(np.zeros((2, 8, 8), np.uint8)),
        "the array: has no targets beside it",
    ),
    (lambda run, at: run.predict("none.csv"), "none.csv: is no array"),
    (lambda run, at: run.train(lrr=3), "lrr: no such option (did you mean lr?)"),
    (lambda run, at: run.plot(against="steps"), "against=steps: choose samples | work | seconds"),
    (lambda run, at: RunSpec(hidden="a"), "hidden=a: must be a valid integer"),
    (lambda run, at: RunSpec(data=(X, X)), "data: an object of tuple, where a spec takes a name"),
    (lambda run, at: gradus.train("digits", lr="abc"), "lr=abc: must be a valid number, or auto"),
    (lambda run, at: gradus.train("digits", freeze=1), "freeze=1: give the names of layers"),
    (
        lambda run, at: gradus.train((X, np.arange(6).astype("M8[D]")), model="linear"),
        "y of data: holds dates, where numbers are taken; give their number of days, as",
    ),
    (
        lambda run, at: gradus.train((X, X), model=nn.Linear(2, 2, device="meta")),
        "model Linear: weight is on the meta device",
    ),
    (
        lambda run, at: gradus.train(
            [(torch.zeros(3, 2), torch.zeros(3)), (torch.zeros(3, 1), torch.zeros(3))],
            length=2,
            model=nn.Linear(2, 1),
            test=(X, X[:, 0]),
        ),
        "data: a batch has x of shape [3, 1], and the first one of [3, 2]",
    ),
    (
        lambda run, at: gradus.train({"grams": 1, "price": 2}, target="price"),
        "the table: column grams is 1, not a column of values; give a list, as [1]",
    ),
    (lambda run, at: gradus.train((X, X[:-1])), "data: 'x' has 6 rows, 'y' has 5"),
    (lambda run, at: gradus.train("digits", parameters=3), "parameters 3: give a list of dicts"),
    (lambda run, at: gradus.train("digits", processes="x"), "processes=x: give a whole number"),
    (lambda run, at: gradus.train("digits", data_dir=3), "data_dir 3: give the path of a folder"),
    (lambda run, at: gradus.resume(at / "none", decay="weights"), "gradus.resume('{at}/none'): no"),
    (
        lambda run, at: gradus.train_sweep(RATES, n_jobs=2),
        "n_jobs: no such option (did you mean",
    ),
    (lambda run, at: gradus.train_sweep(lr="1,2"), "lr: is an option of runs: write it under base"),
    (
        lambda run, at: gradus.train_sweep(vary={"lr": "1"}),
        "vary: stands in the SweepSpec; give",
    ),
    (lambda run, at: gradus.resume_sweep(at, lr=1), "lr: stands in the record of the sweep, which"),
    (lambda run, at: gradus.open_sweep(at, trusst=1), "trusst: no such option"),
    (lambda run, at: gradus.open_run(at, modell=1), "modell: no such option (did you mean model?)"),
    (lambda run, at: gradus.compare(run, run, measure="x"), "measure: is of what compare gives"),
    (lambda run, at: gradus.export(run, "csv", outt=1), "outt: no such option (did you mean out?)"),
    (lambda run, at: gradus.resume(at, lr=1), "lr: stands in the record of the run, which goes"),
    (
        lambda run, at: run.evaluate((X, X[:, 0])),
        "the array: a pair; give X alone, or run.evaluate(X, y)",
    ),
    (
        lambda run, at: gradus.train("digits", schedule=torch.optim.lr_scheduler.StepLR),
        "schedule: <class 'torch.optim.lr_scheduler.StepLR'>, where a spec takes a name; give a sc",
    ),
    (lambda run, at: gradus.train("digits", lr=lambda step: 0.1), "lr: a function, where a spec"),
    (lambda run, at: gradus.tune("digits", method="newton"), "method=newton: finds the length of"),
    (lambda run, at: gradus.trainability_map(x_range=(1,)), "x_range=1: give two numbers, the low"),
    (lambda run, at: gradus.trainability_map(x_range=3), "x_range=3: give two numbers, the lower"),
    (
        lambda run, at: gradus.train(pa.chunked_array([[1.0, 2.0]]), target="a"),
        "the table: a ChunkedArray, one column; give a table, or a dict of columns",
    ),
    (lambda run, at: gradus.train(""), "data: is empty; give digits"),
    (
        lambda run, at: gradus.data.Dataset(X, X),
        "x: a ndarray, where a tensor is taken",
    ),
    (
        lambda run, at: gradus.train(
            (X, np.arange(6) % 2), loss=nn.CrossEntropyLoss(weight=torch.ones(3)), model="linear"
        ),
        "loss=CrossEntropyLoss: weight has shape [3], and there are 2 classes; give one number for",
    ),
    (lambda run, at: Point(lr=1), "lr: is an option of runs: write it under base or vary"),
    (lambda run, at: Point(bas={}), "bas: no such key (did you mean base?)"),
    (lambda run, at: Point(vary={"lr": "a"}), "lr=a: must be a valid number"),
    (
        lambda run, at: gradus.data.Sampling("shuffle", 10, 20),
        "batch_size=20: larger than the data, n=10; give at most that",
    ),
    (
        lambda run, at: gradus.train({"x": X, "y": X, "weights": X}),
        "data: 'weights' is no key of a dict of arrays; give gradus.data.Dataset(x, y, weights=..)",
    ),
    (
        lambda run, at: gradus.train({"a": [1, 2, 3], "b": [1, 2]}, target="b"),
        "the table: column b has 2 rows, and a has 3; give columns of one length",
    ),
    (
        lambda run, at: gradus.train({"a": [1, "x"], "b": [1, 2]}, target="b"),
        "the table: column a holds values of several types, int, str; give numbers alone, or text",
    ),
    (
        lambda run, at: gradus.train(
            (X, np.arange(6) % 2), model=nn.Linear(2, 2), loss=nn.MultiLabelSoftMarginLoss()
        ),
        "loss=torch.nn.MultiLabelSoftMarginLoss: takes a zero or a one for each of the outputs, y",
    ),
    (
        lambda run, at: gradus.train((X, X[:, 0]), model=nn.Linear(2, 1), loss=nn.BCELoss()),
        "loss=torch.nn.BCELoss: takes probabilities, and the model gives others; let it end in",
    ),
    (
        lambda run, at: gradus.resume(at / "mine" / "notes.txt"),
        "gradus.resume('{at}/mine/notes.txt'): is a file; give the folder of a run",
    ),
    (lambda run, at: gradus.resume(at / "none"), "gradus.resume('{at}/none'): no run to go on"),
]


@pytest.mark.parametrize(("call", "said"), CALLS, ids=[said for _, said in CALLS])
def test_wrong_calls(call: Any, said: str, run: gradus.Run, folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        call(run, folder)
    message = str(caught.value)
    assert message.startswith(said.format(at=folder)), inspect.getsource(call)
    assert len(message.splitlines()) == 1
    assert "--" not in message.replace(" --help", "")


@pytest.mark.parametrize(
    ("again", "said"),
    [
        ({"method": "adam"}, "method=adam: the run of {at} has sgd, with which it goes on; leave"),
        ({"model": "mlp"}, "model=mlp: the run of {at} has linear, with which"),
        ({"loss": "mse"}, "loss=mse: the run of {at} has cross-entropy"),
        ({"data": "mnist"}, "data=mnist: the run of {at} has digits"),
    ],
)
@pytest.mark.parametrize("epochs", [None, 2])
def test_names_that_are_others_than_those_of_a_run(
    again: dict[str, str], said: str, epochs: int | None, tmp_path: Path
) -> None:
    at = tmp_path / "run"
    gradus.train(RunSpec(model="linear", epochs=1, validation_fraction=0.9), out=at)
    same = {"method": "sgd", "model": "linear", "data": "digits", "loss": "cross-entropy"}
    assert gradus.resume(at, **same).spec.loss == "cross-entropy"  # type: ignore[arg-type]
    with pytest.raises(InputError) as caught:
        gradus.resume(at, epochs=epochs, **again)  # type: ignore[arg-type]
    assert str(caught.value).startswith(said.format(at=at))
