"""How K runs take a step together: by the method's equation, or by a CUDA graph that repeats it.

Where every kernel is small, launching them one by one takes longer than they do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from gradus.engine.columns import leaves, mapped
from gradus.engine.stacked_risk import FirstEvaluation, RecordedRisk, StackedRisk
from gradus.methods.method import Method


@final
@dataclass(frozen=True, eq=False)
class Place:
    """Where K runs stand between two steps.

    Attributes:
        w: the points, ``[K, d]``.
        state: what the method remembers.
        alive: which runs have seen no loss that is not finite, ``[K, 1]``; the others rest.
    """

    w: Tensor
    state: Any
    alive: Tensor

    def kept(self, rows: list[int]) -> Place:
        """The same with these runs only."""
        index = torch.tensor(rows, device=self.w.device)

        def of_rows(value: Any) -> Any:
            is_column = isinstance(value, Tensor) and value.dim() == 2
            return value.index_select(0, index) if is_column else value

        return Place(of_rows(self.w), mapped(self.state, of_rows), of_rows(self.alive))


Step = Callable[[Place, Tensor], tuple[Place, Tensor]]
"""From a place and the mini-batches to the next place and the mean losses ``[K]``."""


def stepped(method: Method, risk: StackedRisk, at: Place, batch: Tensor) -> tuple[Place, Tensor]:
    """The next place, where runs whose loss was not finite have not moved, and the mean losses.

    Their w alone is kept from moving: they are dropped before anything else of them is read.
    """
    after, losses = _moved(method, risk, at, batch)
    # Only a CPU can be asked without waiting for it.
    if at.w.device.type != "cpu" or not bool(after.alive.all()):
        after = Place(torch.where(after.alive, after.w, at.w), after.state, after.alive)
    return after, losses


def _moved(method: Method, risk: StackedRisk, at: Place, batch: Tensor) -> tuple[Place, Tensor]:
    """The next place as the equation gives it, and the mean losses."""
    seen = FirstEvaluation()
    oracle: Any = RecordedRisk(risk, seen)
    w, state = method.step(oracle, at.w, at.state, batch)
    return Place(w, state, at.alive & seen.losses.isfinite()[:, None]), seen.losses


@final
class Replay:
    """A step that is written over the place where it began, by the same operations every time.

    What the equation gives is copied into the tensors that it began from. Numbers of the state,
    such as that of the step, become tensors (of double precision, as Python's are): what a graph
    repeats is the same but for what its tensors hold.

    Args:
        method: whose hyper-parameters are numbers or tensors that stay where they are.
        risk: of the runs.
        at: where they stand; at least one step must have been taken.
        batch: of the shape of those to come.
    """

    def __init__(self, method: Method, risk: StackedRisk, at: Place, batch: Tensor) -> None:
        def own(value: Any) -> Tensor:
            if isinstance(value, Tensor):
                return value.clone()
            return torch.tensor(value, dtype=torch.float64, device=at.w.device)

        self.method, self.risk = method, risk
        self.at = Place(at.w.clone(), mapped(at.state, own), at.alive.clone())
        self.batch = batch.clone()
        self.losses = torch.empty(len(at.w), dtype=at.w.dtype, device=at.w.device)
        self._launch = captured(lambda: self._write(self.batch), at.w.device)

    def step(self, batch: Tensor) -> Tensor:
        """Take it on this batch; the losses stand there until the next."""
        if batch.shape == self.batch.shape:
            self.batch.copy_(batch)
            self._launch()
        else:
            self._write(batch)
        return self.losses

    def _write(self, batch: Tensor) -> None:
        after, losses = _moved(self.method, self.risk, self.at, batch)
        # A state may hold w itself, as it was before the step: w comes last.
        for place, value in zip(leaves(self.at.state), leaves(after.state), strict=True):
            place.copy_(value)
        self.at.alive.copy_(after.alive)
        self.losses.copy_(losses)
        torch.where(self.at.alive, after.w, self.at.w, out=self.at.w)


def replays(device: torch.device) -> bool:
    """Whether steps on this device can be captured."""
    return device.type == "cuda"


def captured(work: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """The same work as one launch of a CUDA graph; it is recorded here, not done."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(device), torch.cuda.graph(graph):
        work()
    return graph.replay
