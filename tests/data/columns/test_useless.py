"""Which columns are left out, and the reason that is said."""

import datetime

import numpy as np
import pyarrow as pa
import pytest

from gradus.data.columns import recognise, useless

N = 30
RANDOM = np.random.default_rng(0)
SHUFFLED = RANDOM.permutation(N)
DAYS = [datetime.date(2024, 2, 1), datetime.date(2024, 2, 2)]
REPEATED = SHUFFLED // 2


def said(table, **how):
    columns = [
        recognise(name, pa.chunked_array([pa.array(values)]), file="a.csv")
        for name, values in table.items()
    ]
    return useless(columns, **how)


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("", range(N), "counts the rows"),
        ("Unnamed: 0", range(1, N + 1), "counts the rows"),
        ("id", range(100, 100 + N), "counts the rows"),
        ("index", np.arange(N, dtype=float), "counts the rows"),
        ("rownames", range(1, N + 1), "counts the rows"),
        ("Lfd. Nr.", range(1, N + 1), "counts the rows"),
        ("OrderNo", SHUFFLED, "identifies the rows: another whole number in each"),
        ("#", SHUFFLED, "identifies the rows: another whole number in each"),
        ("PassengerId", SHUFFLED, "identifies the rows: another whole number in each"),
        ("", [0, 3, 7], "identifies the rows: another whole number in each"),
        ("customer_id", [*range(5, N), None], "identifies the rows: another whole number in each"),
        ("phone", 2**30 + SHUFFLED, "identifies the rows: another whole number in each"),
        ("note", [f"row {i}" for i in range(N)], "text, another in 30 of 30 rows"),
        ("note", [None, *(f"row {i}" for i in range(N))], "text, another in 30 of 30 rows"),
        ("ticket", 2**60 + SHUFFLED, "text, another in 30 of 30 rows"),
        ("a", [None] * N, "no values"),
        ("a", [float("nan")] * N, "no values"),
        ("a", [1.5] * N, "1.5 in every row"),
        ("a", [0] * N, "0 in every row"),
        ("a", ["red"] * N, "'red' in every row"),
        ("a", [datetime.date(2024, 2, 3)] * N, "2024-02-03T00:00:00 in every row"),
        ("a", ["01.02.2024"] * N, "2024-02-01T00:00:00 in every row"),
        ("a", [True] * N, "true in every row"),
    ],
)
def test_left_out(name, values, reason):
    table = {name: values, "other": RANDOM.normal(size=len(values))}
    assert said(table) == {name: reason}
    assert said(table, kept=[name]) == {}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("year", range(1990, 1990 + N)),
        ("t", range(N)),
        ("X", range(N)),
        ("id", REPEATED),
        ("store_id", 2**30 + REPEATED),
        ("id", RANDOM.normal(size=N)),
        ("salary", 2**24 + 7 ** np.arange(N // 2)),
        ("population", 2**30 + REPEATED),
        ("phone", 2**30 + SHUFFLED[:20]),
        ("number", SHUFFLED[:20]),
        ("number_of_rooms", SHUFFLED),
        ("nr", REPEATED),
        ("acidity", SHUFFLED),
        ("width", SHUFFLED),
        ("a", ["red", None]),
        ("a", [1.0, None]),
        ("a", [0, 1] * 15),
        ("when", [datetime.date(2024, 2, 3) + datetime.timedelta(i) for i in range(N)]),
    ],
)
def test_kept(name, values):
    assert said({name: values}) == {}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ([1, 2, 2], [1.0, 2.0, 2.0], True),
        ([1.5, None, -0.0], [1.5, None, 0.0], True),
        (["a", "b", None], ["a", "b", None], True),
        (["a", "b", "b"], ["c", "d", "d"], False),
        ([1, 2, 2], [1, 2, 3], False),
        ([1.5, None, 2], [1.5, 0, 2], False),
        (["$5", "$7", "$7"], ["5", "7", "7"], True),
        (
            ["1.2.2024", "2.2.2024", None],
            [*DAYS, None],
            True,
        ),
        (["yes", "no", None], [True, False, None], True),
        ([1, 0, 0], ["b", "a", "a"], False),
    ],
)
def test_a_column_with_the_values_of_another(one, other, same):
    assert said({"a": one, "b": other}) == ({"b": "the same as 'a'"} if same else {})
    assert said({"a": one, "b": other}, kept=["a"]) == {}


def test_columns_that_are_left_out_are_no_others():
    assert said(
        {"a": [1, 1, 1], "b": [1, 1, 1], "c": [2, 3, 3], "d": [2, 3, 3], "e": [2, 3, 3]}
    ) == {
        "a": "1 in every row",
        "b": "1 in every row",
        "d": "the same as 'c'",
        "e": "the same as 'c'",
    }


def test_columns_that_differ_in_one_row_of_many_are_two():
    one = RANDOM.normal(size=5000)
    other = one.copy()
    other[4321] += 1
    assert said({"a": one, "b": other, "c": one}) == {"c": "the same as 'a'"}
