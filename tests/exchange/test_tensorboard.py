"""What is written for TensorBoard is what its own readers read."""

import sys

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams import metadata

import gradus
from gradus.cli import main
from gradus.exchange.tensorboard import write_run
from gradus.exchange.tracked import tracked
from gradus.sweep.result import RUNS

ALL = {"scalars": 0, "tensors": 0}


def said(command):
    with pytest.raises(SystemExit) as ended:
        main(command.split())
    return ended.value.code or 0


def read(folder):
    events = EventAccumulator(str(folder), size_guidance=ALL)
    events.Reload()
    return events


def scalars(events, tag):
    found = events.Scalars(tag)
    return [event.step for event in found], [event.value for event in found]


def session(events):
    """The options with which a run began, as the plugin reads them."""
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    values = metadata.parse_session_start_info_plugin_data(content).hparams
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in values.items()}


def experiment(events):
    content = events.SummaryMetadata(metadata.EXPERIMENT_TAG).plugin_data.content
    found = metadata.parse_experiment_plugin_data(content)
    return {i.name for i in found.hparam_infos}, {i.name.tag for i in found.metric_infos}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tracked")
    run = gradus.train(gradus.RunSpec(model="linear", epochs=2, log_every=20, lr=0.1))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("gradus.runs.saving.write_curve", lambda folder, run: None)
        run.save(folder / "mine")
        patched.chdir(folder)
        assert said("export mine --to tensorboard --out logs/mine") == 0
    return folder


def test_the_curves_of_a_run_stand_against_its_steps(folder):
    run, events = gradus.open_run(folder / "mine"), read(folder / "logs/mine")
    steps, losses = scalars(events, "loss")
    assert steps == run.history["step"].to_pylist()
    assert losses == pytest.approx(run.history["loss"].to_pylist())
    taken = run.summary["steps"]
    for tag, column in (
        ("evaluation/test_loss", "test_loss"), ("evaluation/train_loss", "train_loss"),
    ):  # fmt: skip
        steps, values = scalars(events, tag)
        there = run.evaluation[column].is_valid().to_numpy()
        assert steps == np.array([taken // 2, taken])[there].tolist()
        assert values == pytest.approx(run.evaluation[column].drop_null().to_pylist())
    began = [event.wall_time for event in events.Scalars("loss")]
    assert began == sorted(began)


def test_options_and_final_figures_are_in_hparams(folder):
    run, events = gradus.open_run(folder / "mine"), read(folder / "logs/mine")
    options = session(events)
    assert options["lr"] == 0.1
    assert options["method"] == "sgd"
    assert options["model"] == "linear"
    names, metrics = experiment(events)
    assert {"lr", "momentum", "batch_size"} <= names
    for tag in metrics:
        (value,) = scalars(events, tag)[1]
        assert value == pytest.approx(run.summary["final"][tag.removeprefix("final/")])


def test_a_loop_of_ones_own_is_written_too(tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr("gradus.recording.recorder.write_curve", lambda folder, run: None)
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    with gradus.record(tmp_path / "loop", optimizer, model, config={"width": 7}) as run:
        for loss in (2.0, float("nan"), 1.0):
            optimizer.step()
            run.log(loss, batch=4)
        run.evaluate(1, test_loss=0.5, bleu=30)
    write_run(tracked(gradus.open_run(tmp_path / "loop")), tmp_path / "logs")
    events = read(tmp_path / "logs")
    steps, losses = scalars(events, "loss")
    assert (steps, np.isnan(losses).tolist()) == ([0, 1, 2], [False, True, False])
    assert scalars(events, "final/bleu") == ([3], [30.0])
    assert session(events) == {
        "model": "Linear", "method": "Adam", "lr": 0.02, "betas": "0.9,0.999", "batch_size": 4.0,
        "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False, "maximize": False, "width": 7.0,
        "decoupled_weight_decay": False,
    }  # fmt: skip


def test_a_sweep_is_a_parent_with_a_child_a_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    base = {"model": "linear", "epochs": 1, "log_every": 50}
    sweep = gradus.train_sweep(
        gradus.SweepSpec(base=base, vary={"lr": "1,0.1"}), name="rates", workers=1
    )
    assert said("export rates --to tensorboard --out logs") == 0
    assert "2 runs" in capsys.readouterr().out
    found = EventMultiplexer().AddRunsFromDirectory("logs")
    found.Reload()
    assert set(found.Runs()) == {".", *sweep.runs["run"].to_pylist()}
    names, metrics = experiment(found.GetAccumulator("."))
    assert "lr" in names
    assert "final/validation_loss" in metrics
    for row in sweep.runs.to_pylist():
        events = found.GetAccumulator(row["run"])
        assert session(events)["lr"] == row["lr"]
        assert scalars(events, "final/test_loss")[1] == pytest.approx([row["test_loss"]])
        history = zip(*(sweep.history[name].to_pylist() for name in ("run", "step")), strict=True)
        assert scalars(events, "loss")[0] == [step for run, step in history if run == row["run"]]


def test_a_sweep_is_for_trackers(tmp_path):
    spec = gradus.SweepSpec(base={"model": "linear"}, vary={"lr": "1,0.1"})
    sweep = gradus.Sweep(tmp_path / "rates", spec, RUNS.empty_table())
    with pytest.raises(gradus.InputError, match="is a sweep, which goes to tensorboard, mlflow"):
        gradus.export(sweep, "csv")
    with pytest.raises(gradus.InputError, match="to=tensorbord: choose csv"):
        gradus.export(sweep, "tensorbord")


def test_what_cannot_be_written_is_one_line(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert said("export mine --to tensorboard --out logs") == 2
    assert "--out logs: is there already" in capsys.readouterr().err
    assert said("export none --to tensorboard") == 2
    assert "holds no record of a run" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert said("export mine --to tensorboard") == 2
    assert "pip install 'gradus[trackers]'" in capsys.readouterr().err
