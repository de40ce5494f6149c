"""The base tasks: small data, a sound network and a method, with options found to be good.

Tables that come with scikit-learn and generated ones, the digits, and a part of Fashion-MNIST at
half its height and width; half of the tasks, drawn of each kind of network, is for tuning the
doctor's rules, the other is held. A second and a third held half have tasks of their own
(:mod:`benchmarks.doctor.second_tasks`, :mod:`benchmarks.doctor.third_tasks`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets

from benchmarks.doctor import second_tasks, third_tasks
from benchmarks.doctor.networks import Network
from benchmarks.doctor.trials import Trial
from gradus.data import load

Array = NDArray[Any]
Half = Literal["tune", "held", "second", "third"]

SPLIT_SEED = 17


@dataclass(frozen=True)
class Task:
    """A sound run.

    Attributes:
        name: of the task.
        source: of its data, in ``SOURCES``.
        network: its model.
        options: of its spec, beside.
    """

    name: str
    source: str
    network: Network
    options: dict[str, Any]

    @property
    def kind(self) -> str:
        """What kind of network it is, of which each half has as many."""
        return "linear" if self.network == Network() else self.network.kind

    @property
    def trial(self) -> Trial:
        """The run itself."""
        x, y, classes, sizes = parts_of(self.source)
        ends = np.cumsum(sizes)
        train, validation, test, fresh = np.split(np.arange(len(x)), ends)
        names = ("train", "validation", "test")
        rows = dict(zip(names, (train, validation, test), strict=True))
        arrays = {f"x_{name}": x[part] for name, part in rows.items()}
        arrays |= {f"y_{name}": y[part] for name, part in rows.items()}
        return Trial(arrays, (x[fresh], y[fresh]), self.network, self.options, classes=classes)


Read = Callable[[], tuple[Array, Array, int | None]]


def _table(name: str, *, numbers: bool = False) -> Read:
    def read() -> tuple[Array, Array, int | None]:
        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        return x, y, None if numbers else int(y.max()) + 1

    return read


def _generated(name: str, *, numbers: bool = False, **options: Any) -> Read:
    def read() -> tuple[Array, Array, int | None]:
        x, y = getattr(datasets, f"make_{name}")(random_state=1, **options)
        return x, y, None if numbers else int(y.max()) + 1

    return read


def _digits(shape: tuple[int, ...]) -> Read:
    def read() -> tuple[Array, Array, int | None]:
        x, y = datasets.load_digits(return_X_y=True)
        return (x / 16).reshape(len(x), *shape), y, 10

    return read


def _fashion(shape: tuple[int, ...]) -> Read:
    def read() -> tuple[Array, Array, int | None]:
        examples = load("fashion-mnist", validation_fraction=0).train.subset(slice(0, 4_000))
        x = examples.x.numpy().reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)) / 255
        return x.reshape(len(x), *shape), examples.y.numpy(), 10

    return read


def _symbols() -> tuple[Array, Array, int | None]:
    """Which of four symbols stands most often among twelve."""
    random = np.random.default_rng(2)
    symbols = random.integers(4, size=(6_000, 12))
    counts = np.eye(4)[symbols].sum(axis=1)
    clear = np.sort(counts, axis=1)[:, -1] > np.sort(counts, axis=1)[:, -2]
    return np.eye(4)[symbols[clear]][:, None], counts[clear].argmax(axis=1), 4


def _waves() -> tuple[Array, Array, int | None]:
    random = np.random.default_rng(3)
    x = random.uniform(-1, 1, size=(1_200, 1))
    return x, np.sin(5 * x[:, 0]) + 0.1 * random.normal(size=len(x)), None


def _spirals() -> tuple[Array, Array, int | None]:
    random = np.random.default_rng(4)
    y = random.integers(3, size=2_000)
    radius = random.uniform(0.1, 1, size=len(y))
    angle = 4 * radius + 2 * np.pi * y / 3 + 0.15 * random.normal(size=len(y))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), y, 3


SOURCES: dict[str, tuple[Read, tuple[int, int, int], bool]] = {
    "breast": (_table("breast_cancer"), (280, 80, 80), True),
    "wine": (_table("wine"), (90, 28, 28), True),
    "diabetes": (_table("diabetes", numbers=True), (220, 70, 70), True),
    "friedman": (
        _generated("friedman1", numbers=True, n_samples=1_600, noise=1.0),
        (600, 200, 200),
        True,
    ),
    "plane": (
        _generated("regression", numbers=True, n_samples=1_600, n_features=20, noise=20.0),
        (600, 200, 200),
        True,
    ),
    "waves": (_waves, (400, 150, 150), True),
    "moons": (_generated("moons", n_samples=2_000, noise=0.2), (500, 200, 200), True),
    "spirals": (_spirals, (700, 250, 250), True),
    "groups": (
        _generated(
            "classification", n_samples=3_000, n_features=20, n_informative=8, n_classes=5,
            n_clusters_per_class=1, class_sep=1.5,
        ),
        (800, 300, 300),
        True,
    ),
    "hills": (_generated("gaussian_quantiles", n_samples=3_000, n_features=6, n_classes=3),
        (1_000, 300, 300), True),
    "digits": (_digits((64,)), (900, 250, 250), False),
    "digit images": (_digits((1, 8, 8)), (900, 250, 250), False),
    "fashion": (_fashion((196,)), (1_200, 400, 400), False),
    "fashion images": (_fashion((1, 14, 14)), (1_000, 300, 300), False),
    "symbols": (_symbols, (1_000, 300, 300), False),
}  # fmt: skip
"""What gives the examples, how many are in each part, and whether columns are standardised."""


@cache
def parts_of(name: str) -> tuple[Array, Array, int | None, tuple[int, int, int]]:
    """The examples in a fixed order of chance, as float32; numbers to predict in deviations."""
    read, sizes, standardised = (SOURCES | second_tasks.SOURCES | third_tasks.SOURCES)[name]
    x, y, classes = read()
    order = np.random.default_rng(5).permutation(len(x))[: sum(sizes) + 1_500]
    x, y = x[order], y[order]
    train = slice(0, sizes[0])
    if standardised:
        x = (x - x[train].mean(axis=0)) / x[train].std(axis=0)
    if classes is None:
        y = ((y - y[train].mean()) / y[train].std()).astype(np.float32)
    return x.astype(np.float32), y, classes, sizes


def _sgd(lr: float, batch_size: int, epochs: int, momentum: float = 0.0) -> dict[str, Any]:
    return {
        "method": "sgd", "lr": lr, "momentum": momentum, "batch_size": batch_size,
        "epochs": epochs,
    }  # fmt: skip


def _adam(lr: float, batch_size: int, epochs: int) -> dict[str, Any]:
    return {"method": "adam", "lr": lr, "batch_size": batch_size, "epochs": epochs}


def _dense(*widths: int, activation: str = "relu") -> Network:
    return Network("dense", widths, activation)


def _conv(*channels: int) -> Network:
    return Network("conv", channels)


def _former(*widths: int) -> Network:
    return Network("transformer", widths)


FIRST: dict[str, Task] = {
    task.name: task
    for task in (
        Task("breast, linear, sgd", "breast", Network(), _sgd(0.1, 16, 20)),
        Task("groups, linear, momentum", "groups", Network(), _sgd(0.02, 16, 20, 0.9)),
        Task("digits, linear, sgd", "digits", Network(), _sgd(0.5, 16, 30)),
        Task("fashion, linear, adam", "fashion", Network(), _adam(0.005, 32, 20)),
        Task("plane, linear, sgd", "plane", Network(), _sgd(0.01, 16, 20)),
        Task("diabetes, linear, adam", "diabetes", Network(), _adam(0.002, 16, 40)),
        Task("breast, dense, adam", "breast", _dense(16), _adam(0.002, 16, 20)),
        Task("wine, dense, momentum", "wine", _dense(16), _sgd(0.01, 8, 20, 0.9)),
        Task("diabetes, dense, adam", "diabetes", _dense(16), _adam(0.0015, 16, 15)),
        Task("friedman, dense, momentum", "friedman", _dense(32), _sgd(0.01, 16, 40, 0.9)),
        Task("friedman, dense, adam", "friedman", _dense(32, 32), _adam(0.003, 16, 20)),
        Task("waves, dense, momentum", "waves", _dense(32, activation="tanh"),
             _sgd(0.01, 16, 100, 0.9)),
        Task("moons, dense, sgd", "moons", _dense(32), _sgd(0.3, 16, 60)),
        Task("spirals, dense, adam", "spirals", _dense(32, 32), _adam(0.01, 32, 60)),
        Task("groups, dense, sgd", "groups", _dense(32), _sgd(0.1, 16, 20)),
        Task("hills, dense, momentum", "hills", _dense(48), _sgd(0.02, 16, 30, 0.9)),
        Task("digits, dense, sgd", "digits", _dense(48), _sgd(0.1, 16, 30)),
        Task("digits, dense, momentum", "digits", _dense(32, 32, activation="tanh"),
             _sgd(0.015, 16, 20, 0.9)),
        Task("digits, dense, adam", "digits", _dense(64), _adam(0.003, 32, 20)),
        Task("fashion, dense, momentum", "fashion", _dense(64), _sgd(0.025, 16, 12, 0.9)),
        Task("fashion, dense, adam", "fashion", _dense(64, 32), _adam(0.003, 16, 10)),
        Task("digits, conv, momentum", "digit images", _conv(8, 16), _sgd(0.02, 16, 12, 0.9)),
        Task("digits, conv, adam", "digit images", _conv(8, 16), _adam(0.005, 32, 15)),
        Task("fashion, conv, adam", "fashion images", _conv(8, 16), _adam(0.003, 32, 12)),
        Task("fashion, conv, sgd", "fashion images", _conv(8), _sgd(0.1, 16, 12)),
        Task("digits, transformer, adam", "digit images", _former(16), _adam(0.01, 32, 20)),
        Task("symbols, transformer, adam", "symbols", _former(16), _adam(0.005, 32, 6)),
        Task("symbols, transformer, momentum", "symbols", _former(16), _sgd(0.02, 32, 8, 0.9)),
        Task("digits, transformer, sgd", "digit images", _former(16), _sgd(0.2, 16, 20)),
    )
}  # fmt: skip

SECOND: dict[str, Task] = {made[0]: Task(*made) for made in second_tasks.MADE}

THIRD: dict[str, Task] = {made[0]: Task(*made) for made in third_tasks.MADE}

TASKS = FIRST | SECOND | THIRD


@cache
def half(name: str) -> Half:
    """On which half a task is: of each kind every other one, in an order of chance."""
    if name in SECOND:
        return "second"
    if name in THIRD:
        return "third"
    alike = sorted(each.name for each in FIRST.values() if each.kind == FIRST[name].kind)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(alike))
    return "held" if order[alike.index(name)] % 2 else "tune"
