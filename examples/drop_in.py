"""Gradus under a training loop for PyTorch: one import differs, and checkpoints go both ways."""

import io

import torch
from torch import nn
from torch.optim import Optimizer

import gradus


def train(model: nn.Module, optimizer: Optimizer, x: torch.Tensor, y: torch.Tensor) -> float:
    """Take ten steps on the whole data, as any loop for PyTorch does; the last loss."""
    for _ in range(10):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    return loss.item()


def main() -> None:
    """Train in three parts, each from the checkpoint of the part before."""
    x, y = gradus.data.load("digits").train.batch()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    checkpoint = io.BytesIO()
    for kind in (torch.optim.Adam, gradus.optim.Adam, torch.optim.Adam):
        optimizer = kind(model.parameters(), lr=0.01)
        if checkpoint.tell():
            checkpoint.seek(0)
            optimizer.load_state_dict(torch.load(checkpoint))
        loss = train(model, optimizer, x, y)
        checkpoint = io.BytesIO()
        torch.save(optimizer.state_dict(), checkpoint)
        library = kind.__module__.partition(".")[0]
        print(f"{library:8s} loss {loss:.4f}")


if __name__ == "__main__":
    main()
