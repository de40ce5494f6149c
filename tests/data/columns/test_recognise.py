"""What columns are taken for: tables of what people have in their files."""

import decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradus.data.columns import Form, among, recognise, recognise_as
from gradus.errors import InputError

NAN = float("nan")


def arrow(values):
    return values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([pa.array(values)])


def text_column(values):
    """As a reader of CSV gives text: a dictionary, whose parts need not agree."""
    parts = [values[:2], values[2:]] if len(values) > 3 else [values]
    return pa.chunked_array([pa.array(part, pa.string()).dictionary_encode() for part in parts])


def seen(column):
    if column.words:
        return [None if row < 0 else column.words[row] for row in column.values]
    return column.values.tolist()


NUMBERS = [
    (["1,200", "3,400.5"], [1200, 3400.5], Form("number", thousands=",")),
    (["1,200", "-3,400,000"], [1200, -3400000], Form("number", thousands=",")),
    (["12,34,567", "5"], [1234567, 5], Form("number", thousands=",")),
    (["1.200,5", "7"], [1200.5, 7], Form("number", ",", ".")),
    (["1.200.000", "1.500"], [1200000, 1500], Form("number", ",", ".")),
    (["5,1", "7", ",5"], [5.1, 7, 0.5], Form("number", ",")),
    (["0,123", "1,234"], [0.123, 1.234], Form("number", ",")),
    (["1 200", "5 000,5"], [1200, 5000.5], Form("number", ",", " ")),
    (["1\u202f200", "3\u00a0400.5", "7"], [1200, 3400.5, 7], Form("number", thousands=" ")),
    (["1'200.5", "7"], [1200.5, 7], Form("number", thousands="'")),
    (["1’200", "7"], [1200, 7], Form("number", thousands="'")),
    (["12 %", "5%", "0.5 %"], [12, 5, 0.5], Form("number", unit="%")),
    (["12,5 %", "5 %"], [12.5, 5], Form("number", ",", unit="%")),
    (["$ 5", "$3,000", "-$2", "($1.50)"], [5, 3000, -2, -1.5], Form("number", ".", ",", "$")),
    (["$1,200.50", "7"], [1200.5, 7], Form("number", ".", ",", "$")),
    (["5 €", "1.200 €", "-3 €"], [5, 1200, -3], Form("number", ",", ".", "€")),
    (["€ 5,5", "€7"], [5.5, 7], Form("number", ",", unit="€")),
    (["USD 5", "USD 7"], [5, 7], Form("number", unit="USD")),
    (["5 kr", "7 kr"], [5, 7], Form("number", unit="kr")),
    (["180 cm", "165.5 cm"], [180, 165.5], Form("number", unit="cm")),
    (["20 km/h", "-3 km/h"], [20, -3], Form("number", unit="km/h")),
    (["20 °C", "−3 °C"], [20, -3], Form("number", unit="°C")),
    ([" 5", "7 ", "\u20098"], [5, 7, 8], Form("number")),
    (["1.0D+03", "2.5d-01"], [1000, 0.25], Form("number")),
    (["1e3", "2.5E-1", "+4", ".5"], [1000, 0.25, 4, 0.5], Form("number")),
    (["5-", "6"], [-5, 6], Form("number")),
    (["(5)", "6"], [-5, 6], Form("number")),
]


@pytest.mark.parametrize(("words", "values", "form"), NUMBERS)
def test_numbers_however_they_are_written(words, values, form):
    for column in (
        recognise("x", text_column([*words, None]), file="a.csv"),
        recognise_as("x", text_column([*words, None]), form, file="b.csv"),
    ):
        assert column.form == form
        assert column.values.tolist()[:-1] == values
        assert column.missing.tolist() == [False] * len(words) + [True]


NAMES = [
    ["01234", "01235", "99999"],  # postal codes
    ["01", "1", "001"],
    ["9007199254740993", "9007199254740992"],
    ["12345678901234567890", "5"],
    ["12A", "12B", "7"],
    ["(1)", "(2)"],
    ["Q1", "Q2"],
    ["1.2.3", "1.2.4"],
    ["192.168.1.1", "10.0.0.1"],
    ["5$3", "5$4"],
    ["12 %", "0.12"],
    ["1D3", "2D4"],
    ["$5", "€5"],
    ["yes", "no", "maybe"],
    ["yes"],
    ["red", " red"],
    ["1_000", "2_000"],
]


