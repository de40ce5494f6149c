"""What is exported says what the run says, to whoever reads it."""

import csv
import json
import sys
import zipfile

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import gradus
from gradus import InputError, RunSpec
from gradus.cli import main
from gradus.data.in_memory import source_of
from gradus.data.preparation import Preparation
from gradus.data.prepared import inputs_of
from gradus.runs.export import export
from gradus.runs.onnx_graph import LAYERS, exported

RANDOM = np.random.default_rng(0)
N = 300
AREA = RANDOM.lognormal(4, 1, N)
CITY = RANDOM.choice(["Bern", "Köln", "Oslo", "rare"], N, p=[0.4, 0.3, 0.297, 0.003])
NUMBERS = {
    "area": [None if at % 11 == 0 else value for at, value in enumerate(AREA.tolist())],
    "built": RANDOM.integers(1900, 2020, N).tolist(),
    "lift": RANDOM.choice(["yes", "no"], N).tolist(),
    "price": (20 * AREA + 1000).tolist(),
    "rent": (AREA + 100).tolist(),
    "size": np.where(AREA > 55, "large", "small").tolist(),
}
MIXED = {
    "city": [None if at % 13 == 0 else str(name) for at, name in enumerate(CITY)],
    "area": NUMBERS["area"],
    "kind": ["house" if at % 3 else "flat" for at in range(N)],
    "lift": NUMBERS["lift"],
    "price": NUMBERS["price"],
}
CHEAP = {"hidden": (8,), "epochs": 3}
RUNS = {
    "number": (NUMBERS, {"target": "price", "drop": "rent,size"}),
    "two numbers": (NUMBERS, {"target": "price,rent", "drop": "size"}),
    "classes": (NUMBERS, {"target": "size", "drop": "price,rent"}),
    "log-probabilities": (NUMBERS, {"target": "size", "drop": "price,rent", "loss": "nll"}),
    "one net": (NUMBERS, {"target": "price", "drop": "rent,size", "models": 1}),
    "pieces": (NUMBERS, {"target": "size", "drop": "price,rent", "pieces": 8}),
    "robust": (NUMBERS, {"target": "price", "drop": "rent,size", "scaling": "robust"}),
    "as it is": (NUMBERS, {"target": "size", "drop": "price,rent", "standardize": False}),
    "names": (MIXED, {"target": "price"}),
    "float64": (MIXED, {"target": "price", "dtype": "float64"}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("houses")


@pytest.fixture(scope="module")
def run_of(folder):
    """Runs by name, each trained once."""

    def found(name):
        if not (folder / name).exists():
            columns, options = RUNS[name]
            path = folder / f"{name}.csv"
            with path.open("w", newline="") as file:
                rows = csv.writer(file)
                rows.writerow(columns)
                rows.writerows(zip(*columns.values(), strict=True))
            gradus.train(RunSpec(data=str(path), **options, **CHEAP), out=folder / name)
        return gradus.open_run(folder / name)

    return found


def fed(model, columns):
    """The inputs of an ONNX model from columns as they stand in a table, by its metadata alone."""
    described = {each.key: json.loads(each.value) for each in model.metadata_props}
    inputs = {}
    for given in model.graph.input:
        kind = onnx.helper.tensor_dtype_to_np_dtype(given.type.tensor_type.elem_type)
        found = []
        for column in described[given.name]:
            values = columns[column["name"]]
            if given.name == "names":
                found.append(["" if value is None else value for value in values])
            else:
                code = {column[digit]: float(digit) for digit in ("0", "1") if digit in column}
                found.append([np.nan if v is None else code.get(v, v) for v in values])
        inputs[given.name] = np.array(found, dtype=kind).T
    return inputs


def answers(model, columns):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(None, fed(model, columns)), strict=True))


@pytest.mark.parametrize("name", RUNS)
def test_onnx_takes_raw_rows_and_predicts_as_the_run(run_of, name):
    run, columns = run_of(name), RUNS[name][0]
    found = answers(exported(run, run.preparation).model, columns)
    expected = run.predict(columns)
    if run.summary["data"]["classes"] is None:
        values = np.column_stack([np.array(column) for column in expected.columns])
        np.testing.assert_allclose(found["prediction"].reshape(values.shape), values, rtol=1e-5)
    else:
        assert found["prediction"].tolist() == expected["prediction"].to_pylist()
        np.testing.assert_allclose(
            found["probabilities"], run.predict_proba(columns), rtol=1e-5, atol=1e-6
        )


def test_onnx_takes_names_not_seen_in_training(run_of):
    run = run_of("names")
    new = {name: values[:3] for name, values in MIXED.items()} | {"city": ["Rom", None, "Bern"]}
    found = answers(exported(run, run.preparation).model, new)["prediction"]
    np.testing.assert_allclose(found, run.predict(new)["prediction"], rtol=1e-5)


