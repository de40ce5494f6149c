"""How long scikit-learn's estimators, skorch's and ours take to fit the same and to predict.

The same architecture, epochs, batch size and method, on the same numbers of the same type, one
thread each, in turns. What is compared is processor time, so that others on the machine are not
counted. skorch takes part where it is installed; of its settings the fastest counts.

Beside them stand the products of matrices alone, as ``torch.mm`` takes them of these very shapes
into memory that is there: no rows are gathered, nothing is bent, no step is taken. Where a goal
leaves less time than these products take, it is out of reach for whoever computes them so.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from threadpoolctl import threadpool_limits

from benchmarks.markdown import describe_machine, markdown
from benchmarks.reference import add_data_dir, positive
from gradus.data import load
from gradus.models.networks import mlp
from gradus.sklearn import (
    GradusClassifier,
    GradusLinearClassifier,
    GradusLinearRegressor,
    GradusRegressor,
)

Array = NDArray[Any]

GOALS = {"scikit-learn": 8.0, "skorch": 2.0}
"""How many times as long a peer is to take to fit a net; a linear model at least as long, and half
as long on sparse rows."""

GOAL_OF_PREDICTING = 2.0


@dataclass(frozen=True)
class Case:
    """What is fitted."""

    name: str
    X: Any
    """``[rows, columns]``, an array or a CSR matrix."""
    y: Array
    hidden: tuple[int, ...]
    method: str
    lr: float
    batch_size: int
    epochs: int

    @property
    def classifies(self) -> bool:
        """Whether y holds classes."""
        return self.y.dtype.kind == "i"


def cases(data_dir: Any, scale: float) -> list[Case]:
    """All of them; ``scale`` is the share of the rows of the large ones."""
    random = np.random.default_rng(0)
    digits, labels = load_digits(return_X_y=True)
    digits = (digits / 16).astype(np.float32)
    n = int(100_000 * scale)
    table = random.normal(size=(n, 30)).astype(np.float32)
    numbers = np.tanh(table @ random.normal(size=30)) + 0.1 * random.normal(size=n)
    long = random.normal(size=(int(1_000_000 * scale), 30)).astype(np.float32)
    lines = random.normal(size=30).astype(np.float32)
    sides = (long @ lines > random.logistic(size=len(long))).astype(int)
    pictures = load("fashion-mnist", data_dir=data_dir, validation_fraction=0).train.subset(
        slice(0, int(60_000 * scale))
    )
    words, sides_of_words = texts(random, int(100_000 * scale))
    of_pictures, of_clothes = pictures.batch()
    x, clothes = of_pictures.flatten(1).numpy(), of_clothes.numpy()
    return [
        Case("digits", digits, labels, (32,), "sgd", 0.1, 16, 10),
        Case("digits", digits, labels, (32,), "adam", 0.001, 200, 20),
        Case("digits, float64", digits.astype(float), labels, (100,), "adam", 0.001, 200, 20),
        Case("table", table, (numbers > 0).astype(int), (100,), "adam", 0.001, 200, 2),
        Case("table, numbers", table, numbers, (100,), "sgd", 0.01, 32, 1),
        Case("Fashion-MNIST", x, clothes, (512, 512), "sgd", 0.01, 16, 1),
        Case("Fashion-MNIST", x, clothes, (512, 512), "adam", 0.001, 200, 1),
        Case("table, linear", long, sides, (), "sgd", 0.0, 64, 5),
        Case("table, linear, numbers", long, long @ lines, (), "sgd", 0.0, 64, 5),
        Case("sparse, linear", words, sides_of_words, (), "sgd", 0.0, 64, 5),
    ]


def texts(random: np.random.Generator, n: int) -> tuple[Any, Array]:
    """Rows of 70 of 47,000 columns, which come as often as words do, and two classes."""
    columns, each = 47_000, 70
    often = np.exp(random.uniform(0, np.log(columns), size=(n, each))).astype(np.int32)
    values = random.uniform(0.5, 1.5, size=n * each).astype(np.float32) / np.float32(each**0.5)
    starts = np.arange(0, n * each + 1, each)
    x = sparse.csr_matrix((values, often.ravel() % columns, starts), shape=(n, columns))
    x.sum_duplicates()
    return x, (x @ random.normal(size=columns) > 0.5 * random.logistic(size=n)).astype(int)


def by_gradus(case: Case) -> Any:
    """Our estimator of a case."""
    if not case.hidden:
        linear = GradusLinearClassifier if case.classifies else GradusLinearRegressor
        return linear(epochs=case.epochs, batch_size=case.batch_size, scaling=None, random_state=0)
    kind = GradusClassifier if case.classifies else GradusRegressor
    return kind(
        case.hidden, method=case.method, lr=case.lr, batch_size=case.batch_size,
        momentum=0.9 if case.method == "sgd" else None, epochs=case.epochs, models=1,
        early_stopping=False, scaling=None, pieces=0, random_state=0,
    )  # fmt: skip


def by_scikit_learn(case: Case) -> Any:
    """That of scikit-learn: no penalty, and no epoch fewer."""
    if not case.hidden:
        linear = SGDClassifier if case.classifies else SGDRegressor
        loss = "log_loss" if case.classifies else "squared_error"
        return linear(loss=loss, penalty=None, max_iter=case.epochs, tol=None, random_state=0)
    kind = MLPClassifier if case.classifies else MLPRegressor
    return kind(
        hidden_layer_sizes=case.hidden, solver=case.method, learning_rate_init=case.lr,
        batch_size=case.batch_size, max_iter=case.epochs, momentum=0.9, nesterovs_momentum=False,
        alpha=0.0, tol=0.0, n_iter_no_change=case.epochs + 1, random_state=0,
    )  # fmt: skip


def by_skorch(case: Case, fused: bool) -> Any:
    """That of skorch, on the module that ours trains."""
    from skorch import NeuralNetClassifier, NeuralNetRegressor

    dtype = torch.from_numpy(case.X[:0]).dtype
    outputs = int(case.y.max()) + 1 if case.classifies else 1
    module = mlp(case.X.shape[1:], outputs, case.hidden).to(dtype=dtype)
    kind = NeuralNetClassifier if case.classifies else NeuralNetRegressor
    loss = torch.nn.CrossEntropyLoss if case.classifies else torch.nn.MSELoss
    optimizer = torch.optim.SGD if case.method == "sgd" else torch.optim.Adam
    momentum = {"optimizer__momentum": 0.9} if case.method == "sgd" else {}
    return kind(
        module, criterion=loss, optimizer=optimizer, optimizer__fused=fused, lr=case.lr,
        batch_size=case.batch_size, max_epochs=case.epochs, iterator_train__shuffle=True,
        train_split=None, callbacks="disable", verbose=0, **momentum,
    )  # fmt: skip


def contenders(case: Case) -> Mapping[str, Callable[[], Any]]:
    """Who takes part, and what each makes."""
    found: dict[str, Callable[[], Any]] = {
        "gradus": lambda: by_gradus(case),
        "scikit-learn": lambda: by_scikit_learn(case),
    }
    if case.hidden and find_spec("skorch"):
        found["skorch"] = lambda: by_skorch(case, fused=False)
        found["skorch, fused"] = lambda: by_skorch(case, fused=True)
    return found


def seconds(call: Callable[[], Any]) -> float:
    """Processor seconds that it takes."""
    started = time.process_time()
    call()
    return time.process_time() - started


def products(case: Case) -> tuple[float, float]:
    """Processor seconds of the products alone, of all epochs and of one look at all rows."""
    dtype = torch.from_numpy(case.X[:0]).dtype
    outputs = int(case.y.max()) + 1 if case.classifies else 1
    widths = (case.X.shape[1], *case.hidden, outputs)

    def of_rows(n: int, *, backward: bool) -> float:
        """Of n rows, the least of several."""
        times, least = max(1, 2_000 // n), np.inf
        calls: list[Callable[[], Any]] = []
        for k, (m, p) in enumerate(pairwise(widths)):
            x, w, z = (torch.rand(shape, dtype=dtype) for shape in ((n, m), (m, p), (n, p)))
            calls.append(partial(torch.mm, x, w, out=z))
            if backward:
                calls.append(partial(torch.mm, x.T, z, out=torch.empty_like(w)))
                if k:
                    calls.append(partial(torch.mm, z, w.T, out=torch.empty_like(x)))

        for _ in range(20):
            started = time.process_time()
            for call in calls * times:
                call()
            least = min(least, (time.process_time() - started) / times)
        return least

    steps = case.epochs * len(case.y) / case.batch_size
    return steps * of_rows(case.batch_size, backward=True), of_rows(len(case.y), backward=False)


def turn(case: Case) -> dict[str, tuple[float, float]]:
    """Seconds of each to fit and to predict what it was fitted to."""
    found: dict[str, tuple[float, float]] = {}
    for name, make in contenders(case).items():
        estimator, y = make(), case.y
        if name.startswith("skorch") and not case.classifies:
            y = y[:, None].astype(case.X.dtype)
        fitting = seconds(lambda e=estimator, y=y: e.fit(case.X, y))  # type: ignore[misc]
        predicting = seconds(lambda e=estimator: e.predict(case.X))  # type: ignore[misc]
        name, *_ = name.split(",")
        before = found.get(name, (np.inf, np.inf))
        found[name] = min(before[0], fitting), min(before[1], predicting)
    return found


def row(case: Case, turns: list[dict[str, tuple[float, float]]]) -> list[str]:
    """Ours in seconds, theirs as so many times as long, with the range over the turns."""
    widths = "-".join(map(str, (case.X.shape[1], *case.hidden)))
    cells = [case.name, f"{len(case.y):,}", widths, case.method, str(case.batch_size)]
    cells.append(str(case.epochs))
    missed = []
    alone = products(case) if case.hidden else None
    for what in (0, 1):
        ours = statistics.median(each["gradus"][what] for each in turns)
        cells += [f"{ours:.3g}", f"{alone[what] / ours:.0%}" if alone else ""]
        for peer, goal in GOALS.items():
            if peer not in turns[0]:
                cells.append("")
                continue
            ratios = [each[peer][what] / each["gradus"][what] for each in turns]
            ratio = statistics.median(ratios)
            cells.append(f"{ratio:.1f}× ({min(ratios):.1f}–{max(ratios):.1f})")
            if not case.hidden:
                goal = 1.0 if isinstance(case.X, np.ndarray) else 0.5
            elif what == 1:
                goal = GOAL_OF_PREDICTING if peer == "scikit-learn" else 0.0
            if ratio < goal:
                missed.append(f"{('fit', 'predict')[what]} {peer} ≥ {goal:g}× MISSED")
                peers = statistics.median(each[peer][what] for each in turns)
                if alone and alone[what] > peers / goal:
                    missed[-1] += f" (the products alone: {peers / alone[what]:.1f}×)"
    return [*cells, "; ".join(missed) or "reached"]


def main() -> None:
    """Measure, telling every case on stderr, and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.estimators",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--repeats", type=positive, default=5, metavar="R", help="turns")
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the rows of the large data  [default: all]"
    )
    add_data_dir(parser)
    given = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    torch.set_num_threads(1)
    head = ["data", "rows", "widths", "method", "batch", "epochs"]
    for what in ("fit", "predict"):
        head += [f"{what}, s", "products alone", *GOALS]
    rows = [[*head, ""]]
    with threadpool_limits(1):
        all_cases = cases(given.data_dir, given.share)
        turn(all_cases[0])  # what is imported in the first fit counts for nobody
        for case in all_cases:
            turns = [turn(case) for _ in range(given.repeats)]
            rows.append(row(case, turns))
            print(*rows[-1], sep="  ", file=sys.stderr, flush=True)
    print(f"{describe_machine()}; processor seconds, one thread\n\n{markdown(rows)}")


if __name__ == "__main__":
    main()
