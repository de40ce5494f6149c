"""The tasks on which the search for a learning rate is built, and those on which it is held.

Each is data, a model and a method with all options but the learning rate: classes and numbers, 178
to 3,000 rows, linear models, dense and convolutional networks, SGD, momentum, Nesterov, Adam,
AdamW, RMSprop and Adagrad, constant and falling rates, large and small batches, well and badly
scaled inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import nn

from gradus.runs.spec import RunSpec

Arrays = tuple[Any, Any]


@dataclass(frozen=True)
class Task:
    """What is trained.

    Attributes:
        half: ``build``: rules were chosen on it; ``held``: it was looked at after.
        source: gives x and y.
        options: of the run but for its learning rate.
    """

    half: Literal["build", "held"]
    source: Callable[[], Arrays] | None
    options: Mapping[str, Any]

    def given(self, name: str, folder: Path) -> dict[str, Any]:
        """Data and options, as they are given; the data are written into the folder."""
        if self.source is None:
            return {"data": "digits", "validation_fraction": 0.2, **self.options}
        path = folder / f"{name}.npz"
        if not path.exists():
            x, y = self.source()
            np.savez(path, x=np.asarray(x, np.float32), y=y)
        usual = {"validation_fraction": 0.2, "test_fraction": 0.2, "models": 1, "keep": "best"}
        return {"data": str(path), **usual, **self.options}

    def spec(self, name: str, folder: Path) -> RunSpec:
        """The spec of a run, one net that trains to its last epoch."""
        return RunSpec.read(self.given(name, folder)).fixed


def convolution(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """A small convolutional network on digits."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)) if len(input_shape) == 1 else nn.Identity(),
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64, outputs),
    )  # fmt: skip


def normalised(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """A dense network with batch normalisation."""
    width = int(np.prod(input_shape))
    return nn.Sequential(
        nn.Flatten(), nn.Linear(width, 64), nn.BatchNorm1d(64), nn.ReLU(),
        nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, outputs),
    )  # fmt: skip


