"""What a run is held against is measured where the run takes place."""

from dataclasses import replace

import pytest
import torch

from gradus import RunSpec
from gradus.engine.job import Judged
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
