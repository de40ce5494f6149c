"""What leaving the plain network costs: microseconds of a step, native and eager, part by part.

Each part is changed alone on the digits job: 64-32-10 with ReLU, batch 16, SGD with momentum. The
two engines and a plain loop of PyTorch, where one does the same, take turns; what is counted is the
processor's time in the steps of a run, without its evaluations. Where a part has no native form the
line says what stands in the way. Last comes a step that is nearly nothing: a linear model of 30
columns at batch 1.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from unittest import mock

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import gradus
from benchmarks.markdown import describe_machine, markdown
from benchmarks.reference import positive
from gradus import methods
from gradus.data.dataset import Dataset
from gradus.data.sampling import Sampling
from gradus.engine import choose
from gradus.engine.clipping import Clip
from gradus.engine.job import Job
from gradus.engine.snapshot import Course

INPUTS, HIDDEN, CLASSES = 64, 32, 10
EXAMPLES, BATCH_SIZE = 1437, 16
CODED, CODES = 8, 20
"""Columns of integers, and how many there are in each."""
COLUMNS, LINEAR_EXAMPLES = 30, 200_000
EPOCHS = {"native": 40, "eager": 2}
"""So that a turn lasts some tenths of a second."""
SHOWN = (("native", 1), ("eager", 0), ("plain", 0))
Optimizer = Callable[[Iterator[nn.Parameter]], torch.optim.Optimizer]
SGD: Optimizer = partial(torch.optim.SGD, lr=0.01, momentum=0.9)


@dataclass(frozen=True)
class Setup:
    """One job, but for its model, which every turn makes anew."""

    model: Callable[[], nn.Module]
    method: methods.Method
    loss: gradus.risk.losses.Loss
    data: Dataset
    clip: Clip | None = None
    optimizer: Optimizer | None = SGD
    """That of a plain loop; None where there is no plain loop that does the same."""


class Own(nn.Module):
    """The plain network, as its author would write it."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(INPUTS, HIDDEN), nn.Linear(HIDDEN, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        given: Tensor = self.b(F.relu(self.a(x)))
        return given


class Residual(Own):
    """With a sum over a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(HIDDEN, HIDDEN)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        h = F.relu(self.a(x))
        given: Tensor = self.b(h + F.relu(self.inner(h)))
        return given


class Codes(nn.Module):
    """The network on columns of integer codes, each code a vector of its column."""

    def __init__(self) -> None:
        super().__init__()
        wide = INPUTS // CODED
        self.columns = nn.ModuleList(nn.Embedding(CODES, wide) for _ in range(CODED))
        self.dense = between(nn.ReLU)()

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        vectors = [column(x[:, at]) for at, column in enumerate(self.columns)]
        given: Tensor = self.dense(torch.cat(vectors, 1))
        return given


class Attention(nn.Module):
    """The rows of an image, each attending to the others."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.out = nn.Linear(8, 16), nn.Linear(16, CLASSES)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        h = self.rows(x.view(-1, 8, 8))
        given: Tensor = self.out((h + self.attention(h, h, h, need_weights=False)[0]).mean(1))
        return given


