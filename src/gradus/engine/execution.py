"""The run of a model of PyTorch, and how an interruption of it waits."""

from __future__ import annotations

import signal
import threading
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from gradus.engine.epochs import Epochs
from gradus.engine.job import Job, Outcome, Report
from gradus.engine.snapshot import Course, Snapshot


@final
class InOnePiece:
    """Within, Ctrl-C waits: w moves and the step is counted, or neither.

    To exchange the handler of a signal takes as long as the update of a small net: this one stands
    for a pass over the data, and only notes where it has to wait.

    Example:
        >>> with InOnePiece().standing() as in_one_piece:
        ...     for _ in range(2):
        ...         with in_one_piece:
        ...             pass
    """

    def __init__(self) -> None:
        self._waits = False
        self._waiting: tuple[int, FrameType | None] | None = None
        self._before: Any = None

    @contextmanager
    def standing(self) -> Iterator[InOnePiece]:
        """The handler stands, where Ctrl-C arrives here and raises anything."""
        self._before = signal.getsignal(signal.SIGINT)
        is_main = threading.current_thread() is threading.main_thread()
        if not (is_main and callable(self._before)):
            yield self
            return
        signal.signal(signal.SIGINT, self._arrived)
        try:
            yield self
        finally:
            if signal.getsignal(signal.SIGINT) == self._arrived:
                signal.signal(signal.SIGINT, self._before)

    def __enter__(self) -> None:
        self._waits = True

    def __exit__(self, *error: object) -> None:
        self._waits = False
        if self._waiting is not None:
            arrived, self._waiting = self._waiting, None
            self._before(*arrived)

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        if self._waits:
            self._waiting = number, frame
        else:
            self._before(number, frame)


@contextmanager
def grad_mode_restored() -> Iterator[None]:
    """Ctrl-C may come just as torch leaves a block without gradients, and they would stay off."""
    enabled = torch.is_grad_enabled()
    try:
        yield
    finally:
        torch.set_grad_enabled(enabled)


class Execution(Epochs):
    """One run of a model under way."""

    model: nn.Module

    def __init__(self, job: Job, report: Report, course: Course) -> None:
        super().__init__(job, report, course)
        self.job = job
        self.best = {name: value.to(job.device) for name, value in self.best.items()}

    @grad_mode_restored()
    def run(self) -> Outcome:
        """Take the steps, leaving the parameters where they end in the model."""
        return super().run()

    def values(self) -> dict[str, Tensor]:
        """Copies of the parameters and the running statistics of the model."""
        # However they lie in the model: files hold no other order than the plain one.
        return {
            name: value.clone(memory_format=torch.contiguous_format)
            for name, value in self._values()
        }

    def put(self, values: Mapping[str, Any]) -> None:
        """Leave these in the model, to be evaluated from now on."""
        with torch.no_grad():
            for name, value in self._values():
                value.copy_(values[name])
        self.take_over()

    def _values(self) -> Iterator[tuple[str, Tensor]]:
        for name, value in (*self.model.named_parameters(), *self.model.named_buffers()):
            yield name, value.detach()

    def snapshot(self, seconds: float = 0.0) -> Snapshot:
        """Where the run stands now, trained for so many seconds more than is written down."""
        found = super().snapshot(seconds)
        tensors = {name: _on_the_cpu(value) for name, value in found.tensors.items()}
        return replace(found, tensors=tensors)

    def show(self) -> None:
        """Show where the run stands to who watches it, if that is due after this step."""
        watch, step = self.course.watch, self.journal.outcome.step
        if watch is not None and watch.next_after(step - 1) == step:
            watch.see(step, self.point())

    @abstractmethod
    def point(self) -> Tensor:
        """W where the run stands, ``[d]``: a copy, on the CPU."""

    def evaluated_point(self) -> Tensor:
        """W that is evaluated, ``[d]``: that where the run stands, unless it is averaged."""
        return self.point()

    @abstractmethod
    def take_over(self) -> None:
        """Evaluate what stands in the model from now on, which is not where the run stood."""


def _on_the_cpu(value: Any) -> Tensor:
    return (torch.from_numpy(value) if isinstance(value, np.ndarray) else value).cpu()
