"""What a run records of how good its model is: held to the model itself, in every engine alike."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import sklearn.metrics as sk
import torch

import gradus
from gradus import InputError, RunSpec
from gradus.data.dataset import Dataset, Split
from gradus.data.loading import load
from gradus.runs.judging import targets_of

QUICK = {"model": "linear", "epochs": 2, "lr": 0.1, "log_every": 20}


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A table with a number to predict, in hundreds of thousands."""
    path = tmp_path_factory.mktemp("house") / "houses.csv"
    random = np.random.default_rng(0)
    area = random.uniform(0.5, 2, 150)
    price = 300_000 * area + random.normal(0, 20_000, 150)
    lines = [f"{a:.3f},{p:.0f}" for a, p in zip(area, price, strict=True)]
    path.write_text("area,price\n" + "\n".join(lines) + "\n")
    return str(path)


def probabilities(run):
    x, y = load("digits").test.batch()
    with torch.no_grad():
        return run.model(x).double().softmax(dim=1).numpy(), y.numpy()


@pytest.mark.parametrize("engine", ["eager", "native", "stacked"])
@pytest.mark.parametrize("loss", ["cross-entropy", "nll", "kl-div"])
def test_the_figures_are_those_of_the_model_that_is_kept(engine, loss, tmp_path):
    run = gradus.train(RunSpec(**QUICK, engine=engine, loss=loss), out=tmp_path)
    p, y = probabilities(run)
    expected = {
        "accuracy": sk.accuracy_score(y, p.argmax(axis=1)),
        "f1": sk.f1_score(y, p.argmax(axis=1), average="macro"),
        "log_loss": sk.log_loss(y, p),
        "auc": sk.roc_auc_score(y, p, multi_class="ovr"),
    }
    figures = run.summary["figures"]["test"]
    # Of outputs in float32, which engines round otherwise; a share of 360 examples is exact.
    for name, value in expected.items():
        assert figures[name]["value"] == pytest.approx(value, rel=1e-5)
    assert figures["log_loss"]["constant"] == pytest.approx(
        run.summary["constant"]["test_loss"], rel=1e-6
    )
    assert figures["accuracy"]["constant"] == run.summary["constant"]["test_accuracy"]
    counts = np.bincount(p.argmax(axis=1), minlength=10)
    assert run.summary["answers"] == {
        "commonest": str(counts.argmax()), "times": counts.max(), "examples": 360
    }  # fmt: skip
    opened = gradus.open_run(tmp_path)
    assert opened.summary["figures"] == run.summary["figures"]
    np.testing.assert_allclose(opened.test_predictions.probabilities, p, rtol=1e-4, atol=1e-7)
    assert opened.test_predictions.labels.tolist() == y.tolist()


@pytest.mark.parametrize("engine", ["eager", "native", "stacked"])
def test_numbers_are_judged_in_their_own_unit(engine, house, tmp_path):
    spec = RunSpec(data=house, target="price", model="linear", epochs=40, lr=0.03, engine=engine)
    run = gradus.train(spec, out=tmp_path)
    table = pq.read_table(tmp_path / "test.parquet")
    said, true = (table[name].to_numpy() for name in ("prediction", "target"))
    figures = run.summary["figures"]["test"]
    assert figures["rmse"]["value"] == pytest.approx(sk.root_mean_squared_error(true, said))
    assert figures["r2"]["value"] == pytest.approx(sk.r2_score(true, said))
    assert 10_000 < figures["mae"]["low"] < figures["mae"]["value"] < figures["mae"]["constant"]
    assert gradus.open_run(tmp_path).test_predictions.targets[:, 0].tolist() == true.tolist()


def test_of_a_table_it_says_which_columns_it_uses(house, tmp_path):
    """A column that says nothing of the price, in two features, beside the area."""
    lines = Path(house).read_text().split("\n")[1:-1]
    random = np.random.default_rng(1)
    rows = [f"{line},{random.choice(['north', 'south'])}" for line in lines]
    (tmp_path / "own.csv").write_text("area,price,side\n" + "\n".join(rows) + "\n")
    spec = RunSpec(data=str(tmp_path / "own.csv"), target="price", epochs=16)
    run = gradus.train(spec, out=tmp_path / "run")
    area, side = run.summary["importance"]
    assert (area["column"], side["column"]) == ("area", "side")
    # Of an almost perfect line twice the variance is lost.
    assert 1 < area["low"] < area["lost"] < 3
    assert abs(side["lost"]) < 0.1
    assert gradus.open_run(tmp_path / "run").summary["importance"] == run.summary["importance"]
    assert gradus.train(RunSpec(**QUICK)).summary["importance"] == []


def test_of_a_run_that_diverges_nothing_is_said(tmp_path):
    run = gradus.train(RunSpec(model="linear", lr=1e30, weight_decay=1e10), out=tmp_path)
    assert (run.status, run.summary["figures"], run.summary["answers"]) == ("diverged", None, None)
    with pytest.raises(InputError, match=r"test\.parquet: is missing"):
        _ = gradus.open_run(tmp_path).test_predictions
    with pytest.raises(InputError, match="tested nothing"):
        _ = gradus.train(RunSpec(model="linear", lr=1e30, weight_decay=1e10)).test_predictions


@pytest.mark.parametrize("damage", ["bytes", "column", "class"])
def test_damaged_predictions_are_one_line(damage, tmp_path):
    gradus.train(RunSpec(**QUICK), out=tmp_path)
    path = tmp_path / "test.parquet"
    if damage == "bytes":
        path.write_bytes(path.read_bytes()[:200])
    if damage == "column":
        pq.write_table(pq.read_table(path).drop_columns(["p(3)"]), path)
    if damage == "class":
        content = json.loads((tmp_path / "run.json").read_text())
        content["data"]["classes"] = [f"class {k}" for k in range(10)]
        (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"test\.parquet: the record cannot be read") as caught:
        _ = gradus.open_run(tmp_path).test_predictions
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("y", "classes", "expected"),
    [
        (torch.tensor([0, 1, 1, 1]), ("a", "b", "c"), {"shares": [0.25, 0.75, 0.0]}),
        (torch.tensor([[0.5, 0.5], [1.0, 0.0]]), ("a", "b"), {"shares": [0.75, 0.25]}),
        (
            torch.tensor([[1.0, 5.0], [2.0, 5.0], [4.0, 8.0], [5.0, 6.0]]),
            None,
            {"mean": [3.0, 6.0], "median": [3.0, 5.5]},
        ),
    ],
)
def test_what_the_training_targets_alone_say(y, classes, expected):
    data = Dataset(torch.zeros(len(y), 1), y, classes)
    task = "regression" if classes is None else "classification"
    assert targets_of(Split(data, data, "own", task)) == expected
