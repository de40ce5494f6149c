"""The moving average of the parameters: as PyTorch's, evaluated and saved, exact when resumed."""

import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import gradus
from gradus import InputError, train

torch.manual_seed(0)
X = torch.randn(96, 4)
Y = (X[:, 0] + X[:, 1] > 0).long()
NET = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
TEST = gradus.data.Dataset(X[:20], Y[:20])
DATA = gradus.data.Dataset(X, Y)
GIVEN = {"model": NET, "lr": 0.5, "ema": 0.9, "sampling": "sequential", "epochs": 2}
GIVEN |= {"test": TEST, "validation_fraction": 0}


@pytest.mark.parametrize("method", ["sgd", partial(torch.optim.SGD, lr=0.5, momentum=0.5)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_is_that_of_torch_and_what_is_evaluated(method, dtype):
    given = {**GIVEN, "method": method, "dtype": dtype, "loss": nn.CrossEntropyLoss()}
    if method != "sgd":
        del given["lr"]
    run = train(DATA, **given)
    model = copy.deepcopy(NET).to(getattr(torch, dtype))
    x = X.to(getattr(torch, dtype))
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.5)
    for start in [*range(0, len(X), 16)] * 2:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[start : start + 16]), Y[start : start + 16]).backward()
        optimizer.step()
        average.update_parameters(model)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for p, q in zip(run.model.parameters(), average.module.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=tolerance, atol=tolerance)
    tested = nn.functional.cross_entropy(average.module(x[:20]), Y[:20]).item()
    assert run.evaluation["test_loss"][-1].as_py() == pytest.approx(tested, rel=10 * tolerance)
    assert run.spec.title.endswith("bs-16 ema-0.9")


def test_a_callback_has_what_was_evaluated():
    losses = []

    class Seen:
        def on_epoch(self, run):
            loss = nn.functional.cross_entropy(run.model(X[:20]), Y[:20]).item()
            losses.append((loss, run.evaluation.validation_loss))

        def on_row(self, run):
            self.latest = run.model

    seen = Seen()
    run = train(DATA, **{**GIVEN, "validation": TEST, "callbacks": [seen]})
    assert [loss for loss, _ in losses] == pytest.approx([loss for _, loss in losses], rel=1e-5)
    assert not torch.equal(seen.latest[0].weight, run.model[0].weight)


def test_the_steps_do_not_depend_on_it():
    plain = train(DATA, **{**GIVEN, "ema": None}, engine="eager")
    averaged = train(DATA, **GIVEN)
    assert averaged.history.equals(plain.history)
    assert averaged.summary["not_native"] == (
        "the native engine does not average parameters over the steps"
    )
    assert not averaged.evaluation.equals(plain.evaluation)


def test_a_run_that_was_broken_off_goes_on_to_the_bit(tmp_path):
    whole = train(DATA, **{**GIVEN, "epochs": 4}, patience=None, keep="last")

    def breaks_off(job, split):
        def told(progress):
            if progress.step == 9:
                raise KeyboardInterrupt

        return told

    again = {"data": DATA, "model": NET, "test": TEST}
    train(DATA, **{**GIVEN, "epochs": 3}, keep="last", out=tmp_path, progress=breaks_off)
    assert gradus.resume(tmp_path, **again).status == "finished"
    run = gradus.resume(tmp_path, epochs=4, **again)
    assert run.evaluation.equals(whole.evaluation)
    for p, q in zip(run.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(p, q)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ema": 1.0}, "ema=1.0: must be less than 1"),
        ({"ema_decay": 0.9}, r"ema_decay: no such option \(did you mean ema\?\)"),
        (
            {"ema": 0.9, "engine": "stacked"},
            "engine=stacked: the stacked engine does not run par",
        ),
    ],
)
def test_what_is_wrong_is_one_line(options, said):
    with pytest.raises(InputError, match=said):
        train(DATA, **options)
