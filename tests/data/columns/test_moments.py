"""Dates and times of day, however they are written: the moments that datetime says they are."""

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradus.data.columns import Form, recognise, recognise_as
from gradus.errors import InputError

DAYS = [datetime.datetime(*day) for day in ((2023, 1, 31), (2024, 2, 29), (2024, 3, 1))]
HOURS = [day.replace(hour=5 + 11 * at, minute=15, second=9) for at, day in enumerate(DAYS[:2])]


def column(words):
    return pa.chunked_array([pa.array(words)])


def moments(values):
    return np.array(values, dtype="datetime64[us]").tolist()


@pytest.mark.parametrize(
    ("written", "pattern"),
    [
        ("%Y-%m-%d", "%Y-%m-%d"),
        ("%Y/%m/%d", "%Y/%m/%d"),
        ("%Y.%m.%d", "%Y.%m.%d"),
        ("%Y%m%d", "%Y%m%d"),
        ("%m/%d/%Y", "%m/%d/%Y"),
        ("%d/%m/%Y", "%d/%m/%Y"),
        ("%d.%m.%Y", "%d.%m.%Y"),
        ("%d-%m-%Y", "%d-%m-%Y"),
        ("%m-%d-%Y", "%m-%d-%Y"),
        ("%d.%m.%y", "%d.%m.%y"),
        ("%m/%d/%y", "%m/%d/%y"),
        ("%d %b %Y", "%d %b %Y"),
        ("%d-%b-%Y", "%d-%b-%Y"),
        ("%d. %B %Y", "%d. %b %Y"),
        ("%b %d, %Y", "%b %d, %Y"),
        ("%B %d %Y", "%b %d %Y"),
        ("%A, %B %d, %Y", "%b %d, %Y"),
        ("%a, %d %b %Y", "%d %b %Y"),
        (" %Y-%m-%d ", "%Y-%m-%d"),
    ],
)
@pytest.mark.parametrize("clock", ["", "T%H:%M:%S", " %H:%M:%S", " %I:%M:%S %p", "  %H:%M:%S.%f"])
def test_dates_are_read_whole(written, pattern, clock):
    said = HOURS if clock else DAYS
    words = [when.strftime(written.rstrip() + clock) for when in said]
    found = recognise("x", column([*words, None]), file="a.csv")
    assert found.form == Form("date", pattern=pattern)
    assert found.values.tolist() == [*said, None]
    again = recognise_as("x", column([*words, None]), found.form, file="b.csv")
    assert again.values.tolist() == found.values.tolist()


@pytest.mark.parametrize(
    ("word", "iso"),
    [
        ("2024-02-03T10:00:00Z", "2024-02-03T10:00"),
        ("2024-02-03T10:00:00+02:00", "2024-02-03T08:00"),
        ("2024-02-03 22:00:00 -0230", "2024-02-04T00:30"),
        ("2024-02-03 10:00 UTC", "2024-02-03T10:00"),
        ("2024-02-03T10:00:00.5+01", "2024-02-03T09:00:00.5"),
        ("2024-02-03T10:00:00+01:00[Europe/Berlin]", "2024-02-03T09:00"),
        ("Sat, 03 Feb 2024 10:00:00 GMT", "2024-02-03T10:00"),
        ("Sat Feb  3 10:00:00 +0100 2024", "2024-02-03T09:00"),
        ("03/Feb/2024:10:00:00 +0100", "2024-02-03T09:00"),
    ],
)
def test_zones_are_brought_to_utc_and_that_is_said(word, iso):
    found = recognise("x", column([word] * 3), file="a.csv")
    assert found.values.tolist() == moments([iso] * 3)
    assert found.guess == "in UTC"


