"""Columns that people reported, or that were tried: what each is taken for, and what is said."""

import numpy as np
import pyarrow as pa
import pytest

from gradus.data.columns import recognise, useless
from gradus.errors import InputError

N = 40
DIGITS = [str(i) for i in range(N)]

TAKEN = [
    ("per cent", ["12 %", "5 %", "7.5 %"], "number, in %"),
    ("currency", ["$ 5", "$ 7.50", "$ 5"], "number, in $"),
    (
        "currency with thousands",
        ["$ 3,000", "$ 4,500.50", "$ 900"],
        "number, ',' between thousands, in $",
    ),
    ("a decimal comma, quoted or not", ["5,1", "4,9", "6,0"], "number with a decimal comma"),
    ("Fortran exponents", ["1.0D+03", "2.0D-02", "5.5D+00"], "number"),
    ("stray spaces", [" 5", "7 ", " 9 "], "number"),
    ("postal codes", ["01234", "80331", "10115"], "names"),
    ("leading zeros (apache/arrow#46853)", ["01", "1", "001"], "names"),
    ("whole numbers beyond 2^53", ["9007199254740993", "9007199254740992", "1"], "names"),
    ("ISO dates", ["2024-01-31", "2024-02-29"], "date written year-month-day"),
    ("US dates", ["1/31/2024", "2/29/2024"], "date written month/day/year"),
    ("German dates", ["01.02.2020", "13.02.2020"], "date written day.month.year"),
    (
        "timestamps with a zone",
        ["2024-01-31T10:00:00+01:00", "2024-02-29T11:30:00+01:00"],
        "date written year-month-day (in UTC)",
    ),
    ("times", ["10:30", "11:45", "09:05"], "time of day"),
    ("yes and no", ["yes", "no", "Yes", "no"], "no or Yes"),
    ("true and false", ["TRUE", "FALSE", "TRUE"], "FALSE or TRUE"),
]


@pytest.mark.parametrize(("words", "told"), [case[1:] for case in TAKEN], ids=[c[0] for c in TAKEN])
def test_taken_for_what_it_is(words, told):
    content = pa.chunked_array([pa.array(words).dictionary_encode()])
    column = recognise("x", content, file="own.csv")
    assert column.told == told
    assert not column.missing.any()
    if column.words:
        assert [column.words[at] for at in column.values] == words


LEFT_OUT = [
    ("a frame's index (huggingface/datasets#5490)", "", range(N), "counts the rows"),
    ("identifiers beyond 2^24", "customer", 2**24 + 1 + np.arange(N)[::-1], "identifies the rows"),
    ("identifiers beyond 2^53", "customer", 2**53 + 1 + np.arange(N), "text, another in 40 of 40"),
    ("a column without values", "empty", pa.nulls(N), "no values"),
    ("a trailing comma on every line", "", pa.nulls(N), "no values"),
    ("free text", "note", [f"said {i}" for i in DIGITS], "text, another in 40 of 40 rows"),
    ("a constant", "country", ["DE"] * N, "'DE' in every row"),
]


@pytest.mark.parametrize(
    ("name", "values", "why"), [case[1:] for case in LEFT_OUT], ids=[c[0] for c in LEFT_OUT]
)
def test_left_out_with_a_reason(name, values, why):
    column = recognise(name, pa.chunked_array([pa.array(values)]), file="own.csv")
    assert useless([column])[name].startswith(why)


REFUSED = [
    ("abc once in a column of numbers", [*DIGITS, "abc"], "line 42: 'abc' is not a number"),
    ("a misspelt price", [*(f"$ {i}" for i in DIGITS), "$ 5x"], "line 42: '$ 5x' is not a number"),
    ("two decimal marks", [*(f"{i},5" for i in DIGITS), "0.5"], "line 42: '0.5' is not a number"),
    (
        "a day that is none",
        ["2024-01-31", "2024-02-28", "2024-02-30"],
        "'2024-02-30' is not a date",
    ),
]


@pytest.mark.parametrize(
    ("words", "said"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_refused_with_its_place(words, said):
    content = pa.chunked_array([pa.array(words).dictionary_encode()])
    with pytest.raises(InputError) as refusal:
        recognise("x", content, file="own.csv", place=lambda row: f"line {row + 2}")
    assert str(refusal.value).startswith("own.csv: column 'x', line ")
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)
