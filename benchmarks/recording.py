"""What the record of a loop of one's own costs: the share of a step that `run.log` takes.

Both are timed where they stand, within a loop that trains: the step, and the call of `run.log`
behind it, with the caches as the step leaves them, the journal written, and on the disk every five
seconds. Of each block of steps the ratio of the sums is taken; the median over the blocks is
printed, and the range of the middle 80 %. The time is that of the processor; of steps on a GPU,
that of the clock.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

import gradus
from benchmarks.markdown import describe_machine, markdown

MOST = 0.02
"""Of a step of a millisecond."""

STEPS = 1024
"""In a block: so many rows are written at once."""

MOST = 0.02
"""Of a step of a millisecond."""

STEPS = 1024
"""In a block: so many rows are written at once."""

WIDTHS = {"0.2 ms": 64, "1 ms": 320, "3 ms": 640}
"""Of the hidden layers of the network, by about how long a step takes on one core."""

BATCH = 64


Step = Callable[[], Tensor]


def step_of(width: int, device: torch.device) -> tuple[nn.Module, torch.optim.Optimizer, Step]:
    """A network, its optimizer, and a step of theirs that gives its loss."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(100, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
    ).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    x = torch.randn(BATCH, 100, device=device)
    y = torch.randint(10, (BATCH,), device=device)

    def step() -> Tensor:
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return model, optimizer, step


def measured(width: int, turns: int, device: torch.device) -> tuple[float, float, list[float]]:
    """Seconds that a step takes, and its log, and the ratios of the blocks, sorted."""
    model, optimizer, step = step_of(width, device)
    clock = time.perf_counter if device.type == "cuda" else time.thread_time
    for _ in range(50):
        step()
    steps, logs = [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        gradus.record(f"{folder}/run", optimizer, model) as run,
    ):
        for _ in range(turns):
            stepping = logging = 0.0
            for _ in range(STEPS):
                began = clock()
                loss = step()
                stepped = clock()
                run.log(loss, batch=BATCH)
                logging += clock() - stepped
                stepping += stepped - began
            steps.append(stepping / STEPS)
            logs.append(logging / STEPS)
    ratios = sorted(log / step for log, step in zip(logs, steps, strict=True))
    return statistics.median(steps), statistics.median(logs), ratios


def main() -> None:
    """Measure, print a table, and end with 1 where a step of a millisecond costs too much."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    device = torch.device(given.device)
    torch.set_num_threads(1)
    head = ["a step, ms", "its log, µs", "share"]
    rows, judged = [head], 0.0
    for width in WIDTHS.values():
        step, log, ratios = measured(width, given.turns, device)
        middle, cut = statistics.median(ratios), len(ratios) // 10
        low, high = ratios[cut], ratios[-1 - cut]
        share = f"{middle:.2%} ({low:.2%}–{high:.2%})"
        rows.append([f"{1e3 * step:.2f}", f"{1e6 * log:.1f}", share])
        if width == WIDTHS["1 ms"]:
            judged = middle
    print(f"{describe_machine()}; on {device}")
    print(markdown(rows))
    print(f"at about a millisecond a step: {judged:.2%}, at most {MOST:.0%}")
    sys.exit(judged > MOST)


if __name__ == "__main__":
    main()
