"""A model whose training calls are compiled: the same run, or one line."""

import pytest
import torch
from torch import nn

from gradus import InputError, train

torch.manual_seed(0)
X = torch.randn(60, 4)
DATA = (X, (X[:, 0] > 0).long())
NET = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 2))


@pytest.mark.parametrize("options", [{}, {"ema": 0.9}, {"accumulate": 2, "clip_norm": 1.0}])
def test_every_training_call_goes_through_what_is_compiled(monkeypatch, options):
    calls = []

    def compiled(function):
        def called(x):
            calls.append(len(x))
            return function(x)

        return called

    monkeypatch.setattr(torch, "compile", compiled)
    given = {"model": NET, "lr": 0.1, "epochs": 2, **options}
    run = train(DATA, compile=True, **given)
    plain = train(DATA, engine="eager", **given)
    assert run.history.equals(plain.history)
    assert run.evaluation.equals(plain.evaluation)
    assert sum(calls) == run.summary["samples"]
    assert list(run.model.state_dict()) == list(NET.state_dict())
    assert "compiles" in run.summary["not_native"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, r"^compile=True: there is no C\+\+ compiler here \(nothing-of-the-kind\); leave"),
        ({"method": "newton-cg"}, "^compile=True: is for first-order methods, which newton-cg"),
    ],
)
def test_what_is_missing_is_one_line(monkeypatch, options, said):
    monkeypatch.setenv("CXX", "nothing-of-the-kind")
    with pytest.raises(InputError, match=said):
        train(DATA, model=NET, compile=True, **options)
