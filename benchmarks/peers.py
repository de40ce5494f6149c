"""How the reference job is written in PyTorch alone: the plain script, and its faster forms.

Plain is a DataLoader over images converted one by one and torch's default optimizer; memory is
tensors in memory, each batch sliced and converted whole, and the fused optimizer; compile takes the
same batches through torch.compile, in the faster of two forms by a trial on the network that is
then started anew.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.reference import LOG_EVERY, LR, METHODS, MOMENTUM, SEED

TEST_BATCH = 1000
TRIALS = 3
TRIAL_SECONDS = 0.1

Example = tuple[Tensor, int]
Batches = Iterable[tuple[Tensor, Tensor]]
Step = Callable[[Tensor, Tensor], Tensor]
"""Take a step by a batch; the loss before it."""


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


def optimizer(
    model: nn.Module,
    method: str,
    *,
    fused: bool = False,
    lr: float = LR,
    momentum: float = MOMENTUM,
) -> torch.optim.Optimizer:
    """The optimizer of torch.optim; without ``fused`` it is torch's default."""
    chosen = True if fused else None
    if method == "adam":
        return torch.optim.Adam(model.parameters(), lr=lr, fused=chosen)
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum, fused=chosen)


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


class Bytes:
    """Batches sliced out of two tensors, left as bytes: the step converts them."""

    def __init__(self, images: Tensor, labels: Tensor, batch_size: int) -> None:
        self.images, self.labels, self.batch_size = images, labels, batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield from zip(
            self.images.split(self.batch_size), self.labels.split(self.batch_size), strict=True
        )


def eager_step(model: nn.Module, optimizer: torch.optim.Optimizer) -> Step:
    """The step as everybody writes it."""
    loss_of = nn.CrossEntropyLoss()

    def step(x: Tensor, y: Tensor) -> Tensor:
        loss: Tensor = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step


@dataclass(frozen=True)
class Compiled:
    """A form of the compiled step.

    Attributes:
        name: what is compiled.
        step: takes bytes.
        state: gives what the optimizer remembers, all of it zero before the first step.
    """

    name: str
    step: Step
    state: Callable[[], list[Tensor]]


def compiled_passes(model: nn.Module, method: str) -> Compiled:
    """Forward and backward pass compiled, and the fused optimizer."""
    stepping, loss_of = optimizer(model, method, fused=True), nn.CrossEntropyLoss()

    @torch.compile(dynamic=False)
    def loss_at(x: Tensor, y: Tensor) -> Tensor:
        loss: Tensor = loss_of(model(x.to(torch.float32).div(255)), y)
        return loss

    def step(x: Tensor, y: Tensor) -> Tensor:
        loss = loss_at(x, y)
        loss.backward()
        stepping.step()
        stepping.zero_grad()
        return loss

    def state() -> list[Tensor]:
        return [tensor for kept in stepping.state.values() for tensor in kept.values()]

    return Compiled("passes, fused optimizer", step, state)


