"""An intervention: the same training with one thing changed, and what that takes off the loss.

Trials are trained in pairs that share the seed: the parameters that they begin with, the batches,
and what is random in the model. Both are judged on the same examples. The difference of a pair is
free of what both share; what is left of chance is its standard error, over pairs and over examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus.data.dataset import Dataset
from gradus.diagnosis.case import Case
from gradus.diagnosis.clock import now
from gradus.diagnosis.findings import Experiment
from gradus.diagnosis.replay import Enough, put
from gradus.engine import choose
from gradus.engine.evaluate import decided, outputs_of, outputs_on, test
from gradus.engine.job import Job
from gradus.engine.snapshot import Course, Watch
from gradus.metrics import best_constant
from gradus.optim.as_method import OptimizerMethod
from gradus.risk.losses import CrossEntropyLoss

Numbers = NDArray[np.float64]
Measure = Literal[
    "training loss", "validation loss", "log loss of what is predicted", "share of wrong classes"
]

WORST = 2.0
"""What a trial counts at most, and if it diverged, in losses of the best constant prediction."""

WORST_EXAMPLE = 20.0
"""The same of a single example."""


@dataclass(frozen=True, eq=False)
class Change:
    """One thing that is done otherwise.

    Attributes:
        said: what, as ``lr 0.01 in place of 10``.
        options: of ``RunSpec``: what the remedy says, and what is changed where ``apply`` is None.
        apply: changes the job of a trial, which is its alone.
        otherwise: the remedy in words, where there are no options for it.
    """

    said: str
    options: Mapping[str, Any] = field(default_factory=dict)
    apply: Callable[[Job], Job] | None = None
    otherwise: str = ""


@dataclass(frozen=True, eq=False)
class Trial:
    """How a training went, in losses of the best constant prediction.

    Attributes:
        status: how it ended.
        steps: that it took.
        training: what each training example of the sample adds to the mean.
        held: the same of held examples; None where none are.
        predicted: the log loss of the probabilities that outputs stand for, whatever loss is
            trained on, over examples that are held, if there are any; None where no classes are
            predicted.
        wrong: which are taken for another class, likewise, where outputs are classes or the numbers
            of classes; in shares that the most frequent class gets wrong.
    """

    status: str
    steps: int
    training: Numbers
    held: Numbers | None
    predicted: Numbers | None
    wrong: Numbers | None = None

    def share(self, measure: Measure) -> float:
        """Its loss, at most ``WORST``."""
        return float(self.examples(measure).mean())

    def examples(self, measure: Measure) -> Numbers:
        """What each example adds; where none are held, training examples stand for them.

        Beyond ``WORST`` by their mean, each is ``WORST``: what counts as lost is no more or less
        lost by chance.
        """
        found = self.training
        if measure == "log loss of what is predicted" and self.predicted is not None:
            found = self.predicted
        elif measure == "share of wrong classes" and self.wrong is not None:
            found = self.wrong
        elif measure == "validation loss" and self.held is not None:
            found = self.held
        return found if found.mean() < WORST else np.full(len(found), WORST)


def with_options(job: Job, **options: Any) -> Job:
    """The same job, its method with other options."""
    method: Any = job.method
    if isinstance(method, OptimizerMethod):
        return replace(job, method=replace(method, make=partial(method.make, **options)))
    return replace(job, method=replace(method, **options))


def whole_numbers(data: Dataset) -> tuple[float, float] | None:
    """The least and the largest target, where all are whole numbers of one column."""
    if data.outputs != 1 and data.y.is_floating_point():
        return None
    y = data.y.flatten()
    if data.y.is_floating_point() and not bool((y == y.round()).all()):
        return None
    return float(y.min()), float(y.max())


class OutOfTime(Exception):  # noqa: N818  (no error: what is under way is left)
    """There is no time left for another trial."""


class Laboratory:
    """Where trials are run, each only once.

    Args:
        case: of which they are trials.
        part: of the run that a trial takes, at most 1, in examples that are consumed.
        until: when it closes, on the clock of ``gradus.diagnosis.clock``.
    """

    def __init__(self, case: Case, part: float, until: float) -> None:
        self.case, self.part, self.until = case, part, until
        self.trials: dict[tuple[int, tuple[Change, ...]], Trial] = {}
        self.longest = 0.0

    @cached_property
    def _beginning(self) -> float:
        """The loss before the first step, where no best constant is known."""
        job = self.case.trial(0)
        data = self.case.sample(job.train, job.dtype)
        found = test(outputs_of(job.model), job.loss, data).loss
        return abs(found) if math.isfinite(found) and found != 0 else 1.0

    def trial(self, pair: int, changes: Sequence[Change] = ()) -> Trial:
        """Train with these changes; where they make no run, the worst that a trial can be.

        Raises:
            OutOfTime: it would end too late.
        """
        key = pair, tuple(changes)
        if key not in self.trials:
            started = now()
            if started + 0.8 * self.longest > self.until:
                raise OutOfTime
            try:
                self.trials[key] = self._train(self.case.trial(pair, changes))
            except (RuntimeError, ValueError):  # a batch of one for a batch norm, for example
                if not changes:
                    raise
                self.trials[key] = self._failed()
            self.longest = max(self.longest, now() - started)
        return self.trials[key]

    def _failed(self) -> Trial:
        parts = self.case.parts.train, self.case.parts.validation
        worst = [
            None if each is None else np.full(len(self.case.sample(each, torch.float32)), WORST)
            for each in parts
        ]
        training, held = worst
        assert training is not None
        return Trial("failed", 0, training, held, training if held is None else held)

    def _train(self, job: Job) -> Trial:
        line = self.case.line(job) or self._beginning
        wanted = max(1, round(self.part * job.steps))
        status, steps = trained(job, wanted, self.case.engine(job))
        held = None if self.case.parts.validation is None else job.test
        return Trial(
            status,
            steps,
            self._judged(job, job.train, line, status),
            None if held is None else self._judged(job, held, line, status),
            self._predicted(job, job.train if held is None else held),
            self._wrong(job, job.train if held is None else held, status),
        )

    def _predicted(self, job: Job, data: Dataset) -> Numbers | None:
        data = self.case.sample(data, job.dtype).to(device="cpu")
        if data.classes is None or data.y.is_floating_point():
            return None
        constant = best_constant(job.train, CrossEntropyLoss())
        line = 0.0 if constant is None else constant.judge(data).loss
        losses = -outputs_on(job.model.cpu(), data).double().log_softmax(dim=1)
        found: Numbers = losses.gather(1, data.y[:, None])[:, 0].numpy()
        return np.where(np.isfinite(found), found / max(line, 1e-9), WORST_EXAMPLE)

    def _wrong(self, job: Job, data: Dataset, status: str) -> Numbers | None:
        data = self.case.sample(data, job.dtype).to(device="cpu")
        whole = whole_numbers(job.train)
        if whole is None:
            return None
        if status == "diverged":
            return np.full(len(data), WORST)
        least = 1 - float(job.train.y.flatten().unique(return_counts=True)[1].max()) / len(
            job.train
        )
        outputs = outputs_on(job.model.cpu(), data).double()
        if data.y.is_floating_point():
            said = outputs.flatten().nan_to_num(nan=-1.0).round().clamp(*whole)
        else:
            said = decided(outputs.nan_to_num(nan=0.0))
        wrong: Numbers = (said != data.y.flatten()).double().numpy() / max(least, 1e-9)
        return wrong

    def _judged(self, job: Job, data: Dataset, line: float, status: str) -> Numbers:
        data = self.case.sample(data, job.dtype).to(device="cpu")
        if status == "diverged":
            return np.full(len(data), WORST)
        found = test(outputs_of(job.model.cpu()), job.loss.cpu(), data)
        mass = found.masses.mean().clamp_min(1e-300)
        shares: Numbers = (found.losses / mass / line).numpy()
        return np.where(np.isfinite(shares), shares, WORST_EXAMPLE)


def experiment(
    change: Change,
    measure: Measure,
    both: Sequence[tuple[Trial, Trial]],
    beside: str = "the same without",
) -> Experiment:
    """What pairs of trials, without a change and with it, say of it."""
    before = np.array([one.share(measure) for one, _ in both])
    after = np.array([other.share(measure) for _, other in both])
    differences = before - after
    # One pair says nothing of what another seed would do.
    over_pairs = differences.std(ddof=1) / len(both) ** 0.5 if len(both) > 1 else math.inf
    over_examples = _error(
        [one.examples(measure) for one, _ in both], [other.examples(measure) for _, other in both]
    )
    return Experiment(
        *(change.said, measure, max(other.steps for _, other in both), len(both)),
        *(float(before.mean()), float(after.mean()), float(differences.mean())),
        *(math.hypot(float(over_pairs), over_examples), beside),
        _freedom(float(over_pairs), len(both), over_examples, len(both[0][0].examples(measure))),
    )


def _freedom(over_pairs: float, pairs: int, over_examples: float, examples: int) -> float:
    """Degrees of freedom of the sum of two variances, each known from so many differences."""
    if pairs < 2 or over_pairs == 0:
        return math.inf
    one, other = over_pairs**2, over_examples**2
    return (one + other) ** 2 / (one**2 / (pairs - 1) + other**2 / max(examples - 1, 1))


def _error(before: Sequence[Numbers], after: Sequence[Numbers]) -> float:
    """The standard error over examples, of the mean of all pairs."""
    means = [
        np.mean([np.clip(each, -WORST_EXAMPLE, WORST_EXAMPLE) for each in those], axis=0)
        for those in (before, after)
    ]
    n = len(means[0])
    if n != len(means[1]):  # other examples: no pairs of them
        return math.hypot(*(float(each.std()) / len(each) ** 0.5 for each in means))
    return float((means[0] - means[1]).std() / math.sqrt(n))


def trained(job: Job, steps: int, engine: choose.Chosen) -> tuple[str, int]:
    """Take so many steps, which moves the model of the job; how it ended, after how many."""

    def see(step: int, w: Tensor) -> None:
        reached.append(w)
        raise Enough

    reached: list[Tensor] = []
    with torch.random.fork_rng(), suppress(Enough):
        torch.manual_seed(job.seed)
        course = Course(watch=Watch([steps], see))
        outcome = choose.execute(engine, job, lambda progress: None, course)
        if outcome.status == "interrupted":
            raise KeyboardInterrupt
        return outcome.status, outcome.step
    put(job.model, reached[0])
    job.model.eval()
    finite = bool(reached[0].isfinite().all())
    return "finished" if finite else "diverged", steps
