"""A run on a table in memory: that on its file."""

import pyarrow as pa
import pytest
from pyarrow import csv
from torch import nn

import gradus
from gradus import InputError, RunSpec, open_run, train

IRIS = "examples/iris.csv"
QUICK = {"target": "species", "epochs": 2, "models": 1, "hidden": (8,), "pieces": 4}


class Stream:
    """A frame that gives its data by the PyCapsule interface, as Polars and pandas do."""

    def __init__(self, table):
        self.__arrow_c_stream__ = table.__arrow_c_stream__


class Interchange:
    """A frame that gives its data by the dataframe interchange protocol."""

    def __init__(self, table):
        self.table = table

    def __dataframe__(self, *given, **named):
        return self.table.__dataframe__(*given, **named)


def batch(table):
    return table.combine_chunks().to_batches()[0]


@pytest.fixture(scope="module")
def table():
    return csv.read_csv(IRIS)


@pytest.fixture(scope="module")
def by_path():
    return train(RunSpec(data=IRIS, **QUICK))


@pytest.mark.parametrize("form", [pa.table, pa.Table.to_pydict, Stream, Interchange, batch])
def test_a_table_in_memory_trains_as_its_file(table, by_path, form):
    run = train(form(table), **QUICK)
    assert run.history.equals(by_path.history)
    assert run.spec.model_copy(update={"data": IRIS}) == by_path.spec
    assert run.predict(form(table)).equals(by_path.predict(IRIS))


def test_a_table_goes_with_objects_of_every_kind(table):
    run = train(
        table,
        target="sepal_length",
        model=lambda input_shape, outputs: nn.Linear(*input_shape, outputs),
        loss=nn.SmoothL1Loss(),
        method=gradus.methods.Adam(0.01),
        epochs=4,
    )
    assert run.summary["auto"]["standardize"] is True
    assert run.evaluate(table)["rmse"].value < run.evaluate(table)["rmse"].constant


def test_the_record_predicts_goes_on_and_begins_others(table, tmp_path):
    run = train(table, out=tmp_path / "r", **QUICK)
    opened = open_run(tmp_path / "r")
    assert opened.predict(table).equals(run.predict(table))
    whole = train(table, **{**QUICK, "epochs": 3}, start=opened)
    assert whole.summary["origin"][0]["how"] == "from"
    more = gradus.resume(tmp_path / "r", data=table, epochs=3)
    assert more.evaluation["epoch"].to_pylist() == [1, 2, 3]


class Named:
    """A frame of pandas, some of whose names are numbers: of those pyarrow warns."""

    def __init__(self, table, columns):
        self.table, self.columns = table, columns

    def rename(self, columns):
        return Named(self.table, list(map(columns, self.columns)))

    def __arrow_c_stream__(self, requested_schema=None):
        assert all(isinstance(name, str) for name in self.columns)
        return self.table.rename_columns(self.columns).__arrow_c_stream__(requested_schema)


def test_names_that_are_numbers_are_taken_as_text(table):
    run = train(Named(table, [0, 1, "a", 3, "species"]), **QUICK)
    columns = {each["column"] for each in run.summary["data"]["columns"]}
    assert columns == {"0", "1", "a", "3", "species"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "the table: say which column to predict by target; the columns are sepal_length"),
        ({"target": "spezies"}, "target=spezies: no such column in the table; did you mean"),
        ({"target": "species", "test": pa.table({})}, "the table given as test: no column"),
        ({"target": "species", "batchsize": 3}, "batchsize: no such option (did you mean batch_s"),
        ({"target": "species", "weights": "sepal_width", "loss": nn.MultiMarginLoss()},
         "weights=sepal_width: a loss of one's own does not say what each example adds"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(table, options, message):
    with pytest.raises(InputError) as caught:
        train(table, **options)
    assert str(caught.value).startswith(message)
    assert "--" not in str(caught.value)


def test_no_table_is_told_from_one():
    with pytest.raises(InputError, match=r"^the table: column b has 1 rows, and a has 2; give "):
        train({"a": [1, 2], "b": [1]}, target="a")
