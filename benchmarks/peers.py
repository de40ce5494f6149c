"""How the reference job is written without Gradus: the plain script, and tensors in memory.

Both are one training loop; they differ in where batches come from and in the update kernel.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.reference import LOG_EVERY, LR, METHODS, MOMENTUM, SEED

TEST_BATCH = 1000

Example = tuple[Tensor, int]
Batches = Iterable[tuple[Tensor, Tensor]]


def read(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    """Images uint8 ``[N, 28, 28]`` and labels int64 ``[N]`` of a part: ``train`` or ``t10k``."""
    pixels = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())
    classes = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    images = np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 28, 28)
    labels = np.frombuffer(classes, np.uint8, offset=8).astype(np.int64)
    return torch.from_numpy(images.copy()), torch.from_numpy(labels)


def network() -> nn.Sequential:
    """The model, built in the order that the subject gives, after ``torch.manual_seed``."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(),
        nn.Linear(512, 10),
    )  # fmt: skip


def optimizer(model: nn.Module, method: str, *, fused: bool = False) -> torch.optim.Optimizer:
    """The optimizer of torch.optim; without ``fused`` it is torch's default."""
    chosen = True if fused else None
    if method == "adam":
        return torch.optim.Adam(model.parameters(), lr=LR, fused=chosen)
    return torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM, fused=chosen)


class Images(Dataset[Example]):
    """Examples converted one by one, as torchvision's FashionMNIST with ToTensor does."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Example:
        """A PIL image, then ToTensor: bytes ``[28, 28, 1]`` to floats ``[1, 28, 28]`` / 255."""
        image, label = Image.fromarray(self.images[index].numpy()), int(self.labels[index])
        array = torch.from_numpy(np.array(image, np.uint8, copy=True))
        array = array.view(image.size[1], image.size[0], 1).permute(2, 0, 1).contiguous()
        return array.to(torch.float32).div(255), label


class InMemory:
    """Batches sliced out of two tensors and converted whole."""

    def __init__(self, images: Tensor, labels: Tensor, batch_size: int) -> None:
        self.images, self.labels, self.batch_size = images, labels, batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(self.images), self.batch_size):
            batch = slice(start, start + self.batch_size)
            yield self.images[batch].to(torch.float32).div(255), self.labels[batch]


def train(model: nn.Module, optimizer: torch.optim.Optimizer, batches: Batches) -> list[float]:
    """One epoch; the loss of every 100th batch."""
    loss_of, logged = nn.CrossEntropyLoss(), []
    model.train()
    for index, (x, y) in enumerate(batches):
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if index % LOG_EVERY == 0:
            logged.append(loss.item())
    return logged


def test(model: nn.Module, batches: Batches) -> tuple[float, float]:
    """Mean loss and accuracy over all examples."""
    loss_of, total, correct, count = nn.CrossEntropyLoss(reduction="sum"), 0.0, 0, 0
    model.eval()
    with torch.no_grad():
        for x, y in batches:
            output = model(x)
            total += loss_of(output, y).item()
            correct += int((output.argmax(dim=1) == y).sum())
            count += len(y)
    return total / count, correct / count


def main() -> None:
    """Run one peer and write what it measured about itself."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path, help="JSON file to be written")
    parser.add_argument("peer", choices=("plain", "memory"))
    parser.add_argument("folder", type=Path, help="of the data")
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("batch_size", type=int)
    parser.add_argument("epochs", type=int)
    given = parser.parse_args()
    kept, held_out = read(given.folder, "train"), read(given.folder, "t10k")
    training: Batches
    testing: Batches
    if given.peer == "plain":
        training = DataLoader(Images(*kept), batch_size=given.batch_size)
        testing = DataLoader(Images(*held_out), batch_size=TEST_BATCH)
    else:
        training = InMemory(*kept, given.batch_size)
        testing = InMemory(*held_out, TEST_BATCH)
    torch.manual_seed(SEED)
    model = network()
    stepping = optimizer(model, given.method, fused=given.peer == "memory")
    seconds = {"train_seconds": 0.0, "test_seconds": 0.0}
    for _ in range(given.epochs):
        began = time.perf_counter()
        train(model, stepping, training)
        trained = time.perf_counter()
        test_loss, _ = test(model, testing)
        seconds["train_seconds"] += (trained - began) / given.epochs
        seconds["test_seconds"] += (time.perf_counter() - trained) / given.epochs
    given.result.write_text(json.dumps({**seconds, "test_loss": test_loss}))


if __name__ == "__main__":
    main()
