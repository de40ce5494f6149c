"""What is fitted to columns: held against scikit-learn, the calendar, and its own record."""

import datetime
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, RobustScaler, StandardScaler

from gradus.data.columns import Column, Form
from gradus.data.preparation import (
    Classes,
    Preparation,
    Quantities,
    Quantity,
    fit,
    read_preparation,
)
from gradus.data.preparation import preparation as preparation_module
from gradus.data.preparation.moments import LENGTHS
from gradus.data.preparation.names import MOST_NAMES
from gradus.data.preparation.numbers import Numbers
from gradus.errors import InputError

RANDOM = np.random.default_rng(0)
VALUES = np.concatenate([RANDOM.lognormal(3, 2, 200), [np.nan] * 20])
NUMBERS = Column("n", Form("number"), RANDOM.permutation(VALUES))


def names(*words, form=None):
    distinct = tuple(dict.fromkeys(word for word in words if word is not None))
    codes = [-1 if word is None else distinct.index(word) for word in words]
    return Column("c", form or Form("category"), np.array(codes, np.int32), distinct)


def dates(*when):
    return Column("d", Form("date"), np.array(when, dtype="datetime64[us]"))


@pytest.mark.parametrize("fill", ["mean", "median"])
def test_gaps_are_filled_and_said_as_scikit_learn_does(fill):
    expected = SimpleImputer(strategy=fill, add_indicator=True).fit_transform(
        NUMBERS.values[:, None]
    )
    got = fit(NUMBERS, "none", fill).encode(NUMBERS)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_standard_scaling_is_that_of_scikit_learn():
    expected = StandardScaler().fit_transform(NUMBERS.values[:, None])[:, 0]
    got = fit(NUMBERS, "standard").encode(NUMBERS)[:, 0]
    there = ~NUMBERS.missing
    np.testing.assert_allclose(got[there], expected[there], rtol=1e-12)
    assert np.allclose(got[~there], 0)  # the mean


@pytest.mark.parametrize("scaling", ["standard", "robust"])
def test_what_is_constant_in_training_is_not_divided_by_its_rounding(scaling):
    fitted = fit(Column("n", Form("number"), np.full(272, 0.1)), scaling)
    later = Column("n", Form("number"), np.array([0.1, 0.2]))
    np.testing.assert_allclose(fitted.encode(later)[:, 0], [0, 0.1], atol=1e-4)


def test_robust_scaling_is_that_of_scikit_learn_and_draws_in_extremes():
    z = RobustScaler().fit_transform(NUMBERS.values[:, None])[:, 0]
    got = fit(NUMBERS, "robust").encode(NUMBERS)[:, 0]
    there = ~NUMBERS.missing
    np.testing.assert_allclose(got[there], (z / np.sqrt(1 + (z / 3) ** 2))[there], rtol=1e-10)
    assert np.abs(got).max() < 3


@pytest.mark.parametrize(
    ("values", "centre", "scale"),
    [([5.0, 5.0, 5.0], 5, 1), ([0.0] * 9 + [8.0], 0, 2.4), ([1.0, 2.0, 3.0, 4.0, 5.0], 3, 2)],
)
def test_robust_scaling_of_columns_that_hardly_vary(values, centre, scale):
    fitted = fit(Column("n", Form("number"), np.array(values)), "robust")
    assert (fitted.centre, fitted.scale) == pytest.approx((centre, scale))


def test_quartiles_of_many_rows_are_those_of_a_sample():
    values = RANDOM.permutation(np.arange(1_000_001.0))
    fitted = fit(Column("n", Form("number"), values), "robust", "median")
    for got, expected in ((fitted.centre, 500_000), (fitted.scale, 500_000), (fitted.fill, 5e5)):
        assert abs(got - expected) < 0.006 * len(values)


def test_pieces_are_the_piecewise_linear_encoding():
    """Gorishniy et al. (2022), eq. 1, with ends cut to 0 and 1."""
    pieces = Numbers(name="n", form=Form("number"), knots=(0.0, 1.0, 3.0), means=(0, 0))
    column = Column("n", Form("number"), np.array([-1.0, 0.5, 2.0, 9.0]))
    assert pieces.features == ("n", "n[0..1]", "n[1..3]")
    assert pieces.encode(column)[:, 1:].tolist() == [[0, 0], [0.5, 0], [1, 0.5], [1, 1]]


