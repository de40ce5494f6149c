"""A tracker that follows a run knows in the end what its record says, and never holds it up."""

import importlib.util
import threading
import time

import numpy as np
import pytest

import gradus
from gradus.cli import main
from gradus.exchange import live, tensorboard
from gradus.exchange.tracked import tracked
from tests.exchange.test_tensorboard import experiment, read, scalars, session

LINEAR = {"model": "linear", "lr": 0.1, "log_every": 20}
TRACKED = ["--track", "tensorboard", "--out", "mine"]
TABLE = {"g": [150, 155, 120, 118] * 10, "fruit": ["apple", "apple", "pear", "pear"] * 10}
NUMBERS = np.arange(120, dtype=np.float32).reshape(60, 2), np.arange(60, dtype=np.float32)
RUNS = {
    "a data set": ("digits", {**LINEAR, "epochs": 2}),
    "a last batch of one example": (
        tuple(each[:20] for each in NUMBERS),
        {**LINEAR, "epochs": 4, "lr": 1e-5, "test_fraction": 0.15, "validation_fraction": 0},
    ),
    "a figure to choose by": (
        "digits",
        {**LINEAR, "epochs": 3, "validation_fraction": 0.2, "measure": "f1", "patience": 1},
    ),
    "several nets": (TABLE, {"target": "fruit", "epochs": 3, "models": 2}),
    "one that diverges": (NUMBERS, {**LINEAR, "epochs": 9, "lr": 1e3, "log_every": 1}),
}


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    monkeypatch.setattr("gradus.runs.saving.write_curve", lambda folder, run: None)


def told(found):
    """All numbers of a run, by their names: of each step the last one."""
    return {p.name: {q.step: q.value for q in found if q.name == p.name} for p in found}


def events_of(folder):
    events = read(folder)
    return {name: dict(zip(*scalars(events, name), strict=True)) for name in events.scalars.Keys()}


@pytest.mark.parametrize("which", RUNS)
def test_it_is_told_what_the_record_says(which, tmp_path):
    data, options = RUNS[which]
    run = gradus.train(data, **options, out=tmp_path / "mine", track="tensorboard")
    record = tracked(gradus.open_run(tmp_path / "mine"))
    expected = told([*record.points, *record.end.points])
    found = events_of(tmp_path / "mine/tensorboard")
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=1e-6, nan_ok=True), name
    events = read(tmp_path / "mine/tensorboard")
    assert session(events)["lr"] == pytest.approx(run.spec.lr)
    assert {f"final/{name}" for name in record.figures} == experiment(events)[1]


def test_it_is_told_while_the_run_is_under_way(tmp_path, monkeypatch):
    """By a thread, whose turn the run waits for here."""
    monkeypatch.setattr(live, "SECONDS", 0.001)
    seen = []

    def look(run):
        if run.evaluation is not None and run.epoch == 2:
            until = time.monotonic() + 20
            while not seen and time.monotonic() < until:
                time.sleep(0.01)
                if any((tmp_path / "mine").glob("tensorboard/events.out.*")):
                    found = events_of(tmp_path / "mine/tensorboard")
                    seen.extend(found.get("evaluation/train_loss", ()))

    options = {**LINEAR, "epochs": 3, "callbacks": [look]}
    run = gradus.train("digits", **options, out=tmp_path / "mine", track=["tensorboard"])
    assert seen[0] == run.summary["steps"] // 3


def test_a_run_that_goes_on_is_told_whole(tmp_path):
    first = {**LINEAR, "epochs": 2, "out": tmp_path / "mine", "track": "tensorboard"}
    gradus.train("digits", **first)
    run = gradus.resume(tmp_path / "mine", epochs=3, track="tensorboard")
    record = tracked(run)
    assert (
        events_of(tmp_path / "mine/tensorboard").keys()
        == told([*record.points, *record.end.points]).keys()
    )
    steps = sorted(events_of(tmp_path / "mine/tensorboard")["loss"])
    assert steps == run.history["step"].to_pylist()


class Broken:
    """A session that fails at a time, or that does not come to an end."""

    def __init__(self, fails):
        self.fails, self.never = fails, threading.Event()
        if fails == "open":
            raise ConnectionError("no route to host\nfor a long time")

    def log(self, points):
        if self.fails == "log":
            raise ConnectionError("no route to host\nfor a long time")
        if self.fails == "hang":
            self.never.wait(20)

    def end(self, end):
        if self.fails == "end":
            raise ConnectionError("no route to host\nfor a long time")


