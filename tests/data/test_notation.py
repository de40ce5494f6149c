"""What the user says of how values are written is taken before any guess, in new tables too."""

import decimal

import numpy as np
import pyarrow as pa
import pytest

import gradus
from gradus import InputError, RunSpec
from gradus.data.columns import recognise
from gradus.data.partition import Parts
from gradus.data.reading import Notation, read_source
from gradus.data.reading.notation import without
from gradus.data.table_options import TableOptions
from gradus.data.table_rows import column_of
from gradus.data.tables import load_table


@pytest.mark.parametrize(
    ("words", "comma", "point"),
    [
        (["1.234", "2.345"], [1234, 2345], [1.234, 2.345]),
        (["1,234", "2,345"], [1.234, 2.345], [1234, 2345]),
        (["1,5", "2"], [1.5, 2], None),
        (["1.5", "2"], None, [1.5, 2]),
        (["1.234,5", "7"], [1234.5, 7], None),
        (["1,234.5", "7"], None, [1234.5, 7]),
        (["1 234,5", "7"], [1234.5, 7], None),
        (["€ 1.234", "€ 2.345"], [1234, 2345], [1.234, 2.345]),
        (["12", "7"], [12, 7], [12, 7]),
    ],
)
@pytest.mark.parametrize("separator", [";", "\t", "parquet"])
def test_the_decimal_mark_is_that_of_all_numbers_that_are_text(
    tmp_path, words, comma, point, separator
):
    for mark, values in ((",", comma), (".", point)):
        if separator == "parquet":
            found = recognise("a", pa.chunked_array([words]), file="a.parquet", decimal=mark)
        else:
            path = tmp_path / "a.csv"
            path.write_text("\n".join(f"{each}{separator}x" for each in ["a", *words]))
            found = column_of(read_source(path, Notation(decimal=mark)), "a", categorical=False)
        assert (found.form.kind == "number") == (values is not None)
        assert values is None or found.values.tolist() == values
        assert "may be" not in found.told


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([5, -999, 7]), [5, None, 7]),
        (pa.array([5, -999, 7], pa.int16()), [5, None, 7]),
        (pa.array([0.5, -999.0, float("nan")]), [0.5, None, float("nan")]),
        (pa.array([0.5, -999.0], pa.float32()), [0.5, None]),
        (pa.array([decimal.Decimal("-999.00"), decimal.Decimal("1.25")]), [None, 1.25]),
        (pa.array(["m", " n.k. ", "-999", None]), ["m", None, None, None]),
        (pa.array(["-999,0", "-999.00", "-999.000", "-9990"]), [None, None, "-999.000", "-9990"]),
        (pa.array(["m", "n.k."], pa.large_string()), ["m", None]),
        (pa.array(["m", "n.k.", "nxk."], pa.string_view()), ["m", None, "nxk."]),
        (pa.array(["m", "n.k.", "m"]).dictionary_encode(), ["m", None, "m"]),
        (pa.array([-999, 3, 3]).dictionary_encode(), [None, 3, 3]),
        (pa.array([True, False]), [True, False]),
        (pa.array(["m", "N.K."]), ["m", "N.K."]),
    ],
)
def test_missing_values_are_missing_in_columns_of_any_type(column, expected):
    table = pa.table({"a": pa.chunked_array([column, column]), "b": range(2 * len(column))})
    found = without(table, ("-999", "n.k."))
    assert found["a"].type in (column.type, pa.string())
    np.testing.assert_equal(found["a"].to_pylist(), 2 * expected)
    assert found["b"].equals(table["b"])


@pytest.mark.parametrize(
    ("separator", "names"),
    [(None, ["a;b", "c"]), (";", ["a", "b,c"]), (",", ["a;b", "c"]), ("^", ["a;b,c"])],
)
def test_the_separator_is_not_guessed_where_it_is_known(tmp_path, separator, names):
    path = tmp_path / "own.txt"
    path.write_text("a;b,c\n1;2,3\n1,3\n")
    if separator == ";":
        path.write_text("a;b,c\n1;2,3\n")
    assert read_source(path, Notation(separator)).names == names


def test_the_same_is_read_in_training_and_in_new_tables_of_any_kind(tmp_path):
    random = np.random.default_rng(0)
    size = random.normal(size=200).round(2)
    size[::7] = -999
    kind = np.where(size > 0, "big", "small")
    kind[3::20] = "n.k."
    rows = [f"{s:.2f}|{k}|{s + (k == 'big'):.3f}" for s, k in zip(size, kind, strict=True)]
    path = tmp_path / "own.csv"
    path.write_text("\n".join(["size|kind|y", *rows]).replace(".", ",").replace("n,k,", "n.k."))
    spec = RunSpec(
        data=str(path), target="y", separator="pipe", decimal="comma", missing_values="-999,n.k.",
        models=1, hidden=8, epochs=1,
    )  # fmt: skip
    run = gradus.train(spec, out=tmp_path / "run")
    run = gradus.open_run(tmp_path / "run")
    said = {told["column"]: told["missing"] for told in run.summary["data"]["columns"]}
    assert said == {"y": 0, "size": 29, "kind": 10}
    expected = run.predict(path)
    known = [None if k == "n.k." else k for k in kind]
    for table in (
        {"size": size, "kind": kind.tolist()},
        {"size": np.where(size == -999, np.nan, size), "kind": known},
    ):
        np.testing.assert_allclose(run.predict(table)["prediction"], expected["prediction"], 1e-6)
    frame = {"size": size.tolist(), "kind": kind.tolist(), "y": expected["prediction"].to_pylist()}
    here = gradus.train(pa.table(frame), target="y", missing_values="-999,n.k.", models=1, epochs=1)
    assert [told["missing"] for told in here.summary["data"]["columns"]] == [0, 29, 10]
    with pytest.raises(InputError, match="separator ;: is of the fields of text files"):
        gradus.train(pa.table(frame), target="y", separator=";")
    errors = expected["prediction"].to_numpy() - size - (kind == "big")
    assert run.evaluate(path)["rmse"].value == pytest.approx(np.sqrt(np.mean(errors**2)), abs=1e-3)


def test_rows_without_a_target_are_passed_over_where_names_are_numbers_too(tmp_path):
    path = tmp_path / "own.csv"
    rows = [f"{k % 4},{'' if k % 3 == 0 else k % 4 > 1}" for k in range(120)]
    path.write_text("\n".join(["code,y", *rows]))
    run = gradus.train(
        RunSpec(data=str(path), target="y", categorical="code", model="linear", models=1, epochs=1)
    )
    assert run.evaluate(path)["accuracy"].value is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"separator": "ab"}, "separator ab: fields are separated by one character"),
        ({"separator": '"'}, "fields are separated by one character"),
        ({"separator": "x"}, "fields are separated by one character"),
        ({"decimal": ";"}, "decimal"),
    ],
)
def test_marks_that_cannot_be_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        RunSpec.read(options)


def test_a_separator_is_of_text_alone(tmp_path):
    with pytest.raises(InputError, match="--separator ;: does not apply"):
        gradus.data.load(make(tmp_path / "a.jsonl"), target="y", notation=Notation(";"))
    found = load_table(
        make(tmp_path / "b.jsonl"),
        TableOptions("y", notation=Notation(missing_values=("3",)), parts=Parts(validation=0)),
    )
    assert found.treatments[1].missing == 1


def make(path):
    path.write_text("\n".join(f'{{"x": {k}, "y": {k % 2}}}' for k in range(9)))
    return path
