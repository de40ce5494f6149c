"""A model whose calls are compiled by ``torch.compile``."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from typing import final

import torch
from torch import Tensor, nn


def absence(device: torch.device) -> str | None:
    """What is missing to compile for a device, as one sentence; None where nothing is."""
    if device.type == "cuda":
        return None if find_spec("triton") else "Triton, which compiles for GPUs, is not installed"
    compiler = os.environ.get("CXX", "g++")
    return None if shutil.which(compiler) else f"there is no C++ compiler here ({compiler})"


@final
class Compiled(nn.Module):
    """A model whose training steps are compiled at their first call; it itself is not changed."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        # Of a function: what compiling makes of a module is a module too, and has its parameters.
        self.called = torch.compile(lambda x: model(x))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102  (said by the class)
        output: Tensor = self.called(x)
        return output