def compiled_whole(model: nn.Module, method: str) -> Compiled:
    """Forward pass, backward pass and update compiled as one graph."""
    parameters = dict(model.named_parameters())
    names, w = list(parameters), [p.detach() for p in parameters.values()]
    m, v = [torch.zeros_like(p) for p in w], [torch.zeros_like(p) for p in w]
    t, loss_of, (beta1, beta2), eps = torch.zeros(()), nn.CrossEntropyLoss(), (0.9, 0.999), 1e-8

    def loss_at(w: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
        output = torch.func.functional_call(model, dict(zip(names, w, strict=True)), (x,))
        loss: Tensor = loss_of(output, y)
        return loss

    @torch.compile(dynamic=False)
    def step(x: Tensor, y: Tensor) -> Tensor:
        loss: Tensor
        gradients, loss = torch.func.grad_and_value(loss_at)(w, x.to(torch.float32).div(255), y)
        if method == "sgd":
            for p, m_p, g in zip(w, m, gradients, strict=True):
                m_p.mul_(MOMENTUM).add_(g)
                p.sub_(m_p, alpha=LR)
        else:
            t.add_(1)
            rate, scale = LR / (1 - beta1**t), (1 - beta2**t).sqrt()
            for p, m_p, v_p, g in zip(w, m, v, gradients, strict=True):
                m_p.lerp_(g, 1 - beta1)
                v_p.mul_(beta2).addcmul_(g, g, value=1 - beta2)
                p.sub_(rate * m_p / (v_p.sqrt() / scale + eps))
        return loss

    def state() -> list[Tensor]:
        return [*m, *v, t]

    return Compiled("whole step", step, state)


def fastest(forms: list[Compiled], model: nn.Module, batches: Batches) -> tuple[Compiled, float]:
    """The form whose steps take least, after a start anew, and the seconds its compiling took."""
    initial = [p.detach().clone() for p in model.parameters()]
    x, y = next(iter(batches))
    compiling, least = [], [float("inf")] * len(forms)
    for form in forms:
        began = time.perf_counter()
        form.step(x, y)
        compiling.append(time.perf_counter() - began)
        form.step(x, y)
    for _ in range(TRIALS):
        for which, form in enumerate(forms):
            began, steps, taken = time.perf_counter(), 0, 0.0
            while taken < TRIAL_SECONDS:
                form.step(x, y)
                steps, taken = steps + 1, time.perf_counter() - began
            least[which] = min(least[which], taken / steps)
    chosen = least.index(min(least))
    with torch.no_grad():
        for p, start in zip(model.parameters(), initial, strict=True):
            p.copy_(start)
        for tensor in forms[chosen].state():
            tensor.zero_()
    return forms[chosen], compiling[chosen]


def take_epoch(step: Step, batches: Batches) -> list[float]:
    """One epoch; the loss of every 100th batch."""
    logged = []
    for index, (x, y) in enumerate(batches):
        loss = step(x, y)
        if index % LOG_EVERY == 0:
            logged.append(loss.item())
    return logged


def train(model: nn.Module, optimizer: torch.optim.Optimizer, batches: Batches) -> list[float]:
    """One epoch in the way of the plain script; the loss of every 100th batch."""
    model.train()
    return take_epoch(eager_step(model, optimizer), batches)


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
    parser.add_argument("peer", choices=("plain", "memory", "compile"))
    parser.add_argument("folder", type=Path, help="of the data")
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("batch_size", type=int)
    parser.add_argument("epochs", type=int)
    parser.add_argument("--lr", type=float, default=LR, help="of plain and memory")
    parser.add_argument("--momentum", type=float, default=MOMENTUM, help="of plain and memory")
    given = parser.parse_args()
    kept, held_out = read(given.folder, "train"), read(given.folder, "t10k")
    torch.manual_seed(SEED)
    model = network()
    told: dict[str, object] = {}
    moved = {"lr": given.lr, "momentum": given.momentum}
    training: Batches
    testing: Batches = InMemory(*held_out, TEST_BATCH)
    if given.peer == "plain":
        training = DataLoader(Images(*kept), batch_size=given.batch_size)
        testing = DataLoader(Images(*held_out), batch_size=TEST_BATCH)
        step = eager_step(model, optimizer(model, given.method, **moved))
    elif given.peer == "memory":
        training = InMemory(*kept, given.batch_size)
        step = eager_step(model, optimizer(model, given.method, fused=True, **moved))
    else:
        training = Bytes(*kept, given.batch_size)
        forms = [compiled_passes(model, given.method), compiled_whole(model, given.method)]
        form, compile_seconds = fastest(forms, model, training)
        step, told = form.step, {"compile_seconds": compile_seconds, "form": form.name}
    epochs, test_seconds = [], 0.0
    for _ in range(given.epochs):
        model.train()
        began = time.time()
        take_epoch(step, training)
        trained = time.time()
        test_loss, _ = test(model, testing)
        test_seconds += (time.time() - trained) / given.epochs
        epochs.append((began, trained))
    told |= {"epochs": epochs, "test_seconds": test_seconds, "test_loss": test_loss}
    given.result.write_text(json.dumps(told))


if __name__ == "__main__":
    main()
