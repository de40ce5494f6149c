"""Whether the batch size that `gradus tune` calls the fastest is: theory beside training.

On tasks of benchmarks/tune_tasks.py a run of the usual batch size says which training loss is to
be reached: that after two thirds of its epochs. Every other batch size is trained at half, once and
twice the learning rate of theory, and its steps to that loss, at the best of the three, are
counted. A step takes what `gradus tune` measured.

    python -m benchmarks.batch_size
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

import gradus
from benchmarks.markdown import describe_machine, markdown
from benchmarks.tune_tasks import TASKS
from gradus.runs.job import load_for, resolved
from gradus.runs.spec import RunSpec
from gradus.tuning.batch_size import BatchSizes, batch_sizes

RATES = {"digits-sgd": 0.6, "classes-sgd": 0.22, "classes-adam": 3e-3, "friedman-momentum": 0.05,
         "digits-adam": 8e-3, "cancer-momentum": 3e-3}  # fmt: skip
"""Tasks, and a good learning rate of the usual batch size."""

AROUND = (0.5, 1.0, 2.0)
"""Times the learning rate of theory: those that are trained."""

LONGER = 2.0
"""Times the epochs of theory that a training may take."""

FEWEST = 4
"""The smallest batch that is trained."""


def training_losses(spec: RunSpec) -> list[float]:
    """After each epoch; infinite where there is none."""
    found = gradus.train(spec).evaluation["train_loss"].to_pylist()
    return [math.inf if loss is None else float(loss) for loss in found]


def steps_to(target: float, losses: Sequence[float], per_epoch: int) -> float:
    """Steps until a loss is reached, between two epochs in proportion; infinite where it is not."""
    for epoch, loss in enumerate(losses):
        if loss <= target:
            before = losses[epoch - 1] if epoch else math.inf
            part = 1.0 if math.isinf(before) else (before - target) / (before - loss)
            return (epoch + part) * per_epoch
    return math.inf


def steps_of(spec: RunSpec, sizes: BatchSizes, size: int, target: float, examples: int) -> float:
    """Steps to the target with a batch size, at the best of some learning rates."""
    options = sizes.options(size)
    epochs = math.ceil(LONGER * options["epochs"])
    found = []
    for factor in AROUND:
        update = {"batch_size": size, "lr": factor * options["lr"], "epochs": epochs}
        losses = training_losses(spec.model_copy(update=update))
        found.append(steps_to(target, losses, math.ceil(examples / size)))
    return min(found)


def compared(name: str, folder: Path) -> list[str]:
    """A row: how far theory is off, and what the advice is worth."""
    lr = RATES[name]
    spec = TASKS[name].spec(name, folder).model_copy(update={"lr": lr, "keep": None})
    split = load_for(spec, None)
    spec = resolved(spec, split)
    sizes, _ = batch_sizes(spec, split)
    assert sizes is not None
    target = training_losses(spec)[2 * spec.epochs // 3]
    examples = len(split.train)
    steps = {size: steps_of(spec, sizes, size, target, examples)
             for size in sizes.seconds if size >= FEWEST}  # fmt: skip
    times = {size: number * sizes.seconds[size] for size, number in steps.items()}
    best = min(times, key=times.__getitem__)
    said = max(FEWEST, sizes.fastest)
    ratios = " ".join(
        f"{size}: {number / steps[sizes.now]:.2f} ({sizes.steps(size):.2f})"
        for size, number in steps.items()
    )
    usual, advised = (f"{times[size] / times[best]:.2f}" for size in (sizes.now, said))
    noise = f"{sizes.noise:.0f}"
    return [name, noise, ratios, f"{sizes.now}", f"{said}", f"{best}", usual, advised]


def main() -> None:
    """``python -m benchmarks.batch_size``."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    head = ("task", "noise scale", "batch size: steps, trained (theory)", "usual", "said",
            "fastest", "usual / fastest", "said / fastest")  # fmt: skip
    rows: list[Sequence[str]] = [head]
    with tempfile.TemporaryDirectory() as folder:
        for name in RATES:
            rows.append(compared(name, Path(folder)))
            print(*rows[-1], flush=True)
    print(f"\n{describe_machine()}\n\n{markdown(rows)}")


if __name__ == "__main__":
    main()