@pytest.mark.parametrize(
    ("values", "knots"),
    [
        (np.arange(101.0), (0, 25, 50, 75, 100)),
        ([1, 1, 1, 2, 5, np.nan], (1, 2, 5)),
        ([0.0] * 90 + list(range(1, 11)), (0, 1, 4, 7, 10)),
        ([3, 4], ()),
    ],
)
def test_pieces_hold_as_many_rows_each(values, knots):
    column = Column("n", Form("number"), np.array(values, dtype=np.float64))
    assert fit(column, pieces=4).knots == (knots if len(knots) > 2 else ())
    assert fit(column).knots == ()


def test_names_are_indicators_as_scikit_learn_has_them():
    words = [*("abc" * 40), *(f"rare {i}" for i in range(5)), None]
    column = names(*words)
    encoder = OneHotEncoder(min_frequency=2, sparse_output=False).fit(np.array(words[:-1])[:, None])
    got = fit(column).encode(column)
    np.testing.assert_array_equal(got[:-1, :4], encoder.transform(np.array(words[:-1])[:, None]))
    assert got[-1].tolist() == [0, 0, 0, 0, 1]
    assert fit(column).features == ("c=a", "c=b", "c=c", "c=(other)", "c=(missing)")


def test_what_is_rare_is_pooled():
    many = names(*(f"{i:03}" for i in range(MOST_NAMES + 5) for _ in range(10 + i)))
    fitted = fit(many)
    assert (len(fitted.names), fitted.pooled) == (MOST_NAMES, 5)
    assert fitted.names[0] == "005"  # the commonest have their own
    one = names(*["a"] * 300, *["b"] * 300, "c")
    assert (fit(one).names, fit(one).pooled) == (("a", "b", "c"), 0)


def test_a_name_that_was_not_seen_is_the_pooled_one_or_none():
    seen = names(*"aabb", *["x", "y"])
    small = fit(seen)
    assert small.encode(names("new")).tolist() == [[0, 0, 0, 0]]
    pooled = fit(names(*["a"] * 500, *["b"] * 500, "x", "y"))
    assert pooled.encode(names("new", "a")).tolist() == [[0, 0, 1], [1, 0, 0]]


def test_flags_and_their_gaps():
    flag = Column("f", Form("flag", flags=("no", "yes")), np.array([0, 1, 1, 1, np.nan]))
    assert fit(flag).encode(flag).tolist() == [[0, 0], [1, 0], [1, 0], [1, 0], [0.75, 1]]


@given(st.lists(st.datetimes(datetime.datetime(1600, 1, 1)), min_size=3, max_size=9))
def test_dates_are_those_of_the_calendar(when):
    column = dates(*when)
    fitted = fit(column)
    got = dict(zip(fitted.features, fitted.encode(column).T, strict=True))
    days = np.array([(moment - min(when)).total_seconds() / 86400 for moment in when])
    assert np.allclose(got["d"] * fitted.scale + fitted.centre, days, atol=1e-6)
    if fitted.year_scale is not None:
        years = got["d.year"] * fitted.year_scale + fitted.year_centre
        assert np.allclose(years, [moment.year for moment in when])
    place = {
        "month": [moment.month - 1 for moment in when],
        "day of week": [moment.weekday() for moment in when],
        "hour": [
            moment.hour + moment.minute / 60 + (moment.second + moment.microsecond / 1e6) / 3600
            for moment in when
        ],
    }
    for name, at in place.items():
        assert (name in fitted.cycles) == (len(set(at)) > 1)
        if name in fitted.cycles:
            for function in (math.sin, math.cos):
                expected = [function(2 * math.pi * value / LENGTHS[name]) for value in at]
                assert np.allclose(got[f"d.{name} {function.__name__}"], expected, atol=1e-9)


def test_a_missing_date_is_in_the_middle():
    column = dates("2020-01-01", "2021-06-05T12:00", "NaT")
    features = fit(column).encode(column)
    assert features[2].tolist() == [0.0] * (features.shape[1] - 1) + [1.0]
    assert np.isfinite(features).all()


