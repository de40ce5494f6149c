"""Whatever type of Arrow a column has: it is read, or refused in one line."""

import datetime
import decimal

import pyarrow as pa
import pytest

from gradus.data.columns import Form, recognise, recognise_as
from gradus.errors import InputError

DAY = datetime.date(2024, 2, 3)
READ = [
    pa.array(["a", "5", None], pa.string_view()),
    pa.array(["a", None], pa.large_string()).dictionary_encode(),
    pa.array(["a", None, "b"]).dictionary_encode().cast(pa.dictionary(pa.uint8(), pa.string())),
    pa.array(["a", "b"]).dictionary_encode().cast(pa.dictionary(pa.uint32(), pa.string())),
    pa.array([True, None]),
    pa.array([True, None]).dictionary_encode(),
    pa.array([DAY]).dictionary_encode(),
    pa.array([1.5, float("nan")], pa.float16()),
    pa.array([decimal.Decimal("1e30")]),
    pa.array([decimal.Decimal("1.5")], pa.decimal256(50, 10)),
    pa.array([datetime.time(1, 2)], pa.time64("ns")),
    pa.array([5], pa.duration("ns")),
    pa.array([5], pa.timestamp("ns", "Asia/Tokyo")),
    pa.nulls(2),
    *(pa.array([None], kind) for kind in (pa.string(), pa.bool_(), pa.date64(), pa.time32("s"))),
    *(pa.array([], kind) for kind in (pa.string(), pa.int8(), pa.date32(), pa.null())),
]
FORMS = [
    Form("number"),
    Form("number", ",", ".", "%"),
    Form("flag", flags=("no", "yes")),
    Form("category"),
    Form("date", pattern="%d.%m.%Y"),
    Form("time"),
    Form("text"),
]


def named(kinds):
    return pytest.mark.parametrize("values", kinds, ids=[str(values.type) for values in kinds])


def outcome(read):
    try:
        return read()
    except InputError as refusal:
        return str(refusal)


@named(READ)
def test_every_type_of_a_table_is_read(values):
    for content in (pa.chunked_array([values]), pa.chunked_array([values[:1], values[1:]])):
        for categorical in (False, True):
            found = recognise("x", content, file="a", categorical=categorical)
            assert found.missing.tolist() == content.is_null(nan_is_null=True).to_pylist()
            again = recognise_as("x", content, found.form, file="a")
            assert again.missing.tolist() == found.missing.tolist()
            assert again.words == found.words


@named(READ)
@pytest.mark.parametrize("form", FORMS)
def test_as_every_form_it_is_read_or_refused_in_one_line(values, form):
    content = pa.chunked_array([values])
    found = outcome(lambda: recognise_as("x", content, form, file="a"))
    if isinstance(found, str):
        assert found.startswith("a: column 'x', row 1: ")
        assert "\n" not in found
    else:
        assert found.form == form
        assert len(found.values) == len(values)


@pytest.mark.parametrize("kind", [values.type for values in READ], ids=str)
def test_a_piece_without_rows_is_read(kind):
    nothing = pa.chunked_array([], kind)
    assert len(recognise("x", nothing, file="a").values) == 0
    for form in FORMS:
        assert len(recognise_as("x", nothing, form, file="a").values) == 0


@named(
    [
        pa.array([b"a"]),
        pa.array([b"a"], pa.binary(1)),
        pa.array([[1]]),
        pa.array([{"a": 1}]),
        pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
        pa.array([b"a"]).dictionary_encode(),
        pa.RunEndEncodedArray.from_arrays([2], [5]),
    ]
)
def test_other_types_are_refused(values):
    content = pa.chunked_array([values])
    for read in (recognise, lambda *given, **how: recognise_as(*given, Form("number"), **how)):
        with pytest.raises(InputError, match=r"^a: column 'x' holds .*--drop x$") as refusal:
            read("x", content, file="a")
        assert "\n" not in str(refusal.value)