@pytest.mark.parametrize("words", NAMES)
def test_names_stay_the_text_that_stands_in_the_file(words):
    column = recognise("x", text_column([*words, None]), file="a.csv")
    assert column.form == Form("category")
    assert seen(column) == [*words, None]
    assert len(column.words) == len(words)


FLAGS = [
    (["Yes", "no", "yes", "yes", None], [1, 0, 1, 1, NAN], ("no", "yes")),
    (["Y", "N", "Y"], [1, 0, 1], ("N", "Y")),
    (["TRUE", "FALSE", "False", "FALSE"], [1, 0, 0, 0], ("FALSE", "TRUE")),
    (["T", "F"], [1, 0], ("F", "T")),
    (["off", "on"], [0, 1], ("off", "on")),
    ([True, False, None], [1, 0, NAN], ("false", "true")),
    ([0, 1, None, 1], [0, 1, NAN, 1], ("0", "1")),
    ([0.0, 1.0, NAN], [0, 1, NAN], ("0", "1")),
]


@pytest.mark.parametrize(("given", "values", "flags"), FLAGS)
def test_flags(given, values, flags):
    column = recognise("x", arrow(given), file="a.csv")
    assert column.form == Form("flag", flags=flags)
    np.testing.assert_array_equal(column.values, values)
    np.testing.assert_array_equal(column.missing, np.isnan(values))


@pytest.mark.parametrize(
    ("given", "values"),
    [
        (pa.array([1, None, 300], pa.int16()), [1, NAN, 300]),
        (pa.array([2**53 - 1, 5], pa.uint64()), [2**53 - 1, 5]),
        (pa.array([0.5, None], pa.float16()), [0.5, NAN]),
        ([decimal.Decimal("1.25"), None], [1.25, NAN]),
        (pa.array([1.5, NAN]), [1.5, NAN]),
        (pa.nulls(2), [NAN, NAN]),
        (pa.array([None, " "], pa.large_string()), [NAN, NAN]),
        (pa.array([0, 0]), [0, 0]),
    ],
)
def test_what_a_file_holds_as_numbers(given, values):
    column = recognise("x", arrow(given), file="a.parquet")
    assert column.form == Form("number")
    np.testing.assert_array_equal(column.values, values)


@pytest.mark.parametrize(
    "given",
    [
        pa.array([2**53 + 1, 2**53 + 2, 5]),
        pa.array([2**63 + 1, 2**63 + 2], pa.uint64()),
        pa.array([-(2**53) - 1, None]),
        [decimal.Decimal(2**60 + 1), decimal.Decimal(2**60)],
    ],
)
def test_whole_numbers_that_float64_would_merge_are_names(given):
    column = recognise("x", arrow(given), file="a.parquet")
    values = arrow(given).to_pylist()
    assert column.form.kind == "category"
    assert seen(column) == [None if value is None else str(value) for value in values]


def test_long_identifiers_that_recur_are_names():
    column = recognise("customer_id", arrow([20000001, 20000002, 20000001]), file="a.csv")
    assert (column.form, column.words) == (Form("category"), ("20000001", "20000002"))
    assert recognise("price", arrow([20000001, 20000001]), file="a.csv").form == Form("number")


def test_declared_names_are_the_text_of_the_file():
    text = {"x": pa.chunked_array([["1.50", "NA", "1.5", "10", "9"]])}
    numbers = arrow([1.5, None, 1.5, 10.0, 9.0])
    column = recognise("x", numbers, file="a.csv", categorical=True, text=text.__getitem__)
    assert seen(column) == ["1.50", None, "1.5", "10", "9"]
    assert column.words == ("1.5", "1.50", "9", "10")
    again = recognise_as("x", numbers, column.form, file="a.csv", text=text.__getitem__)
    assert seen(again) == seen(column)
    whole = recognise("x", arrow([3, None, 10]), file="a.parquet", categorical=True)
    assert (whole.words, seen(whole)) == (("3", "10"), ["3", None, "10"])


