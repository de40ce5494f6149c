"""Whether Gradus takes the very steps of plain PyTorch: losses, test results, parameters.

The whole of Fashion-MNIST in the order of the data, seed 0, both in float32: SGD (lr 0.001,
momentum 0.5) at batch 16, Adam (lr 0.001) at batch 64. The final parameters have to be equal to the
bit, which sums over threads need not be: give OMP_NUM_THREADS=1.

With --engines, how far apart the engines end, in float64: SGD on digits, stable and at the edge of
stability.

With --updates N, only updates: of 100,000 entries, how many differ from those of torch's foreach
after one step and after N on the same gradients, by the fused updates of Gradus and by torch's own.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils import parameters_to_vector

import gradus
from benchmarks import peers
from benchmarks.markdown import describe_machine, markdown
from benchmarks.reference import LR, MOMENTUM, SEED, TRAIN, add_data_options, find_data, refuse
from gradus.optim.rounding import rounds_once

UNITS = 4
"""How far two losses may lie apart, in units in the last place of float32 at their size.

Both are the mean of the same B terms, none of them negative, added up in another order and divided
or multiplied by a rounded 1/B. In whatever order a processor adds, partial sums are rounded only a
few times one after another (lanes, then a tree), each by at most half a unit of a sum that grows
to its final size; the mean costs one or two halves more. If the terms themselves came apart,
because w did, the gap would grow over thousands of steps and pass any such bound.
"""

JOBS = (("sgd", 16), ("adam", 64))

ENTRIES = 100_000
UPDATES: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
    "Adam": {"lr": 0.001},
    "AdamW": {"lr": 0.001, "amsgrad": True},
    "Adagrad": {"lr": 0.01, "lr_decay": 0.01},
}
FUSED = {"gradus": gradus.optim, "torch": torch.optim}

Losses = NDArray[np.float64]


@dataclass(frozen=True)
class Result:
    """What one side did.

    Attributes:
        losses: of every 100th mini-batch, before its step.
        tests: (test loss, accuracy) after each epoch.
        w: the final parameters, float32 ``[d]``.
    """

    losses: Losses
    tests: Sequence[tuple[float, float]]
    w: torch.Tensor


def by_gradus(data: str, folder: Path, method: str, batch_size: int, epochs: int) -> Result:
    """The job as ``gradus.train`` does it."""
    own = {"momentum": MOMENTUM} if method == "sgd" else {}
    spec = gradus.RunSpec.read(
        {
            "data": data, "method": method, "lr": LR, "batch_size": batch_size, "epochs": epochs,
            "sampling": "sequential", "seed": SEED, "engine": "eager", "device": "cpu",
            "validation_fraction": 0, **own,
        }
    )  # fmt: skip
    run = gradus.train(spec, data_dir=folder if data == "fashion-mnist" else None)
    tested = run.evaluation.to_pylist()
    return Result(
        run.history["loss"].to_numpy(),
        [(row["test_loss"], row["test_accuracy"]) for row in tested],
        parameters_to_vector(run.model.parameters()).detach(),
    )


def by_plain_pytorch(folder: Path, method: str, batch_size: int, epochs: int) -> Result:
    """The job as a plain loop with torch.nn and torch.optim does it."""
    kept, held_out = peers.read(folder, "train"), peers.read(folder, "t10k")
    torch.manual_seed(SEED)
    model = peers.network()
    optimizer = peers.optimizer(model, method)
    losses, tests = [], []
    for _ in range(epochs):
        losses += peers.train(model, optimizer, peers.InMemory(*kept, batch_size))
        tests.append(peers.test(model, peers.InMemory(*held_out, peers.TEST_BATCH)))
    return Result(np.array(losses), tests, parameters_to_vector(model.parameters()).detach())


def units_apart(a: Losses, b: Losses) -> float:
    """The largest difference, in units in the last place of float32 at the smaller of the two."""
    unit = np.spacing(np.minimum(abs(a), abs(b)).astype(np.float32)).astype(np.float64)
    return float((abs(a - b) / unit).max())


def compare(own: Result, peer: Result) -> bool:
    """Print how far the two sides lie apart; whether that is rounding."""
    apart = abs(own.losses - peer.losses)
    logged = units_apart(own.losses, peer.losses)
    print(
        f"  {len(apart)} logged losses: largest difference {apart.max():.2g} absolute, "
        f"{(apart / abs(peer.losses)).max():.2g} relative, {logged:.1f} units in the last place"
    )
    for epoch, ((loss, accuracy), (loss_peer, accuracy_peer)) in enumerate(
        zip(own.tests, peer.tests, strict=True), start=1
    ):
        print(
            f"  epoch {epoch}: test loss {loss:.8f} against {loss_peer:.8f} "
            f"({abs(loss - loss_peer) / loss_peer:.2g} relative), "
            f"accuracy {accuracy:.2%} against {accuracy_peer:.2%}"
        )
    parted = float((own.w - peer.w).abs().max())
    print(f"  final parameters: largest difference {parted:.2g}")
    tested = units_apart(*(np.array([loss for loss, _ in side.tests]) for side in (own, peer)))
    same = [accuracy for _, accuracy in own.tests] == [accuracy for _, accuracy in peer.tests]
    return max(logged, tested) <= UNITS and same and parted == 0


def differing(name: str, dtype: torch.dtype, steps: int) -> list[list[str]]:
    """How many entries are not those of torch's foreach: a row for every fused update."""
    random = torch.Generator().manual_seed(SEED)
    start = torch.randn(ENTRIES, generator=random, dtype=torch.float64).to(dtype)
    params = {who: torch.nn.Parameter(start.clone()) for who in ("foreach", *FUSED)}
    optimizers = [getattr(torch.optim, name)([params["foreach"]], foreach=True, **UPDATES[name])]
    for who, house in FUSED.items():
        optimizers.append(getattr(house, name)([params[who]], fused=True, **UPDATES[name]))
    counts: dict[str, list[str]] = {who: [] for who in FUSED}
    for step in range(1, steps + 1):
        gradient = torch.randn(ENTRIES, generator=random, dtype=dtype)
        for p in params.values():
            p.grad = gradient
        for optimizer in optimizers:
            optimizer.step()
        if step in (1, steps):
            for who in FUSED:
                counts[who].append(f"{int((params[who] != params['foreach']).sum()):,}")
    return [[name, str(dtype).removeprefix("torch."), who, *counts[who]] for who in FUSED]