def encoded(preparation, columns, run):
    """What the graph makes of the columns, where the model adds nothing."""
    width = len(preparation.features)
    run.__dict__["model"] = nn.Identity()
    run.summary["data"].update(classes=None, outputs=width, target_names=["x"] * width)
    model = exported(run, preparation).model
    return answers(model, columns)["prediction"]


def test_every_part_of_the_preparation_is_in_the_graph(run_of, folder):
    """Pieces, pooled names and missing indicators, in the order of the features."""
    run = run_of("float64")
    by_name = {encoder.name: encoder for encoder in run.preparation.encoders}
    changed = {
        "city": by_name["city"].model_copy(update={"names": ("Bern", "Oslo"), "pooled": 2}),
        "kind": by_name["kind"].model_copy(update={"names": (), "pooled": 2}),
        "area": by_name["area"].model_copy(
            update={"knots": (10.0, 40.0, 90.0), "means": (0.9, 0.4), "height": 0.3, "soft": True}
        ),
    }
    preparation = Preparation(
        encoders=tuple(changed.get(name, each) for name, each in by_name.items()),
        goal=run.preparation.goal.model_copy(
            update={
                "targets": (
                    run.preparation.goal.targets[0].model_copy(
                        update={"centre": 0.0, "scale": 1.0}
                    ),
                )
            }
        ),
    )
    expected = inputs_of(preparation, source_of(MIXED), "float64").numpy()
    assert expected.shape[1] == len(preparation.features) == 10
    np.testing.assert_allclose(encoded(preparation, MIXED, run), expected, atol=1e-12)


def test_onnx_of_a_run_on_no_table_takes_what_the_model_takes(tmp_path):
    run = gradus.train(RunSpec(model="linear", epochs=1), out=tmp_path / "run")
    (tmp_path / "run" / "preparation.json").unlink()  # as of an earlier version
    written = export(gradus.open_run(tmp_path / "run"), "onnx", tmp_path / "digits.onnx")
    assert "holds no preparation.json" in written.notes[0]
    images = torch.rand(5, 1, 8, 8)
    session = onnxruntime.InferenceSession(str(tmp_path / "digits.onnx"))
    prediction, shares = session.run(None, {"x": images.numpy()})
    with torch.no_grad():
        expected = run.model(images).softmax(dim=1)
    np.testing.assert_allclose(shares, expected, atol=1e-5)
    assert prediction.tolist() == [str(at) for at in expected.argmax(dim=1).tolist()]


@pytest.mark.parametrize(
    "layer",
    [
        nn.Flatten(), nn.Linear(4, 3), nn.Linear(4, 3, bias=False), nn.ReLU(), nn.Tanh(),
        nn.Sigmoid(), nn.LogSoftmax(dim=1), nn.Identity(), nn.Dropout(0.5),
    ],
    ids=str,
)  # fmt: skip
def test_layers_give_what_those_of_pytorch_give(run_of, layer):
    assert {type(layer)} <= set(LAYERS)
    run = run_of("as it is")
    x = torch.randn(6, 4)
    layer.eval()
    run.__dict__["model"] = nn.Sequential(nn.Sequential(layer))
    width = layer(x).shape[1]
    run.summary["data"].update(
        input_shape=[4], classes=None, outputs=width, target_names=["y"] * width
    )
    model = exported(run, None).model
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (found,) = session.run(None, {"x": x.numpy()})
    np.testing.assert_allclose(found, layer(x).detach(), atol=1e-6)


def test_numbers_of_more_digits_than_float32_has_are_told_of(run_of):
    run = run_of("number")
    assert exported(run, run.preparation).notes == (
        "takes numbers, [rows, 3] float32: area, built, lift",
    )
    stamps = [
        each.model_copy(update={"centre": 1.7e9, "scale": 5.0}) if each.name == "area" else each
        for each in run.preparation.encoders
    ]
    changed = run.preparation.model_copy(update={"encoders": tuple(stamps)})
    _, note = exported(run, changed).notes
    assert "column 'area' holds numbers around 1.7e+09 that differ by 5" in note