def test_a_dictionary_of_numbers_declares_names():
    content = pa.chunked_array([pa.array([7, 8, 7]).dictionary_encode()])
    assert seen(recognise("x", content, file="a.parquet")) == ["7", "8", "7"]


def test_a_dictionary_that_repeats_a_word_holds_one_name():
    twice = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None]), ["a", "a", None, "unused"])
    column = recognise("x", pa.chunked_array([twice]), file="a.arrow")
    assert (column.words, column.values.tolist()) == (("a",), [0, 0, -1, -1])


def test_text_that_differs_in_nearly_every_row():
    words = [f"user {i}" for i in range(30)]
    assert recognise("x", arrow(words), file="a.csv").form == Form("text")
    assert recognise("x", arrow(words), file="a.csv", categorical=True).form == Form("category")
    assert recognise("x", arrow(words[:20]), file="a.csv").form == Form("category")
    assert recognise("x", arrow(words * 2), file="a.csv").form == Form("category")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["1,200", "3,400"], "may be a decimal comma"),
        (["$ 1.200", "$ 3.400"], "may be a decimal point"),
        (["1.200", "850"], "may be a decimal point"),
        (["1.200", "3.400"], "may be thousands"),
        (["1,200", "3,400.5"], ""),
        (["1,200", "0,300"], ""),
        (["1.200", "0.300"], ""),
        (["1.200", "3.40"], ""),
        (["1.125", "2"], "may be thousands"),
    ],
)
def test_what_the_words_leave_open_is_said(words, said):
    column = recognise("x", arrow(words), file="a.csv")
    assert column.guess == said
    assert said in column.told


@pytest.mark.parametrize(
    ("words", "values", "form", "guess"),
    [
        (
            ["1.200", "850", "-3.450", "0"],
            [1200, 850, -3450, 0],
            Form("number", ",", "."),
            "may be a decimal point",
        ),
        (["1.200", "3.400"], [1.2, 3.4], Form("number"), "may be thousands"),
        (["1.200", "3.4"], [1.2, 3.4], Form("number"), ""),
        (["1.125", "2"], [1.125, 2], Form("number"), "may be thousands"),
        (["1.200", "0.3"], [1.2, 0.3], Form("number"), ""),
        (["1.200", "1200"], [1.2, 1200], Form("number"), ""),
    ],
)
def test_a_point_that_a_reader_took_for_decimal_is_looked_at_again(words, values, form, guess):
    text = {"x": arrow([*words, None])}.__getitem__
    column = recognise("x", arrow([*map(float, words), None]), file="a.csv", text=text)
    assert (column.values.tolist()[:-1], column.form, column.guess) == (values, form, guess)
    held = recognise("x", arrow([*map(float, words)]), file="a.parquet")
    assert held.values.tolist() == [float(word) for word in words]


