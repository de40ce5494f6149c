"""Sweeps made of formulas, in which every kind of ending occurs."""

import math
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
import pyarrow as pa

from gradus.sweep import Panel, SweepSpec

TYPES = {
    "run": pa.string(),
    "status": pa.string(),
    "data": pa.string(),
    "method": pa.string(),
    "lr": pa.float64(),
    "momentum": pa.float64(),
    "batch_size": pa.int64(),
    "seed": pa.int64(),
    "epochs": pa.int64(),
    "epochs_trained": pa.int32(),
    "steps": pa.int64(),
    "samples": pa.int64(),
    "train_loss": pa.float64(),
    "test_loss": pa.float64(),
    "test_accuracy": pa.float64(),
    "best_test_loss": pa.float64(),
    "best_test_accuracy": pa.float64(),
    "best_epoch": pa.int32(),
    "diverged_step": pa.int64(),
    "diverged_samples": pa.int64(),
    "diverged_loss": pa.float64(),
    "pruned_epoch": pa.int32(),
    "train_seconds": pa.float64(),
    "engine": pa.string(),
    "part": pa.int32(),
}
EPOCHS, SAMPLES, START = 10, 60_000, math.log(10)


SPEC = SweepSpec(vary={"lr": "1,0.1"})


@dataclass(frozen=True, eq=False)
class Sweep:
    name: str
    runs: pa.Table
    history: pa.Table
    evaluation: pa.Table
    panels: tuple[Panel, ...] = ()
    spec: SweepSpec = SPEC


def made(name, options, *, points=200, accuracies=True, pruning=False, panels=()):
    """A sweep whose losses follow from its options: lr above 1 diverges, far below 1 crawls."""
    rows, parts, evaluations = [], [], []
    for number, given in enumerate(options):
        random = np.random.default_rng(number)
        run = f"{number:016x}"
        lr, momentum = given["lr"], given.get("momentum") or 0.0
        speed = lr * (3000 if given["method"] == "adam" else 300) / (1 - momentum)
        speed /= math.sqrt(given["batch_size"] / 16)
        row = dict.fromkeys(TYPES) | given
        row |= {"run": run, "data": "fashion-mnist", "epochs": EPOCHS, "engine": "native"}
        total = EPOCHS * SAMPLES
        samples = np.linspace(given["batch_size"], total, points).astype(np.int64)
        floor = 0.35 + 0.02 * math.log10(1 + speed) + 0.01 * given["seed"]
        loss = floor + (START - floor) * np.exp(-((speed * samples / total) ** 0.5))
        loss *= 1 + 0.12 * random.standard_normal(points)
        loss = np.abs(loss)
        loss[0] = START
        status, trained = "finished", EPOCHS
        if lr > 5 and given["method"] == "sgd":
            kept = 3 + number % 4
            status, trained = "diverged", 0
            samples, loss = samples[:kept], START * np.exp(3.0 * np.arange(kept))
            row |= {"diverged_samples": int(samples[-1]) + 64, "diverged_loss": math.inf}
            row |= {"diverged_step": 12}
        elif lr > 0.05 and given["method"] == "adam":
            loss = 2.0 + 0.1 * random.standard_normal(points)
        elif pruning and speed < 1:
            status, trained = "pruned", 1
            samples, loss = samples[: points // EPOCHS], loss[: points // EPOCHS]
            row |= {"pruned_epoch": 1}
        row |= {"status": status, "epochs_trained": trained, "samples": int(samples[-1])}
        if trained:
            last = float(loss[-5:].mean())
            row |= {"test_loss": last + 0.05, "train_loss": last, "best_test_loss": last + 0.04}
            if accuracies:
                row["test_accuracy"] = row["best_test_accuracy"] = float(np.exp(-last / 2.5))
            for epoch in range(1, trained + 1):
                at = SAMPLES * epoch
                evaluations.append((run, epoch, at, last, last + 0.05, row["test_accuracy"]))
        rows.append(row)
        parts.append((run, samples, loss))
    history = pa.table(
        {
            "run": pa.array(
                np.repeat([r for r, _, _ in parts], [len(s) for _, s, _ in parts])
            ).dictionary_encode(),
            "step": np.concatenate([np.arange(len(s)) for _, s, _ in parts]),
            "samples": np.concatenate([s for _, s, _ in parts]),
            "epoch": np.concatenate([np.int32(1 + s // SAMPLES) for _, s, _ in parts]),
            "loss": np.concatenate([loss for _, _, loss in parts]),
            "lr": np.concatenate([np.full(len(s), 0.1) for _, s, _ in parts]),
        }
    )
    names = ("run", "epoch", "samples", "train_loss", "test_loss", "test_accuracy")
    evaluation = pa.Table.from_pylist(
        [dict(zip(names, row, strict=True)) for row in evaluations],
        schema=pa.schema([(name, TYPES[name] if name in TYPES else pa.int32()) for name in names]),
    )
    runs = pa.table({name: pa.array([r[name] for r in rows], kind) for name, kind in TYPES.items()})
    return Sweep(name, runs, history, evaluation, tuple(panels))


def sgd(lr, momentum, batch_size, seed=0):
    return {"method": "sgd", "lr": lr, "momentum": momentum, "batch_size": batch_size, "seed": seed}


def adam(lr, batch_size, seed=0):
    return {"method": "adam", "lr": lr, "batch_size": batch_size, "seed": seed}


@cache
def lecture(**changes):
    """The 16 runs around SGD (0.001, 0.5, 16) and Adam (0.001, 16), in five panels."""
    axes = {
        "SGD: batch size": ("batch_size", [sgd(0.001, 0.5, b) for b in (16, 64, 256)]),
        "SGD: learning rate": ("lr", [sgd(lr, 0.5, 16) for lr in (10.0, 0.1, 0.001)]),
        "SGD: momentum": ("momentum", [sgd(0.001, m, 16) for m in (0.0, 0.5, 0.9)]),
        "Adam: batch size": ("batch_size", [adam(0.001, b) for b in (16, 64, 256)]),
        "Adam: learning rate": ("lr", [adam(lr, 16) for lr in (0.1, 0.01, 0.001, 0.00001)]),
    }
    options = []
    for _, given in axes.values():
        options += [one for one in given if one not in options]
    panels = [
        Panel(
            title,
            option,
            tuple(one[option] for one in given),
            tuple((f"{options.index(one):016x}",) for one in given),
        )
        for title, (option, given) in axes.items()
    ]
    return made("lecture", options, panels=panels, **changes)


@cache
def grid(*, seeds=2, **changes):
    """Learning rate × momentum × batch size, some diverged and some pruned."""
    options = [
        sgd(*given)
        for given in product((10.0, 0.1, 0.01, 0.001), (0.0, 0.5, 0.9), (16, 64, 256), range(seeds))
    ]
    return made("grid", options, pruning=True, **changes)


@cache
def thousand(points=500):
    """1,000 runs of as many points."""
    options = [
        sgd(float(lr), float(momentum), batch_size, seed)
        for lr, momentum, batch_size, seed in product(
            10.0 ** np.linspace(-4, 1, 10), np.linspace(0, 0.9, 5), (16, 32, 64, 256), range(5)
        )
    ]
    return made("thousand", options, points=points, pruning=True)
