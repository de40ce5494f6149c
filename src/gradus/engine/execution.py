"""How every engine executes a run: epoch by epoch, from its beginning or a snapshot."""

from __future__ import annotations

import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, final

import torch
from torch import Tensor, nn

from gradus.engine.job import Job, Judged, Outcome, Part, Report, Tested
from gradus.engine.journal import Journal
from gradus.engine.snapshot import Course, Keeper, Snapshot, copied
from gradus.errors import ProcessLostError

BEST = "best."
"""Begins the names of the parameters of the best epoch, in a snapshot."""


@dataclass
class Pass:
    """A pass over the data under way.

    Attributes:
        epoch: counted from 1.
        losses: those that the method saw, step by step.
    """

    epoch: int
    losses: list[float] = field(default_factory=list)


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


class Execution(ABC):
    """One run under way.

    Args:
        job: what is run.
        report: told how it goes.
        course: which part of it is executed.
    """

    engine: str
    model: nn.Module

    def __init__(self, job: Job, report: Report, course: Course) -> None:
        self.job, self.course = job, course
        self.journal = Journal(job, report, course.since, course.observe)
        self.keeper = Keeper(course)
        self.now = Pass(1)
        self.best: dict[str, Tensor] = {}
        """The parameters of the best epoch so far, where the run is to leave them."""
        if (since := course.since) is not None:
            assert since.engine == self.engine
            self.now = Pass(since.epoch, since.tensors["losses"].tolist())
            self.best = {
                name.removeprefix(BEST): value.to(job.device)
                for name, value in since.tensors.items()
                if name.startswith(BEST)
            }

    @grad_mode_restored()
    def run(self) -> Outcome:
        """Take the steps, leaving the parameters where they end in the model."""
        outcome, until = self.journal.outcome, self.course.until
        try:
            while not self.journal.is_over():
                epoch = self.now.epoch
                if until is not None and epoch > until:
                    self.settle()
                    outcome.status = "paused"
                    if self.course.keep is not None:
                        self.course.keep(self.snapshot())
                    break
                running_train_loss = self.train()
                self.settle()
                if running_train_loss is not None:
                    self.journal.evaluate(epoch, running_train_loss, self.judge)
                if outcome.status != "finished":
                    break
                if self.journal.is_best:
                    # However they lie in the model: files hold no other order than the plain one.
                    self.best = {
                        name: value.clone(memory_format=torch.contiguous_format)
                        for name, value in self._values()
                    }
                self.now = Pass(epoch + 1)
                if not self.journal.is_over():
                    self.keeper.offer_epoch(self.snapshot)
                elif self.course.end is not None:
                    self.course.end(self.snapshot())
            if outcome.status != "paused":
                self._close()
        except KeyboardInterrupt:
            self.settle()
            outcome.status = "interrupted"
        except ProcessLostError:
            if self.course.keep is not None and self._is_between_steps:
                self.course.keep(self.snapshot())
            raise
        return outcome

    @property
    def _is_between_steps(self) -> bool:
        """Whether all losses that were seen are of steps that were taken, by all processes."""
        taken = self.journal.outcome.step - (self.now.epoch - 1) * self.job.sampling.steps
        return self.job.average_every == 1 and taken == len(self.now.losses)

    def _close(self) -> None:
        """Leave the parameters that are kept in the model, and measure them."""
        if self.best:
            with torch.no_grad():
                for name, value in self._values():
                    value.copy_(self.best[name])
            self.take_over()
        self.journal.test(self.test)

    def _values(self) -> Iterator[tuple[str, Tensor]]:
        """Parameters and running statistics of the model."""
        for name, value in (*self.model.named_parameters(), *self.model.named_buffers()):
            yield name, value.detach()

    def snapshot(self, seconds: float = 0.0) -> Snapshot:
        """Where the run stands now, trained for so many seconds more than is written down."""
        now, tensors = self.now, {"losses": torch.tensor(self.now.losses, dtype=torch.float64)}
        facts = self.put_aside(tensors)
        tensors |= {BEST + name: value.cpu() for name, value in self.best.items()}
        outcome = copied(self.journal.outcome, seconds=seconds)
        place = self.engine, now.epoch, len(now.losses)
        return Snapshot(*place, outcome, self.journal.last_loss, tensors, facts)

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
    def train(self) -> float | None:
        """The rest of a pass: the mean of its losses, or None where it ended early."""

    @abstractmethod
    def settle(self) -> None:
        """Bring the model to where the run stands."""

    @abstractmethod
    def take_over(self) -> None:
        """Evaluate what stands in the model from now on, which is not where the run stood."""

    @abstractmethod
    def judge(self, part: Part) -> Judged:
        """The loss and the accuracy on a part of the data."""

    @abstractmethod
    def test(self) -> Tested:
        """The same on the test part, with the losses of its examples."""

    @abstractmethod
    def put_aside(self, tensors: dict[str, Tensor]) -> dict[str, Any]:
        """What the next steps begin with, in the words of JSON, its tensors put aside."""
