"""Gradients that are clipped and accumulated, and parameters in groups: as a plain PyTorch loop."""

from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import gradus
from gradus import InputError, RunSpec, train

RANDOM = np.random.default_rng(0)
X = torch.tensor(RANDOM.normal(size=(96, 4)), dtype=torch.float32)
Y = (X[:, 0] + X[:, 1] > 0).long()
DATA, TEST = gradus.data.Dataset(X, Y), gradus.data.Dataset(X[:20], Y[:20])
IN_ORDER = {"test": TEST, "validation_fraction": 0, "sampling": "sequential", "batch_size": 16}
DECAYED = {"lr": 0.01, "weight_decay": 0.5}


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))


def loop(make, clip=lambda parameters: None, batch_size=16):
    """A plain loop of two epochs: the losses, and the model."""
    model = net()
    optimizer, losses = make(model), []
    for start in [*range(0, len(X), batch_size)] * 2:
        optimizer.zero_grad()
        at = slice(start, start + batch_size)
        loss = nn.functional.cross_entropy(model(X[at]), Y[at])
        loss.backward()
        losses.append(loss.item())
        clip(model.parameters())
        optimizer.step()
    return losses, model


def assert_is(run, plain):
    np.testing.assert_allclose(run.history["loss"].to_numpy(), plain[0], rtol=2e-5)
    for p, q in zip(run.model.parameters(), plain[1].parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "clip"),
    [
        ({"clip_norm": 0.05}, partial(nn.utils.clip_grad_norm_, max_norm=0.05)),
        ({"clip_value": 0.01}, partial(nn.utils.clip_grad_value_, clip_value=0.01)),
        ({"clip_norm": 1e6}, lambda parameters: None),
    ],
)
@pytest.mark.parametrize("method", ["sgd", partial(torch.optim.SGD, lr=0.5, momentum=0.9)])
def test_gradients_are_clipped_as_torch_clips_them(options, clip, method):
    named = {"lr": 0.5, "momentum": 0.9} if method == "sgd" else {}
    given = {**IN_ORDER, **named, **options, "method": method, "epochs": 2}
    run = train(DATA, model=net(), keep="last", **given)
    assert run.summary["engine"] == ("native" if method == "sgd" else "eager")
    make = lambda model: torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)  # noqa: E731
    assert_is(run, loop(make, clip))


@pytest.mark.parametrize("engine", ["eager", "native"])
def test_mini_batches_accumulated_are_one_of_their_size(engine):
    given = {"model": net(), "lr": 0.5, "momentum": 0.9, "epochs": 2}
    run = train(DATA, accumulate=3, engine=engine, **IN_ORDER, **given)
    make = lambda model: torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)  # noqa: E731
    plain = loop(make, batch_size=48)
    assert_is(run, plain)
    assert run.spec.title.endswith("bs-16x3")
    loader = DataLoader(TensorDataset(X, Y), 16)
    assert_is(train(loader, test=TEST, accumulate=3, **given), plain)


@pytest.mark.parametrize(
    "method",
    [
        {"method": "adamw", **DECAYED},
        {"method": gradus.methods.AdamW(**DECAYED)},
        {"method": partial(torch.optim.AdamW, **DECAYED)},
    ],
)
def test_parameters_move_by_the_options_of_their_group(method):
    groups = [{"names": ["0"], "lr": 0.1}]
    given = {**IN_ORDER, **method, "parameters": groups, "decay": "weights", "epochs": 2}
    run = train(DATA, model=net(), **given)

    def make(model):
        own = [
            {"params": [model[2].weight]},
            {"params": [model[2].bias], "weight_decay": 0},
            {"params": [model[0].weight], "lr": 0.1},
            {"params": [model[0].bias], "lr": 0.1, "weight_decay": 0},
        ]
        return torch.optim.AdamW(own, **DECAYED)

    assert_is(run, loop(make))
    assert run.summary["objects"]["method"]["options"]["decay"] == "weights"


