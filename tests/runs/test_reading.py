"""A record that is damaged, or was made to mislead, is one line; one of an earlier time opens."""

import json
import os
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gradus
from gradus import InputError, RunSpec, open_run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("record") / "run"
    gradus.train(RunSpec(model="linear", epochs=1, lr=0.1, log_every=30), out=folder)
    return folder


@pytest.fixture
def record(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    return tmp_path / "run"


def changed(record, *keys, to):
    """Another value in run.json, at the place that the keys lead to."""
    path = record / "run.json"
    content = json.loads(path.read_text())
    part = content
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = to
    path.write_text(json.dumps(content))


def one_line(record, use=lambda run: run):
    with pytest.raises(InputError) as caught:
        use(open_run(record))
    assert str(record) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500 + len(str(record))
    return str(caught.value)


WRONG = [
    (("data", "input_shape"), "8,8", "data.input_shape 8,8: "),
    (("data", "input_shape"), [8, "8"], "data.input_shape.1 8: "),
    (("data", "input_shape"), [8, -8], "data.input_shape.1 -8: "),
    (("data", "input_shape"), None, "data.input_shape None"),
    (("data", "outputs"), 2.5, "data.outputs 2.5: "),
    (("data",), [], "data []: "),
    (("data", "shares"), [1.0], "1 shares of 10 classes"),
    (("threshold",), 5, "threshold 5: "),
    (("threshold",), {"class": "0"}, "threshold.at "),
    (("threshold",), {"class": "0", "at": 1.0}, "threshold.at 1.0: "),
    (("threshold",), {"class": ["0"], "at": 0.5}, "threshold.class ['0']: "),
    (("nets",), "x", "nets x: "),
    (("nets",), -1, "nets -1: "),
    (("status",), 3, "status 3: "),
    (("steps",), "many", "steps many: "),
    (("steps",), True, "steps True: "),
    (("final",), 1.0, "final 1.0: "),
    (("final",), {"epoch": 1}, "final.train_loss "),
    (("final", "test_loss"), "low", "final.test_loss low: "),
    (("final", "test_loss"), [[]], "final.test_loss [[]]: "),
    (("kept",), 5, "kept 5: "),
    (("kept", "epoch"), "x", "kept.epoch x: "),
    (("kept",), {}, "kept.epoch {}: "),
    (("timings",), None, "timings None: "),
    (("divergence",), {"loss": 1.0}, "divergence.step "),
    (("spec",), [], "--"),
    (("spec",), 7, "not iterable"),
    (("spec", "lr"), "x" * 10_000, "--lr xxx"),
    (("spec", "model"), {"a": [1] * 10_000}, "--model: an object of dict, where a spec takes"),
]


@pytest.mark.parametrize(("keys", "value", "said"), WRONG)
def test_what_has_another_type_is_named(record, keys, value, said):
    changed(record, *keys, to=value)
    if keys == ("spec",) and value == []:
        with pytest.raises(InputError):  # a spec of defaults: its parameters are of another model
            open_run(record).model  # noqa: B018  (a property)
        return
    assert said in one_line(record)


def test_a_record_without_a_line_to_beat_is_drawn_without_one(record):
    changed(record, "constant", to={})
    assert open_run(record).curve.constant is None
    open_run(record).plot()


@pytest.mark.parametrize(
    "content",
    [b"[" * 200_000, b'{"spec":' * 200_000, b"\xff", b"[]", b"7", b"{}", b'{"status": "finished"}'],
)
def test_what_is_no_record_is_one_line(record, content):
    (record / "run.json").write_bytes(content)
    one_line(record)


def without(column):
    def change(path):
        pq.write_table(pq.read_table(path).drop_columns([column]), path)

    return change


def of_texts(path):
    table = pq.read_table(path)
    texts = pa.array(["low"] * len(table))
    at = table.column_names.index("samples")
    pq.write_table(table.set_column(at, "samples", texts), path)


def twice(path):
    table = pq.read_table(path)
    pq.write_table(table.append_column("samples", table["samples"]), path)


def a_folder(path):
    path.unlink()
    path.mkdir()


def a_pipe(path):
    path.unlink()
    os.mkfifo(path)


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def not_utf8(path):
    path.write_bytes(path.read_bytes().replace(b"samples", b"sampl\xff\xfe"))


def missing(path):
    path.unlink()


TABLES = {
    "without a column": (without("samples"), "0 columns samples"),
    "of texts": (of_texts, "its column samples holds string, not numbers"),
    "with a column twice": (twice, "2 columns samples"),
    "a folder": (a_folder, "cannot be read"),
    "a pipe": (a_pipe, "is no plain file"),
    "cut off": (cut, "cannot be read"),
    "of names that are no UTF-8": (not_utf8, "cannot be read"),
    "missing": (missing, "is missing"),
}


@pytest.mark.parametrize("name", ["history", "evaluation"])
@pytest.mark.parametrize("damage", TABLES)
def test_a_damaged_table_is_one_line(record, name, damage):
    change, said = TABLES[damage]
    change(record / f"{name}.parquet")
    assert said in one_line(record)


def test_a_column_that_a_record_need_not_have_is_numbers_too(record):
    path = record / "evaluation.parquet"
    table = pq.read_table(path)
    at = table.column_names.index("validation_loss")
    texts = pa.array(["low"] * len(table))
    pq.write_table(table.set_column(at, "validation_loss", texts), path)
    assert "its column validation_loss holds string, not numbers" in one_line(record)


def another_model(path):
    gradus.train(RunSpec(hidden=(4,), epochs=1), out=path.parent / "another")
    shutil.copy(path.parent / "another/model.safetensors", path)


def flipped(path):
    content = bytearray(path.read_bytes())
    content[3] ^= 0xFF
    path.write_bytes(content)


PARAMETERS = {
    "missing": (missing, "the parameters of the model are missing"),
    "a folder": (a_folder, "the parameters of the model cannot be read: "),
    "a pipe": (a_pipe, "is no plain file"),
    "cut off": (cut, "the parameters of the model cannot be read: "),
    "with a header of another length": (flipped, "the parameters of the model cannot be read: "),
    "of another model": (another_model, "the parameters of the model cannot be read: "),
}


@pytest.mark.parametrize("damage", PARAMETERS)
def test_damaged_parameters_are_one_line_where_they_are_wanted(record, damage):
    change, said = PARAMETERS[damage]
    change(record / "model.safetensors")
    assert open_run(record).status == "finished"
    assert said in one_line(record, lambda run: run.model)


@pytest.mark.parametrize("shape", [[10**6, 10**6], [10**30]])
def test_a_model_that_no_file_holds_is_not_built(record, shape):
    changed(record, "data", "input_shape", to=shape)
    one_line(record, lambda run: run.model)


@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
def test_numbers_that_json_does_not_know_are_numbers_again(record, value):
    changed(record, "final", "test_loss", to=value)
    run = open_run(record)
    assert str(run.summary["final"]["test_loss"]) == value
    assert f"test loss {value}" in repr(run)


def test_what_a_later_version_adds_is_kept(record):
    changed(record, "weather", to={"which": "best"})
    table = pq.read_table(record / "history.parquet")
    later = pa.array(range(len(table)))
    pq.write_table(table.append_column("later", later), record / "history.parquet")
    run = open_run(record)
    assert run.summary["weather"] == {"which": "best"}
    assert run.history["later"].to_pylist() == list(range(len(table)))
