"""Thirty-three real cases, re-created from what was asked: why does it not learn?

DeepLocalize (Wardat et al., ICSE 2021), DeepFD (Cao et al., ICSE 2022) and AutoTrainer (Zhang et
al., ICSE 2021) collected such programs; ``so`` is the number of the question on Stack Overflow.
Networks, methods and mistakes are those of the program; where its data are not at hand, others of
the kind stand for them. A case is a faulty trial beside the one that its answer leads to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets

from benchmarks.doctor.faults import in_parts
from benchmarks.doctor.networks import Network
from benchmarks.doctor.tasks import parts_of
from benchmarks.doctor.trials import Trial

Array = NDArray[Any]

DENSE, CONV = "dense", "conv"
SCALE, TARGET = "inputs not brought to scale", "target not brought to scale"
HIGH, LOW = "learning rate too high", "learning rate too low"
END, NUMBERS = "output and loss do not fit", "output and loss do not fit"
FEW, NARROW, NONE = "too few epochs", "underfitting", "missing non-linearity"
VANISHING, DEAD = "vanishing gradients", "silent units"
START = "bad initial parameters"


@dataclass(frozen=True)
class Case:
    """What somebody asked.

    Attributes:
        name: where it is from, and what is wrong, in a line.
        causes: names of the doctor's that are right: the mistakes that the answer mends.
        faulty: as it was asked.
        mended: as it was answered.
    """

    name: str
    causes: tuple[str, ...]
    faulty: Trial
    mended: Trial


def _trial(x: Array, y: Array, classes: int | None, network: Network, **options: Any) -> Trial:
    """Half of the rows to train on, a sixth in each other part and fresh."""
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order].astype(np.float32), y[order]
    if classes is None:
        y = y.astype(np.float32)
    ends = [len(x) // 2, 2 * len(x) // 3, 5 * len(x) // 6]
    parts = [*zip(np.split(x, ends), np.split(y, ends), strict=True)]
    names = ("train", "validation", "test")
    arrays = {
        f"{what}_{name}": array
        for name, part in zip(names, parts, strict=False)
        for what, array in zip("xy", part, strict=True)
    }
    unit = (0.0, 1.0)
    fresh = parts[3]
    if classes is None:
        unit = float(parts[0][1].mean()), float(parts[0][1].std())
        fresh = fresh[0], (fresh[1] - unit[0]) / unit[1]
    return Trial(arrays, fresh, network, options, unit=unit, classes=classes)


def _numbered(trial: Trial) -> Trial:
    """Classes as the numbers 0 and 1, for one output."""
    return in_parts(
        trial, ("train", "validation", "test"), lambda y: y.astype(np.float32), "y"
    ).with_(options={"loss": "mse"})


def _xor() -> tuple[Array, Array]:
    random = np.random.default_rng(1)
    corners = random.integers(2, size=(800, 2))
    return corners + 0.05 * random.normal(size=(800, 2)), corners[:, 0] ^ corners[:, 1]


def _raw(name: str) -> tuple[Array, Array]:
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return x, y


def _images(source: str, times: float = 255.0) -> tuple[Array, Array]:
    x, y, _, _ = parts_of(source)
    return times * x, y


def _sgd(lr: float, batch: int, epochs: int, momentum: float = 0.0) -> dict[str, Any]:
    return {
        "method": "sgd", "lr": lr, "momentum": momentum, "batch_size": batch, "epochs": epochs,
    }  # fmt: skip


def _adam(batch: int, epochs: int, lr: float = 0.001) -> dict[str, Any]:
    return {"method": "adam", "lr": lr, "batch_size": batch, "epochs": epochs}


def _net(*widths: int, activation: str = "relu", **more: Any) -> Network:
    return Network("dense", widths, activation, **more)


Made = Callable[[], tuple[Trial, Trial]]


def _so_31556268() -> tuple[Trial, Trial]:
    faulty = _numbered(
        _trial(*_xor(), 2, _net(4, activation="sigmoid", end="sigmoid"), **_sgd(0.05, 4, 15, 0.11))
    ).with_(options={"loss": "l1"})
    return faulty, faulty.with_(options={**_adam(4, 60, 0.01), "momentum": None, "loss": "mse"})


def _softmax_of_one(
    examples: tuple[Array, Array], network: Network, **options: Any
) -> tuple[Trial, Trial]:
    faulty = _numbered(_trial(*examples, 2, network.with_(end="softmax"), **options))
    return faulty, faulty.with_(network=network.with_(end="sigmoid"))


def _scaled(trial: Trial) -> Trial:
    """With columns at mean 0 and deviation 1."""
    x = trial.arrays["x_train"]
    mean, deviation = x.mean(axis=0), x.std(axis=0) + 1e-6
    parts = ("train", "validation", "test", "fresh")
    return in_parts(trial, parts, lambda x: ((x - mean) / deviation).astype(np.float32), "x")


def _target_scaled(trial: Trial) -> Trial:
    mean, deviation = trial.unit
    parts = ("train", "validation", "test")
    scaled = in_parts(trial, parts, lambda y: ((y - mean) / deviation).astype(np.float32), "y")
    return scaled.with_(unit=(0.0, 1.0))


def _so_33969059() -> tuple[Trial, Trial]:
    x = 100 * np.random.default_rng(2).random((2_000, 3))
    y = x @ np.array([2.0, 1.0, 0.5]) + 2.2
    net = _net(3, 2, activation="tanh", dropout=0.5, end="softmax")
    faulty = _trial(x, y, None, net, **_sgd(0.1, 32, 10, 0.9))
    mended = _target_scaled(_scaled(faulty))
    return faulty, mended.with_(network=_net(3, 2, activation="tanh"), options={"lr": 0.01})


def _so_34311586() -> tuple[Trial, Trial]:
    faulty, mended = _softmax_of_one(
        _xor(), _net(2, 3, activation="sigmoid"), **_sgd(0.001, 4, 20, 0.9)
    )
    return faulty, mended.with_(options={"lr": 0.1, "epochs": 100})


def _only_scaled(faulty: Trial) -> tuple[Trial, Trial]:
    return faulty, _scaled(faulty)


def _so_39217567() -> tuple[Trial, Trial]:
    x, y = _xor()
    net = _net(10, 10, activation="sigmoid", end="sigmoid")
    faulty = _numbered(_trial(x, y, 2, net, **_sgd(0.01, 50, 40)))
    return faulty, faulty.with_(
        network=_net(10, 10, end="sigmoid"), options={"batch_size": 1, "epochs": 20, "lr": 0.05}
    )


def _so_41372874() -> tuple[Trial, Trial]:
    x, y = datasets.make_moons(800, noise=0.1, random_state=0)
    faulty = _trial(x, y, 2, _net(2, 2), **_adam(2, 3))
    return faulty, faulty.with_(network=_net(20, 20), options={"epochs": 30})


def _so_44066044() -> tuple[Trial, Trial]:
    x, y = _raw("wine")
    faulty = _trial(x, y, 3, _net(12, 12, end="relu"), **_adam(5, 30))
    return faulty, _scaled(faulty).with_(network=_net(12, 12))


def _so_48221692() -> tuple[Trial, Trial]:
    x = np.random.default_rng(3).uniform(0, 10, size=(600, 1))
    net = _net(5, activation="sigmoid", end="sigmoid")
    faulty = _trial(x, 3 * x[:, 0] + 4, None, net, **_sgd(0.01, 32, 60))
    mended = faulty.with_(network=_net(5, activation="tanh"))
    return faulty, _target_scaled(_scaled(mended)).with_(options={"lr": 0.1})


def _so_48251943() -> tuple[Trial, Trial]:
    faulty = _numbered(_trial(*_xor(), 2, _net(4, end="relu"), **_sgd(0.01, 10, 20)))
    return faulty, faulty.with_(network=_net(4, end="tanh"), options={"epochs": 200, "lr": 0.05})


def _so_48385830() -> tuple[Trial, Trial]:
    net = _net(30, activation="identity", begin="times8")
    faulty = _trial(*_images("digits", 1.0), 10, net, **_sgd(3.0, 10, 20))
    return faulty, faulty.with_(network=_net(30, activation="sigmoid"))


def _so_48934338() -> tuple[Trial, Trial]:
    random = np.random.default_rng(4)
    x = random.uniform(0, 5, size=(600, 1))
    y = 5 * x[:, 0] ** 2 + random.normal(size=600) ** 3
    faulty = _trial(x, y, None, _net(50, 30), **_sgd(0.1, 32, 100))
    return faulty, faulty.with_(options={"lr": 0.0002})


def _so_50079585() -> tuple[Trial, Trial]:
    x, y, _, _ = parts_of("digit images")
    few = y < 3
    mended = _trial(x[few], y[few], 3, Network("conv", (8, 16)), **_adam(16, 15))
    return _numbered(mended).with_(network=Network("conv", (8, 16), end="sigmoid")), mended


def _so_50306988() -> tuple[Trial, Trial]:
    random = np.random.default_rng(5)
    y = random.integers(2, size=400)
    x = np.where(
        y[:, None] == 0, random.uniform(0.2, 0.4, (400, 2)), random.uniform(0.5, 0.7, (400, 2))
    )
    faulty = _trial(x, y, 2, _net(2, activation="sigmoid"), **_adam(32, 5))
    return faulty, faulty.with_(options={"epochs": 100, "lr": 0.03})


def _sigmoid_end(hidden: int, epochs: int, wider: int) -> tuple[Trial, Trial]:
    x, y = _raw("iris")
    faulty = _trial(x, y, 3, _net(hidden, end="sigmoid"), **_adam(5, epochs))
    return faulty, faulty.with_(network=_net(wider), options={"lr": 0.005})


def _so_52800582() -> tuple[Trial, Trial]:
    x = np.arange(-100, 100, 0.25)[:, None]
    net = _net(50, 50, activation="sigmoid")
    faulty = _trial(x, x[:, 0] ** 4, None, net, **_adam(400, 600))
    return faulty, _target_scaled(_scaled(faulty)).with_(network=_net(50, 50))


def _so_55328966() -> tuple[Trial, Trial]:
    net = _net(64, end="sigmoid")
    faulty = _trial(
        *_images("digits"), 10, net, **_sgd(0.1, 32, 20), penalty="squared-l2", strength=1e-4
    )
    mended = in_parts(faulty, ("train", "validation", "test", "fresh"), lambda x: x / 255, "x")
    return faulty, mended.with_(network=_net(64))


def _so_58609115() -> tuple[Trial, Trial]:
    x = np.random.default_rng(6).uniform(1, 40, size=(200, 1))
    faulty = _trial(x, 2 * x[:, 0], None, Network(), **_sgd(0.01, 4, 20))
    return faulty, _target_scaled(_scaled(faulty))


def _so_59325381() -> tuple[Trial, Trial]:
    x, y, _, _ = parts_of("digits")
    mended = _trial(x, y, 10, _net(128), **_adam(32, 10))
    return _numbered(mended).with_(network=_net(128, activation="identity")), mended


def _so_59282996() -> tuple[Trial, Trial]:
    mended = _trial(*_images("digits", 1.0), 10, _net(32, activation="tanh"), **_adam(32, 30))
    return mended.with_(options={"epochs": 1}), mended


def _circles() -> tuple[Array, Array]:
    x, y = datasets.make_circles(1_600, noise=0.1, factor=0.5, random_state=1)
    return x, y


def _blobs() -> tuple[Array, Array]:
    x, y = datasets.make_blobs(1_500, centers=3, cluster_std=2.0, random_state=2)
    return x, y


def _vanishing() -> tuple[Trial, Trial]:
    net = _net(*(5,) * 10, activation="tanh", begin="times0p3")
    faulty = _trial(*_circles(), 2, net, **_sgd(0.01, 64, 60, 0.9))
    return faulty, faulty.with_(network=_net(16, 16))


def _vanishing_sigmoid() -> tuple[Trial, Trial]:
    net = _net(*(10,) * 7, activation="sigmoid")
    faulty = _trial(*_blobs(), 3, net, **_sgd(0.05, 32, 40, 0.9))
    return faulty, faulty.with_(network=_net(10, 10), options={"lr": 0.01})


def _dying() -> tuple[Trial, Trial]:
    faulty = _trial(*_circles(), 2, _net(5, 5, 5, begin="silent2"), **_sgd(0.01, 64, 40, 0.9))
    return faulty, faulty.with_(network=_net(16, 16))


def _exploding() -> tuple[Trial, Trial]:
    net = _net(50, 50, 50, 50, begin="times12")
    faulty = _trial(*_blobs(), 3, net, **_sgd(0.01, 32, 20, 0.9))
    return faulty, faulty.with_(network=_net(50, 50), options={"lr": 0.005})


def _oscillating() -> tuple[Trial, Trial]:
    faulty = _trial(*_blobs(), 3, _net(50), **_sgd(2.0, 32, 30, 0.9))
    return faulty, faulty.with_(options={"lr": 0.005})


def _slow() -> tuple[Trial, Trial]:
    faulty = _trial(*_circles(), 2, _net(32), **_sgd(0.0005, 32, 40))
    return faulty, faulty.with_(options={"lr": 0.1})


def _relu_end() -> tuple[Trial, Trial]:
    faulty = _trial(*_blobs(), 3, _net(50, 50, end="relu"), **_adam(64, 40))
    return faulty, faulty.with_(network=_net(50, 50))


def _pixels() -> tuple[Trial, Trial]:
    x, y = _images("fashion images")
    faulty = _trial(x, y, 10, Network("conv", (8, 16)), **_adam(32, 10))
    return _only_scaled(faulty)


MADE: tuple[tuple[str, tuple[str, ...], Made], ...] = (
    ("so 31556268: XOR, sigmoid, absolute error, slow steps", (LOW, FEW), _so_31556268),
    ("so 31880720: softmax of one unit", (END,),
     lambda: _softmax_of_one(datasets.make_classification(1_200, 128, random_state=3),
                             _net(50, 50, dropout=0.2), **_adam(20, 15))),
    ("so 33969059: sum of columns, softmax of one unit", (END, TARGET), _so_33969059),
    ("so 34311586: XOR, softmax of one unit, slow steps", (END, LOW, FEW), _so_34311586),
    ("so 34673164: letters by counts of pixels, not scaled", (SCALE,),
     lambda: _only_scaled(_trial(*_images("digits", 16.0), 10,
                                 _net(64, 64, activation="tanh", dropout=0.5),
                                 **_sgd(0.1, 16, 20, 0.9)))),
    ("so 39217567: three layers of sigmoid, mean square", (VANISHING, LOW), _so_39217567),
    ("so 39525358: three columns, not scaled", (SCALE,),
     lambda: _only_scaled(_trial(_raw("breast_cancer")[0][:, [3, 13, 22]],
                                 _raw("breast_cancer")[1], 2, _net(12, 3), **_adam(1, 20)))),
    ("so 41372874: two units a layer, few epochs", (NARROW, FEW), _so_41372874),
    ("so 44066044: qualities of wine, not scaled, ReLU at the end", (SCALE, END), _so_44066044),
    ("so 45337371: softmax of one unit", (END,),
     lambda: _softmax_of_one(datasets.make_moons(1_000, noise=0.2, random_state=4),
                             _net(60, 50), **_adam(32, 20))),
    ("so 45442843: one unit, then softmax of one unit", (END,),
     lambda: _softmax_of_one(datasets.make_classification(
         1_000, 1, n_informative=1, n_redundant=0, n_clusters_per_class=1, random_state=5),
         _net(1, activation="sigmoid"), **_adam(200, 100, 0.02))),
    ("so 47724077: fourteen columns of a census, not scaled", (SCALE,),
     lambda: _only_scaled(_trial(_raw("breast_cancer")[0][:, :14], _raw("breast_cancer")[1], 2,
                                 _net(21), **_adam(100, 50)))),
    ("so 48221692: a line, sigmoid at the end", (END, TARGET), _so_48221692),
    ("so 48251943: XOR, ReLU at the end, few epochs", (END, LOW, FEW), _so_48251943),
    ("so 48385830: digits, no activation, lr 3, large start", (HIGH, NONE, START), _so_48385830),
    ("so 48594888: photographs from 0 to 255", (SCALE,), _pixels),
    ("so 48934338: a parabola, lr 0.1", (HIGH, TARGET), _so_48934338),
    ("so 50079585: three classes in one sigmoid unit", (NUMBERS, END), _so_50079585),
    ("so 50306988: two units, five epochs", (FEW, LOW), _so_50306988),
    ("so 51930566: iris, sigmoid before cross-entropy", (END,), lambda: _sigmoid_end(4, 60, 8)),
    ("so 52800582: x to the fourth, from -100 to 100", (SCALE, TARGET), _so_52800582),
    ("so 55328966: digits from 0 to 255, sigmoid at the end", (SCALE, END), _so_55328966),
    ("so 58609115: a line through large numbers", (SCALE, TARGET, HIGH), _so_58609115),
    ("so 59278771: iris, four units, sigmoid", (END, NARROW), lambda: _sigmoid_end(2, 60, 16)),
    ("so 59325381: classes as numbers, no activation", (NUMBERS, NONE), _so_59325381),
    ("so 59282996: too few epochs", (FEW, LOW), _so_59282996),
    ("AutoTrainer: ten layers of tanh on circles", (VANISHING, START), _vanishing),
    ("AutoTrainer: seven layers of sigmoid on blobs", (VANISHING,), _vanishing_sigmoid),
    ("AutoTrainer: dying ReLU on circles", (DEAD, START), _dying),
    ("AutoTrainer: exploding gradients on blobs", (START, HIGH), _exploding),
    ("AutoTrainer: oscillating loss on blobs", (HIGH,), _oscillating),
    ("AutoTrainer: slow convergence on circles", (LOW,), _slow),
    ("AutoTrainer: ReLU before cross-entropy", (END,), _relu_end),
)  # fmt: skip


def cases() -> Iterator[Case]:
    """All of them."""
    for name, causes, made in MADE:
        yield Case(name, causes, *made())