def convolutions() -> nn.Module:
    """A small network on images of 8 by 8."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(128, CLASSES),
    )  # fmt: skip


def between(*layers: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """The network with these between its linear layers."""
    return lambda: nn.Sequential(
        nn.Linear(INPUTS, HIDDEN), *(make() for make in layers), nn.Linear(HIDDEN, CLASSES)
    )


def frozen() -> nn.Module:
    """The network whose first layer does not move."""
    model = Own()
    model.a.requires_grad_(False)
    return model


def setups() -> dict[str, Setup]:
    """By what each changes."""
    drawn = torch.Generator().manual_seed(0)
    x = torch.rand(EXAMPLES, INPUTS, generator=drawn)
    y = torch.randint(CLASSES, (EXAMPLES,), generator=drawn)
    names = tuple(map(str, range(CLASSES)))
    codes = Dataset(torch.randint(CODES, (EXAMPLES, CODED), generator=drawn), y, classes=names)
    data = Dataset(x, y, classes=names)
    weighted = replace(data, weights=torch.rand(EXAMPLES, generator=drawn))
    numbers = Dataset(x, torch.randn(EXAMPLES, CLASSES, generator=drawn))
    plain = Setup(between(nn.ReLU), methods.SGD(0.01, 0.9), gradus.CrossEntropyLoss(), data)
    models: dict[str, Callable[[], nn.Module]] = {
        "own module": Own,
        "first layer frozen": frozen,
        "SiLU": between(nn.SiLU),
        "GELU": between(nn.GELU),
        "ELU": between(nn.ELU),
        "LeakyReLU": between(nn.LeakyReLU),
        "Softplus": between(nn.Softplus),
        "PReLU": between(nn.PReLU),
        "Mish": between(nn.Mish),
        "Hardswish": between(nn.Hardswish),
        "dropout": between(nn.ReLU, nn.Dropout),
        "layer norm": between(lambda: nn.LayerNorm(HIDDEN), nn.ReLU),
        "batch norm": between(lambda: nn.BatchNorm1d(HIDDEN), nn.ReLU),
        "residual sum": Residual,
        "convolutions": convolutions,
        "attention": Attention,
    }
    moves: dict[str, tuple[methods.Method, Optimizer | None]] = {
        "Adam": (methods.Adam(0.001), partial(torch.optim.Adam, lr=0.001)),
        "AdamW": (methods.AdamW(0.001), partial(torch.optim.AdamW, lr=0.001)),
        "RMSprop": (methods.RMSprop(0.001), partial(torch.optim.RMSprop, lr=0.001)),
        "Adagrad": (methods.Adagrad(0.01), partial(torch.optim.Adagrad, lr=0.01)),
        "Adadelta": (methods.Adadelta(), partial(torch.optim.Adadelta, lr=1.0)),
        "Adamax": (methods.Adamax(0.001), partial(torch.optim.Adamax, lr=0.001)),
        "NAdam": (methods.NAdam(0.001), partial(torch.optim.NAdam, lr=0.001)),
        "RAdam": (methods.RAdam(0.001), partial(torch.optim.RAdam, lr=0.001)),
        "ADOPT": (methods.ADOPT(0.001), None),
        "Lion": (methods.Lion(0.0001), None),
    }
    alone = replace(plain, optimizer=None)
    return {
        "nothing": plain,
        **{name: replace(plain, model=model) for name, model in models.items()},
        "integer codes": replace(plain, model=Codes, data=codes),
        **{name: replace(plain, method=a, optimizer=b) for name, (a, b) in moves.items()},
        "clipping": replace(alone, clip=Clip(norm=0.5, value=0.1)),
        "label smoothing": replace(alone, loss=gradus.CrossEntropyLoss(label_smoothing=0.1)),
        "weights of examples": replace(alone, data=weighted),
        "Huber": replace(alone, loss=gradus.HuberLoss(), data=numbers),
        "pinball": replace(alone, loss=gradus.PinballLoss(), data=numbers),
    }


def job_of(setup: Setup, epochs: int) -> Job:
    """What a turn runs."""
    torch.manual_seed(0)
    return Job(
        model=setup.model(),
        loss=setup.loss,
        penalty=None,
        method=setup.method,
        train=setup.data,
        test=setup.data.subset(slice(0, BATCH_SIZE)),
        sampling=Sampling("shuffle", EXAMPLES, BATCH_SIZE),
        epochs=epochs,
        log_every=100,
        seed=0,
        device=torch.device("cpu"),
        dtype=torch.float32,
        clip=setup.clip,
    )


def microseconds(engine: choose.Chosen, setup: Setup) -> float:
    """Of a step."""
    return executed(engine, job_of(setup, EPOCHS[engine]))


def executed(engine: choose.Chosen, job: Job) -> float:
    """Microseconds of a step of the job."""
    # The engines' clock is that of the processor, which runs for nobody else.
    with mock.patch.object(time, "perf_counter", time.process_time):
        outcome = choose.execute(engine, job, lambda progress: None, Course())
    return 1e6 * outcome.train_seconds / outcome.step


def plain_microseconds(setup: Setup) -> float:
    """Of a step of a plain loop, which reads every loss as the engines do."""
    torch.manual_seed(0)
    model, loss = setup.model(), nn.CrossEntropyLoss()
    assert setup.optimizer is not None
    optimizer, x, y = setup.optimizer(model.parameters()), setup.data.x, setup.data.y
    sampling, epochs = Sampling("shuffle", EXAMPLES, BATCH_SIZE), range(EPOCHS["eager"])
    total, started = 0.0, time.process_time()
    for batch in itertools.chain.from_iterable(map(sampling.epoch, epochs)):
        optimizer.zero_grad()
        mean = loss(model(x[batch]), y[batch])
        mean.backward()
        optimizer.step()
        total += mean.item()
    return 1e6 * (time.process_time() - started) / (len(epochs) * sampling.steps)


def row(name: str, setup: Setup, repeats: int) -> list[str]:
    """Of one part: both engines in turns."""
    _, obstacle = choose.chosen("auto", job_of(setup, 1))
    engines: tuple[choose.Chosen, ...] = ("eager",) if obstacle else ("native", "eager")
    found: dict[str, list[float]] = {"native": [], "eager": [], "plain": []}
    for _ in range(repeats):
        for engine in engines:
            found[engine].append(microseconds(engine, setup))
        if setup.optimizer is not None:
            found["plain"].append(plain_microseconds(setup))
    eager = found["eager"]
    cells = [f"{min(each):.{digits}f}" if (each := found[who]) else "" for who, digits in SHOWN]
    return [name, *cells, obstacle or told(eager, found["native"]), told(eager, found["plain"], 2)]


def told(ours: list[float], theirs: list[float], digits: int = 0) -> str:
    """The ratios within the turns."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=False)]
    if not ratios:
        return ""
    middle, least, most = (
        f"{each:.{digits}f}" for each in (statistics.median(ratios), min(ratios), max(ratios))
    )
    return f"{middle}× ({least}–{most})"