def deep(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """Six narrow layers of tanh."""
    width = int(np.prod(input_shape))
    layers: list[nn.Module] = [nn.Flatten()]
    for before in (width, 32, 32, 32, 32, 32):
        layers += [nn.Linear(before, 32), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(32, outputs))


def _sklearn(name: str) -> Callable[[], Arrays]:
    def read() -> Arrays:
        from sklearn import datasets

        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        order = np.random.default_rng(0).permutation(len(x))
        return x[order], _targets(y[order])

    return read


def _made(name: str, **options: Any) -> Callable[[], Arrays]:
    def read() -> Arrays:
        from sklearn import datasets

        x, y = getattr(datasets, f"make_{name}")(random_state=0, **options)
        return x, _targets(y)

    return read


def _uneven(source: Callable[[], Arrays]) -> Callable[[], Arrays]:
    """The same, whose columns lie on scales from 0.03 to 30."""

    def read() -> Arrays:
        x, y = source()
        return x * np.logspace(-1.5, 1.5, x.shape[1]), y

    return read


def _targets(y: Any) -> Any:
    return np.asarray(y, np.int64) if y.dtype.kind in "iu" else np.asarray(y, np.float32)


CLASSES = _made("classification", n_samples=3000, n_features=20, n_informative=10, n_classes=4,
                flip_y=0.05)  # fmt: skip
HARD = _made("classification", n_samples=1500, n_features=40, n_informative=6, n_classes=3,
             flip_y=0.2)  # fmt: skip
FRIEDMAN = _made("friedman1", n_samples=2000, noise=1.0)
FRIEDMAN3 = _made("friedman3", n_samples=2000, noise=0.1)
MOONS = _made("moons", n_samples=1500, noise=0.25)
RINGS = _made("gaussian_quantiles", n_samples=2000, n_features=6, n_classes=4)
LINEAR = _made("regression", n_samples=1000, n_features=30, n_informative=8, noise=20.0)
SGD = {"method": "sgd"}
HERE = "benchmarks.tune_tasks"

TASKS: Mapping[str, Task] = {
    "digits-linear": Task("build", None, {"model": "linear", "epochs": 20, **SGD}),
    "digits-sgd": Task("build", None, {"hidden": "64", "epochs": 15, "momentum": 0.0, **SGD}),
    "classes-adam": Task("build", CLASSES, {"hidden": "64", "epochs": 15, "method": "adam"}),
    "cancer-momentum": Task(
        "build", _sklearn("breast_cancer"),
        {"hidden": "32", "epochs": 30, "momentum": 0.9, "batch_size": 32, **SGD},
    ),
    "friedman-adamw": Task(
        "build", FRIEDMAN,
        {"hidden": "64,64", "epochs": 16, "method": "adamw", "schedule": "cosine"},
    ),
    "moons-rmsprop": Task("build", MOONS, {"hidden": "32,32", "epochs": 20, "method": "rmsprop"}),
    "diabetes-nesterov": Task(
        "build", _sklearn("diabetes"),
        {"hidden": "32", "epochs": 40, "method": "nesterov", "batch_size": 16},
    ),
    "uneven-sgd": Task(
        "build", _uneven(CLASSES),
        {"hidden": "64", "epochs": 15, "momentum": 0.9, "standardize": False, **SGD},
    ),
    "digits-convolution": Task(
        "build", None, {"model": f"{HERE}:convolution", "epochs": 6, "batch_size": 64, **SGD},
    ),
    "rings-full": Task(
        "build", RINGS, {"hidden": "64", "epochs": 300, "method": "polyak", "sampling": "full"},
    ),
    "digits-momentum": Task("held", None, {"hidden": "64", "epochs": 12, "momentum": 0.9, **SGD}),
    "digits-adam": Task("held", None, {"hidden": "128,64", "epochs": 12, "method": "adam"}),
    "digits-cosine": Task(
        "held", None,
        {"hidden": "64", "epochs": 12, "momentum": 0.9, "schedule": "cosine", **SGD},
    ),
    "digits-normalised": Task(
        "held", None,
        {"model": f"{HERE}:normalised", "epochs": 8, "batch_size": 64, "momentum": 0.9, **SGD},
    ),
    "digits-convolution-adam": Task(
        "held", None,
        {"model": f"{HERE}:convolution", "epochs": 6, "batch_size": 64, "method": "adam"},
    ),
    "digits-deep": Task(
        "held", None,
        {"model": f"{HERE}:deep", "epochs": 8, "batch_size": 64, "momentum": 0.9, **SGD},
    ),
    "digits-full": Task(
        "held", None,
        {"model": "linear", "epochs": 200, "method": "gradient-descent", "sampling": "full"},
    ),
    "classes-sgd": Task("held", CLASSES, {"hidden": "64", "epochs": 15, "momentum": 0.0, **SGD}),
    "classes-large-batch": Task(
        "held", CLASSES,
        {"hidden": "128", "epochs": 30, "momentum": 0.9, "batch_size": 256, **SGD},
    ),
    "classes-adagrad": Task(
        "held", CLASSES, {"hidden": "64", "epochs": 15, "method": "adagrad", "batch_size": 32},
    ),
    "hard-linear": Task("held", HARD, {"model": "linear", "epochs": 20, "method": "adam"}),
    "hard-adamw": Task("held", HARD, {"hidden": "64", "epochs": 20, "method": "adamw"}),
    "cancer-adam": Task(
        "held", _sklearn("breast_cancer"), {"hidden": "32", "epochs": 30, "method": "adam"},
    ),
    "wine-sgd": Task(
        "held", _sklearn("wine"), {"hidden": "16", "epochs": 40, "batch_size": 8, **SGD},
    ),
    "friedman-momentum": Task(
        "held", FRIEDMAN, {"hidden": "64", "epochs": 20, "momentum": 0.9, **SGD},
    ),
    "friedman-uneven": Task(
        "held", _uneven(FRIEDMAN3),
        {"hidden": "64", "epochs": 20, "method": "adam", "standardize": False, "batch_size": 32},
    ),
    "linear-sgd": Task("held", LINEAR, {"model": "linear", "epochs": 30, **SGD}),
    "moons-adam": Task("held", MOONS, {"hidden": "32,32", "epochs": 20, "method": "adam"}),
    "rings-nesterov": Task(
        "held", RINGS, {"hidden": "64,64", "epochs": 20, "method": "nesterov", "batch_size": 32},
    ),
    "diabetes-rmsprop": Task(
        "held", _sklearn("diabetes"), {"hidden": "32", "epochs": 40, "method": "rmsprop"},
    ),
}  # fmt: skip
