"""Whether ``compile=True`` pays: the processor's time of an eager step, compiled and not.

    python -m benchmarks.compiled

Each net is trained on random numbers for some epochs, compiled and not in turn; the first epoch,
in which it is compiled, is not counted.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor, nn

import gradus
from benchmarks.markdown import describe_machine, markdown
from gradus.data.dataset import Dataset

EXAMPLES, INPUTS, CLASSES = 4096, 64, 10


class Block(nn.Module):
    """A residual sum around a layer norm, a layer and ReLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.layer = nn.LayerNorm(width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return x + torch.relu(self.layer(self.norm(x)))


class Attention(nn.Module):
    """A layer of a transformer over eight pieces of eight numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 32), nn.Linear(32, CLASSES)
        self.layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        output: Tensor = self.last(self.layer(self.first(x.view(-1, 8, 8))).mean(1))
        return output


def residual() -> nn.Module:
    """Four blocks of 64."""
    return nn.Sequential(
        nn.Linear(INPUTS, 64), *[Block(64) for _ in range(4)], nn.Linear(64, CLASSES)
    )


def convolution() -> nn.Module:
    """Two convolutions of 8 x 8 pixels."""
    layers = nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.Flatten()
    return nn.Sequential(nn.Unflatten(1, (1, 8, 8)), *layers, nn.Linear(512, CLASSES))


NETS = {"residual": residual, "convolution": convolution, "attention": Attention}


class Clock:
    """The processor's time of every epoch."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def on_start(self, run: object) -> None:
        """Begin to count."""
        self.at.append(time.process_time())

    def on_epoch(self, run: object) -> None:
        """An epoch has ended."""
        self.at.append(time.process_time())


def step(net: nn.Module, data: Dataset, batch_size: int, *, compiled: bool) -> float:
    """Microseconds of a step."""
    clock = Clock()
    test = data.subset(slice(0, 16))
    gradus.train(
        data, model=net, test=test, validation_fraction=0, lr=0.01, batch_size=batch_size,
        epochs=3, engine="eager", compile=compiled, callbacks=[clock], log_every=10**6, keep="last",
    )  # fmt: skip
    epochs = [after - before for before, after in zip(clock.at, clock.at[1:], strict=False)]
    return min(epochs[1:]) / (EXAMPLES / batch_size) * 1e6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-sizes", default="16,256")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = Dataset(torch.randn(EXAMPLES, INPUTS), torch.randint(0, CLASSES, (EXAMPLES,)))
    rows = []
    for name, make in NETS.items():
        for batch_size in map(int, asked.batch_sizes.split(",")):
            eager = step(make(), data, batch_size, compiled=False)
            compiled = step(make(), data, batch_size, compiled=True)
            times = f"{eager:.0f}", f"{compiled:.0f}", f"{compiled / eager:.2f}×"
            rows.append((name, str(batch_size), *times))
    print(describe_machine())
    names = ["net", "batch", "eager, µs", "compiled, µs", "compiled / eager"]
    print(markdown([names, *rows]))


if __name__ == "__main__":
    main()
