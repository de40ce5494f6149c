"""New arrays go through what was fitted in training, in whatever they come."""

import json

import numpy as np
import onnxruntime
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch

import gradus
from gradus import InputError, RunSpec
from gradus.cli import main
from gradus.runs.export import export
from gradus.runs.judging import probabilities
from gradus.runs.train import train

RANDOM = np.random.default_rng(0)
N, TRAIN = 60, 40
X = RANDOM.normal(100, 30, (N, 3))
PIXELS = RANDOM.integers(0, 256, (N, 4, 5), dtype=np.uint8)
BRIGHT = np.where(PIXELS.mean(axis=(1, 2)) > 127, "bright", "dark")
CHEAP = {"hidden": (4,), "epochs": 2, "log_every": 99, "models": 1, "batch_size": 8}
RUNS = {
    "numbers": (X, X[:, 0] * 3 + 1000, {"standardize_target": True}),
    "two": (X, X[:, :2] + 50, {"loss": "mse", "standardize_target": True}),
    "gaps": (np.where(RANDOM.random(X.shape) < 0.1, np.nan, X), X[:, 0], {"missing": "mean"}),
    "classes": (X, np.array([7, 3, 12])[RANDOM.integers(0, 3, N)], {"loss": "nll"}),
    "shares": (X, RANDOM.dirichlet(np.ones(3), N), {"loss": "kl-div"}),
    "pixels": (PIXELS, BRIGHT, {}),
    "volumes": (RANDOM.normal(5, 2, (N, 2, 3, 4)), np.arange(N) % 2, {"dtype": "float64"}),
    "as they are": (X / 100, np.arange(N) % 2 == 0, {"standardize": False}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("arrays")


@pytest.fixture(scope="module")
def run_of(folder):
    """Runs by name, each trained once and opened from its record."""

    def found(name):
        out = folder / name
        if not out.exists():
            x, y, options = RUNS[name]
            np.savez(folder / f"{name}.npz", x_train=x[:TRAIN], y_train=y[:TRAIN],
                     x_test=x[TRAIN:], y_test=y[TRAIN:])  # fmt: skip
            spec = {"standardize": True, "data": str(folder / f"{name}.npz"), **CHEAP, **options}
            train(RunSpec(**spec), out=out)
        return gradus.open_run(out)

    return found


def by_hand(run, x):
    """The outputs of the model, from the record alone and without the code that prepares."""
    record = json.loads((run.folder / "preparation.json").read_text())
    z = x.astype(np.float64) / record["scale"]
    if record["fill"]:
        z = np.where(np.isnan(z), record["fill"], z)
    if record["centre"]:
        z = (z - record["centre"]) / record["spread"]
    z = torch.from_numpy(z.reshape(-1, *record["shape"])).to(getattr(torch, run.spec.dtype))
    with torch.no_grad():
        return run.model(z), record["goal"]


@pytest.mark.parametrize("name", RUNS)
def test_predictions_are_what_the_record_says(run_of, name):
    run, (x, _, _) = run_of(name), RUNS[name]
    outputs, goal = by_hand(run, x)
    found = run.predict(x)
    if goal["kind"] == "quantities":
        scale, centre = (
            [target[what] for target in goal["targets"]] for what in ("scale", "centre")
        )
        names = ["prediction"] if len(scale) == 1 else ["prediction(0)", "prediction(1)"]
        assert found.column_names == names
        expected = outputs.double().numpy() * scale + centre
        np.testing.assert_allclose(np.column_stack(found.columns), expected, rtol=1e-4)
    else:
        assert found.column_names == ["prediction", *(f"p({each})" for each in goal["names"])]
        shares = probabilities(outputs, logarithms=run.spec.takes_log_probabilities)
        np.testing.assert_allclose(run.predict_proba(x), shares, rtol=1e-4, atol=1e-6)
        likeliest = [goal["names"][at] for at in shares.argmax(axis=1)]
        assert found["prediction"].to_pylist() == likeliest


@pytest.mark.parametrize("name", RUNS)
def test_on_its_test_part_it_is_as_good_as_training_said(run_of, tmp_path, name):
    """What prepares new examples is what prepared those of training."""
    run, (x, y, _) = run_of(name), RUNS[name]
    said = {key: figure["value"] for key, figure in run.summary["figures"]["test"].items()}
    np.savez(tmp_path / "test.npz", x=x[TRAIN:], y=y[TRAIN:])
    for found in (run.evaluate(x[TRAIN:], y[TRAIN:]), run.evaluate(tmp_path / "test.npz")):
        assert {key: figure.value for key, figure in found.items()} == pytest.approx(said, rel=1e-5)


@pytest.mark.parametrize("name", ["numbers", "pixels"])
@pytest.mark.parametrize("kind", ["npz", "npy", "mapped", "array", "tensor", "big endian"])
def test_arrays_of_any_kind(run_of, tmp_path, name, kind):
    run, (x, _, _) = run_of(name), RUNS[name]
    np.savez(tmp_path / "new.npz", x=x[:7])
    np.save(tmp_path / "new.npy", x[:7])
    given = {
        "npz": tmp_path / "new.npz",
        "npy": str(tmp_path / "new.npy"),
        "mapped": np.load(tmp_path / "new.npy", mmap_mode="r"),
        "array": x[:7],
        "tensor": torch.from_numpy(x[:7].copy()),
        "big endian": x[:7].astype(x.dtype.newbyteorder(">")),
    }[kind]
    assert run.predict(given).equals(run.predict(x).slice(0, 7))


@pytest.mark.parametrize("name", ["numbers", "two", "gaps", "pixels", "volumes", "shares"])
def test_onnx_takes_arrays_as_they_are_held(run_of, tmp_path, name):
    run, (x, _, _) = run_of(name), RUNS[name]
    written = export(run, "onnx", tmp_path / "run.onnx")
    assert "as arrays hold it" in written.notes[0]
    given = x.reshape(-1, *run.preparation.shape)
    given = given if x.dtype == np.uint8 else given.astype(run.spec.dtype)
    session = onnxruntime.InferenceSession(str(tmp_path / "run.onnx"))
    found = session.run(None, {"x": given})
    expected = run.predict(given)
    if run.summary["data"]["classes"]:
        assert found[0].tolist() == expected["prediction"].to_pylist()
        np.testing.assert_allclose(found[1], run.predict_proba(given), atol=1e-5)
    else:
        columns = np.column_stack(expected.columns)
        np.testing.assert_allclose(found[0].reshape(columns.shape), columns, rtol=1e-5)


def test_arrays_that_were_handed_over_are_predicted_from_too(run_of, tmp_path):
    x, y, options = RUNS["numbers"]
    arrays = gradus.train((x, y), standardize=True, **CHEAP, **options, out=tmp_path / "run")
    found = gradus.open_run(tmp_path / "run").predict(x)
    assert found.equals(arrays.predict(x))
    assert np.abs(np.array(found["prediction"]) - y).max() < np.ptp(y) * 2


def test_it_is_gone_on_from_with_arrays_of_other_files(run_of, tmp_path):
    before, (x, y, _) = run_of("numbers"), RUNS["numbers"]
    np.save(tmp_path / "x.npy", x[:30] + 1)
    np.save(tmp_path / "y.npy", y[:30])
    files = {"data": str(tmp_path / "x.npy"), "target": str(tmp_path / "y.npy")}
    run = train(before.spec.model_copy(update=files), start=before)
    assert run.preparation == before.preparation
    assert run.evaluate(x, y)["rmse"].value != before.evaluate(x, y)["rmse"].value


def test_other_targets_of_the_same_rows_do_not_let_those_test_that_trained(tmp_path):
    x = np.random.default_rng(1).normal(size=(60, 2))
    np.save(tmp_path / "x.npy", x)
    files = []
    for at in (0, 1):
        files.append(tmp_path / f"y{at}.npy")
        np.save(files[at], np.where(x[:, at] > 0, "a", "b"))
    spec = RunSpec(data=str(tmp_path / "x.npy"), target=str(files[0]), **CHEAP)
    before = train(spec)
    other = RunSpec(data=spec.data, target=str(files[1]), **CHEAP)
    with pytest.raises(InputError, match="--target is what it is there, and cannot be another"):
        train(other, start=before)


def test_a_data_set_known_by_name_predicts_too(tmp_path):
    run = train(RunSpec(model="linear", epochs=1, log_every=99), out=tmp_path / "run")
    images = RANDOM.integers(0, 17, (3, 8, 8), dtype=np.uint8)
    found = gradus.open_run(tmp_path / "run").predict(images)
    assert found.column_names == ["prediction", *(f"p({digit})" for digit in range(10))]
    assert found.equals(run.predict(images))


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("numbers", X[:, :2], "has shape [60, 2], and the model takes [N, 3]"),
        ("numbers", X[:0], "is empty"),
        ("numbers", PIXELS, "holds bytes, and the model was trained on numbers"),
        ("numbers", np.array(["a"] * 3), "holds <U1, and the model was trained on numbers"),
        ("numbers", X * np.array([1, np.inf, 1]), "x[0, 1] is infinite"),
        ("volumes", RUNS["volumes"][0] * np.nan, "missing values (NaN) in 60 rows"),
        (
            "pixels",
            X,
            "holds float64, and the model was trained on bytes; give uint8 from 0 to 255",
        ),
        ("pixels", PIXELS[:, :3], "has shape [60, 3, 5], and the model takes [N, 1, 4, 5]"),
        ("pixels", PIXELS[0], "has shape [4, 5], and the model takes"),
        ("pixels", "new.csv", "new.csv: is no array"),
        ("pixels", "new.npz", "new.npz: array 'x' is missing"),
        ("pixels", "absent.npy", "absent.npy: cannot be read"),
    ],
)
def test_what_is_no_array_of_the_kind_is_refused(
    run_of, tmp_path, monkeypatch, name, given, message
):
    run = run_of(name)
    monkeypatch.chdir(tmp_path)
    np.savez("new.npz", images=PIXELS)
    with pytest.raises(InputError) as refusal:
        run.predict(given)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "x", "y", "message"),
    [
        ("classes", X, np.arange(N), "holds '0', a class that was not trained on; known are 3, 7"),
        ("classes", X, X, "takes class probabilities, y in the array[0] sums to"),
        ("numbers", X, X, "and the model was trained on 1 numbers"),
        ("numbers", X, BRIGHT, "and the model was trained on 1 numbers"),
        ("numbers", X, X[:5, 0], "'x' has 60 rows, 'y' has 5"),
        ("numbers", X, X[:, 0] * np.nan, "no example has a target"),
        ("numbers", X, None, "has no targets beside it; give them too, as run.evaluate(X, y)"),
        ("numbers", "numbers.npz", "y.npy", "target=y.npy: is for a .npy file"),
    ],
)
def test_what_cannot_be_evaluated_is_said(run_of, folder, monkeypatch, name, x, y, message):
    run = run_of(name)
    monkeypatch.chdir(folder)
    with pytest.raises(InputError) as refusal:
        run.evaluate(x, y)
    assert message in str(refusal.value)


