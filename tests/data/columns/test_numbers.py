"""Numbers written in any way that is one for the whole column are read back."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradus.data.columns import Form, recognise, recognise_as
from gradus.data.columns.numbers import read_numbers

MARKS = [
    (".", ","),
    (",", "."),
    (".", " "),
    (",", " "),
    (".", "'"),
    (",", "'"),
    (".", ""),
    (",", ""),
]
SPACES = {" ": [" ", "\u00a0", "\u202f"], "'": ["'", "’"]}


def column(words):
    return pa.chunked_array([pa.array(words)])


def written(value, decimal, thousands):
    """By Python's own grouping, its marks exchanged."""
    exchanged = str.maketrans({",": thousands, ".": decimal})
    return f"{value:,.4f}".translate(exchanged)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=12),
    st.sampled_from(MARKS),
    st.sampled_from(["{}", "$ {}", "{} €", "USD {}", "{}%", "{} km/h", " {}\u2009"]),
    st.data(),
)
def test_numbers_are_read_back(values, marks, unit, data):
    """Four decimals leave no doubt which mark is which."""
    decimal, thousands = marks
    space = data.draw(st.sampled_from(SPACES.get(thousands, [thousands])))
    words = [unit.format(written(value, decimal, space)) for value in values]
    found = recognise("x", column(words), file="a.csv")
    assert found.form.kind == "number"
    assert found.values.tolist() == [float(f"{value:.4f}") for value in values]
    assert recognise_as("x", column(words), found.form, file="b.csv").values.tolist() == (
        found.values.tolist()
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=12))
def test_every_float_is_read_back_from_its_shortest_decimals(values):
    words = pa.array([repr(value) for value in values])
    assert read_numbers(words, Form("number")).tolist() == values


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=8), min_size=1, max_size=8), st.sampled_from(MARKS))
def test_any_text_is_read_or_not_read(words, marks):
    """What is read as a number holds a digit, and nothing raises."""
    values = read_numbers(pa.array(words), Form("number", *marks))
    for word, value in zip(words, values.tolist(), strict=True):
        assert value != value or any(mark in "0123456789" for mark in word)


@pytest.mark.parametrize(
    ("words", "unit", "values"),
    [
        (["5", "7", "$3"], "$", [5, 7, 3]),
        (["$5", "$7", "3"], "$", [5, 7, 3]),
        (["US$ 5", "US$7"], "US$", [5, 7]),
        (["R$ 5,50", "R$ 7"], "R$", [5.5, 7]),
        (["Rs. 5", "Rs.7"], "Rs.", [5, 7]),
        (["5 zł", "7,5 zł"], "zł", [5, 7.5]),
        (["-$5", "$-5", "- $ 5", "($5)", "$5-"], "$", [-5] * 5),
        (["5 EUR", "EUR 7"], "EUR", [5, 7]),
    ],
)
def test_money(words, unit, values):
    found = recognise("x", column(words), file="a.csv")
    assert found.form.unit == unit
    assert found.values.tolist() == values


def test_numbers_beyond_float64_are_not_read():
    assert read_numbers(pa.array(["1e999", "-1e999", "1e308"]), Form("number")).tolist()[2] == 1e308
    found = recognise("x", column(["1e999", "x"]), file="a.csv")
    assert found.words == ("1e999", "x")
