"""A run decides by its threshold wherever it predicts, unless another is given."""

import json

import numpy as np
import onnxruntime
import pytest
import sklearn.metrics as sk

import gradus
from gradus import InputError, RunSpec
from gradus.cli import main
from gradus.runs.train import train

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(400, 2)).round(3)
Y = np.where(X[:, 0] + RANDOM.normal(size=400) > 1.8, "yes", "no")
CHEAP = {"hidden": (8,), "models": 1, "epochs": 4, "target": "y", "pieces": 0}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "rare.csv"
    rows = [f"{a},{b},{y}" for (a, b), y in zip(X, Y, strict=True)]
    path.write_text("\n".join(["a,b,y", *rows]))
    return path


@pytest.fixture(scope="module")
def run(table):
    spec = RunSpec(data=str(table), threshold="f1", **CHEAP)
    train(spec, out=table.parent / "run")
    return gradus.open_run(table.parent / "run")


def test_it_is_chosen_on_the_validation_part_and_kept(run, table):
    found = run.summary["threshold"]
    assert (found["class"], found["measure"]) == ("yes", "f1")
    assert found["validation"] > found["likeliest"]
    p = run.predict_proba({"a": X[:, 0], "b": X[:, 1]})[:, 1]
    said = np.array(run.predict(table)["prediction"].to_pylist())
    assert np.array_equal(said == "yes", p >= found["at"])


def test_figures_and_predictions_of_the_test_part_are_by_it(run):
    table = json.loads(json.dumps(run.test_predictions.table().to_pydict()))
    by = run.summary["threshold"]["at"]
    assert [said == "yes" for said in table["prediction"]] == [p >= by for p in table["p(yes)"]]
    figures = run.summary["figures"]["test"]
    assert figures["accuracy"]["value"] == sk.accuracy_score(table["target"], table["prediction"])
    assert figures["f1"]["value"] == pytest.approx(
        sk.f1_score(table["target"], table["prediction"], average="macro")
    )


@pytest.mark.parametrize(
    ("threshold", "taken"),
    [(0.2, lambda p: p >= 0.2), ("0.7", lambda p: p >= 0.7), ("no=0.9", lambda p: 1 - p < 0.9)],
)
def test_another_may_be_given(run, table, threshold, taken):
    p = run.predict_proba(table)[:, 1]
    said = np.array(run.predict(table, threshold=threshold)["prediction"].to_pylist())
    assert np.array_equal(said == "yes", taken(p))
    figures = run.evaluate(table, threshold=threshold)
    assert figures["accuracy"].value == pytest.approx(((said == "yes") == (Y == "yes")).mean())


def test_onnx_decides_by_it(run, tmp_path):
    run.export("onnx", tmp_path / "run.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "run.onnx"))
    said, _ = session.run(None, {"numbers": X.astype(np.float32)})
    expected = run.predict({"a": X[:, 0], "b": X[:, 1]})["prediction"].to_pylist()
    assert said.tolist() == expected


@pytest.fixture
def call(capsys):
    def called(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments)])
        return ended.value.code or 0, *capsys.readouterr()

    return called


def test_the_commands_take_one(run, table, tmp_path, call):
    out = tmp_path / "out.csv"
    assert call("predict", run.folder, table, "--threshold", "0.1", "--out", out)[0] == 0
    said = [line.split(",")[0].strip('"') for line in out.read_text().splitlines()[1:]]
    assert said == run.predict(table, threshold=0.1)["prediction"].to_pylist()
    code, lines, _ = call("evaluate", run.folder, table, "--threshold", "0.1")
    accuracy = 100 * np.mean(np.array(said) == Y)
    assert code == 0
    assert f"{accuracy:.2f} %" in lines.splitlines()[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": "f2"}, "threshold f2: give a probability between 0 and 1"),
        ({"threshold": 1.5}, "threshold 1.5: give a probability"),
        ({"threshold": "=0.5"}, "threshold =0.5: give a probability"),
        ({"threshold": "maybe=0.5"}, "--threshold maybe=0.5: no such class; there are no and yes"),
        ({"threshold": 0.5, "target": "a"}, "--threshold 0.5: is for two classes, and numbers are"),
        ({"threshold": "f1", "validation_fraction": 0}, "no examples are held for validation"),
    ],
)
def test_what_cannot_be_is_refused_before_training(table, options, message):
    with pytest.raises(InputError, match=message):
        train(RunSpec.read({"data": str(table), **CHEAP, **options}))


@pytest.mark.parametrize(
    ("given", "message"), [("f1", "give a probability"), ("maybe=0.5", "no such class")]
)
def test_what_cannot_be_is_one_line_in_predict(run, table, call, given, message):
    code, said, err = call("predict", run.folder, table, "--threshold", given)
    assert (code, said, err.count("\n")) == (2, "", 1)
    assert message in err