@pytest.mark.parametrize(
    ("word", "iso"),
    [
        ("Sat Feb  3 10:00:00 2024", "2024-02-03T10:00"),
        ("2024-02-03T10:00:00.123456789", "2024-02-03T10:00:00.123457"),
        ("2024-2-3 7:05", "2024-02-03T07:05"),
        ("12/31/2024 12:00 AM", "2024-12-31"),
        ("12/31/2024 12:30 p.m.", "2024-12-31T12:30"),
        ("9999-12-31", "9999-12-31"),
        ("0001-01-01", "0001-01-01"),
        ("1500-06-15 10:30", "1500-06-15T10:30"),
        ("2024-02", "2024-02-01"),
        ("Feb 2024", "2024-02-01"),
        ("Feb-24", "2024-02-01"),
        ("2/2024", "2024-02-01"),
        ("Sept. 5 2024", "2024-09-05"),
        ("31.12.69", "1969-12-31"),
        ("31.12.68", "2068-12-31"),
        ("2016-12-31 23:59:60", "2017-01-01"),
    ],
)
def test_single_dates(word, iso):
    found = recognise("x", column([word]), file="a.csv")
    assert found.form.kind == "date"
    assert found.values.tolist() == moments([iso])


def test_days_with_and_without_a_time_are_one_column():
    found = recognise("x", column(["01.02.2024", "13.02.2024 10:30"]), file="a.csv")
    assert found.values.tolist() == moments(["2024-02-01", "2024-02-13T10:30"])


@pytest.mark.parametrize(
    ("words", "iso", "guess"),
    [
        (["01/02/2024", "03/04/2024"], ["2024-01-02", "2024-03-04"], "may be day/month/year"),
        (["01/02/2024", "13/02/2024"], ["2024-02-01", "2024-02-13"], ""),
        (["01/02/2024", "02/13/2024"], ["2024-01-02", "2024-02-13"], ""),
        (["01.02.2024", "03.04.2024"], ["2024-02-01", "2024-04-03"], "may be month.day.year"),
        (["01-02-2024", "03-04-2024"], ["2024-02-01", "2024-04-03"], "may be month-day-year"),
        (["02/02/2024", "03/03/2024"], ["2024-02-02", "2024-03-03"], ""),
        (["2024-02-01", "2024-04-03"], ["2024-02-01", "2024-04-03"], ""),
    ],
)
def test_whether_day_or_month_stands_first_follows_from_all_values_or_is_said(words, iso, guess):
    found = recognise("x", column(words), file="a.csv")
    assert found.values.tolist() == moments(iso)
    assert found.guess == guess


@pytest.mark.parametrize(
    "words",
    [
        ["2024-21", "2025-26"],
        ["2024-02-30", "2023-02-29"],
        ["5-6", "7-8"],
        ["May", "June"],
        ["Mon", "Tue"],
        ["1.2.3", "4.5.6"],
        ["Room 5", "Room 6"],
        ["A-2024-01-01", "B-2024-01-01"],
        ["25:60", "61:70"],
        ["00/00/0000", "99/99/9999"],
    ],
)
def test_what_is_no_date_stays_a_name(words):
    assert recognise("x", column(words), file="a.csv").form.kind == "category"


@pytest.mark.parametrize(
    ("word", "seconds"),
    [
        ("10:30", 37800),
        ("0:05", 300),
        ("23:59:59.25", 86399.25),
        ("23:59:59,25", 86399.25),
        ("12:00 AM", 0),
        ("12:30 pm", 45000),
        ("1:00 p.m.", 46800),
    ],
)
def test_times_of_day(word, seconds):
    found = recognise("x", column([word, None]), file="a.csv")
    assert found.form == Form("time")
    np.testing.assert_array_equal(found.values, [seconds, np.nan])
    again = recognise_as("x", column([word]), found.form, file="b.csv")
    assert again.values.tolist() == [seconds]


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["3:45", "61:10", None], [225, 3670, np.nan]),
        (["59:30", "1:02:03", "30:00"], [3570, 3723, 1800]),
        (["26:00:00", "1:00:00.5"], [93600, 3600.5]),
        (["0 days 00:05:00", "1 days 00:00:01.25"], [300, 86401.25]),
        (["1 day, 2:03:04", "2:03:04"], [93784, 7384]),
    ],
)
def test_lengths_of_time(words, values):
    found = recognise("x", column(words), file="a.csv")
    assert (found.form, found.told) == (Form("number", pattern=":"), "length of time")
    np.testing.assert_array_equal(found.values, values)
    again = recognise_as("x", column(words), found.form, file="b.csv")
    np.testing.assert_array_equal(again.values, values)