COLUMNS = [
    NUMBERS,
    names(*["a", "b", None, "ü,\n"] * 55),
    Column("f", Form("flag", flags=("no", "yes")), RANDOM.integers(0, 2, 220).astype(float)),
    dates(*(datetime.date(1990, 1, 1) + datetime.timedelta(days=i) for i in range(220))),
    Column("t", Form("time"), RANDOM.uniform(0, 86400, 220)),
]


@pytest.mark.parametrize(
    "goal",
    [
        Classes(name="y", form=Form("category"), names=("a", "ä")),
        Quantities(targets=(Quantity(name="y", form=Form("number", decimal=","), scale=2.5),)),
    ],
)
def test_a_preparation_is_what_its_record_says(goal):
    encoders = tuple(fit(column, "robust", "median") for column in COLUMNS)
    preparation = Preparation(encoders=encoders, goal=goal)
    record = json.loads(json.dumps(preparation.record()))
    again = read_preparation(record, "here")
    assert again == preparation
    x = preparation.inputs(COLUMNS, "float32")
    assert x.dtype == np.float32
    assert x.shape == (220, len(preparation.features))
    assert np.array_equal(again.inputs(COLUMNS, "float32"), x)
    blocks = [encoder.encode(c) for encoder, c in zip(encoders, COLUMNS, strict=True)]
    np.testing.assert_array_equal(x, np.column_stack(blocks).astype(np.float32))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "version is 2, and 1 is known"),
        ({"goal": {"kind": "classes"}}, "is damaged (goal.classes.name: Field required"),
        ({"encoders": [{"kind": "magic"}]}, "is damaged (encoders.0"),
        (
            {"encoders": [{"kind": "flag", "name": "n", "form": {"kind": "number"}}]},
            "form: is of number, where flag belongs",
        ),
        (
            {
                "goal": {
                    "kind": "classes",
                    "name": "y",
                    "form": {"kind": "date"},
                    "names": ["a", "b"],
                }
            },
            "is of date, which is not predicted",
        ),
        (
            {
                "goal": {
                    "kind": "classes",
                    "name": "y",
                    "form": {"kind": "number"},
                    "names": ["a", "a"],
                }
            },
            "a name stands there twice",
        ),
        ({"code": "import os"}, "is damaged (code: Extra inputs"),
    ],
)
def test_a_damaged_record_is_one_line(change, message):
    preparation = Preparation(
        encoders=(fit(NUMBERS),), goal=Classes(name="y", form=Form("category"), names=("a", "b"))
    )
    with pytest.raises(InputError) as refusal:
        read_preparation(preparation.record() | change, "run/preparation.json")
    assert str(refusal.value).startswith("run/preparation.json: ")
    assert message in str(refusal.value)


@pytest.mark.parametrize(("scaling", "fill"), [("standard", "median"), ("none", "mean")])
def test_numbers_of_which_no_mean_can_be_taken_are_refused(scaling, fill):
    column = Column("a", Form("number"), np.array([1.7e308, 1.6e308, 1.0]))
    with pytest.raises(InputError, match=r"column 'a' holds 1\.7e\+308, .* out by --drop a"):
        fit(column, scaling, fill)
    assert fit(column, "robust", "median").fill == 1.6e308


def test_rows_are_encoded_in_pieces_as_they_are_at_once(monkeypatch):
    monkeypatch.setattr(preparation_module, "NUMBERS", 1)
    encoders = tuple(fit(column) for column in COLUMNS)
    goal = Classes(name="y", form=Form("category"), names=("a", "b"))
    later = [names(*["z", "b", None, "a", "ü,\n"] * 44) if c.name == "c" else c for c in COLUMNS]
    rows = np.random.default_rng(1).integers(0, 220, 3000)
    blocks = [encoder.encode(c.rows(rows)) for encoder, c in zip(encoders, later, strict=True)]
    found = Preparation(encoders=encoders, goal=goal).inputs(later, "float64", rows)
    np.testing.assert_array_equal(found, np.column_stack(blocks))
