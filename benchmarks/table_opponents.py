"""What scikit-learn's models at their defaults make of a table: scores, and seconds to fit.

Runs in the environment of the benchmark of tables. Each model stands behind the usual pipeline:
medians for missing numbers, a category for missing names, numbers scaled, names one-hot. Dates are
given to it as a careful person would: year, month, day of the week, hour, and days in all.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

MOST_NAMES = 30
"""The commonest names of a column that become columns; the others are one."""

MODELS: dict[str, dict[str, Any]] = {
    "classes": {
        "linear": LogisticRegression,
        "MLP": MLPClassifier,
        "boosting": HistGradientBoostingClassifier,
    },
    "numbers": {
        "linear": Ridge,
        "MLP": MLPRegressor,
        "boosting": HistGradientBoostingRegressor,
    },
}


def features(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns with dates taken apart."""
    parts = []
    for name in frame:
        column = frame[name]
        dates = None if is_numeric_dtype(column) else _dates(column)
        if dates is None:
            parts.append(column)
            continue
        days = (dates - dates.min()) / pd.Timedelta(days=1)
        at = dates.dt
        for part, values in zip(
            ("year", "month", "weekday", "hour", "days"),
            (at.year, at.month, at.dayofweek, at.hour, days),
            strict=True,
        ):
            parts.append(values.astype(float).rename(f"{name} {part}"))
    return pd.concat(parts, axis=1)


def _dates(column: pd.Series) -> pd.Series | None:
    """A column of text as dates; None where not all of it are."""
    if not column.astype(str).str.match(r"\d{4}-\d{2}-\d{2}")[column.notna()].all():
        return None
    return pd.to_datetime(column, format="ISO8601")


def pipeline(x: pd.DataFrame, model: Any) -> Pipeline:
    """The usual one."""
    numbers = [name for name in x if is_numeric_dtype(x[name])]
    names = [name for name in x if name not in numbers]
    prepare = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            (
                "names",
                make_pipeline(
                    SimpleImputer(strategy="constant", fill_value="missing"),
                    OneHotEncoder(
                        handle_unknown="infrequent_if_exist",
                        max_categories=MOST_NAMES + 1,
                        sparse_output=False,
                    ),
                ),
                names,
            ),
        ]
    )
    return make_pipeline(prepare, model)


def measure(
    frame: pd.DataFrame, target: str, task: str, fit: NDArray[Any], test: NDArray[Any], seed: int
) -> dict[str, Any]:
    """Scores on the test rows and seconds to fit, by the name of the model."""
    x, y = features(frame.drop(columns=target)), frame[target].to_numpy()
    if task == "classes":
        y = y.astype(str)
    score = accuracy_score if task == "classes" else r2_score
    told: dict[str, Any] = {}
    for name, kind in MODELS[task].items():
        fitted = pipeline(x, kind(random_state=seed))
        began, computed = time.perf_counter(), time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # 200 epochs are the default
            fitted.fit(x.iloc[fit], y[fit])
        wall, processor = time.perf_counter() - began, time.process_time() - computed
        told[name] = {
            "score": float(score(y[test], fitted.predict(x.iloc[test]))),
            "wall": wall,
            "processor": processor,
        }
    return told


def main() -> None:
    """Measure all models on one table, split in several ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path, help="CSV file")
    parser.add_argument("target", help="the column that is predicted")
    parser.add_argument("task", choices=MODELS)
    parser.add_argument("rows", type=Path, help=".npz with fit0, test0, fit1, test1, ..")
    parser.add_argument("result", type=Path, help="JSON file to be written: a list, by split")
    given = parser.parse_args()
    frame = pd.read_csv(given.table).dropna(subset=[given.target]).reset_index(drop=True)
    with np.load(given.rows) as rows:
        told = [
            measure(frame, given.target, given.task, rows[f"fit{seed}"], rows[f"test{seed}"], seed)
            for seed in range(len(rows) // 2)
        ]
    given.result.write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main()