BERLIN = datetime.timezone(datetime.timedelta(hours=1))
FAR = datetime.datetime(9999, 12, 31)
MOMENT = datetime.datetime(2024, 2, 3, 10, 30, 0, 250_000)


@pytest.mark.parametrize(
    ("values", "kind", "form", "expected"),
    [
        ([MOMENT.date(), None], pa.date32(), Form("date"), moments(["2024-02-03", "NaT"])),
        ([MOMENT.date()], pa.date64(), Form("date"), moments(["2024-02-03"])),
        ([MOMENT, None], pa.timestamp("us"), Form("date"), [MOMENT, None]),
        ([MOMENT], pa.timestamp("ns"), Form("date"), [MOMENT]),
        ([MOMENT], pa.timestamp("ms"), Form("date"), [MOMENT]),
        (
            [MOMENT.replace(tzinfo=BERLIN)],
            pa.timestamp("us", "Europe/Berlin"),
            Form("date"),
            [MOMENT - datetime.timedelta(hours=1)],
        ),
        (
            [datetime.datetime(9999, 12, 31)],
            pa.timestamp("s"),
            Form("date"),
            moments(["9999-12-31"]),
        ),
        ([MOMENT.time(), None], pa.time64("us"), Form("time"), [37800.25, np.nan]),
        ([MOMENT.time()], pa.time32("ms"), Form("time"), [37800.25]),
        (
            [datetime.timedelta(minutes=1, milliseconds=500)],
            pa.duration("ms"),
            Form("number", unit="s"),
            [60.5],
        ),
    ],
)
def test_what_a_file_holds_as_dates_and_times(values, kind, form, expected):
    content = pa.chunked_array([pa.array(values, kind)])
    found = recognise("x", content, file="a.parquet")
    assert found.form == form
    np.testing.assert_array_equal(found.values.tolist(), expected)
    assert found.guess == ("in UTC" if getattr(kind, "tz", None) else "")
    again = recognise_as("x", content, form, file="b.parquet")
    np.testing.assert_array_equal(again.values.tolist(), expected)
    names = recognise("x", content, file="a.parquet", categorical=True)
    assert names.form == Form("category")


def test_nanoseconds_are_cut_to_microseconds():
    content = pa.chunked_array([pa.array([1_999], pa.timestamp("ns"))])
    assert recognise("x", content, file="a").values.astype(int).tolist() == [1]


@pytest.mark.parametrize("kind", [pa.int64(), pa.int32(), pa.float64(), pa.string()])
def test_whole_numbers_that_are_all_dates(kind):
    days = ["20240131", "20240229", "19991231"]
    content = pa.chunked_array([pa.array([*map(int, days), None]).cast(kind)])
    found = recognise("x", content, file="a.csv")
    assert found.values.tolist() == [*moments(["2024-01-31", "2024-02-29", "1999-12-31"]), None]
    assert found.form == Form("date", pattern="%Y%m%d")
    assert found.guess
    later = pa.chunked_array([pa.array([20240301]).cast(kind)])
    again = recognise_as("x", later, found.form, file="b.csv")
    assert again.values.tolist() == moments(["2024-03-01"])


@pytest.mark.parametrize(
    "numbers",
    [
        [20240131, 20240231, 20240110],
        [20240131, 20240229],
        [20240131.0, 20240229.0, 20240110.5],
        [20240131, 20240229, 5],
    ],
)
def test_whole_numbers_that_may_be_others_stay_numbers(numbers):
    assert recognise("x", column(numbers), file="a.csv").form == Form("number")


