"""Products in bfloat16: as PyTorch's own autocast takes them, and refused where they do not pay."""

import pytest
import torch
from torch import nn

import gradus
from gradus import InputError, train

torch.manual_seed(1)
X = torch.randn(96, 4)
Y = (X[:, 0] + X[:, 1] > 0).long()
IN_ORDER = {"test": gradus.data.Dataset(X[:20], Y[:20]), "validation_fraction": 0}
IN_ORDER |= {"sampling": "sequential", "lr": 0.5, "momentum": 0.9, "epochs": 2}
DATA = gradus.data.Dataset(X, Y)


@pytest.fixture
def capable(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))


def test_products_are_those_of_autocast_and_the_parameters_stay_float32(capable):
    run = train(DATA, model=net(), precision="bf16", engine="eager", **IN_ORDER)
    model, losses = net(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    for start in [*range(0, len(X), 16)] * 2:
        at = slice(start, start + 16)
        with torch.autocast("cpu", torch.bfloat16):
            output = model(X[at])
        loss = nn.functional.cross_entropy(output.float(), Y[at])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert run.history["loss"].to_pylist() == pytest.approx(losses, rel=1e-5)
    for p, q in zip(run.model.parameters(), model.parameters(), strict=True):
        assert p.dtype == torch.float32
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-5)
    exact = train(DATA, model=net(), engine="eager", **IN_ORDER)
    assert exact.history["loss"].to_pylist() != run.history["loss"].to_pylist()
    tested = nn.functional.cross_entropy(run.model(X[:20]), Y[:20]).item()
    assert run.summary["final"]["test_loss"] == pytest.approx(tested, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dtype": "float64"}, "precision=bf16: is for runs in float32; leave out dtype=float64"),
        ({"method": "lbfgs"}, "precision=bf16: is for first-order methods, which lbfgs is not"),
        ({"engine": "stacked"}, "engine=stacked: .* does not run products in bfloat16; use"),
    ],
)
def test_what_does_not_go_with_it_is_one_line(capable, options, said):
    with pytest.raises(InputError, match=said):
        train(DATA, precision="bf16", **options)


def test_a_processor_without_it_is_told(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True})
    with pytest.raises(InputError, match=r"^precision=bf16: this processor has neither AVX512_BF"):
        train(DATA, precision="bf16")
