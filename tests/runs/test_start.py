"""A run begins with the parameters of another, and prepares new rows as that one did."""

import csv
import hashlib

import numpy as np
import pytest
import torch

import gradus
from gradus import InputError, RunSpec
from gradus.cli import main
from gradus.engine import snapshot
from gradus.runs.resume import resume
from gradus.runs.train import train

RANDOM = np.random.default_rng(0)
N = 160
AREA = RANDOM.normal(100, 30, N).round(1)
CITY = RANDOM.choice(["Bern", "Oslo"], N)
HOUSES = {
    "area": AREA.tolist(),
    "city": CITY.tolist(),
    "price": (20 * AREA + 500 * (CITY == "Oslo")).tolist(),
}
NEW = {
    "price": (25 * AREA[:80] + 700).tolist(),
    "other": list(range(80)),
    "city": ["Rome", *CITY[1:80].tolist()],
    "area": (AREA[:80] * 2).tolist(),
}
CHEAP = {"hidden": (6,), "epochs": 12, "lr": 0.02, "models": 2, "pieces": 0, "log_every": 99}
DIGITS = RunSpec(hidden=(6,), epochs=1, method="adam", batch_size=64, log_every=99)


def write(path, columns):
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on a table of houses, one on digits, and a table of new houses."""
    folder = tmp_path_factory.mktemp("houses")
    write(folder / "new.csv", NEW)
    table = write(folder / "houses.csv", HOUSES)
    train(RunSpec(data=str(table), target="price", **CHEAP), out=folder / "houses")
    train(DIGITS, out=folder / "digits")
    return folder


def still(spec, **changes):
    """The same, so slow that parameters stay what they are to all digits but the last."""
    return spec.model_copy(update={"lr": 1e-30, "weight_decay": None, **changes})


def parameters(run):
    return run.model.state_dict()


def equal(one, other):
    assert one.keys() == other.keys()
    return {name: torch.equal(value, other[name]) for name, value in one.items()}


@pytest.mark.parametrize("name", ["houses", "digits"])
def test_it_begins_where_the_other_ended(folder, name):
    before = gradus.open_run(folder / name)
    slow = still(before.spec, method="sgd", betas=None, eps=None, amsgrad=None, momentum=0.0)
    spec = RunSpec.read(slow.model_dump(exclude_none=True))
    run = train(spec, start=before)
    assert set(equal(parameters(run), parameters(before)).values()) == {True}
    (origin,) = run.summary["origin"]
    content = (folder / name / "model.safetensors").read_bytes()
    assert origin == {
        "how": "from",
        "run": name,
        "parameters": hashlib.sha256(content).hexdigest(),
        "freeze": [],
    }


def test_new_rows_go_through_the_same_preparation(folder, tmp_path):
    before = gradus.open_run(folder / "houses")
    spec = RunSpec(data=str(folder / "new.csv"), target="price", epochs=2, lr=0.01)
    run = train(spec, start=before, out=tmp_path / "run")
    assert run.preparation == before.preparation
    assert gradus.open_run(tmp_path / "run").preparation == before.preparation
    assert (run.spec.hidden, run.spec.models, run.spec.pieces) == ((6,), 2, 0)
    data = run.summary["data"]
    assert data["train"] + data["validation"] + data["test"] == 80
    assert list(data["features"]) == before.summary["data"]["features"]
    assert not all(equal(parameters(run), parameters(before)).values())
    truth = np.array(NEW["price"])
    errors = [np.abs(np.array(each.predict(NEW)["prediction"]) - truth).mean() for each in
              (before, run)]  # fmt: skip
    assert errors[1] < errors[0]


def test_the_same_rows_are_split_as_before(folder):
    """What tested the first run trains none that goes on from it."""
    before = gradus.open_run(folder / "houses")
    run = train(before.spec.model_copy(update={"epochs": 1}), start=before)
    assert run.on_test.targets.tolist() == before.test_predictions.targets.tolist()


@pytest.mark.parametrize("freeze", [("1",), ("1.weight", "3.bias")])
def test_frozen_layers_stay_as_they_are(folder, freeze):
    before = gradus.open_run(folder / "digits")
    run = train(before.spec, start=before, freeze=freeze)
    for name, same in equal(parameters(run), parameters(before)).items():
        assert same == any(f"{name}.".startswith(f"{layer}.") for layer in freeze)
    assert run.summary["origin"][-1]["freeze"] == list(freeze)


def test_a_run_in_memory_is_gone_on_from_too():
    before = train(DIGITS)
    run = train(DIGITS, start=before)
    assert run.summary["origin"][0]["run"] == DIGITS.title
    twice = train(DIGITS, start=run)
    assert [each["parameters"] == run.summary["origin"][0]["parameters"] for each in
            twice.summary["origin"]] == [True, False]  # fmt: skip
    assert run.summary["final"]["train_loss"] < before.summary["final"]["train_loss"]


@pytest.mark.parametrize("options", [{"hidden": (4,)}, {"model": "linear"}])
def test_arrays_begin_with_the_model_of_the_run_without_its_name(options):
    data = torch.rand(60, 3), torch.arange(60) % 2
    before = gradus.train(data, epochs=1, **options)
    run = gradus.train(data, start=before, epochs=1)
    assert (run.spec.model, run.spec.hidden) == (before.spec.model, before.spec.hidden)


def test_a_module_that_a_run_had_is_given_again():
    data, net = (torch.rand(60, 3), torch.arange(60) % 2), torch.nn.Linear(3, 2)
    before = gradus.train(data, model=net, epochs=1)
    with pytest.raises(InputError, match=r"its model, torch.nn.Linear, was an object; give it ag"):
        gradus.train(data, start=before, epochs=1)
    for again in (net, torch.nn.Linear(3, 2)):  # whatever numbers it holds
        run = gradus.train(data, model=again, start=before, epochs=1, lr=0.0)
        assert run.summary["origin"][0]["how"] == "from"
        assert torch.equal(run.model.weight, before.model.weight)
    with pytest.raises(InputError, match="the run has bias, and the new model is another"):
        gradus.train(data, model=torch.nn.Linear(3, 2, bias=False), start=before, epochs=1)
    with pytest.raises(InputError, match="model is what it is there, and cannot be another"):
        gradus.train(data, model=torch.nn.Sequential(net), start=before, epochs=1)


@pytest.mark.parametrize("kept", ["a checkpoint", "the beginning alone"])
def test_broken_off_it_goes_on_and_ends_the_same(folder, tmp_path, monkeypatch, kept):
    monkeypatch.setattr(snapshot, "CHECKPOINT_SECONDS_EPOCH", 0.0)
    monkeypatch.setattr(snapshot, "CHECKPOINT_SHARE", float("inf"))
    before = gradus.open_run(folder / "houses")
    spec = RunSpec(data=str(folder / "new.csv"), target="price", epochs=4, lr=0.01)
    options = {"start": before, "freeze": ("1.bias",)}
    true = train(spec, **options)

    def progress(job, split):
        def report(progress):
            if progress.epoch == 3:
                raise KeyboardInterrupt

        return report

    out = tmp_path / "run"
    assert train(spec, out=out, progress=progress, **options).status == "interrupted"
    if kept == "the beginning alone":
        for path in (out / "checkpoint").glob("[0-9]*"):
            path.unlink()
    run = resume(out)
    assert set(equal(parameters(run), parameters(true)).values()) == {True}
    assert run.evaluation == true.evaluation
    assert run.summary["origin"] == true.summary["origin"]
    longer = resume(out, epochs=6)
    assert [each["how"] for each in longer.summary["origin"]] == ["from", "resume"]
    assert longer.preparation == before.preparation
    named = {name for name in parameters(before) if name.endswith("1.bias")}
    assert all(equal(parameters(longer), parameters(before))[name] for name in named)


def test_what_it_began_with_is_read_back_whole_or_not_at_all(folder, tmp_path):
    before = gradus.open_run(folder / "digits")
    train(DIGITS, start=before, out=tmp_path / "run")
    path = tmp_path / "run" / "state" / "start.safetensors"
    facts = path.with_suffix(".json")
    whole = path.read_bytes(), facts.read_text()
    path.write_bytes(whole[0][:-4])
    with pytest.raises(InputError, match=r"start\.json: is damaged \(start\.safetensors is not"):
        resume(tmp_path / "run", epochs=2)
    path.write_bytes(whole[0])
    facts.write_text(whole[1].replace('"nets": 1', f'"nets": {10**15}'))
    with pytest.raises(InputError, match=r"start\.json: is damaged \(4 tensors of 10{15} nets"):
        resume(tmp_path / "run", epochs=2)


@pytest.mark.parametrize(
    ("name", "changes", "freeze", "message"),
    [
        ("houses", {"scaling": "standard"}, (), "--scaling is what it is there"),
        ("houses", {"categorical": ("area",)}, (), "--categorical is what it is there"),
        ("houses", {"models": 3}, (), "--models is what it is there"),
        ("digits", {"hidden": (7,)}, (), "--hidden is what it is there"),
        ("digits", {}, ("2",), "--freeze 2: no parameter is called so .* there are 1.weight, 1.b"),
        ("digits", {}, ("1", "3"), "--freeze 1,3: leaves no parameter to train"),
        (
            "digits",
            {"data": "new.npz"},
            (),
            "new.npz: holds float64, and the model was trained on b",
        ),
        ("digits", {"data": "more.npz"}, (), "holds '12', a class that was not trained on; known"),
        (
            "digits",
            {"data": "new.npz", "standardize": True},
            (),
            "--standardize is what it is there",
        ),
        (
            "digits",
            {"data": "new.csv"},
            (),
            "new.csv: is a table, and the model was trained on arr",
        ),
        ("houses", {"data": "digits"}, (), "digits: is no table, and the model was trained on one"),
        ("houses", {"data": "short.csv"}, (), "no column 'area', which the model was trained on"),
    ],
)
def test_what_cannot_be_gone_on_from(folder, monkeypatch, name, changes, freeze, message):
    monkeypatch.chdir(folder)
    y = np.arange(200) % 2
    np.savez("new.npz", x=np.random.default_rng(0).random((200, 1, 8, 8)), y=y)
    np.savez("more.npz", x=np.zeros((20, 8, 8), np.uint8), y=np.arange(20) % 2 * 12)
    write(folder / "short.csv", {"price": [1.0] * 9, "city": ["Bern"] * 9})
    before = gradus.open_run(folder / name)
    with pytest.raises(InputError, match=message):
        train(before.spec.model_copy(update=changes), start=before, freeze=freeze)


def test_parameters_that_are_not_finite_begin_nothing(folder):
    before = gradus.open_run(folder / "digits")
    next(before.model.parameters()).data.fill_(torch.inf)
    with pytest.raises(InputError, match="its parameters are not finite"):
        train(before.spec, start=before)


def test_an_own_model_is_imported_only_where_it_is_named(tmp_path, monkeypatch, call):
    (tmp_path / "mynet.py").write_text(
        "from torch import nn\n"
        "def make(outputs):\n"
        "    print('imported')\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, outputs))\n"
    )
    options = ["--epochs", "1", "--batch-size", "64", "--method", "adam", "--quiet"]
    code, out, _ = call("digits", "--model", "mynet:make", *options, "--out", "own")
    assert (code, "imported" in out) == (0, True)
    code, out, err = call("--from", "own", "--out", "next", "--quiet")
    assert (code, out) == (2, "")
    assert "mynet would be imported and make called" in err
    for named in (["--model", "mynet:make"], ["--trust"]):
        code, out, _ = call("--from", "own", *named, "--quiet", "--out", f"next{len(named)}")
        assert (code, "imported" in out) == (0, True)


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def called(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["train", *map(str, arguments)])
        return ended.value.code, *capsys.readouterr()

    return called


def test_the_command(folder, call):
    code, out, _ = call(folder / "new.csv", "--from", folder / "houses", "--lr", "0.01",
                        "--patience", "12", "--freeze", "1.bias", "--out", "next")  # fmt: skip
    assert code == 0
    assert "goes on        with the parameters of houses, 1.bias as they are" in out.splitlines()
    run = gradus.open_run("next")
    assert (run.spec.lr, run.spec.epochs, run.spec.patience) == (0.01, 12, 12)
    assert run.preparation == gradus.open_run(folder / "houses").preparation
    for wrong, message in [
        (["--from", "absent"], "absent holds no record of a run"),
        (["--from", folder / "houses", "--spec", "a.toml"], "leave out --spec"),
        (["--freeze", "1"], "--freeze 1: is for a run that goes on: give --from RUN"),
        (["--resume", "next", "--from", folder / "houses"], "leave out --from"),
    ]:
        code, out, err = call(*wrong)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert message in err