@pytest.mark.parametrize("fails", ["open", "log", "end", "hang"])
def test_a_tracker_that_fails_is_named_once_and_nothing_is_lost(fails, tmp_path, monkeypatch):
    monkeypatch.setattr(live, "SECONDS", 0.001)
    monkeypatch.setattr(live, "PATIENCE", 0.2)
    monkeypatch.setattr(tensorboard, "Session", lambda folder, options: Broken(fails))
    said = []
    options = {**LINEAR, "epochs": 2, "out": tmp_path / "mine"}
    run = gradus.train("digits", **options, track="tensorboard", tell=said.append)
    why = "has not taken all within 0 seconds" if fails == "hang" else (
        "follows no longer: no route to host"
    )  # fmt: skip
    assert said == [
        f"tensorboard {why}; the run is recorded all the same: gradus export "
        f"{tmp_path / 'mine'} --to tensorboard writes it"
    ]
    whole = gradus.train("digits", **LINEAR, epochs=2)
    assert run.history.equals(whole.history)
    assert gradus.open_run(tmp_path / "mine").evaluation.equals(whole.evaluation)


def test_a_run_that_an_error_ends_is_failed_to_its_trackers(tmp_path):
    def fail(run):
        raise ValueError("mine")

    options = {**LINEAR, "epochs": 2, "out": tmp_path / "mine", "callbacks": [fail]}
    with pytest.raises(ValueError, match="mine"):
        gradus.train("digits", **options, track="tensorboard")
    events = read(tmp_path / "mine/tensorboard")
    status = events.Tensors("status/text_summary")[0].tensor_proto.string_val[0]
    assert status == b"failed"


def test_the_command_line_says_how_it_is_seen(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["train", "--model", "linear", "--epochs", "1", *TRACKED])
    assert not ended.value.code
    assert "tensorboard    tensorboard --logdir mine/tensorboard" in capsys.readouterr().out
    assert len(list((tmp_path / "mine/tensorboard").glob("events.out.*"))) == 1


@pytest.mark.parametrize(
    ("track", "message"),
    [
        ("tensorbord", r"track=tensorbord: choose tensorboard \| mlflow \| wandb"),
        ("tensorboard", "track=tensorboard: has no folder to write into; give out="),
        ({"tensorboard": "."}, "track=tensorboard: .: is there already"),
        (3, 'track=3: give names, as "tensorboard,mlflow"'),
    ],
)
def test_what_cannot_be_tracked_is_one_line(track, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "held").touch()
    with pytest.raises(gradus.InputError, match=message):
        gradus.train("digits", **LINEAR, epochs=1, track=track)


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_an_absent_tracker_is_one_line_before_anything_else(name, tmp_path, monkeypatch):
    monkeypatch.setattr(f"gradus.exchange.{name}.find_spec", lambda name: None)
    said = rf"track={name}: .* is not installed; pip install 'gradus\[trackers\]'"
    with pytest.raises(gradus.InputError, match=said):
        gradus.train("digits", out=tmp_path / "mine", track=name)
    assert not (tmp_path / "mine").exists()


@pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is None,
    reason="mlflow is not installed here: pip install 'gradus[trackers]'",
)
@pytest.mark.filterwarnings("ignore")
def test_mlflow_follows(tmp_path, monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    said = []
    options = {**LINEAR, "epochs": 2, "out": "mine", "tell": said.append}
    run = gradus.train("digits", **options, track="mlflow")
    assert said == []
    client = MlflowClient(tracking_uri="sqlite:///mlflow.db")
    (found,) = client.search_runs([client.get_experiment_by_name("gradus").experiment_id])
    assert (found.info.run_name, found.info.status) == ("mine", "FINISHED")
    assert float(found.data.params["lr"]) == 0.1
    losses = client.get_metric_history(found.info.run_id, "loss")
    assert [m.step for m in losses] == run.history["step"].to_pylist()
    final = found.data.metrics["final/test_loss"]
    assert final == pytest.approx(run.summary["final"]["test_loss"])


@pytest.mark.skipif(
    importlib.util.find_spec("wandb") is None,
    reason="wandb is not installed here: pip install 'gradus[trackers]'",
)
@pytest.mark.filterwarnings("ignore")
def test_wandb_follows_offline(tmp_path, monkeypatch):
    from tests.exchange.test_trackers import records_of

    for name in ("WANDB_MODE", "WANDB_DIR", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    said = []
    options = {**LINEAR, "epochs": 2, "tell": said.append}
    run = gradus.train("digits", **options, track={"wandb": tmp_path / "kept"})
    assert said == []
    (file,) = (tmp_path / "kept/wandb").glob("offline-run-*/*.wandb")
    records = records_of(file)
    names = [
        item.key or item.nested_key[0]
        for each in records
        if each.HasField("history")
        for item in each.history.item
    ]
    assert names.count("loss") == run.history.num_rows
    assert names.count("evaluation/train_loss") == 2