def line(row):
    return f"line {row + 2}"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1", "abc", "3"], "a.csv: column 'x', line 3: 'abc' is not a number as the others are;"),
        (["1", "k.A.", "3"], "if it means that none is there, --missing-values k.A.; or, if these"),
        (["1", "no entry", "3"], "--missing-values 'no entry'; or, if these are names, declare"),
        (["1", "2.5", "3", "1,5"], "mend it, or leave it empty; or, if these are names, declare"),
        (["1", "2.5", "3", "1,5"], "line 5: '1,5' is not a number"),
        (["1,5", "2", "3", "1,5", "1.5"], "'1.5' is not a number as the others are (number with"),
        (["$5", "$6", "free"], "line 4: 'free' is not a number as the others are (number, in $)"),
        (["abc", "1", "2"], "if these are names, declare --categorical x"),
        ([1.5, float("inf")], "a.csv: column 'x', line 3: infinite"),
        ([[1], [2]], "holds list<"),
        ([b"a", b"b"], "holds binary"),
    ],
)
def test_refused(values, message):
    with pytest.raises(InputError) as refusal:
        recognise("x", arrow(values), file="a.csv", place=line)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("form", "values"),
    [
        (Form("number"), ["5,1"]),
        (Form("number"), ["1,200"]),
        (Form("number"), ["$5"]),
        (Form("number"), [True]),
        (Form("number", ","), ["5.1"]),
        (Form("number", ",", "."), ["1,200.5"]),
        (Form("number", unit="$"), ["5 €"]),
        (Form("number", unit="%"), ["5"]),
        (Form("number", unit="%"), [0.12]),
        (Form("number", unit="cm"), ["180"]),
        (Form("flag", flags=("no", "yes")), ["maybe"]),
        (Form("flag", flags=("no", "yes")), [0.5]),
    ],
)
def test_what_cannot_be_read_as_in_training_is_named(form, values):
    with pytest.raises(InputError) as refusal:
        recognise_as("x", arrow([None, *values]), form, file="b.csv", place=line)
    message = str(refusal.value)
    assert message.startswith("b.csv: column 'x', line 3: ")
    assert str(values[0]).lower() in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("form", "content", "text", "values"),
    [
        # A point groups thousands in this column: that a reader takes it for a real is nothing.
        (Form("number", ",", "."), [1.2, 3.4], ["1.200", "3.400"], [1200, 3400]),
        (Form("number", ",", "."), [1.2, 3.4], None, [1.2, 3.4]),
        (Form("number", ",", "."), [1200, 7], ["1200", "7"], [1200, 7]),
        (Form("number", unit="$"), [5.5], ["5.5"], [5.5]),
        (Form("number", ".", ","), ["1,200", "7"], None, [1200, 7]),
        (Form("number"), [None, None], None, [NAN, NAN]),
        (Form("number"), pa.nulls(2), None, [NAN, NAN]),
        (Form("flag", flags=("no", "yes")), ["YES", "no"], None, [1, 0]),
        (Form("flag", flags=("no", "yes")), [True, False, None], None, [1, 0, NAN]),
        (Form("flag", flags=("false", "true")), [1, 0], ["1", "0"], [1, 0]),
        (Form("flag", flags=("0", "1")), [1.0, NAN], None, [1, NAN]),
        (Form("flag", flags=("0", "1")), [0, 1, 2], None, [0, 1, 2]),
    ],
)
def test_another_file_is_read_by_the_same_form(form, content, text, values):
    stands = None if text is None else {"x": pa.chunked_array([text])}.__getitem__
    column = recognise_as("x", arrow(content), form, file="b", text=stands)
    assert column.form == form
    np.testing.assert_array_equal(column.values, values)


def test_names_of_another_file():
    form = Form("category")
    text = {"x": pa.chunked_array([["01", "NA", "1"]])}.__getitem__
    assert seen(recognise_as("x", arrow([1, None, 1]), form, file="b", text=text)) == [
        "01",
        None,
        "1",
    ]
    assert seen(recognise_as("x", arrow([True, None]), form, file="b")) == ["true", None]
    assert recognise_as("x", pa.chunked_array([pa.nulls(2)]), form, file="b").missing.all()


def test_names_are_found_among_known_ones_also_as_reals():
    known = ["3", "01", "1", "b", "2.50", "2.5"]
    assert among(["b", "3.0", "1.0", "2.500", "c", "3"], known).tolist() == [3, 0, -1, -1, -1, 0]


@pytest.mark.parametrize(
    "form",
    [
        Form("number", ",", ".", "€"),
        Form("flag", flags=("No", "Yes")),
        Form("category"),
        Form("date", pattern="%d.%m.%Y"),
    ],
)
def test_a_form_is_data(form):
    assert Form.from_record(form.record()) == form


MARKS = st.text("0123456789.,:/-+()%$€ 'eTZ\u00a0abJan\n", max_size=12)
WORDS = MARKS | st.text(max_size=6) | st.sampled_from(["2024-02-03", "1,200", "5 %", "10:30", "no"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.none() | WORDS, min_size=1, max_size=8))
def test_any_words_are_read_alike_in_training_and_later_or_refused(words):
    """Nothing else is raised, and no value is lost on the way."""
    content = pa.chunked_array([pa.array(words, pa.string())])
    try:
        column = recognise("x", content, file="a.csv")
    except InputError:
        return
    blank = [word is None or not word.strip() for word in words]
    assert column.missing.tolist() == blank
    again = recognise_as("x", content, column.form, file="a.csv")
    assert again.words == column.words
    np.testing.assert_array_equal(again.values, column.values)
    if column.words:
        assert seen(column) == [
            None if gap else word for word, gap in zip(words, blank, strict=True)
        ]
