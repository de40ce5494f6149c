"""How far each phase of the native step is from what the machine can do at most.

A phase can take no less time than its operations take at the rate of sgemm, nor than its bytes take
at the bandwidth of the last-level cache, where the parameters lie. Bytes are counted as if every
array of a phase were read and written once; operations are those of its matrix products. Times are
those of the first thread; what it waits for the others is a phase of its own.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks import limits, peers
from benchmarks.markdown import describe_machine, markdown
from benchmarks.reference import LR, METHODS, MOMENTUM, SEED, WIDTHS, positives, refuse
from gradus import kernels

FLOAT = 4
TOLD = {
    "load": "load",
    "forward": "forward",
    "loss": "loss",
    "input_gradient": "input gradient",
    "update": "weight gradient + update",
    "wait": "wait for other threads",
}
"""The phases as the network times them, and as they are printed."""

Rows = Iterator[list[str]]

STATE = {"sgd": 1, "adam": 2}
"""Numbers that a method remembers for every parameter."""

BLOCK_SECONDS = 0.2
BLOCKS = 7


@dataclass(frozen=True)
class Work:
    """What a phase does in a step."""

    flops: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Ceiling:
    """What so many threads can do at most: operations, and bytes by where they lie, a second."""

    flops: float
    bandwidth: Mapping[str, float]

    def least(self, work: Work) -> float:
        """Seconds below which the work cannot be done."""
        return max(work.flops / self.flops, work.bytes / self.bandwidth["last level"])


def work_of_step(method: str, batch_size: int) -> dict[str, Work]:
    """Operations and bytes of every phase."""
    layers = list(itertools.pairwise(WIDTHS))
    numbers = [(inputs + 1) * outputs for inputs, outputs in layers]
    products = [2 * inputs * outputs * batch_size for inputs, outputs in layers]
    around = [(inputs + outputs) * batch_size for inputs, outputs in layers]
    # The gradient of the inputs reads what entered the layer too: the slope of the activation.
    slopes = [inputs * batch_size for inputs, _ in layers]
    read_and_written = 2 * (1 + STATE[method])
    return {
        "load": Work(bytes=batch_size * WIDTHS[0] * (1 + FLOAT)),
        "forward": Work(sum(products), FLOAT * (sum(numbers) + sum(around))),
        "loss": Work(bytes=2 * FLOAT * batch_size * WIDTHS[-1]),
        "input_gradient": Work(
            sum(products[1:]), FLOAT * (sum(numbers[1:]) + sum(around[1:]) + sum(slopes[1:]))
        ),
        "update": Work(sum(products), FLOAT * (read_and_written * sum(numbers) + sum(around))),
        "wait": Work(),
    }


class Steps:
    """The native network in training, block of steps by block of steps, on random examples.

    This is the one place that knows how the core is called.

    Args:
        method: its name.
        batch_size: of every step.
        threads: that share a step.
    """

    def __init__(self, method: str, batch_size: int, threads: int) -> None:
        core: Any = kernels.core()
        rule = {"rule": "sgd", "momentum": MOMENTUM}
        if method == "adam":
            rule = {"rule": "adam", "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
        layers = len(WIDTHS) - 1
        self.batch_size = batch_size
        self.network = core.Network32(
            kernels.variant(),
            WIDTHS[0],
            [
                core.Layer("dense", width, at, activation="relu" if at < layers - 1 else "identity")
                for at, width in enumerate(WIDTHS[1:])
            ],
            False,
            core.Risk32("cross-entropy", "examples"),
            core.Method(**rule),
            core.Penalty(),
            batch_size,
            threads,
        )
        torch.manual_seed(SEED)
        linears = [layer for layer in peers.network() if isinstance(layer, nn.Linear)]
        for index, linear in enumerate(linears):
            self.network.set(index, linear.weight.detach().numpy(), linear.bias.detach().numpy())
        drawn = np.random.default_rng(SEED)
        self.examples = max(16384, batch_size)
        images = drawn.integers(0, 256, (self.examples, WIDTHS[0]), dtype=np.uint8)
        classes = drawn.integers(0, WIDTHS[-1], self.examples)
        self.data = core.Data32(x=images, classes=classes, scale=255.0)

    def take(self, steps: int) -> dict[str, float]:
        """Seconds a step of every phase, over so many steps."""
        before = self.network.timings()
        order = np.arange(steps * self.batch_size) % self.examples
        rates, losses = np.full(steps, LR), np.empty(steps)
        self.network.run(self.data, order, self.batch_size, rates, losses)
        after = self.network.timings()
        return {phase: (seconds - before[phase]) / steps for phase, seconds in after.items()}


def measure(method: str, batch_size: int, threads: int) -> dict[str, float]:
    """Seconds a step of every phase, from the block of steps that took least."""
    network = Steps(method, batch_size, threads)
    network.take(2)
    count = max(1, round(BLOCK_SECONDS / sum(network.take(3).values())))
    return min((network.take(count) for _ in range(BLOCKS)), key=lambda taken: sum(taken.values()))


Seconds = dict[tuple[str, int, int], dict[str, float]]
"""Seconds a step of every phase, by method, batch size and threads."""


def rows_of(key: tuple[str, int, int], seconds: Mapping[str, float], ceiling: Ceiling) -> Rows:
    """A row for every phase, and one for the whole step."""
    method, batch_size, threads = key
    works, where = work_of_step(method, batch_size), [method, str(batch_size), str(threads)]
    least = 0.0
    for phase, told in TOLD.items():
        if phase in seconds:
            work = works[phase]
            least += ceiling.least(work)
            yield [*where, told, *_figures(work, seconds[phase], ceiling, ceiling.least(work))]
    flops = sum(work.flops for work in works.values())
    moved = sum(work.bytes for work in works.values())
    step = sum(seconds.values())
    yield [*where, "**step**", *_figures(Work(flops, moved), step, ceiling, least)]


def _figures(work: Work, seconds: float, ceiling: Ceiling, least: float) -> list[str]:
    cells = [f"{seconds * 1e6:,.1f}", "", "", "", "", "", ""]
    if work.flops:
        rate = work.flops / seconds
        cells[1:3] = f"{rate / 1e9:.1f}", f"{rate / ceiling.flops:.0%}"
    if work.bytes:
        bandwidth = work.bytes / seconds
        share = bandwidth / ceiling.bandwidth["last level"]
        cells[3:6] = f"{work.bytes / 1e6:.2f}", f"{bandwidth / 1e9:.1f}", f"{share:.0%}"
    if least:
        cells[6] = f"{least / seconds:.0%}"
    return cells


def ceiling_of(threads: int) -> Ceiling:
    """What the machine does at most with so many threads, measured now."""
    sizes = limits.working_sets(threads)
    return Ceiling(
        limits.sgemm(threads),
        {where: limits.stream(size, threads) for where, size in sizes.items()},
    )


def higher(one: Ceiling, other: Ceiling) -> Ceiling:
    """The best of both: what was measured once, the machine can do."""
    bandwidth = {where: max(rate, other.bandwidth[where]) for where, rate in one.bandwidth.items()}
    return Ceiling(max(one.flops, other.flops), bandwidth)


def ceilings_table(ceilings: Mapping[int, Ceiling]) -> list[list[str]]:
    """A row for every number of threads."""
    sizes = limits.working_sets(1)
    head = ["threads", "sgemm, GFLOP/s"]
    for where, size in sizes.items():
        each = " a thread" if where == "L2" else ""
        head.append(f"{where}, GB/s ({size / 2**20:.3g} MiB{each})")
    rows = [head]
    for threads, ceiling in ceilings.items():
        bandwidths = [f"{rate / 1e9:.1f}" for rate in ceiling.bandwidth.values()]
        rows.append([str(threads), f"{ceiling.flops / 1e9:.1f}", *bandwidths])
    return rows


HEAD = [
    "method", "batch", "threads", "phase", "µs a step", "GFLOP/s", "of sgemm", "MB a step", "GB/s",
    "of last level", "of roof",
]  # fmt: skip


def measure_all(
    methods: Sequence[str], batch_sizes: Sequence[int], numbers: Sequence[int]
) -> Seconds:
    """All phases of all steps, telling each on stderr."""
    measured: Seconds = {}
    for key in itertools.product(methods, batch_sizes, numbers):
        measured[key] = measure(*key)
        told = ", ".join(
            f"{phase} {seconds * 1e6:,.1f}" for phase, seconds in measured[key].items()
        )
        print(f"{key[0]}, batch {key[1]}, threads {key[2]}: µs a step {told}", file=sys.stderr)
    return measured


def main() -> None:
    """Measure the machine, then the phases, and print both tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.roofline",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--batch-sizes", type=positives, default=[1, 4, 16, 64, 256, 1024, 4096], metavar="1,4,.."
    )
    parser.add_argument("--methods", default=",".join(METHODS), metavar="sgd,adam")
    parser.add_argument("--threads", type=positives, metavar="1,2", help="default: one, and all")
    given = parser.parse_args()
    methods = given.methods.split(",")
    if unknown := set(methods) - set(METHODS):
        refuse(f"--methods {', '.join(unknown)}: choose of {', '.join(METHODS)}")
    numbers = given.threads or sorted({1, torch.get_num_threads()})
    before = {threads: ceiling_of(threads) for threads in numbers}
    absence = kernels.absence()
    measured = {} if absence else measure_all(methods, given.batch_sizes, numbers)
    # Before and after, as a busy moment must not lower what the phases are held to.
    ceilings = {threads: higher(before[threads], ceiling_of(threads)) for threads in numbers}
    print(f"{describe_machine()}\n\n{markdown(ceilings_table(ceilings))}\n")
    if absence:
        print(f"No phases: {absence}.")
        return
    rows = [HEAD]
    for key, seconds in measured.items():
        rows += rows_of(key, seconds, ceilings[key[2]])
    print(f"Kernels: {kernels.variant()}.\n\n{markdown(rows)}")


if __name__ == "__main__":
    main()
