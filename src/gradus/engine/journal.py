"""What an engine writes down as a run goes on, so that every engine leaves the same record."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import final

from gradus.engine.job import Divergence, Evaluation, Job, Outcome, Progress, Report, Row
from gradus.engine.snapshot import Snapshot, copied
from gradus.methods.schedules import learning_rate


@final
class Journal:
    """The outcome of a run under way.

    Args:
        job: what is run.
        report: told how the run goes.
        since: where it goes on, if it does not begin.
    """

    def __init__(self, job: Job, report: Report, since: Snapshot | None = None) -> None:
        self.job, self.report = job, report
        self.outcome = Outcome() if since is None else copied(since.outcome)
        self.last_loss = None if since is None else since.last_loss
        self.since = self.outcome.step

    def log(self, epoch: int, samples: int, loss: float) -> None:
        """A row of the history: the mini-batch of the step to come, which ends at ``samples``."""
        step = self.outcome.step
        self.outcome.history.append(Row(step, samples, epoch, loss, self.lr(step)))

    def stepped(self, steps: int, samples: int) -> None:
        """So many steps were taken, with so many examples."""
        self.outcome.step += steps
        self.outcome.samples += samples

    def tell(self, epoch: int, evaluation: Evaluation | None = None) -> None:
        """Report where the run stands."""
        step, samples = self.outcome.step, self.outcome.samples
        self.report(Progress(epoch, step, samples, self.last_loss, evaluation, self.since))

    def evaluate(
        self, epoch: int, train_loss: float, judge: Callable[[], tuple[float, float | None]]
    ) -> None:
        """The test pass after an epoch; ``judge`` gives the mean loss and the accuracy."""
        outcome, started = self.outcome, time.perf_counter()
        test_loss, accuracy = judge()
        outcome.test_seconds += time.perf_counter() - started
        if not math.isfinite(test_loss):
            self.diverged(outcome.step, epoch, test_loss)
            return
        row = Evaluation(epoch, outcome.samples, train_loss, test_loss, accuracy)
        outcome.evaluation.append(row)
        self.tell(epoch, row)

    def diverged(self, step: int, epoch: int, loss: float) -> None:
        """The loss of this step was not finite."""
        self.outcome.status = "diverged"
        samples = self.job.sampling.samples_before(step)
        self.outcome.divergence = Divergence(
            step, samples, epoch, loss, self.last_loss, self.lr(step)
        )

    def lr(self, step: int) -> float:
        """The learning rate of a step."""
        return float(learning_rate(self.job.method.lr, step))
