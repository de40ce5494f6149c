"""How long a search by cross-validation takes: ours beside that of scikit-learn.

100 candidates (learning rates and activations) on five folds of digits, two at a time, over the
same estimator. scikit-learn's is measured twice: where it starts its worker processes, as the first
search of a session does, and where they are there already. Processor seconds are of this process
and the workers together.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib.externals.loky import get_reusable_executor
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from benchmarks.markdown import describe_machine, markdown
from benchmarks.reference import positive
from gradus.sklearn import GradusClassifier, SweepCV

GOAL = 3.0
ACTIVATIONS = ["relu", "tanh", "sigmoid", "silu", "gelu"]
BARE: dict[str, Any] = {
    "scaling": None,
    "early_stopping": False,
    "models": 1,
    "pieces": 0,
    "random_state": 0,
}
CASES: dict[str, Callable[[], Any]] = {
    "batch 16, 10 epochs, X as it is": lambda: GradusClassifier(
        (32,), method="sgd", batch_size=16, epochs=10, **BARE
    ),
    "batch, epochs and scaling by default": lambda: GradusClassifier(
        (64,), models=1, pieces=0, random_state=0
    ),
}


def processor_seconds() -> float:
    """Of this process and its children, those that have ended among them."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = time.process_time() + ended.ru_utime + ended.ru_stime
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            values = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(values[1]) == os.getpid():
            found += (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")
    return found


def seconds(make: Callable[..., Any], estimator: Any, rates: int) -> tuple[float, float, Any]:
    """Processor seconds, seconds and scores of a search."""
    X, y = load_digits(return_X_y=True)
    grid = {"lr": np.logspace(-3.5, -1.5, rates).tolist(), "activation": ACTIVATIONS}
    search = make(estimator, grid, cv=5, n_jobs=2, refit=False, error_score="raise")
    processor, wall = processor_seconds(), time.perf_counter()
    search.fit(X, y)
    wall = time.perf_counter() - wall
    return processor_seconds() - processor, wall, search.cv_results_["mean_test_score"]


def main() -> None:
    """Measure in turns and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--repeats", type=positive, default=3, metavar="R", help="turns")
    parser.add_argument("--rates", type=positive, default=20, metavar="N", help="learning rates")
    given = parser.parse_args()
    torch.set_num_threads(1)
    names = ("SweepCV", "GridSearchCV", "GridSearchCV, started")
    rows = [["estimator", "clock", "SweepCV, s", *names[1:], ""]]
    for case, estimator in CASES.items():
        estimator().fit(*load_digits(return_X_y=True))  # what the first fit imports counts for none
        turns = []
        for _ in range(given.repeats):
            turn = [seconds(SweepCV, estimator(), given.rates)]
            turn += [seconds(GridSearchCV, estimator(), given.rates) for _ in range(2)]
            get_reusable_executor().shutdown(wait=True)
            for each in turn[1:]:
                np.testing.assert_array_equal(each[2], turn[0][2])
            turns.append(turn)
        for clock, what in (("processor", 0), ("wall", 1)):
            row = [case, clock, f"{statistics.median(turn[0][what] for turn in turns):.2f}"]
            for peer in (1, 2):
                ratios = [turn[peer][what] / turn[0][what] for turn in turns]
                ratio = statistics.median(ratios)
                row.append(f"{ratio:.1f}× ({min(ratios):.1f}–{max(ratios):.1f})")
                if peer == 1:
                    reached = f"≥ {GOAL:g}× {'reached' if ratio >= GOAL else 'MISSED'}"
            rows.append([*row, reached])
            print(*rows[-1], sep="  ", file=sys.stderr, flush=True)
    print(f"{describe_machine()}\n\n{markdown(rows)}")


if __name__ == "__main__":
    main()
