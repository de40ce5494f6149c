"""How every engine executes a run: epoch by epoch, from its beginning or a snapshot."""

from __future__ import annotations

import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from gradus.engine.job import Job, Outcome, Report
from gradus.engine.journal import Journal
from gradus.engine.snapshot import Course, Keeper, Snapshot, copied


@dataclass
class Pass:
    """A pass over the data under way.

    Attributes:
        epoch: counted from 1.
        losses: those that the method saw, step by step.
    """

    epoch: int
    losses: list[float] = field(default_factory=list)


@contextmanager
def in_one_piece() -> Iterator[None]:
    """Within, Ctrl-C waits: w moves and the step is counted, or neither."""
    if threading.current_thread() is not threading.main_thread():  # no signal arrives here
        yield
        return
    waiting: list[tuple[int, FrameType | None]] = []
    before = signal.signal(signal.SIGINT, lambda *arrived: waiting.append(arrived))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if waiting and callable(before):
            before(*waiting[0])


class Execution(ABC):
    """One run under way.

    Args:
        job: what is run.
        report: told how it goes.
        course: which part of it is executed.
    """

    engine: str

    def __init__(self, job: Job, report: Report, course: Course) -> None:
        self.job, self.course = job, course
        self.journal = Journal(job, report, course.since)
        self.keeper = Keeper(course)
        self.now = Pass(1)
        if (since := course.since) is not None:
            assert since.engine == self.engine
            self.now = Pass(since.epoch, since.tensors["losses"].tolist())

    def run(self) -> Outcome:
        """Take the steps, leaving the parameters where they end in the model."""
        outcome, until = self.journal.outcome, self.course.until
        try:
            while (epoch := self.now.epoch) <= self.job.epochs:
                if until is not None and epoch > until:
                    self.settle()
                    outcome.status = "paused"
                    if self.course.keep is not None:
                        self.course.keep(self.snapshot())
                    break
                train_loss = self.train()
                self.settle()
                if train_loss is not None:
                    self.journal.evaluate(epoch, train_loss, self.judge)
                if outcome.status != "finished":
                    break
                self.now = Pass(epoch + 1)
                if epoch < self.job.epochs:
                    self.keeper.offer_epoch(self.snapshot)
        except KeyboardInterrupt:
            self.settle()
            outcome.status = "interrupted"
        return outcome

    def snapshot(self, seconds: float = 0.0) -> Snapshot:
        """Where the run stands now, trained for so many seconds more than is written down."""
        now, tensors = self.now, {"losses": torch.tensor(self.now.losses, dtype=torch.float64)}
        facts = self.put_aside(tensors)
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

    @abstractmethod
    def train(self) -> float | None:
        """The rest of a pass: the mean of its losses, or None where it ended early."""

    @abstractmethod
    def settle(self) -> None:
        """Bring the model to where the run stands."""

    @abstractmethod
    def judge(self) -> tuple[float, float | None]:
        """The loss and the accuracy on the test data."""

    @abstractmethod
    def put_aside(self, tensors: dict[str, Tensor]) -> dict[str, Any]:
        """What the next steps begin with, in the words of JSON, its tensors put aside."""
