"""What a run is held against: its own beginning, where there is much to learn, and the constant."""

from dataclasses import replace

import pytest
import torch

import gradus
from gradus import RunSpec
from gradus.engine.job import Evaluation, Judged, Outcome
from gradus.runs import status
from gradus.runs.job import load_for, prepare


@pytest.mark.parametrize("device", ["cpu", "meta"])  # meta stands for any that is not the CPU
def test_the_beginning_is_evaluated_on_the_device_of_the_job(monkeypatch, device):
    spec, devices = RunSpec(model="linear"), []

    def evaluated(model, loss, data):
        devices.extend((next(model.parameters()).device.type, data.x.device.type))
        return Judged(2.0, None)

    monkeypatch.setattr(status, "evaluate", evaluated)
    split = load_for(spec, None)
    job = replace(prepare(spec, split), device=torch.device(device))
    if device == "meta":  # from where nothing comes back
        monkeypatch.setattr(job.model, "cpu", lambda: job.model)
    assert status.line_to_beat(job).beginning == 2.0
    assert devices == [device, device]


@pytest.mark.parametrize(
    ("end", "continued", "constant", "failed"),
    [
        (0.009, False, 1.0, True),  # no better than it began
        (0.009, True, 1.0, False),  # as good as it was given, and better than the constant
        (1.0, True, 1.0, True),
        (0.003, True, 1.0, False),
        (0.009, True, None, True),  # nothing else to beat
    ],
)
def test_a_run_that_goes_on_is_held_against_the_constant_alone(end, continued, constant, failed):
    parts = {} if constant is None else {"train": Judged(constant, None)}
    line = status.LineToBeat(0.004, parts, continued)
    row = Evaluation(1, 10, end, end, None, None, None, None, 10, None)
    outcome = Outcome(status="finished", evaluation=[row], kept_epoch=1)
    spec = RunSpec(model="linear")
    assert bool(line.failure(prepare(spec, load_for(spec, None)), outcome)) is failed


@pytest.mark.parametrize("goes_on", [False, True], ids=["drawn by seeds", "gone on from"])
def test_several_nets_that_do_not_move_end_as_they_began(goes_on):
    spec = RunSpec(
        model="linear", models=3, lr=1e-30, epochs=1, momentum=0.0, validation_fraction=0.2
    )
    given = gradus.train(spec)
    run = gradus.train(spec, start=given) if goes_on else given
    assert run.status == "failed"
    found = run.summary["failure"]
    assert found["train_loss"] == found["train_loss_at_the_beginning"]
    assert "the steps are far too small; try --lr" in found["hint"]


@pytest.mark.parametrize(
    ("lr", "said"),
    [(1e6, "diverged at step "), (1e-30, "ended with training loss "), (0.1, None)],
)
def test_a_lost_run_is_told_of_as_it_is_returned(lr, said, caplog):
    x, told = torch.linspace(-1, 1, 40).unsqueeze(1), []
    data = x, 2 * x.squeeze(1)
    options = {"model": "linear", "loss": "mse", "epochs": 30, "batch_size": 8, "lr": lr}
    run = gradus.train(data, **options, tell=told.append)
    assert gradus.train(data, **options).status == run.status
    warned = [each.getMessage() for each in caplog.records]
    assert told == warned
    assert [each.startswith(f"{run.title}: {said}") for each in told] == [True] * (said is not None)
