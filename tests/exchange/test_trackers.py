"""What is written for MLflow and Weights & Biases is what they read; skipped where they are not."""

import importlib.util
import json
import struct
import sys
import time

import pytest

import gradus
from gradus.cli import main
from gradus.exchange.tracked import Curve, Tracked, tracked

ABSENT = "is not installed here: pip install 'gradus[trackers]'"


def lacks(name):
    return pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} {ABSENT}")


def said(command):
    with pytest.raises(SystemExit) as ended:
        main(command.split())
    return ended.value.code or 0


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = {"model": "linear", "epochs": 1, "log_every": 50}
    return gradus.train_sweep(
        gradus.SweepSpec(base=base, vary={"lr": "1,0.1"}), name="rates", workers=1
    )


@lacks("mlflow")
@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_a_parent_with_a_child_a_run(sweep):
    from mlflow import MlflowClient

    assert said("export rates --to mlflow --out kept/mlflow.db") == 0
    client = MlflowClient(tracking_uri="sqlite:///kept/mlflow.db")
    experiment = client.get_experiment_by_name("rates").experiment_id
    runs = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert set(runs) == {"rates", *sweep.runs["run"].to_pylist()}
    parent = runs["rates"].info.run_id
    for row in sweep.runs.to_pylist():
        run = runs[row["run"]]
        assert run.data.tags["mlflow.parentRunId"] == parent
        assert run.info.status == "FINISHED"
        assert float(run.data.params["lr"]) == row["lr"]
        assert run.data.metrics["final/test_loss"] == pytest.approx(row["test_loss"])
        losses = client.get_metric_history(run.info.run_id, "loss")
        history = sweep.history.to_pylist()
        assert [(m.step, m.value) for m in losses] == [
            (r["step"], pytest.approx(r["loss"])) for r in history if r["run"] == row["run"]
        ]


def blocks(path):
    """The records of the file of an offline run: the log format of LevelDB behind 7 bytes."""
    content, at, parts = path.read_bytes(), 7, []
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:  # a header does not cross the end of a block
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        parts.append(content[at + 7 : at + 7 + length])
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part of one
            yield b"".join(parts)
            parts = []


def records_of(path):
    """What an offline run holds, once the process of wandb that writes it has ended it."""
    from wandb.proto import wandb_internal_pb2

    records, until = [], time.monotonic() + 20
    while not any(each.HasField("exit") for each in records) and time.monotonic() < until:
        time.sleep(0.05)
        records = [wandb_internal_pb2.Record.FromString(data) for data in blocks(path)]
    return records


@lacks("wandb")
@pytest.mark.filterwarnings("ignore")
def test_wandb_offline_has_a_group_of_runs(sweep, tmp_path):
    assert said("export rates --to wandb --out kept") == 0
    files = sorted((tmp_path / "kept/wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == sweep.runs.num_rows
    for file in files:
        records = records_of(file)
        (run,) = (record.run for record in records if record.HasField("run"))
        assert (run.run_group, run.project) == ("rates", "gradus")
        config = {item.key: json.loads(item.value_json) for item in run.config.update}
        (row,) = (r for r in sweep.runs.to_pylist() if r["run"] == run.display_name)
        assert config["lr"] == row["lr"]
        logged = [
            {
                item.key or item.nested_key[0]: json.loads(item.value_json)
                for item in each.history.item
            }
            for each in records
            if each.HasField("history")
        ]
        losses = [line["loss"] for line in logged if "loss" in line]
        history = [r["loss"] for r in sweep.history.to_pylist() if r["run"] == row["run"]]
        assert losses == pytest.approx(history)
        told = {
            item.key or item.nested_key[0]: json.loads(item.value_json)
            for each in records
            if each.HasField("summary")
            for item in each.summary.update
        }
        assert told["final/test_loss"] == pytest.approx(row["test_loss"])


@pytest.mark.parametrize("to", ["mlflow", "wandb"])
def test_an_absent_tracker_is_one_line(tmp_path, monkeypatch, capsys, to):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gradus.runs.saving.write_curve", lambda folder, run: None)
    gradus.train(gradus.RunSpec(model="linear", epochs=1), out="mine")
    monkeypatch.setitem(sys.modules, to, None)
    assert said(f"export mine --to {to}") == 2
    assert "is not installed; pip install 'gradus[trackers]'" in capsys.readouterr().err


def test_what_trackers_are_told_of_a_run():
    """Steps of an epoch are those that were taken until then, whatever rows were logged."""
    for every in (1, 7, 90):
        run = gradus.train(gradus.RunSpec(model="linear", epochs=3, log_every=every, batch_size=50))
        found = tracked(run)
        (curve,) = (each for each in found.curves if each.name == "running_train_loss")
        per_epoch = run.summary["steps"] // 3
        assert curve.steps.tolist() == [per_epoch, 2 * per_epoch, 3 * per_epoch]
        assert found.steps == run.summary["steps"]
    assert isinstance(found, Tracked)
    assert isinstance(curve, Curve)
