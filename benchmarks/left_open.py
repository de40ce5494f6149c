"""What a learning rate that nobody gave costs and gains, for models of one's own.

    ratio = test loss with a learning rate found by short trainings / with the method's default,

each with ten epochs of batches of 16, on the digits, two tables of scikit-learn and 4,000 images of
Fashion-MNIST, for a linear model, a ReLU net, one with batch norm and dropout and, on the digits, a
convolution. Fixed are 0.001 for SGD (momentum 0.5), Adam and AdamW. With a fifth of the training
examples held to choose on, and without.

    python -m benchmarks.left_open
"""

from __future__ import annotations

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any, NamedTuple

import torch
from torch import nn

import gradus
from benchmarks.markdown import describe_machine, markdown

METHODS = ("sgd", "adam", "adamw")
SEEDS = (0, 1)
WORSE = 1.05
"""A ratio from which on it counts as worse."""


class Task(NamedTuple):
    """Data, and how many numbers go in and out."""

    name: str
    data: tuple[Any, Any]
    inputs: int
    outputs: int


def tasks(data_dir: Path | None) -> Iterator[Task]:
    """The data of all comparisons."""
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

    from gradus.data.loading import load

    digits = load_digits()
    images = (digits.data / 16).astype("f4").reshape(-1, 1, 8, 8)
    yield Task("digits", (images, digits.target), 64, 10)
    cancer, diabetes = load_breast_cancer(), load_diabetes()
    x = (cancer.data - cancer.data.mean(0)) / cancer.data.std(0)
    yield Task("breast cancer", (x.astype("f4"), cancer.target), 30, 2)
    x = (diabetes.data - diabetes.data.mean(0)) / diabetes.data.std(0)
    y = (diabetes.target - diabetes.target.mean()) / diabetes.target.std()
    yield Task("diabetes", (x.astype("f4"), y.astype("f4")), 10, 1)
    clothes = load("fashion-mnist", data_dir=data_dir).train.subset(slice(0, 4000))
    x, y = (each.numpy() for each in clothes.to(dtype=torch.float32).batch())
    yield Task("Fashion-MNIST", (x.reshape(len(x), 1, 28, 28), y), 784, 10)


def models(task: Task) -> Iterator[Callable[[], nn.Module]]:
    """What makes each model of a task."""
    i, o = task.inputs, task.outputs
    yield lambda: nn.Sequential(nn.Flatten(), nn.Linear(i, o))
    yield lambda: nn.Sequential(nn.Flatten(), nn.Linear(i, 64), nn.ReLU(), nn.Linear(64, o))
    if task.name != "diabetes":  # whose last mini-batch holds one example, which no norm takes
        yield lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(i, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.2),
            nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, o),
        )  # fmt: skip
    if task.name == "digits":
        yield lambda: nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(8 * 16, o),
        )  # fmt: skip


def trained(task: Task, make: Callable[[], nn.Module], seed: int, **options: Any) -> Any:
    """The test loss of a run, and the seconds it took."""
    torch.manual_seed(seed)
    model, began = make(), time.perf_counter()
    run = gradus.train(task.data, model=model, seed=seed, epochs=10, batch_size=16, **options)
    loss = run.summary["final"]["test_loss"] if run.status == "finished" else math.inf
    return loss, time.perf_counter() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--data-dir", type=Path)
    given = parser.parse_args()
    found: dict[tuple[str, float, str], list[tuple[float, float]]] = defaultdict(list)
    for task in tasks(given.data_dir):
        for make in models(task):
            for method in METHODS:
                for held in (0.2, 0.0):
                    for seed in SEEDS:
                        how = {"method": method, "validation_fraction": held}
                        fixed, alone = trained(task, make, seed, lr=0.001, **how)
                        auto, searched = trained(task, make, seed, lr="auto", **how)
                        pair = auto / fixed, searched / alone
                        found[method, held, task.name].append(pair)
                        found[method, held, "all"].append(pair)
    rows = [["method", "held", "data", "ratio", f"over {WORSE:g}", "largest", "time"]]
    for (method, held, name), pairs in sorted(found.items(), reverse=True):
        ratios = [ratio for ratio, _ in pairs]
        worse = f"{sum(ratio > WORSE for ratio in ratios)} of {len(ratios)}"
        rows.append([
            method, f"{held:.0%}", name, f"{geometric_mean(ratios):.2f}", worse,
            f"{max(ratios):.2f}", f"{median(each for _, each in pairs):.1f}",
        ])  # fmt: skip
    print(describe_machine(), "\n")
    print(markdown(rows))


if __name__ == "__main__":
    main()