@pytest.fixture
def call(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def called(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["export", *map(str, arguments)])
        return ended.value.code, *capsys.readouterr()

    return called


def test_csv_holds_history_and_evaluation(run_of, folder, tmp_path, call):
    run = run_of("number")
    code, said, err = call(folder / "number", "--to", "csv")
    assert (code, said, err) == (0, "number-history.csv\nnumber-evaluation.csv\n", "")
    for name, table in (("history", run.history), ("evaluation", run.evaluation)):
        with (tmp_path / f"number-{name}.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == table.column_names
        for column in table.column_names:
            written = [None if row[column] == "" else float(row[column]) for row in rows]
            assert written == table[column].to_pylist()


def test_json_holds_all_in_one(run_of, folder, tmp_path, call):
    run = run_of("classes")
    code, said, _ = call(folder / "classes", "--to", "json", "--out", "run.json")
    assert (code, said) == (0, "run.json\n")
    content = json.loads((tmp_path / "run.json").read_text())
    assert RunSpec.read(content["spec"]) == run.spec
    assert content["summary"]["figures"] == run.summary["figures"]
    assert content["history"] == run.history.to_pydict()
    assert content["evaluation"] == run.evaluation.to_pydict()


def test_an_exported_program_gives_what_the_model_gives_and_holds_no_pickle(
    run_of, folder, tmp_path, call
):
    run = run_of("classes")
    code, said, err = call(folder / "classes", "--to", "torch-export")
    assert (code, said) == (0, "classes.pt2\n")
    width = len(run.preparation.features)
    assert f"takes x, [rows, {width}], as prepared" in err
    model = torch.export.load(tmp_path / "classes.pt2").module()
    for rows in (1, 7):
        x = torch.randn(rows, width)
        torch.testing.assert_close(model(x), run.model(x))
    with zipfile.ZipFile(tmp_path / "classes.pt2") as archive:
        held = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    weights = json.loads(held["data/weights/model_weights_config.json"])["config"]
    assert {weight["is_param"] for weight in weights.values()} == {True}
    assert not any(weight["use_pickle"] for weight in weights.values())
    assert held["data/sample_inputs/model.pt"] == b""
    assert not any(content.startswith((b"\x80", b"PK")) for content in held.values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "xls"], "Invalid value for '--to'"),
        (["--to", "onnx", "--out", "a.pt2"], "--to onnx writes a file whose name ends in .onnx"),
        (["--to", "json", "--out", "nowhere/a.json"], "there is no folder nowhere"),
        (["--to", "csv", "--out", "nowhere/a.csv"], "nowhere/a.csv: there is no folder"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_one_line(run_of, folder, tmp_path, call, arguments, message):
    run_of("classes")
    code, said, err = call(folder / "classes", *arguments)
    assert (code, said, err.count("\n")) == (2, "", 1)
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_diverged_gives_no_model(tmp_path, call):
    x = RANDOM.normal(size=(40, 2))
    options = {"model": "linear", "lr": 1e30, "epochs": 2}
    run = gradus.train((x, x.sum(1)), **options, out=tmp_path / "run")
    uses = [
        lambda: run.predict(x),
        lambda: run.evaluate(x, x.sum(1)),
        lambda: run.export("torch-export", tmp_path / "a.pt2"),
        lambda: gradus.train((x, x[:, 0] > 0), **options, weight_decay=1e10).predict_proba(x),
        lambda: gradus.open_run(tmp_path / "run").predict(x),
    ]
    for use in uses:
        with pytest.raises(InputError, match=r"the run diverged at step \d+, .*; train again$"):
            use()
    code, said, err = call(tmp_path / "run", "--to", "onnx")
    assert (code, said, err.count("\n")) == (2, "", 1)
    assert "the run diverged at step" in err
    best = {"epochs": 99, "lr": 2.0, "keep": "best", "validation_fraction": 0.2}
    run = gradus.train((x, x.sum(1)), **{**options, **best})
    assert (run.status, run.predict(x).num_rows) == ("diverged", 40)  # by an epoch before


def test_a_layer_that_is_not_known_is_named(run_of):
    run = run_of("classes")
    run.__dict__["model"] = nn.Sequential(nn.Linear(4, 2), nn.GELU())
    with pytest.raises(InputError, match=r"a layer GELU, and known are Dropout, Flatten, .* use"):
        exported(run, run.preparation)


def test_dates_do_not_go_in(tmp_path):
    days = np.datetime64("2020-01-01") + np.arange(60) * 5
    table = {"day": [str(day) for day in days], "y": np.arange(60).tolist()}
    with (tmp_path / "days.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(table)
        rows.writerows(zip(*table.values(), strict=True))
    spec = RunSpec(data=str(tmp_path / "days.csv"), target="y", **CHEAP)
    run = gradus.train(spec)
    with pytest.raises(InputError, match=r"'day' holds dates, .* \(--drop day\)"):
        exported(run, run.preparation)


def test_without_onnx_one_line_says_what_to_install(run_of, folder, call, monkeypatch):
    run_of("classes")
    monkeypatch.setitem(sys.modules, "onnx", None)
    code, _, err = call(folder / "classes", "--to", "onnx")
    assert (code, err.count("\n")) == (2, 1)
    assert "pip install 'gradus[onnx]'" in err