def compare_engines() -> None:
    """Print how far the parameters by other engines end from those by the eager one."""
    rows = [["learning rate", "epochs", "native", "stacked"]]
    for lr in (0.01, 0.1):
        for epochs in (1, 3, 10):
            ends = {}
            for engine in ("eager", "native", "stacked"):
                spec = gradus.RunSpec.read(
                    {
                        "data": "digits", "method": "sgd", "lr": lr, "momentum": 0.9, "seed": SEED,
                        "batch_size": 16, "epochs": epochs, "engine": engine, "device": "cpu",
                        "dtype": "float64",
                    }
                )  # fmt: skip
                run = gradus.train(spec)
                ends[engine] = parameters_to_vector(run.model.parameters()).detach()
            others = (ends["native"], ends["stacked"])
            parted = [f"{float((w - ends['eager']).abs().max()):.0e}" for w in others]
            rows.append([f"{lr}", f"{epochs}", *parted])
    print(describe_machine())
    print(markdown(rows))


def compare_updates(steps: int) -> bool:
    """Print the table of updates; whether none of ours differs."""
    rows = [["optimizer", "numbers", "fused of", "after 1 step", f"after {steps:,}"]]
    for name in UPDATES:
        for dtype in (torch.float32, torch.float64):
            rows += differing(name, dtype, steps)
    print(describe_machine())
    once = {True: "once", False: "twice", None: "once or twice"}[rounds_once()]
    print(f"torch rounds a product and its sum {once}; square roots not rounded correctly:")
    for dtype in (torch.float32, torch.float64):
        numbers = torch.linspace(1, 4, ENTRIES, dtype=dtype)
        correct = torch.tensor(list(map(math.sqrt, numbers.tolist())), dtype=dtype)
        print(f"  {dtype}: {float((numbers.sqrt() != correct).double().mean()):.1%}")
    print(f"entries of {ENTRIES:,} that differ from torch's foreach\n")
    print(markdown(rows))
    return all(row[3:] == ["0", "0"] for row in rows if row[2] == "gradus")


def main() -> None:
    """Run both jobs on both sides, print how far they part, and exit with 1 if too far."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.exactness",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--epochs", type=int, default=2, metavar="N")
    parser.add_argument("--updates", type=int, metavar="N")
    parser.add_argument("--engines", action="store_true")
    add_data_options(parser)
    given = parser.parse_args()
    if given.epochs < 1:
        refuse(f"--epochs {given.epochs}: give 1 or more")
    if given.engines:
        compare_engines()
        return
    if given.updates is not None:
        if given.updates < 2:
            refuse(f"--updates {given.updates}: give 2 or more")
        sys.exit(0 if compare_updates(given.updates) else 1)
    agreed = True
    with tempfile.TemporaryDirectory() as scratch:
        smallest = max(batch_size for _, batch_size in JOBS)
        folder = find_data(given.data_dir, given.samples, smallest, Path(scratch))
        data = "fashion-mnist" if given.samples == TRAIN else str(folder)
        print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
        for method, batch_size in JOBS:
            print(f"{method}, batch {batch_size}, {given.epochs} epoch(s) of {given.samples:,}")
            try:
                own = by_gradus(data, folder, method, batch_size, given.epochs)
            except gradus.InputError as error:
                refuse(str(error))
            agreed &= compare(own, by_plain_pytorch(folder, method, batch_size, given.epochs))
    print(
        f"{'AGREED' if agreed else 'DIFFERENT'}: losses within {UNITS} units in the last place of "
        "float32, accuracies and parameters equal" + ("" if agreed else ": not so")
    )
    sys.exit(0 if agreed else 1)


if __name__ == "__main__":
    main()
