"""How long a step takes beside torch's own: of an optimizer, of the eager engine, and a Hessian's.

All contenders live in one process and take turns, a block of calls each, so that what else the
machine does falls on all of them. Ratios are taken within a turn; their median over the turns is
printed, and the range of the middle 80 %. Gradients are given: only ``step()`` is measured, but for
the engine, whose whole training step stands beside that of a loop over tensors in memory with
torch's fused optimizer.

    loop     foreach=False, one tensor after the other
    foreach  foreach=True, lists of tensors
    fused    fused=True; torch has none for RMSprop, and ours runs the pieces of foreach there
    eager    the eager engine at batch 16, on networks of a user's own
    hvp      EmpiricalRisk.hvp, against two gradients of the same risk, on four networks
    kept     the same product by EmpiricalRisk.curvature_at, whose graph is built beforehand
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

import gradus
from benchmarks.markdown import describe_machine, markdown
from gradus.data.dataset import Dataset
from gradus.data.sampling import Sampling
from gradus.engine import eager
from gradus.engine.job import Job

WITHIN = 1.1
"""How many times as long as torch's same form, and as torch's best form, a step may take."""
JUDGED = ("foreach", "fused")
WITHIN_TWO_GRADIENTS = 1.2

METHODS: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 1e-3, "momentum": 0.9},
    "Adam": {"lr": 1e-3},
    "AdamW": {"lr": 1e-3},
    "RMSprop": {"lr": 1e-3},
    "Adagrad": {"lr": 1e-3},
}
FORMS: dict[str, dict[str, bool]] = {
    "loop": {"foreach": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
}

Turns = dict[str, list[float]]
"""Seconds a call of each contender, turn by turn."""


def take_turns(calls: Mapping[str, Callable[[], Any]], turns: int, block: float) -> Turns:
    """Every call in turn, in blocks of about so many seconds."""
    counts = {}
    for name, call in calls.items():
        call()
        started = time.perf_counter()
        call()
        counts[name] = max(1, min(1000, round(block / (time.perf_counter() - started))))
    seconds: Turns = {name: [] for name in calls}
    for _ in range(turns):
        for name, call in calls.items():
            began = time.perf_counter()
            for _ in range(counts[name]):
                call()
            seconds[name].append((time.perf_counter() - began) / counts[name])
    return seconds


def ratio(turns: Turns, one: str, other: str) -> tuple[float, str]:
    """How many times as long as the other: the median, and the median with the range."""
    ratios = sorted(a / b for a, b in zip(turns[one], turns[other], strict=True))
    middle, cut = statistics.median(ratios), len(ratios) // 10
    return middle, f"{middle:.2f} ({ratios[cut]:.2f}–{ratios[-1 - cut]:.2f})"


def steps(name: str, entries: int, tensors: int) -> dict[str, Callable[[], Any]]:
    """A step of every form of torch's class and of ours, each on parameters of its own."""
    calls: dict[str, Callable[[], Any]] = {}
    for house, module in (("torch", torch.optim), ("gradus", gradus.optim)):
        for form, options in FORMS.items():
            if house == "torch" and name == "RMSprop" and form == "fused":
                continue
            torch.manual_seed(0)
            size = max(1, entries // tensors)
            params = [nn.Parameter(torch.randn(size)) for _ in range(tensors)]
            for p in params:
                p.grad = torch.randn_like(p)
            optimizer = getattr(module, name)(params, **METHODS[name], **options)
            calls[f"{house} {form}"] = optimizer.step
    return calls


def _is_torchs(contender: str) -> bool:
    return contender.startswith("torch")


def step_rows(
    names: Sequence[str], sizes: Sequence[int], tensors: Sequence[int], turns: int, block: float
) -> list[list[str]]:
    """A row for every method, size and number of tensors."""
    head = ["method", "parameters", "in tensors"]
    head += [f"torch {form}, µs" for form in FORMS] + [f"gradus {form}, µs" for form in FORMS]
    head += ["foreach / torch foreach", "fused / torch fused"]
    head += ["foreach / torch's best", "fused / torch's best", ""]
    rows = [head]
    for name in names:
        for entries in sizes:
            for count in tensors:
                taken = take_turns(steps(name, entries, count), turns, block)
                median = {who: statistics.median(seconds) for who, seconds in taken.items()}
                row = [name, f"{entries:,}", str(count)]
                for house in ("torch", "gradus"):
                    for form in FORMS:
                        seconds = median.get(f"{house} {form}")
                        row.append("" if seconds is None else f"{seconds * 1e6:,.0f}")
                best = min(filter(_is_torchs, median), key=median.__getitem__)
                missed = []
                for peers in (
                    {form: f"torch {form}" for form in JUDGED},
                    dict.fromkeys(JUDGED, best),
                ):
                    for form, peer in peers.items():
                        if peer not in taken:
                            row.append("")
                            continue
                        middle, told = ratio(taken, f"gradus {form}", peer)
                        row.append(told)
                        if middle > WITHIN:
                            whose = "torch's best" if peer is best else peer
                            missed.append(f"{form} / {whose}")
                row.append(f"MISSED: {', '.join(missed)}" if missed else "reached")
                rows.append(row)
                print("  ".join(row), file=sys.stderr, flush=True)
    return rows


TRAINED: dict[str, Callable[[], nn.Module]] = {
    "784-10": lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)),
    "784-512-512-10": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(),
        nn.Linear(512, 10),
    ),
    "convolutional": lambda: nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 64), nn.ReLU(), nn.Linear(64, 10),
    ),
}  # fmt: skip
"""Networks that the eager engine trains on images of 28 x 28."""
BATCH, BATCHES = 16, 150


