"""How every engine executes a run: epoch by epoch, from its beginning or a snapshot."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradus.engine.job import Judged, Outcome, Part, Report, Task, Tested
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


class Epochs(ABC):
    """One run under way, whatever its parameters are kept in: tensors, or arrays without PyTorch.

    Args:
        task: what is run.
        report: told how it goes.
        course: which part of it is executed.
    """

    engine: str

    def __init__(self, task: Task, report: Report, course: Course) -> None:
        self.task, self.course = task, course
        self.journal: Journal[Task] = Journal(task, report, course.since, course.observe)
        self.keeper = Keeper(course)
        self.now = Pass(1)
        self.best: dict[str, Any] = {}
        """The parameters of the best epoch so far, where the run is to leave them."""
        if (since := course.since) is not None:
            assert since.engine == self.engine
            self.now = Pass(since.epoch, since.tensors["losses"].tolist())
            self.best = {
                name.removeprefix(BEST): value
                for name, value in since.tensors.items()
                if name.startswith(BEST)
            }

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
                    self.best = self.values()
                self.now = Pass(epoch + 1)
                if not self.journal.is_over():
                    self.keeper.offer_epoch(self.snapshot)
                elif self.course.end is not None:
                    self.course.end(self.snapshot())
            if outcome.status != "paused":
                if self.best:
                    self.put(self.best)
                self.journal.test(self.test)
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
        taken = self.journal.outcome.step - (self.now.epoch - 1) * self.task.sampling.steps
        return self.task.average_every == 1 and taken == len(self.now.losses)

    def snapshot(self, seconds: float = 0.0) -> Snapshot:
        """Where the run stands now, trained for so many seconds more than is written down."""
        now = self.now
        kept: dict[str, Any] = {"losses": np.array(now.losses, np.float64)}
        facts = self.put_aside(kept)
        kept |= {BEST + name: value for name, value in self.best.items()}
        outcome = copied(self.journal.outcome, seconds=seconds)
        place = self.engine, now.epoch, len(now.losses)
        return Snapshot(*place, outcome, self.journal.last_loss, kept, facts)

    @abstractmethod
    def train(self) -> float | None:
        """The rest of a pass: the mean of its losses, or None where it ended early."""

    @abstractmethod
    def settle(self) -> None:
        """Bring the model to where the run stands."""

    @abstractmethod
    def values(self) -> dict[str, Any]:
        """Copies of the parameters and the running statistics of the model."""

    @abstractmethod
    def put(self, values: Mapping[str, Any]) -> None:
        """Leave these in the model, to be evaluated from now on."""

    @abstractmethod
    def judge(self, part: Part) -> Judged:
        """The loss and the accuracy on a part of the data."""

    @abstractmethod
    def test(self) -> Tested:
        """The same on the test part, with the losses of its examples."""

    @abstractmethod
    def show(self) -> None:
        """Show where the run stands to who watches it, if that is due after this step."""

    @abstractmethod
    def put_aside(self, kept: dict[str, Any]) -> dict[str, Any]:
        """What the next steps begin with, in the words of JSON, its tensors or arrays put aside."""
