"""Rows that are unlike all that trained are counted, over all pieces of a table."""

import numpy as np
import pytest

from gradus.data.columns import Column, Form
from gradus.data.preparation import fit
from gradus.data.unfamiliar import Unfamiliar

AGE = fit(Column("age", Form("number"), np.array([20.0, 60.0, np.nan, 40.0])), pieces=4)
GRAMS = fit(Column("grams", Form("number"), np.array([1.0, 2.0, 3.0])))
COLOURS = ("red", "green", *(f"rare {k}" for k in range(3)))
COLOUR = fit(Column("colour", Form("category"), np.r_[np.arange(5), np.zeros(300, int)], COLOURS))


def ages(*values):
    return AGE, Column("age", AGE.form, np.array(values, dtype=float))


def whole(*values):
    return GRAMS, Column("grams", GRAMS.form, np.array(values, dtype=float))


def colours(*names):
    return COLOUR, Column("colour", COLOUR.form, np.arange(len(names)), names)


@pytest.mark.parametrize(
    ("pieces", "told"),
    [
        ([ages(20, 60, np.nan)], ()),
        ([ages(0, 80)], ()),  # half of the width outside
        ([ages(-1, 30, 81)], (
            "age: 2 of 9 rows are far outside what trained (20 to 60), such as -1",
        )),
        ([ages(30), ages(3000), ages(-3000)], ("such as 3000",)),
        ([colours("red")], ()),
        ([colours("red", "pink"), colours("blue")], (
            "colour: 2 of 9 rows hold a name that was rare in training or not seen there, such as "
            "'pink'",
        )),
        ([colours("rare 1")], ("such as 'rare 1'",)),
        ([whole(np.nan, 3000), whole(2, np.nan)], (
            "grams: 2 of 9 rows hold no value, where all that trained had one",
            "grams: 1 of 9 rows are far outside what trained (1 to 3), such as 3000",
        )),
        ([colours("pink"), ages(900)], ("colour: 1 of", "age: 1 of")),
    ],
)  # fmt: skip
def test_what_is_told(pieces, told):
    seen = Unfamiliar()
    for encoder, column in pieces:
        seen.look(encoder, column)
    found = seen.told(9)
    assert len(found) == len(told)
    for line, part in zip(found, told, strict=True):
        assert part in line


def test_a_preparation_of_before_knows_no_range():
    seen = Unfamiliar()
    seen.look(AGE.model_copy(update={"low": None, "high": None}), ages(1e9)[1])
    assert seen.told(1) == ()