@pytest.mark.parametrize(
    ("pattern", "content", "iso"),
    [
        # Midnight alone makes a program leave the time out of a whole file.
        ("%d/%m/%Y", ["03/02/2024"], "2024-02-03"),
        ("%d/%m/%Y", ["03/02/2024 10:30"], "2024-02-03T10:30"),
        ("%d/%m/%Y", ["2024-02-03"], "2024-02-03"),
        ("%Y-%m-%d", ["2024/2/3"], "2024-02-03"),
        ("", ["2024-02-03T10:30:00Z"], "2024-02-03T10:30"),
        ("%d/%m/%Y", pa.array([datetime.date(2024, 2, 3)]), "2024-02-03"),
        ("%d/%m/%Y", pa.array([datetime.datetime(2024, 2, 3)], pa.timestamp("ns")), "2024-02-03"),
    ],
)
def test_another_file_may_hold_the_dates_otherwise(pattern, content, iso):
    found = recognise_as("x", column(content), Form("date", pattern=pattern), file="b")
    assert found.values.tolist() == moments([iso])


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (Form("date", pattern="%d/%m/%Y"), "02/13/2024"),
        (Form("date", pattern="%d/%m/%Y"), "3.2.2024"),
        (Form("date"), "01/02/2024"),
        (Form("date"), "soon"),
        (Form("date"), 5.5),
        (Form("date"), datetime.time(10, 30)),
        (Form("time"), "25:00"),
        (Form("time"), datetime.date(2024, 2, 3)),
        (Form("number"), datetime.date(2024, 2, 3)),
        (Form("number"), datetime.timedelta(1)),
        (Form("number", pattern=":"), datetime.timedelta(1)),
        (Form("number", pattern=":"), 90),
        (Form("number", pattern=":"), "90"),
    ],
)
def test_what_cannot_be_read_as_in_training_is_named(form, value):
    content = pa.chunked_array([pa.array([None, value])])
    with pytest.raises(InputError, match=r"^b: column 'x', row 2: '.*' cannot be read"):
        recognise_as("x", content, form, file="b")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["2024-01-31", "soon", "2024-02-29"], "row 2: 'soon' is not a date as the others are"),
        (["31/1/2024", "29/2/2024", "30/2/2024"], "row 3: '30/2/2024' is not a date"),
        (["31/1/2024", "29/2/2024", "30/2/2024"], "(date written day/month/year)"),
        (["10:30", "11:00", "10:60"], "row 3: '10:60' is not a time of day as the others are"),
    ],
)
def test_a_stray_word_among_dates_and_times_is_named(words, message):
    with pytest.raises(InputError) as refusal:
        recognise("x", column(words), file="a.csv")
    assert message in str(refusal.value)


def test_a_moment_beyond_microseconds_is_one_line():
    content = pa.chunked_array([pa.array([2**62], pa.timestamp("s"))])
    with pytest.raises(InputError, match=r"a.parquet: column 'x' cannot be read"):
        recognise("x", content, file="a.parquet")


PATTERNS = ["%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d %b %Y", "%B %d, %Y", "%m/%d/%Y", "%d/%m/%Y"]
CLOCKS = ["", " %H:%M", "T%H:%M:%S", "T%H:%M:%S.%f", " %I:%M:%S.%f %p"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.datetimes(datetime.datetime(1000, 1, 1)), min_size=1, max_size=20),
    st.sampled_from(PATTERNS),
    st.sampled_from(CLOCKS),
)
def test_dates_written_in_a_pattern_are_read_back(dates, pattern, clock):
    """A day beyond the 12th among them, so that nothing is left open."""
    said = [*dates, datetime.datetime(2024, 2, 29, 13, 1, 2, 3)]
    words = [when.strftime(pattern + clock) for when in said]
    back = [datetime.datetime.strptime(word, pattern + clock) for word in words]
    found = recognise("x", column(words), file="a.csv")
    assert (found.form.kind, found.guess) == ("date", "")
    assert found.values.tolist() == back
