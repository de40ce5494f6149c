"""What is said of a table that its values only suggest: an order of time, a number of the row."""

import numpy as np
import pytest

from gradus.data.advice import advice
from gradus.data.columns import Column, Form
from gradus.data.partition import Parts
from gradus.data.table_options import TableOptions

N = 40
DAYS = np.datetime64("2020-01-01", "us") + 7 * np.arange(N) * np.timedelta64(1, "D")
SOME = np.random.default_rng(0).normal(size=N)


def column(name, values):
    return Column(name, Form("date" if values.dtype.kind == "M" else "number"), values)


def gaps(values):
    values = values.copy()
    values[::9] = np.datetime64("NaT")
    return values


BY_TIME = (
    "the rows stand in the order of 'when', and parts are drawn at random: to test on the latest"
)


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("when", DAYS, f"{BY_TIME}, give --split time"),
        ("when", np.repeat(DAYS[::2], 2), f"{BY_TIME}, give --split time"),
        ("when", gaps(DAYS), f"{BY_TIME}, give --split time"),
        ("when", DAYS[::-1], "the latest first, and parts are drawn at random: to test on the "
         "latest, sort them the other way round and give --split time"),
        ("when", np.roll(DAYS, 1), None),
        ("when", np.repeat(DAYS[::4], 4), None),
        ("when", np.full(N, DAYS[0]), None),
        ("Year", 1980.0 + np.arange(N), "the order of 'Year'"),
        ("model year", 1980.0 + np.arange(N), "the order of 'model year'"),
        ("t", np.arange(N) / 10, "the order of 't'"),
        ("sorted", np.sort(SOME), None),
        ("passenger", np.arange(N) + 1.0, "'passenger' counts the rows, and is a feature all the "
         "same: if it says nothing of them, give --drop passenger"),
        ("passenger", 2 * np.arange(N) + 1.0, None),
    ],
)  # fmt: skip
def test_what_is_said_of_a_column(name, values, said):
    found = list(advice([column("size", SOME), column(name, values)], TableOptions("price")))
    assert len(found) == (said is not None)
    assert said is None or said in found[0]


@pytest.mark.parametrize("parts", [Parts(split="time"), Parts(group="who")])
def test_nothing_is_said_of_time_where_the_user_has_said_how_to_split(parts):
    assert not list(advice([column("when", DAYS)], TableOptions("price", parts=parts)))


def test_few_rows_are_in_order_by_chance_and_a_number_alone_is_what_is_learned_from():
    few = [column("size", SOME[:20]), column("when", DAYS[:20])]
    assert not list(advice(few, TableOptions("price")))
    assert not list(advice([column("x", np.arange(N) + 1.0)], TableOptions("price")))
