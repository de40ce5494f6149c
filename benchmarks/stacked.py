"""How many steps of how many runs a second: K runs in one block, and the same one after another.

The reference job at one batch size, by SGD with a learning rate of its own for every run. A
run-step is one step of one run. ``stacked`` moves all K together; ``eager`` and, on a CPU,
``native`` move one run after another, on as many threads as the machine has and, as ``native-1``,
on one. Every engine takes enough steps for about so many seconds.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections.abc import Callable, Sequence

import torch
from torch import nn

from benchmarks.markdown import describe_machine, markdown
from benchmarks.reference import MOMENTUM, WIDTHS, positive, refuse
from gradus import CrossEntropyLoss, kernels
from gradus.data.dataset import Dataset
from gradus.data.sampling import Sampling
from gradus.engine import eager, native, stacked
from gradus.engine.job import Job, Outcome
from gradus.methods import SGD

COUNTS = (1, 16, 128, 1024)
FIRST_STEPS, MOST_STEPS = 4, 2000
SHARE_OF_MEMORY = 0.5


def network() -> nn.Sequential:
    """The model of the reference job."""
    layers: list[nn.Module] = [nn.Flatten()]
    for index, (inputs, outputs) in enumerate(itertools.pairwise(WIDTHS)):
        layers += [nn.ReLU()] * (index > 0) + [nn.Linear(inputs, outputs)]
    return nn.Sequential(*layers)


def jobs(count: int, batch_size: int, steps: int, device: torch.device) -> list[Job]:
    """So many runs of so many steps, on the same examples in orders of their own."""
    random = torch.Generator().manual_seed(0)
    n = batch_size * steps
    x = torch.randint(256, (n, 1, 28, 28), generator=random, dtype=torch.uint8)
    y = torch.randint(10, (n,), generator=random)
    train = Dataset(x, y, classes=tuple("0123456789"), scale=255.0)
    return [
        Job(
            model=network(),
            loss=CrossEntropyLoss(),
            penalty=None,
            method=SGD(0.001 * (1 + run / count), momentum=MOMENTUM),
            train=train,
            test=train.subset(slice(0, 1)),
            sampling=Sampling("shuffle", n, batch_size, seed=run),
            epochs=1,
            log_every=n,
            seed=run,
            device=device,
            dtype=torch.float32,
        )
        for run in range(count)
    ]


def rate(execute: Callable[[Sequence[Job]], list[Outcome]], given: Callable[[int], list[Job]],
         seconds: float) -> float:  # fmt: skip
    """Run-steps a second, once the first steps are taken."""
    steps = FIRST_STEPS
    while True:
        made = given(steps)
        began = time.perf_counter()
        outcomes = execute(made)
        taken = time.perf_counter() - began
        if taken > seconds / 2 or steps == MOST_STEPS:
            trained = sum(outcome.train_seconds for outcome in outcomes)
            return sum(outcome.step for outcome in outcomes) / trained
        steps = max(steps + 1, min(MOST_STEPS, 8 * steps, int(steps * seconds / taken)))


def one_after_another(
    run: Callable[[Job], Outcome], threads: int | None = None
) -> Callable[[Sequence[Job]], list[Outcome]]:
    """An engine that takes one run at a time."""

    def execute(given: Sequence[Job]) -> list[Outcome]:
        before = torch.get_num_threads()
        torch.set_num_threads(threads or before)
        try:
            return [run(job) for job in given]
        finally:
            torch.set_num_threads(before)

    return execute


def main() -> None:
    """Measure, telling the progress on stderr, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--counts", default=",".join(map(str, COUNTS)), metavar="K,..")
    parser.add_argument("--batch-size", type=positive, default=16, metavar="B")
    parser.add_argument("--seconds", type=float, default=5.0, help="of every measurement (5)")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), help="default: cuda where there is one"
    )
    given = parser.parse_args()
    device = torch.device(given.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if device.type == "cuda" and not torch.cuda.is_available():
        refuse("--device cuda: no CUDA device is available here")
    contenders: dict[str, Callable[[Sequence[Job]], list[Outcome]]] = {"stacked": stacked.execute}
    if device.type == "cuda":
        contenders["stacked, no graphs"] = lambda made: stacked.execute(made, graphs=False)
        contenders["graph, one by one"] = lambda made: [stacked.execute([job])[0] for job in made]
    contenders["eager"] = one_after_another(eager.execute)
    if device.type == "cpu" and kernels.core() is not None:
        contenders["native"] = one_after_another(native.execute)
        contenders["native-1"] = one_after_another(native.execute, threads=1)
    rows = [["K", *contenders, "stacked / best of the others"]]
    for count in map(int, given.counts.split(",")):
        rates: dict[str, float] = {}
        for name, execute in contenders.items():
            alone = not name.startswith("stacked")
            of = min(count, 4) if alone else count  # one after another, K says nothing
            if not alone and _needed(of, given.batch_size, device) > _free(device):
                _tell(f"K {count}  {name}  left out: more than {SHARE_OF_MEMORY:.0%} of the memory")
                continue

            def made(steps: int, of: int = of) -> list[Job]:
                return jobs(of, given.batch_size, steps, device)

            rates[name] = rate(execute, made, given.seconds)
            _tell(f"K {count}  {name}  {rates[name]:,.0f} run-steps/s")
        others = [each for name, each in rates.items() if not name.startswith("stacked")]
        ratio = f"{rates['stacked'] / max(others):.2f}" if "stacked" in rates else "left out"
        cells = [f"{rates[name]:,.0f}" if name in rates else "left out" for name in contenders]
        rows.append([str(count), *cells, ratio])
    where = torch.cuda.get_device_name() if device.type == "cuda" else describe_machine()
    print(f"{where}; batch {given.batch_size}, {torch.get_num_threads()} threads; run-steps/s\n")
    print(markdown(rows))


def _needed(count: int, batch_size: int, device: torch.device) -> int:
    (one,) = jobs(1, batch_size, FIRST_STEPS, device)
    return count * stacked.memory([one])


def _free(device: torch.device) -> float:
    if device.type == "cuda":
        return SHARE_OF_MEMORY * torch.cuda.mem_get_info(device)[0]
    return SHARE_OF_MEMORY * os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
