"""The base tasks of a third held half: other data and networks than those of the two before.

Both of those have changed the rules since. They are linear and dense alone, which train in a tenth
of a second. These tasks were made, and their faults drawn and
measured, before the doctor was asked of any of them. Learning rates are the best of a grid by the
validation loss.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets

from benchmarks.doctor.networks import Network
from gradus.data import load

Array = NDArray[Any]
Source = tuple[Array, Array, int | None]


def _mixtures() -> Source:
    x, y = datasets.make_classification(
        n_samples=3_000, n_features=16, n_informative=8, n_classes=4, n_clusters_per_class=1,
        class_sep=1.2, flip_y=0.02, random_state=21,
    )  # fmt: skip
    return x, y, 4


def _corners() -> Source:
    """Whether an odd number of two of six columns is positive, of points with some noise."""
    random = np.random.default_rng(22)
    x = random.normal(size=(3_000, 6))
    seen = x[:, :2] + 0.15 * random.normal(size=(3_000, 2))
    return x, (seen > 0).sum(axis=1) % 2, 2


def _low_rank() -> Source:
    x, y = datasets.make_regression(
        n_samples=2_000, n_features=14, n_informative=10, noise=25.0, random_state=23
    )
    return x, y, None


def _arm() -> Source:
    """How high the hand of an arm of two links is, with masses that do not matter."""
    random = np.random.default_rng(24)
    x = random.uniform(-1.5, 1.5, size=(2_000, 5))
    y = np.sin(x[:, 0]) + 0.7 * np.sin(x[:, 0] + x[:, 1]) + 0.1 * random.normal(size=2_000)
    return x, y, None


def _alcohol() -> Source:
    """Of wines the first column, from the others."""
    x, _ = datasets.load_wine(return_X_y=True)
    return x[:, 1:], x[:, 0], None


def _upper() -> Source:
    """Digits of which only the upper five rows of pixels are seen."""
    x, y = datasets.load_digits(return_X_y=True)
    return x[:, :40] / 16, y, 10


def _garments() -> Source:
    """Five kinds, each of two classes that stand beside each other."""
    examples = load("fashion-mnist", validation_fraction=0).train.subset(slice(40_000, 44_000))
    x = examples.x.numpy().reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)) / 255
    return x.reshape(len(x), -1), examples.y.numpy() // 2, 5


SOURCES: dict[str, tuple[Any, tuple[int, int, int], bool]] = {
    "mixtures": (_mixtures, (700, 250, 250), True),
    "corners": (_corners, (800, 250, 250), True),
    "low rank": (_low_rank, (500, 200, 200), True),
    "arm": (_arm, (600, 200, 200), True),
    "alcohol": (_alcohol, (90, 28, 28), True),
    "digit tops": (_upper, (800, 250, 250), False),
    "fashion last": (_garments, (900, 300, 300), False),
}
"""What gives the examples, how many are in each part, and whether columns are standardised."""


def _sgd(lr: float, batch_size: int, epochs: int, momentum: float = 0.0) -> dict[str, Any]:
    return {
        "method": "sgd", "lr": lr, "momentum": momentum, "batch_size": batch_size,
        "epochs": epochs,
    }  # fmt: skip


def _adam(lr: float, batch_size: int, epochs: int) -> dict[str, Any]:
    return {"method": "adam", "lr": lr, "batch_size": batch_size, "epochs": epochs}


def _dense(*widths: int, activation: str = "relu") -> Network:
    return Network("dense", widths, activation)


MADE: tuple[tuple[str, str, Network, dict[str, Any]], ...] = (
    ("mixtures, linear, momentum", "mixtures", Network(), _sgd(0.03, 16, 15, 0.9)),
    ("low rank, linear, adam", "low rank", Network(), _adam(0.005, 16, 30)),
    ("digit tops, linear, sgd", "digit tops", Network(), _sgd(1.0, 16, 40)),
    ("fashion last, linear, adam", "fashion last", Network(), _adam(0.005, 32, 25)),
    ("mixtures, dense, sgd", "mixtures", _dense(36), _sgd(0.1, 16, 15)),
    ("corners, dense, adam", "corners", _dense(32, activation="tanh"), _adam(0.01, 16, 30)),
    ("corners, dense, momentum", "corners", _dense(24, 24), _sgd(0.015, 16, 25, 0.9)),
    ("arm, dense, sgd", "arm", _dense(32, activation="tanh"), _sgd(0.1, 16, 60)),
    ("arm, dense, adam", "arm", _dense(24, 24), _adam(0.004, 16, 40)),
    ("alcohol, dense, momentum", "alcohol", _dense(12), _sgd(0.0025, 8, 20, 0.9)),
    ("digit tops, dense, adam", "digit tops", _dense(56, activation="gelu"), _adam(0.01, 16, 20)),
    ("fashion last, dense, momentum", "fashion last", _dense(48, 24), _sgd(0.035, 32, 20, 0.9)),
)  # fmt: skip
