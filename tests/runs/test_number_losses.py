"""Huber and pinball in a run on a table whose target is standardised, which no user sees."""

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_pinball_loss

import gradus
from gradus.runs.spec import RunSpec


@pytest.fixture(scope="module")
def waits(tmp_path_factory):
    """Waits of 100 and more, in a unit in which their deviation is more than 15."""
    generator = np.random.default_rng(0)
    length = generator.uniform(0, 1, 500)
    wait = 100 + 100 * length + 20 * generator.exponential(size=500)
    path = tmp_path_factory.mktemp("data") / "waits.csv"
    rows = np.column_stack([length, wait])
    np.savetxt(path, rows, "%.6f", ",", header="length,wait", comments="")
    return path


def trained(waits, **options):
    spec = RunSpec(data=str(waits), target="wait", model="linear", epochs=30, lr=0.02, **options)
    return gradus.train(spec)


def test_delta_is_in_deviations_of_the_target(waits):
    run = trained(waits, loss="huber", delta=0.5)
    said = run.on_test
    (target,) = run.preparation.goal.targets
    assert target.scale > 15
    scaled = [torch.from_numpy(each / target.scale) for each in (said.values, said.targets)]
    expected = torch.nn.functional.huber_loss(*scaled, delta=0.5).item()
    assert run.summary["test"]["loss"] == pytest.approx(expected, rel=1e-4)
    assert run.summary["engine"] == "native"


def test_what_pinball_predicts_is_above_its_share_of_the_targets(waits):
    run = trained(waits, loss="pinball", quantile=0.9)
    said, (target,) = run.on_test, run.preparation.goal.targets
    below = float((said.targets < said.values).mean())
    assert 0.75 < below < 0.98
    expected = mean_pinball_loss(said.targets, said.values, alpha=0.9) / target.scale
    assert run.summary["test"]["loss"] == pytest.approx(expected, rel=1e-4)
    assert run.summary["test"]["loss"] < 0.9 * run.summary["constant"]["test_loss"]
    figures = run.summary["figures"]["test"]
    assert figures["pinball_loss"]["value"] == pytest.approx(expected * target.scale)
    assert figures["coverage"]["value"] == pytest.approx(below)
    constant = run.summary["constant"]["test_loss"] * target.scale
    assert figures["pinball_loss"]["constant"] == pytest.approx(constant, rel=1e-4)
    assert run.summary["importance"][0]["column"] == "length"
    assert list(run.evaluate(waits)) == list(figures)