def linear(repeats: int) -> list[float]:
    """Microseconds of a native step, turn by turn."""
    drawn = torch.Generator().manual_seed(0)
    x = torch.rand(LINEAR_EXAMPLES, COLUMNS, generator=drawn)
    y = torch.randint(2, (LINEAR_EXAMPLES,), generator=drawn)
    data = Dataset(x, y, classes=("no", "yes"))
    loss, method = gradus.CrossEntropyLoss(), methods.SGD(0.01)
    setup = Setup(lambda: nn.Linear(COLUMNS, 2), method, loss, data)
    sampling = Sampling("shuffle", LINEAR_EXAMPLES, 1)
    job = replace(job_of(setup, 1), sampling=sampling)
    return [executed("native", job) for _ in range(repeats)]


def main() -> None:
    """``python -m benchmarks.cliff``."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--repeats", type=positive, default=5, help="turns of each engine")
    parser.add_argument("parts", nargs="*", help="which; all, if none is named")
    given = parser.parse_args()
    torch.set_num_threads(1)
    known = setups()
    columns = ["changed", "native, µs", "eager, µs", "PyTorch, µs"]
    rows = [[*columns, "eager / native, or why not native", "eager / PyTorch"]]
    for name in given.parts or known:
        if name not in known:
            sys.exit(f"no part {name}; choose {', '.join(known)}")
        rows.append(row(name, known[name], given.repeats))
    print(
        f"{INPUTS}-{HIDDEN}-{CLASSES} with ReLU, batch {BATCH_SIZE}, SGD with momentum; least of "
        f"{given.repeats} turns, median of the ratios within a turn (and their range); one thread\n"
        f"{describe_machine()}\n\n{markdown(rows)}"
    )
    if not given.parts:
        steps = linear(given.repeats)
        print(
            f"\nlinear, {COLUMNS} columns, {LINEAR_EXAMPLES:,} examples, batch 1: {min(steps):.2f} "
            f"µs a step (to {max(steps):.2f})"
        )


if __name__ == "__main__":
    main()
