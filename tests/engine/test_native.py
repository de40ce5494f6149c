"""What only the native engine could do wrong."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import gradus
from gradus import kernels
from gradus.data.dataset import Dataset
from gradus.data.sampling import Sampling
from gradus.engine import eager, native, stepping
from gradus.engine.job import Job
from gradus.methods import Adam, GradientDescent, Proximal
from gradus.risk.penalties import L1, SquaredL2

pytestmark = pytest.mark.skipif(kernels.core() is None, reason=str(kernels.absence()))


def job(x, y, model, loss, *, classes=None, method=None, penalty=None, dtype=torch.float32):
    data = Dataset(x, y, classes=classes, dtype=dtype)
    return Job(
        model=model,
        loss=loss,
        penalty=penalty,
        method=method or GradientDescent(0.1),
        train=data,
        test=data,
        sampling=Sampling("full", len(data)),
        epochs=2,
        log_every=1,
        seed=0,
        device=torch.device("cpu"),
        dtype=dtype,
    )


def outcomes(given):
    """Of the native and of the eager engine."""
    other = copy.copy(given)
    object.__setattr__(other, "model", copy.deepcopy(given.model))
    return native.execute(given), eager.execute(other)


def test_subnormal_target_probabilities_are_no_divergence():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.LogSoftmax(dim=1))
    y = torch.tensor([[1.0, 0.0, 1e-40], [0.5, 0.5, 1e-44]])
    ours, theirs = outcomes(
        job(torch.rand(2, 3), y, model, gradus.KLDivLoss(reduction="batchmean"))
    )
    assert ours.status == theirs.status == "finished"
    for row, expected in zip(ours.history, theirs.history, strict=True):
        assert row.loss == pytest.approx(expected.loss, rel=1e-6)


@pytest.mark.parametrize("penalty", [L1(0.1), SquaredL2(0.1)])
def test_proximal_steps_do_not_hide_what_is_not_a_number(penalty):
    """An input that is always 0 has gradient 0, which Adam without eps divides by 0."""
    x = torch.rand(6, 4)
    x[:, 1] = 0
    method = Proximal(Adam(0.01, eps=0.0))
    given = job(
        x, torch.tensor([0, 1] * 3), nn.Linear(4, 2), gradus.CrossEntropyLoss(),
        classes=("a", "b"), method=method, penalty=penalty,
    )  # fmt: skip
    ours, theirs = outcomes(given)
    assert ours.status == theirs.status == "diverged"
    assert ours.divergence.step == theirs.divergence.step == 1


def test_a_class_of_weight_0_does_not_hide_an_infinite_loss():
    x = torch.tensor([[1.0, 2.0], [3e38, -3e38]])
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -2.0], [-3.0, 2.0]]))
    loss = gradus.CrossEntropyLoss(weight=torch.tensor([0.0, 1.0]))
    before = model.weight.clone()
    ours, theirs = outcomes(job(x, torch.tensor([1, 0]), model, loss, classes=("a", "b")))
    assert ours.status == theirs.status == "diverged"
    assert ours.divergence.step == theirs.divergence.step == 0
    assert torch.equal(model.weight, before)


def test_the_time_of_a_test_pass_is_no_time_of_the_machine():
    given = job(torch.rand(8, 3), torch.rand(8, 2), nn.Linear(3, 2), gradus.MSELoss())
    execution = native._Execution(given, lambda progress: None)
    execution.judge("test")
    assert sum(execution.network.timings().values()) < 60


def test_results_that_would_go_into_a_copy_are_refused():
    given = job(torch.rand(8, 3), torch.rand(8, 2), nn.Linear(3, 2), gradus.MSELoss())
    execution = native._Execution(given, lambda progress: None)
    order, rates = np.arange(8), np.full(1, 0.1)
    with pytest.raises(TypeError):
        execution.network.run(execution.data, order, 8, rates, np.empty(1, np.float32))
    with pytest.raises(ValueError, match="every step"):
        execution.network.run(execution.data, order, 4, rates, np.empty(2))


class TestCalls:
    """Of how many steps, and by how many threads."""

    def test_calls_grow_to_a_tenth_of_a_second(self):
        calls = stepping._Calls(1)
        sizes = []
        for _ in range(6):
            sizes.append(calls.steps())
            calls.took(1e-4 * sizes[-1], sizes[-1], 0.0)
        assert sizes == [1, 8, 64, 512, 1000, 1000]
        calls.took(1.0, 10, 0.0)
        assert calls.steps() == 1

    def test_threads_that_wait_leave_one_alone_and_come_back(self):
        calls = stepping._Calls(2)
        calls.took(0.1, 100, 0.02)
        assert calls.threads == 2
        calls.took(0.1, 100, 0.02 + 0.06)
        for _ in range(stepping.CALLS_ALONE):
            assert calls.threads == 1
            calls.took(0.1, 100, 0.08)
        assert calls.threads == 2

    def test_short_calls_say_nothing(self):
        calls = stepping._Calls(2)
        calls.took(0.001, 1, 0.0009)
        assert calls.threads == 2