def test_frozen_parameters_are_in_no_group():
    model = net()
    model[0].requires_grad_(False)
    run = train(DATA, model=model, method="adamw", decay="weights", epochs=1, **IN_ORDER)
    assert torch.equal(run.model[0].weight, model[0].weight)
    with pytest.raises(InputError, match=r"^parameters 0: no parameter that moves is called so"):
        train(DATA, model=model, parameters=[{"names": "0", "lr": 1.0}], epochs=1, **IN_ORDER)


@pytest.mark.parametrize("broken_off", [False, True])
def test_a_run_with_groups_goes_on_to_the_bit(tmp_path, broken_off):
    groups = {"decay": "weights", "parameters": [{"names": ["0"], "lr": 0.1}]}
    named = {"method": "adamw", "lr": 0.01, **groups}

    def stop(run):
        if broken_off and run.epoch == 2:
            raise RuntimeError("the power fails")

    folder, given = tmp_path / "r", {"data": DATA, "test": TEST, "model": net()}
    with pytest.raises(RuntimeError) if broken_off else nullcontext():
        epochs = 1 + broken_off
        train(out=folder, epochs=epochs, callbacks=[stop], **given | named | IN_ORDER)
    with pytest.raises(InputError, match=r"moved in groups; give them again, as decay=weights, pa"):
        gradus.resume(folder, epochs=2, **given)
    with pytest.raises(InputError, match=r"^method=sgd: .* was trained by gradus.methods.AdamW"):
        gradus.resume(folder, epochs=2, method="sgd", **given | groups)
    with pytest.raises(InputError, match=r"its method was gradus.methods.AdamW, .* another"):
        gradus.resume(folder, epochs=2, **given, decay="weights")
    words = {} if broken_off else {"method": "adamw"}
    more = gradus.resume(folder, epochs=2, **given, **words, **groups)
    whole = train(epochs=2, **given | named | IN_ORDER)
    assert more.history.equals(whole.history)
    assert gradus.resume(folder).history.equals(whole.history)
    train(DATA, out=tmp_path / "plain", model=net(), method="adamw", epochs=1, **IN_ORDER)
    with pytest.raises(InputError, match=r"^decay: .* was begun without groups; leave decay out"):
        gradus.resume(tmp_path / "plain", epochs=2, decay="weights", **given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"accumulate": 30}, "accumulate=30: so many mini-batches of 16 are more than the 96"),
        ({"accumulate": 2, "sampling": "full", "batch_size": None}, "accumulate=2: needs mini-b"),
        ({"clip_norm": 0}, "clip_norm=0: must be greater than 0"),
        ({"clip_norm": 1, "method": "lbfgs"}, "clip_norm: is for first-order methods, which lbfgs"),
        ({"decay": "biases"}, "decay=biases: choose all | weights"),
        ({"parameters": [{"lr": 3}]}, "parameters {'lr': 3}: give a dict for each group, with the"),
        ({"parameters": [{"names": "5"}]}, "parameters 5: no parameter that moves is called so"),
        ({"parameters": [{"names": "0"}, {"names": "0.bias"}]}, "parameters 0.bias: stands in two"),
        ({"parameters": [{"names": "0", "lrr": 3}]}, "parameters lrr: is no option of SGD, which"),
        ({"decay": "weights", "method": "polyak"}, "decay=weights: Polyak has no weight_decay; le"),
        ({"decay": "weights", "method": "lbfgs"}, "parameters, decay: groups are for first-order"),
        ({"decay": "weights", "schedule": "cosine"}, "schedule=cosine: the method is an optimizer"),
        ({"decay": "weights", "penalty": "l1", "strength": 1, "proximal": True}, "proximal=True: "),
    ],
)
def test_what_is_wrong_is_said_in_one_line(options, message):
    with pytest.raises(InputError) as caught:
        train(DATA, model=net(), epochs=1, **IN_ORDER | options)
    assert str(caught.value).startswith(message)


def test_what_is_said_of_gradients_is_an_option_of_a_spec():
    spec = RunSpec(accumulate=2, clip_norm=1.0, clip_value=0.5)
    assert RunSpec.read(spec.model_dump()) == spec