def passes(build: Callable[[], nn.Module], name: str) -> dict[str, Callable[[], Any]]:
    """An epoch of torch's loop and of the engine, each on a network of its own."""
    random = torch.Generator().manual_seed(0)
    x = torch.randint(256, (BATCH * BATCHES, 1, 28, 28), dtype=torch.uint8, generator=random)
    y = torch.randint(10, (len(x),), generator=random)
    train = Dataset(x, y, tuple("0123456789"), scale=255.0)
    options = METHODS[name]
    model, loss_of = build(), nn.CrossEntropyLoss()
    optimizer = getattr(torch.optim, name)(model.parameters(), **options, fused=True)

    def loop() -> None:
        for start in range(0, len(x), BATCH):
            batch = slice(start, start + BATCH)
            loss_of(model(x[batch].to(torch.float32).div(255)), y[batch]).backward()
            optimizer.step()
            optimizer.zero_grad()

    job = Job(
        model=build(),
        loss=gradus.CrossEntropyLoss(),
        penalty=None,
        method=getattr(gradus.methods, name)(**options),
        train=train,
        test=train.subset(slice(0, BATCH)),
        sampling=Sampling("sequential", n=len(x), batch_size=BATCH),
        epochs=1,
        log_every=100,
        seed=0,
        device=torch.device("cpu"),
        dtype=torch.float32,
    )
    return {"torch": loop, "gradus": lambda: eager.execute(job)}


def eager_rows(turns: int) -> list[list[str]]:
    """A row for every network and method."""
    rows = [["network", "method", "torch, µs", "eager engine, µs", "eager engine / torch", ""]]
    for network, build in TRAINED.items():
        for name in ("SGD", "Adam"):
            taken = take_turns(passes(build, name), turns, block=0.0)
            middle, told = ratio(taken, "gradus", "torch")
            verdict = "reached" if middle <= WITHIN else "MISSED"
            each = [f"{statistics.median(s) / BATCHES * 1e6:,.0f}" for s in taken.values()]
            rows.append([network, name, *each, told, f"{verdict} (≤ {WITHIN})"])
            print("  ".join(rows[-1]), file=sys.stderr, flush=True)
    return rows