@pytest.fixture
def call(capsys):
    def called(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments)])
        return ended.value.code, *capsys.readouterr()

    return called


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_command_writes_what_the_run_says(run_of, tmp_path, call, monkeypatch, suffix):
    monkeypatch.setattr("gradus.data.preparation.arrays.CELLS", 100)  # several pieces
    run, out = run_of("pixels"), tmp_path / f"new{suffix}"
    np.save(tmp_path / "new.npy", PIXELS)
    code, said, _ = call("predict", run.folder, tmp_path / "new.npy", "--out", out)
    assert (code, said) == (0, f"{out}  60 rows\n")
    found = pyarrow.csv.read_csv(out) if suffix == ".csv" else pq.read_table(out)
    expected = run.predict(PIXELS)
    assert found["prediction"].to_pylist() == expected["prediction"].to_pylist()
    np.testing.assert_allclose(found["p(dark)"], expected["p(dark)"], rtol=1e-6)


def test_the_commands_from_training_to_figures(tmp_path, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    np.save("y.npy", X[:, 0] + 1000)
    arguments = "train x.npy --target y.npy --epochs 2 --hidden 4 --quiet --no-state --out run"
    assert call(*arguments.split())[0] in (0, 3)
    code, said, err = call("predict", "run", "x.npy")
    assert (code, len(said.splitlines())) == (0, 11)
    assert "these are the first 10 rows" in err
    np.save("more.npy", np.where(np.arange(N) == 3, np.nan, X[:, 0] + 1000))
    code, said, err = call("evaluate", "run", "x.npy", "--target", "more.npy")
    assert code == 0
    assert "RMSE" in said
    assert "1 rows have no target, and are left out" in err
    np.save("gaps.npy", np.where(np.arange(X.size).reshape(X.shape) < 4, np.nan, X))
    for rest in (
        ("predict", "run", "gaps.npy"),
        ("evaluate", "run", "gaps.npy", "--target", "y.npy"),
    ):
        assert f"x: 2 of {N} rows have missing values, filled as in training" in call(*rest)[2]
