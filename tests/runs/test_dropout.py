"""Dropout of the shipped network: an option of it, native, and gone where the run is judged."""

import torch
from torch import nn

import gradus


def test_it_follows_every_hidden_layer_and_is_off_where_the_run_is_judged(tmp_path):
    drawn = torch.Generator().manual_seed(0)
    x = torch.randn(60, 4, generator=drawn)
    data = gradus.data.Dataset(x, (x[:, 0] > 0).long(), classes=("no", "yes"))
    given = {"hidden": (8, 8), "epochs": 2, "lr": 0.1, "test_fraction": 0.2}
    run, plain, eager = (
        gradus.train(data, **given, **changes, out=tmp_path / name)
        for name, changes in (
            ("dropped", {"dropout": 0.5}),
            ("plain", {}),
            ("eager", {"dropout": 0.5, "engine": "eager"}),
        )
    )
    kinds = [type(layer) for layer in run.model if not isinstance(layer, nn.Flatten)]
    assert kinds == [*(2 * [nn.Linear, nn.ReLU, nn.Dropout]), nn.Linear]
    assert (run.summary["engine"], run.spec.dropout, plain.spec.dropout) == ("native", 0.5, 0.0)
    torch.testing.assert_close(
        torch.tensor(run.history["loss"].to_pylist()),
        torch.tensor(eager.history["loss"].to_pylist()),
        rtol=1e-5,
        atol=1e-6,
    )
    assert not run.history.equals(plain.history)
    opened = gradus.open_run(tmp_path / "dropped")
    outputs = [each.model.eval()(x) for each in (run, opened)]
    assert torch.equal(*outputs)