def _networks() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    """Networks with the shape of an example."""
    dense = nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )
    deep = [layer for _ in range(8) for layer in (nn.Linear(256, 256), nn.Tanh())]
    convolutional = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(16 * 24 * 24, 10),
    )  # fmt: skip
    attention = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.0, batch_first=True)
    return {
        "784-512-512-10": (dense, (784,)),
        "8 x 256, tanh": (nn.Sequential(*deep, nn.Linear(256, 10)), (256,)),
        "convolutional": (convolutional, (1, 28, 28)),
        "transformer": (nn.Sequential(attention, nn.Flatten(), nn.Linear(1024, 10)), (16, 64)),
    }


def hvp_rows(batch_sizes: Sequence[int], turns: int, block: float) -> list[list[str]]:
    """A row for every network and number of examples."""
    head = ["network", "examples", "gradient, ms", "hvp, ms", "hvp / two gradients", ""]
    rows = [[*head, "kept / two gradients"]]
    torch.manual_seed(0)
    jobs = [(*job, n) for job in _networks().items() for n in batch_sizes]
    for name, (model, shape), examples in jobs:
        data = torch.rand(examples, *shape), torch.randint(10, (examples,))
        risk = gradus.EmpiricalRisk(model, gradus.CrossEntropyLoss(), data)
        w = risk.parameters
        v = risk.gradient(w)

        def two_gradients(risk: Any = risk, w: Any = w) -> None:
            risk.gradient(w)
            risk.gradient(w)

        def product(risk: Any = risk, w: Any = w, v: Any = v) -> None:
            risk.hvp(w, v)

        curvature = risk.curvature_at(w)

        def kept(curvature: Any = curvature, v: Any = v) -> None:
            curvature @ v

        calls = {"gradients": two_gradients, "hvp": product, "kept": kept}
        taken = take_turns(calls, turns, block)
        middle, told = ratio(taken, "hvp", "gradients")
        verdict = "reached" if middle <= WITHIN_TWO_GRADIENTS else "MISSED"
        gradient = statistics.median(taken["gradients"]) / 2 * 1e3
        milliseconds = statistics.median(taken["hvp"]) * 1e3
        rows.append([
            name, f"{examples:,}", f"{gradient:.2f}", f"{milliseconds:.2f}", told,
            f"{verdict} (≤ {WITHIN_TWO_GRADIENTS})", ratio(taken, "kept", "gradients")[1],
        ])  # fmt: skip
        print("  ".join(rows[-1]), file=sys.stderr, flush=True)
    return rows


def _counts(text: str) -> list[int]:
    counts = [int(float(part)) for part in text.split(",")]
    if min(counts) < 1:
        raise ValueError
    return counts


def main() -> None:
    """Measure, telling every row on stderr, and print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.optim",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    told = f"of {', '.join(METHODS)}; none to leave them out"
    parser.add_argument("--methods", default="SGD,Adam", help=told)
    parser.add_argument("--sizes", type=_counts, default=_counts("1e3,1e4,1e5,1e6,1e7"))
    parser.add_argument("--tensors", type=_counts, default=[6, 300])
    parser.add_argument("--examples", type=_counts, default=[256, 4096], help="for hvp")
    parser.add_argument("--turns", type=int, default=21)
    parser.add_argument("--block", type=float, default=0.02, help="seconds a turn and contender")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    names = [] if given.methods == "none" else given.methods.split(",")
    if unknown := set(names) - METHODS.keys():
        parser.error(f"--methods {', '.join(unknown)}: choose of {', '.join(METHODS)}")
    print(f"{describe_machine()}; {given.threads} threads, {given.turns} turns\n")
    if names:
        rows = step_rows(names, given.sizes, given.tensors, given.turns, given.block)
        print(markdown(rows), "\n")
    print(markdown(eager_rows(given.turns)), "\n")
    print(markdown(hvp_rows(given.examples, given.turns, given.block)))


if __name__ == "__main__":
    main()
