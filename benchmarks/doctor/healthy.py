"""Runs that nothing is wrong with: plain ones by the hundred, and some that look odd."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.doctor.faults import in_parts
from benchmarks.doctor.tasks import FIRST, SECOND, THIRD, Half, Task, half
from benchmarks.doctor.trials import Array, Trial

SEED = 300
PLAIN, PLAIN_OF_SECOND, PLAIN_OF_THIRD = 300, 126, 60


@dataclass(frozen=True)
class Sound:
    """A run that is to be found healthy.

    Attributes:
        name: what is odd about it, if anything, and its task.
        task: its name.
        trial: what is trained.
        seed: of the run.
    """

    name: str
    task: str
    trial: Trial
    seed: int

    @property
    def half(self) -> Half:
        """Of its task."""
        return half(self.task)


def plain() -> Iterator[Sound]:
    """The tasks with other seeds, and learning rates, widths and batches a little off the best."""
    yield from _plain("plain", FIRST, PLAIN, SEED)
    yield from _plain("plain, second", SECOND, PLAIN_OF_SECOND, SEED + 1)
    yield from _plain("plain, third", THIRD, PLAIN_OF_THIRD, SEED + 2)


def _plain(name: str, tasks: Mapping[str, Task], count: int, seed: int) -> Iterator[Sound]:
    random = np.random.default_rng(seed)
    for number, task in zip(range(count), itertools.cycle(tasks.values()), strict=False):
        trial = task.trial
        factor = 2 ** random.uniform(-0.5, 0.5)
        changes = {"lr": float(f"{task.options['lr'] * factor:.3g}")}
        widths = trial.network.widths
        if trial.network.kind == "dense":
            wider = random.choice([1, 1.25, 1.5])
            widths = tuple(round(wider * width) for width in widths)
        network = trial.network.with_(widths=widths)
        yield Sound(
            f"{name} {number}", task.name, trial.with_(network=network, options=changes),
            100 + number,
        )  # fmt: skip


def odd() -> Iterator[Sound]:
    """Those whose curves, units, classes or sizes would make a rule suspicious."""
    for name, task, trial in itertools.chain(_odd(), _odd_of_second(), _odd_of_third()):
        yield Sound(f"{name}: {task.name}", task.name, trial, 7)


def _odd() -> Iterator[tuple[str, Task, Trial]]:
    of = FIRST
    for name in ("digits, dense, sgd", "digits, linear, sgd", "groups, dense, sgd",
                 "fashion, linear, adam", "plane, linear, sgd"):  # fmt: skip
        task = of[name]
        yield "the rate falls to a tenth twice", task, _scheduled(task, "step")
    for name in ("digits, dense, adam", "digits, conv, adam", "friedman, dense, momentum",
                 "symbols, transformer, adam", "fashion, dense, momentum"):  # fmt: skip
        task = of[name]
        yield "cosine with a long warm-up", task, _scheduled(task, "cosine")
    for name in ("digits, dense, sgd", "moons, dense, sgd", "groups, dense, sgd",
                 "digits, dense, momentum", "hills, dense, momentum"):  # fmt: skip
        task = of[name]
        lr = task.options["lr"]
        yield "full batches at the edge of stability", task, task.trial.with_(
            options={"sampling": "full", "batch_size": None, "lr": 3 * lr, "momentum": 0.0,
                     "epochs": 600} if task.options["momentum"] == 0 else
            {"sampling": "full", "batch_size": None, "lr": 3 * lr, "epochs": 300}
        )  # fmt: skip
    for name in ("digits, dense, sgd", "groups, dense, sgd", "moons, dense, sgd",
                 "digits, linear, sgd"):  # fmt: skip
        task = of[name]
        yield "the loss leaps up before it falls", task, _catapult(task)
    for name in ("digits, dense, adam", "digits, dense, sgd", "groups, dense, sgd",
                 "friedman, dense, adam"):  # fmt: skip
        task = of[name]
        silent = task.trial.network.with_(begin="silent0p3")
        yield "few units speak", task, task.trial.with_(network=silent)
    for name in ("digits, dense, sgd", "digits, conv, adam", "groups, dense, sgd",
                 "breast, linear, sgd"):  # fmt: skip
        task = of[name]
        yield "a hundred examples", task, _few(task, 100)
    for name in ("groups, dense, sgd", "hills, dense, momentum", "groups, linear, momentum"):
        task = of[name]
        yield "two classes that nobody can tell apart", task, _alike(task)
    for name in ("fashion, dense, momentum", "digits, dense, sgd", "fashion, linear, adam"):
        task = of[name]
        yield "one class in twenty", task, _rare(task)
    for name in ("digits, dense, adam", "fashion, dense, adam", "friedman, dense, adam"):
        task = of[name]
        dropping = task.trial.network.with_(dropout=0.2)
        yield "dropout", task, task.trial.with_(network=dropping)
    for name in ("plane, linear, sgd", "diabetes, linear, adam"):
        task = of[name]
        yield "most of the target is noise", task, _noisy(task)
    for name in ("digits, linear, sgd", "breast, linear, sgd"):
        task = of[name]
        yield "long after it has arrived", task, task.trial.with_(
            options={"epochs": 4 * task.options["epochs"], "lr": task.options["lr"] / 2}
        )  # fmt: skip


def _odd_of_second() -> Iterator[tuple[str, Task, Trial]]:
    of = SECOND
    for name in ("blobs, linear, sgd", "digit fifths, dense, sgd"):
        yield "the rate falls to a tenth twice", of[name], _scheduled(of[name], "step")
    for name in ("kinds, dense, adam", "digit parity, conv, adam", "fashion later, dense, adam"):
        yield "cosine with a long warm-up", of[name], _scheduled(of[name], "cosine")
    for name in ("iris, dense, sgd", "friedman 2, dense, sgd"):
        yield "full batches at the edge of stability", of[name], of[name].trial.with_(
            options={"sampling": "full", "batch_size": None, "lr": 3 * of[name].options["lr"],
                     "epochs": 600}
        )  # fmt: skip
    for name in ("digit fifths, dense, sgd", "fashion later, dense, sgd"):
        yield "the loss leaps up before it falls", of[name], _catapult(of[name])
    for name in ("rings, dense, adam", "digit parity, dense, nesterov"):
        silent = of[name].trial.network.with_(begin="silent0p3")
        yield "few units speak", of[name], of[name].trial.with_(network=silent)
    for name in ("hastie, dense, momentum", "digit fifths, conv, momentum", "blobs, linear, sgd"):
        yield "a hundred examples", of[name], _few(of[name], 100)
    for name in ("kinds, linear, momentum", "digit fifths, dense, sgd"):
        yield "two classes that nobody can tell apart", of[name], _alike(of[name])
    yield (
        "one class in twenty",
        of["fashion later, dense, sgd"],
        _rare(of["fashion later, dense, sgd"]),
    )
    for name in ("hastie, dense, momentum", "fashion later, conv, momentum"):
        norm = of[name].trial.network.with_(norm="0p1")
        yield "batch norms", of[name], of[name].trial.with_(network=norm)
    for name in ("sparse, linear, adam", "friedman 3, dense, adam"):
        yield "most of the target is noise", of[name], _noisy(of[name])


def _odd_of_third() -> Iterator[tuple[str, Task, Trial]]:
    of = THIRD
    yield (
        "the rate falls to a tenth twice",
        of["mixtures, dense, sgd"],
        _scheduled(of["mixtures, dense, sgd"], "step"),
    )
    for name in ("corners, dense, adam", "arm, dense, adam"):
        yield "cosine with a long warm-up", of[name], _scheduled(of[name], "cosine")
    for name in ("mixtures, dense, sgd", "fashion last, dense, momentum"):
        yield "the loss leaps up before it falls", of[name], _catapult(of[name])
    for name in ("arm, dense, adam", "corners, dense, momentum"):
        silent = of[name].trial.network.with_(begin="silent0p3")
        yield "few units speak", of[name], of[name].trial.with_(network=silent)
    for name in ("mixtures, linear, momentum", "digit tops, dense, adam"):
        yield "a hundred examples", of[name], _few(of[name], 100)
    for name in ("mixtures, dense, sgd", "digit tops, dense, adam"):
        yield "two classes that nobody can tell apart", of[name], _alike(of[name])
    yield (
        "one class in twenty",
        of["fashion last, dense, momentum"],
        _rare(of["fashion last, dense, momentum"]),
    )
    for name in ("corners, dense, momentum", "fashion last, dense, momentum"):
        norm = of[name].trial.network.with_(norm="0p1")
        yield "batch norms", of[name], of[name].trial.with_(network=norm)
    for name in ("low rank, linear, adam", "alcohol, dense, momentum"):
        yield "most of the target is noise", of[name], _noisy(of[name])


def _steps(task: Task) -> int:
    rows, batch = len(task.trial.arrays["x_train"]), task.options["batch_size"]
    return int(-(-rows // batch) * task.options["epochs"])


def _scheduled(task: Task, schedule: str) -> Trial:
    steps = _steps(task)
    options = {"schedule": schedule, "lr": 1.5 * task.options["lr"]}
    options |= {"decay_every": 2 * steps // 5} if schedule == "step" else {"warmup": steps // 4}
    return task.trial.with_(options=options)


def _catapult(task: Task) -> Trial:
    """The first steps are beyond the limit, and end where it is flatter."""
    return task.trial.with_(
        options={"lr": 5 * task.options["lr"], "schedule": "cosine",
                 "epochs": 2 * task.options["epochs"]}
    )  # fmt: skip


def _few(task: Task, rows: int) -> Trial:
    arrays = dict(task.trial.arrays)
    arrays |= {f"{what}_train": arrays[f"{what}_train"][:rows] for what in "xy"}
    return task.trial.with_(arrays=arrays, options={"batch_size": 8})


def _alike(task: Task) -> Trial:
    """The first two classes are one class, of which half the examples have each name."""

    def named(y: Array) -> Array:
        random = np.random.default_rng(len(y))
        return np.where(y == 1, 0, y) + np.where(y <= 1, random.integers(2, size=len(y)), 0)

    return in_parts(task.trial, ("train", "validation", "test", "fresh"), named, "y")


def _rare(task: Task) -> Trial:
    """Of the last class a third is left, as it is in the world."""
    arrays = dict(task.trial.arrays)
    random = np.random.default_rng(9)
    for part in ("train", "validation", "test"):
        y = arrays[f"y_{part}"]
        stays = (y < y.max()) | (random.random(len(y)) < 1 / 3)
        arrays |= {f"{what}_{part}": arrays[f"{what}_{part}"][stays] for what in "xy"}
    return task.trial.with_(arrays=arrays)


def _noisy(task: Task) -> Trial:
    """The inputs say a fifth of the target, and it is learned."""

    def drowned(y: Array) -> Array:
        random = np.random.default_rng(len(y) + 1)
        return (0.5 * y + random.normal(size=len(y))).astype(np.float32)

    return in_parts(task.trial, ("train", "validation", "test", "fresh"), drowned, "y")
