"""What an engine writes down as a run goes on, so that every engine leaves the same record."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from gradus.engine.job import (
    Divergence,
    Evaluation,
    Judged,
    Observe,
    Outcome,
    Part,
    Progress,
    Report,
    Row,
    Task,
    Tested,
)
from gradus.engine.snapshot import Snapshot, copied
from gradus.methods.schedules import Schedule

T = TypeVar("T", bound=Task)


@final
class Journal(Generic[T]):
    """The outcome of a run under way.

    Args:
        job: what is run.
        report: told how the run goes.
        since: where it goes on, if it does not begin.
        observe: called after every row and every evaluation; may end the run.
    """

    def __init__(
        self,
        job: T,
        report: Report,
        since: Snapshot | None = None,
        observe: Observe | None = None,
    ) -> None:
        self.job, self.report, self.observe = job, report, observe
        self.outcome = Outcome() if since is None else copied(since.outcome)
        self.last_loss = None if since is None else since.last_loss
        self.since = self.outcome.step
        lr = job.method.lr
        self.rate: Callable[[int], float] = (
            (lambda step: float(lr(step))) if isinstance(lr, Schedule) else lambda step: float(lr)
        )
        """The learning rate of a step, where the method does not say it itself."""
        self.best = job.selection.best(self.outcome.evaluation)
        """The best epoch so far, where epochs are compared."""

    def log(self, epoch: int, samples: int, loss: float, work: int) -> None:
        """A row of the history: the mini-batch of the step to come, which ends at ``samples``."""
        step = self.outcome.step
        self.outcome.history.append(Row(step, samples, epoch, loss, self.lr(step), work))

    def stepped(self, steps: int, samples: int, work: int) -> None:
        """So many steps were taken, with so many examples, of which so many were evaluated."""
        self.outcome.step += steps
        self.outcome.samples += samples
        self.outcome.work += work

    def tell(self, epoch: int, evaluation: Evaluation | None = None) -> None:
        """Report where the run stands."""
        self.report(self._progress(epoch, None, evaluation))

    def observed(self, epoch: int, evaluation: Evaluation | None = None) -> None:
        """Show the latest row, whose step is taken, or an evaluation to who may end the run."""
        if self.observe is not None:
            row = None if evaluation is not None else self.outcome.history[-1]
            if self.observe(self._progress(epoch, row, evaluation)) == "stop":
                self.outcome.ended_by_observer = True

    def _progress(self, epoch: int, row: Row | None, evaluation: Evaluation | None) -> Progress:
        step, samples = self.outcome.step, self.outcome.samples
        return Progress(epoch, step, samples, self.last_loss, row, evaluation, self.since)

    def evaluate(
        self, epoch: int, running_train_loss: float, judge: Callable[[Part], Judged]
    ) -> None:
        """What is known after an epoch; ``judge`` says how good the model is on a part."""
        outcome, started = self.outcome, time.perf_counter()
        nothing: tuple[None, None, None, dict[str, None]]
        nothing = None, None, None, dict.fromkeys(self.job.metrics)
        train = judge("train").loss if self.job.measured else math.nan
        validation = nothing if not self.job.validates else judge("validation")
        test = judge("test") if self.job.tests_every_epoch else nothing
        outcome.test_seconds += time.perf_counter() - started
        for loss in (train if self.job.measured else None, validation[0], test[0]):
            if loss is not None and not math.isfinite(loss):
                self.diverged(outcome.step, epoch, loss)
                return
        row = Evaluation(
            epoch,
            outcome.samples,
            running_train_loss,
            train,
            *(validation[0], validation[1]),
            *(test[0], test[1]),
            outcome.work,
            test[2] if validation[2] is None else validation[2],
            self._metrics("test", test[3])
            if not self.job.validates
            else self._metrics("validation", validation[3]) | self._metrics("test", test[3]),
        )
        outcome.evaluation.append(row)
        self.best = self.job.selection.best([row] if self.best is None else [self.best, row])
        self.tell(epoch, row)
        self.observed(epoch, row)

    @staticmethod
    def _metrics(part: Part, found: Mapping[str, float | None]) -> dict[str, float | None]:
        """Figures of a part, by their columns."""
        return {f"{part}_{name}": value for name, value in found.items()}

    @property
    def is_best(self) -> bool:
        """Whether the parameters of the latest epoch are kept, until there are better ones."""
        return self.keeps_best and self.best is self.outcome.evaluation[-1]

    @property
    def keeps_best(self) -> bool:
        """Whether the parameters of an earlier epoch may be those that remain."""
        return self.job.selection.keep == "best" and bool(self.outcome.evaluation)

    def is_over(self) -> bool:
        """Whether the run ends here: by its last epoch, its patience, or who observes it."""
        if not self.outcome.evaluation:
            return False
        latest = self.outcome.evaluation[-1]
        if self.outcome.ended_by_observer:
            return True
        return latest.epoch >= self.job.epochs or self.job.selection.is_over(latest, self.best)

    @property
    def kept(self) -> Evaluation | None:
        """The epoch whose parameters a run that has ended leaves; None where there is no such."""
        rows, selection = self.outcome.evaluation, self.job.selection
        if selection.keep == "best" and self.outcome.status != "interrupted":
            return self.best
        return rows[-1] if rows and self.outcome.status == "finished" else None

    def test(self, test: Callable[[], Tested]) -> None:
        """Measure what the run leaves on the test part: once, when all is chosen."""
        kept, outcome, started = self.kept, self.outcome, time.perf_counter()
        if kept is None:
            return
        if not self.job.measured:
            outcome.kept_epoch = kept.epoch
            return
        tested = test()
        if kept.test_loss is None:
            metrics = {**kept.metrics, **self._metrics("test", tested.metrics)}
            row = kept._replace(
                test_loss=tested.loss, test_accuracy=tested.accuracy, metrics=metrics
            )
            outcome.evaluation[outcome.evaluation.index(kept)] = row
        outcome.kept_epoch, outcome.tested = kept.epoch, tested
        outcome.test_seconds += time.perf_counter() - started

    def diverged(self, step: int, epoch: int, loss: float) -> None:
        """The loss of this step was not finite."""
        self.outcome.status = "diverged"
        samples = self.job.sampling.samples_before(step)
        self.outcome.divergence = Divergence(
            step, samples, epoch, loss, self.last_loss, self.lr(step)
        )

    def rates(self, step: int, steps: int) -> NDArray[np.float64]:
        """The learning rates of so many steps from this one on."""
        if not isinstance(self.job.method.lr, Schedule):
            return np.full(steps, self.lr(step))
        return np.array([self.lr(step + i) for i in range(steps)])

    def lr(self, step: int) -> float:
        """The learning rate of a step."""
        return self.rate(step)
