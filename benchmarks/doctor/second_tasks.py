"""The base tasks of a second held half: other tables, networks and methods than those of the first.

The first held half was scored once; what was learned of that has changed the rules since. These
tasks were made, and their faults drawn and measured, before the doctor was asked of any of them.
Learning rates are the best of a grid by the validation loss, epochs such that thrice as many gain
next to nothing.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets

from benchmarks.doctor.networks import Network
from gradus.data import load

Array = NDArray[Any]
Source = tuple[Array, Array, int | None]


def _generated(name: str, *, numbers: bool = False, **options: Any) -> Any:
    def read() -> Source:
        x, y = getattr(datasets, f"make_{name}")(random_state=11, **options)
        if not numbers:
            y = np.unique(y, return_inverse=True)[1]
        return x, y, None if numbers else int(y.max()) + 1

    return read


def _iris() -> Source:
    x, y = datasets.load_iris(return_X_y=True)
    return x, y, 3


def _ill_or_not() -> Source:
    """Whether diabetes went on by more than in the middle patient."""
    x, y = datasets.load_diabetes(return_X_y=True)
    return x, (y > np.median(y)).astype(np.int64), 2


def _digits(shape: tuple[int, ...], classes: int) -> Any:
    """Whether a digit is odd, or which fifth of ten it is in."""

    def read() -> Source:
        x, y = datasets.load_digits(return_X_y=True)
        named = y % 2 if classes == 2 else y // 2
        return (x / 16).reshape(len(x), *shape), named.astype(np.int64), classes

    return read


@cache
def _later_garments() -> tuple[Array, Array]:
    examples = load("fashion-mnist", validation_fraction=0).train.subset(slice(20_000, 24_000))
    x = examples.x.numpy().reshape(-1, 14, 2, 14, 2).max(axis=(2, 4)) / 255
    return x, examples.y.numpy()


def _fashion(shape: tuple[int, ...]) -> Any:
    def read() -> Source:
        x, y = _later_garments()
        return x.reshape(len(x), *shape), y, 10

    return read


def _sums() -> Source:
    """Of which of three features eight tokens hold most together; two more say nothing."""
    random = np.random.default_rng(12)
    x = random.normal(size=(4_000, 1, 8, 5))
    said = x[:, 0, :, :3].sum(axis=1) + 0.7 * random.normal(size=(4_000, 3))
    return x, said.argmax(axis=1), 3


SOURCES: dict[str, tuple[Any, tuple[int, int, int], bool]] = {
    "blobs": (_generated("blobs", n_samples=3_000, n_features=8, centers=6, cluster_std=6.0),
              (500, 200, 200), True),
    "kinds": (_generated("classification", n_samples=3_000, n_features=12, n_informative=6,
                         n_classes=3, n_clusters_per_class=2, class_sep=1.2),
              (700, 250, 250), True),
    "sparse": (_generated("sparse_uncorrelated", numbers=True, n_samples=2_000, n_features=12),
               (500, 200, 200), True),
    "rings": (_generated("circles", n_samples=2_400, noise=0.12, factor=0.6),
              (500, 200, 200), True),
    "hastie": (_generated("hastie_10_2", n_samples=3_600), (1_000, 300, 300), True),
    "friedman 2": (_generated("friedman2", numbers=True, n_samples=2_000, noise=60.0),
                   (500, 200, 200), True),
    "friedman 3": (_generated("friedman3", numbers=True, n_samples=2_000, noise=0.05),
                   (600, 200, 200), True),
    "roll": (_generated("swiss_roll", numbers=True, n_samples=2_000, noise=0.5),
             (500, 200, 200), True),
    "iris": (_iris, (80, 22, 22), True),
    "ill or not": (_ill_or_not, (220, 70, 70), True),
    "digit parity": (_digits((64,), 2), (800, 250, 250), False),
    "digit parity images": (_digits((1, 8, 8), 2), (800, 250, 250), False),
    "digit fifths": (_digits((64,), 5), (800, 250, 250), False),
    "digit fifths images": (_digits((1, 8, 8), 5), (800, 250, 250), False),
    "fashion later": (_fashion((196,)), (1_100, 350, 350), False),
    "fashion later images": (_fashion((1, 14, 14)), (900, 300, 300), False),
    "sums": (_sums, (900, 300, 300), False),
}  # fmt: skip
"""What gives the examples, how many are in each part, and whether columns are standardised."""


def _sgd(lr: float, batch_size: int, epochs: int, momentum: float = 0.0) -> dict[str, Any]:
    return {
        "method": "sgd", "lr": lr, "momentum": momentum, "batch_size": batch_size,
        "epochs": epochs,
    }  # fmt: skip


def _nesterov(lr: float, batch_size: int, epochs: int) -> dict[str, Any]:
    return _sgd(lr, batch_size, epochs, 0.9) | {"nesterov": True}


def _adam(lr: float, batch_size: int, epochs: int) -> dict[str, Any]:
    return {"method": "adam", "lr": lr, "batch_size": batch_size, "epochs": epochs}


def _dense(*widths: int, activation: str = "relu") -> Network:
    return Network("dense", widths, activation)


MADE: tuple[tuple[str, str, Network, dict[str, Any]], ...] = (
    ("blobs, linear, sgd", "blobs", Network(), _sgd(0.3, 16, 20)),
    ("kinds, linear, momentum", "kinds", Network(), _sgd(0.01, 32, 20, 0.9)),
    ("sparse, linear, adam", "sparse", Network(), _adam(0.005, 16, 30)),
    ("ill or not, linear, sgd", "ill or not", Network(), _sgd(0.005, 16, 30)),
    ("fashion later, linear, sgd", "fashion later", Network(), _sgd(0.15, 32, 40)),
    ("rings, dense, adam", "rings", _dense(24), _adam(0.01, 16, 40)),
    ("hastie, dense, momentum", "hastie", _dense(40, activation="gelu"), _sgd(0.02, 32, 30, 0.9)),
    ("friedman 2, dense, sgd", "friedman 2", _dense(24), _sgd(0.02, 16, 40)),
    ("friedman 3, dense, adam", "friedman 3", _dense(24, 24, activation="tanh"),
     _adam(0.005, 16, 30)),
    ("roll, dense, nesterov", "roll", _dense(24, 24), _nesterov(0.09, 16, 60)),
    ("kinds, dense, adam", "kinds", _dense(32, activation="gelu"), _adam(0.0017, 32, 30)),
    ("iris, dense, sgd", "iris", _dense(12), _sgd(0.3, 8, 40)),
    ("digit parity, dense, nesterov", "digit parity", _dense(40), _nesterov(0.02, 16, 20)),
    ("digit fifths, dense, sgd", "digit fifths", _dense(48, activation="tanh"), _sgd(0.3, 16, 30)),
    ("fashion later, dense, adam", "fashion later", _dense(48, activation="gelu"),
     _adam(0.002, 32, 15)),
    ("fashion later, dense, sgd", "fashion later", _dense(40, 40, 40), _sgd(0.2, 16, 15)),
    ("digit parity, conv, adam", "digit parity images", Network("conv", (6, 12), "gelu"),
     _adam(0.005, 16, 15)),
    ("digit fifths, conv, momentum", "digit fifths images", Network("conv", (12,)),
     _sgd(0.02, 16, 15, 0.9)),
    ("fashion later, conv, momentum", "fashion later images", Network("conv", (8, 12), "tanh"),
     _sgd(0.02, 16, 10, 0.9)),
    ("sums, transformer, adam", "sums", Network("transformer", (12,)), _adam(0.002, 32, 8)),
    ("digit fifths, transformer, adam", "digit fifths images",
     Network("transformer", (12,)), _adam(0.01, 32, 20)),
)  # fmt: skip
