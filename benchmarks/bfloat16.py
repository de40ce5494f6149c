"""What products in bfloat16 give: the reference job natively, in float32 and in bf16.

The two take turns within one process, on one thread; what is counted is the processor's time in the
steps of a run, without its evaluations. Then the test figures of both after some epochs, seed by
seed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from unittest import mock

import torch

import gradus
from benchmarks.markdown import describe_machine, markdown
from benchmarks.reference import add_data_dir, positive, positives
from gradus import RunSpec

PRECISIONS = ("float32", "bf16")


def trained(precision: str, batch_size: int, seed: int, given: argparse.Namespace) -> gradus.Run:
    """The reference job; its time is that of the processor."""
    spec = RunSpec(
        data="fashion-mnist",
        hidden=(512, 512),
        method="sgd",
        lr=0.05,
        momentum=0.5,
        batch_size=batch_size,
        epochs=given.epochs,
        seed=seed,
        engine="native",
        precision=precision,
        validation_fraction=0,
    )
    with mock.patch.object(time, "perf_counter", time.process_time):
        return gradus.train(spec, data_dir=given.data_dir)


def microseconds(run: gradus.Run, batch_size: int) -> float:
    """Of a step."""
    return 1e6 * batch_size / float(run.summary["timings"]["samples_per_second"])


def figures(run: gradus.Run) -> tuple[float, float]:
    """The loss and the accuracy on the test part."""
    last = run.evaluation.to_pylist()[-1]
    return float(last["test_loss"]), float(last["test_accuracy"])


def main() -> None:
    """``python -m benchmarks.bfloat16``."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--batch-sizes", type=positives, default=[16, 64, 128, 256])
    parser.add_argument("--epochs", type=positive, default=1)
    parser.add_argument(
        "--seeds", type=positive, default=3, help="turns, each of a seed of its own"
    )
    add_data_dir(parser)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = [["batch size", "float32, µs", "bf16, µs", "float32 / bf16", *COLUMNS]]
    for batch_size in given.batch_sizes:
        turns = [
            [trained(precision, batch_size, seed, given) for precision in PRECISIONS]
            for seed in range(given.seeds)
        ]
        times = [[microseconds(run, batch_size) for run in turn] for turn in turns]
        ratios = [exact / rounded for exact, rounded in times]
        least = [f"{min(each):.0f}" for each in zip(*times, strict=True)]
        ratio = f"{statistics.median(ratios):.2f}× ({min(ratios):.2f}–{max(ratios):.2f})"
        cells = []
        for k in range(2):
            for runs in zip(*turns, strict=True):
                found = [figures(run)[k] for run in runs]
                cells.append(f"{statistics.mean(found):.4f} ± {statistics.pstdev(found):.4f}")
        rows.append([str(batch_size), *least, ratio, *cells])
    print(
        f"784-512-512-10 on Fashion-MNIST, SGD with momentum, epochs: {given.epochs}; least of "
        f"{given.seeds} turns, median of the ratios within a turn (and their range); test figures, "
        f"mean and spread over as many seeds; one thread\n{describe_machine()}\n\n{markdown(rows)}"
    )


COLUMNS = (
    "test loss, float32",
    "test loss, bf16",
    "test accuracy, float32",
    "test accuracy, bf16",
)

if __name__ == "__main__":
    main()
