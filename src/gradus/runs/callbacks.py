"""What the user has called while a run is under way: to see it, to stop it, to move its lr."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, final

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from gradus.engine import choose
from gradus.engine.job import Evaluation, Job, Observe, Progress, Row
from gradus.engine.optimizer_iteration import OptimizerIteration
from gradus.engine.snapshot import Course
from gradus.errors import InputError, quoted, reason
from gradus.methods.schedules import LearningRate, Schedule, learning_rate
from gradus.methods.wrapper import Wrapper
from gradus.optim.as_method import OptimizerMethod

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from gradus.engine.execution import Execution
    from gradus.runs.record import Run
    from gradus.runs.spec import RunSpec

TIMES = ("on_start", "on_row", "on_epoch", "on_end")
"""When a callback is called, by the names of its methods."""


@final
class Underway:
    """A run under way, as its callbacks see it; what they change of what it gives changes nothing.

    Attributes:
        spec: of the run.
        selection: what is chosen in it, and by what.
        epochs: that it is to have.
        steps: that it is to take.
        epoch: under way, counted from 1.
        step: parameter updates so far.
        samples: training examples consumed so far.
        loss: of the latest mini-batch; None before the first.
        row: of the history, where one was recorded just now.
        evaluation: of the epoch that ended just now.
    """

    def __init__(self, spec: RunSpec, job: Job) -> None:
        self.spec, self._job = spec, job
        self.selection = job.selection
        self.epochs, self.steps = job.epochs, job.steps
        self.epoch, self.step, self.samples = 1, 0, 0
        self.loss: float | None = None
        self.row: Row | None = None
        self.evaluation: Evaluation | None = None
        self.is_stopped = False
        self._execution: Execution | None = None
        self._begun = copy.deepcopy(job.model)

    def stop(self) -> None:
        """End the run here in good order: what it has is evaluated and recorded."""
        self.is_stopped = True

    @property
    def history(self) -> tuple[Row, ...]:
        """The rows recorded so far."""
        return () if self._execution is None else tuple(self._execution.journal.outcome.history)

    @property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """Of the epochs that have ended."""
        found = () if self._execution is None else self._execution.journal.outcome.evaluation
        return tuple(found)

    @property
    def lr(self) -> float:
        """The learning rate of the step to come."""
        if self._execution is None:
            return float(learning_rate(self._job.method.lr, 0))
        return self._execution.journal.lr(self.step)

    @property
    def model(self) -> nn.Module:
        """A copy of the model, on the CPU, in ``eval`` mode: as it stands, or as it was evaluated.

        That is when an epoch has ended: with a moving average it has the averaged parameters.
        """
        model = copy.deepcopy(self._begun).cpu()
        if self._execution is not None:
            execution = self._execution
            at = execution.point() if self.evaluation is None else execution.evaluated_point()
            buffers = dict(self._execution.model.named_buffers())
            with torch.no_grad():
                moving = [p for p in model.parameters() if p.requires_grad]
                for p, value in zip(moving, at.split([p.numel() for p in moving]), strict=True):
                    p.copy_(value.view_as(p))
                for name, buffer in model.named_buffers():
                    buffer.copy_(buffers[name])
        return model.requires_grad_(False).eval()

    @property
    def optimizer(self) -> Optimizer | None:
        """The optimizer itself, where the method is one."""
        iteration = getattr(self._execution, "iteration", None)
        return iteration.optimizer if isinstance(iteration, OptimizerIteration) else None

    def attach(self, execution: Execution) -> None:
        """Given what executes the run."""
        self._execution = execution
        outcome = execution.journal.outcome
        self.step, self.samples = outcome.step, outcome.samples

    def see(self, progress: Progress) -> None:
        """Take over where the run stands."""
        self.epoch, self.step, self.samples = progress.epoch, progress.step, progress.samples
        self.loss, self.row, self.evaluation = progress.loss, progress.row, progress.evaluation


@dataclass(frozen=True, eq=False)
class Scheduler:
    """A scheduler of ``torch.optim.lr_scheduler`` moves the learning rate of a run.

    With any method: where that is no optimizer, the scheduler is given one in its place, whose
    learning rate the run follows.

    Args:
        make: makes the scheduler of an optimizer.
        every: whether it steps after every ``"epoch"``, or every ``"step"``, which the eager engine
            alone lets it see.
        measure: of an evaluation, for ``ReduceLROnPlateau``; None: the validation loss, where there
            is one, else the training loss.

    Example:
        >>> import gradus
        >>> from torch.optim.lr_scheduler import ExponentialLR
        >>> halve = gradus.Scheduler(lambda optimizer: ExponentialLR(optimizer, 0.5))
        >>> run = gradus.train("digits", model="linear", epochs=3, lr=0.4, callbacks=[halve])
        >>> sorted(set(run.history["lr"].to_pylist()))
        [0.1, 0.2, 0.4]
    """

    make: Callable[[Any], LRScheduler]
    every: Literal["epoch", "step"] = "epoch"
    measure: str | None = None

    def __post_init__(self) -> None:
        if self.every not in ("epoch", "step"):
            raise InputError(f"every={quoted(self.every)}: choose epoch | step")
        if not callable(self.make) or isinstance(self.make, LRScheduler):
            raise InputError(
                f"Scheduler({type(self.make).__name__}): give what makes the scheduler, as lambda "
                "optimizer: StepLR(optimizer, 10): the run has an optimizer of its own"
            )
        if missing := _missing(self.make):
            made = getattr(self.make, "func", self.make)
            name = getattr(made, "__name__", type(made).__name__)
            options = ", ".join(f"{each}=.." for each in missing)
            raise InputError(
                f"Scheduler({name}): needs more than an optimizer; give "
                f"functools.partial({name}, {options})"
            )


@dataclass(eq=False)
class Moved(Schedule):
    """The learning rate that a scheduler has left; until then that of the method."""

    usual: LearningRate
    now: float | None = None

    def __call__(self, step: int) -> float:  # noqa: D102  (said by Schedule)
        return float(learning_rate(self.usual, step)) if self.now is None else self.now


@final
@dataclass(eq=False)
class Callbacks:
    """The callbacks of a run.

    Attributes:
        given: they.
        rate: of the run, where a scheduler moves it and the method is no optimizer.
    """

    given: Sequence[Any] = ()
    rate: Moved | None = None
    _schedulers: list[tuple[Scheduler, LRScheduler]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for each in self.given:
            kind = each if inspect.isclass(each) else type(each)
            if issubclass(kind, LRScheduler):
                raise InputError(
                    f"callbacks {kind.__name__}: is a scheduler of torch; give gradus.Scheduler("
                    f"lambda optimizer: {kind.__name__}(optimizer, ..)): the run has an optimizer "
                    "of its own"
                )
            if isinstance(each, Scheduler) or callable(each):
                if inspect.isclass(each):
                    raise InputError(
                        f"callbacks {each.__name__}: is a class; give an object, {each.__name__}()"
                    )
                continue
            if not any(hasattr(each, time) for time in TIMES):
                raise InputError(
                    f"callbacks: a {kind.__name__}; give a function of the run under way, or an "
                    f"object with any of {', '.join(TIMES)}"
                )

    def and_of(self, other: object | None) -> Callbacks:
        """The same, and another one, if it is one."""
        return self if other is None else Callbacks((*self.given, other))

    @property
    def schedulers(self) -> list[Scheduler]:
        """Those that move the learning rate."""
        return [each for each in self.given if isinstance(each, Scheduler)]

    @property
    def of_schedulers(self) -> Callbacks | None:
        """These alone, which other processes need too; None where there are none."""
        return Callbacks(tuple(self.schedulers)) if self.schedulers else None

    @property
    def sees_every_step(self) -> bool:
        """Whether one of them has to be called after every step."""
        return any(each.every == "step" for each in self.schedulers)

    def moved(self, job: Job) -> Job:
        """The job, its learning rate in the hands of a scheduler, where there is one.

        Raises:
            InputError: it has several nets, or a method whose rate cannot be moved.
        """
        if self.schedulers and job.nets > 1:
            raise InputError(
                f"--models {job.nets}: a scheduler moves the learning rate of one net; give "
                "--models 1"
            )
        if not self.schedulers or isinstance(job.method, OptimizerMethod):
            return job
        self.rate = Moved(job.method.lr)
        return dataclasses.replace(job, method=_with_rate(job.method, self.rate))

    def choose(
        self, asked: choose.EngineName, engine: choose.Chosen, why: str | None
    ) -> tuple[choose.Chosen, str | None]:
        """The engine that lets them see what they have to, and why it is not the native one.

        Raises:
            InputError: another one is asked for.
        """
        if not self.given or engine == "eager":
            return engine, why
        if engine == "stacked":
            raise InputError(
                "--engine stacked: callbacks see one run by itself; use --engine eager, or auto"
            )
        if not self.sees_every_step:
            return engine, why
        obstacle = "the scheduler moves the learning rate after every step"
        if asked == "native":
            raise InputError(f"--engine native: {obstacle}; use --engine eager, or auto")
        return "eager", obstacle

    def course(self, whole: Course, spec: RunSpec, job: Job, apart: Callable[[Any], Any]) -> Course:
        """The same course, on which they are called.

        Args:
            whole: the course.
            spec: of the run.
            job: of it, or of one of its nets.
            apart: makes errors of what it is given known as those of callbacks.
        """
        underway = Underway(spec, job)

        def attach(execution: Execution) -> None:
            underway.attach(execution)
            self.start(underway)

        return dataclasses.replace(
            whole,
            observe=apart(self.observing(underway, whole.observe)),
            attach=apart(attach),
            stepped=apart(self.stepped) if self.sees_every_step else None,
        )

    def observing(self, underway: Underway, observe: Observe | None) -> Observe:
        """Called after every row and every evaluation; it calls who else observes."""

        def observed(progress: Progress) -> Literal["stop"] | None:
            underway.see(progress)
            stops = observe is not None and observe(progress) == "stop"
            if progress.evaluation is not None:
                for scheduler, stepping in self._schedulers:
                    if scheduler.every == "epoch":
                        self._step(scheduler, stepping, progress.evaluation)
            time = "on_row" if progress.evaluation is None else "on_epoch"
            stops = self.call(time, underway) or stops
            return "stop" if stops or underway.is_stopped else None

        return observed

    def start(self, underway: Underway) -> None:
        """The run is about to begin."""
        self._schedulers = []
        stands_in = underway.optimizer is None
        optimizer = underway.optimizer or torch.optim.SGD(
            [torch.zeros(1, requires_grad=True)], lr=underway.lr
        )
        for each in self.schedulers:
            try:
                stepping = each.make(optimizer)
            except (TypeError, ValueError) as error:
                raise InputError(f"Scheduler: cannot be made: {reason(error)}") from error
            if not isinstance(stepping, LRScheduler):
                raise InputError(
                    f"Scheduler: made a {type(stepping).__name__}, not a scheduler of "
                    "torch.optim.lr_scheduler"
                )
            if stands_in:
                if optimizer.param_groups[0]["momentum"] != optimizer.defaults["momentum"]:
                    raise InputError(
                        f"Scheduler: {type(stepping).__name__} moves the momentum too, which that "
                        "of an optimizer alone can be; give cycle_momentum=False, or "
                        "method=torch.optim.SGD"
                    )
                optimizer.step()  # torch warns of a scheduler whose optimizer never stepped
            self._schedulers.append((each, stepping))
            self._take_over(stepping)
        self.call("on_start", underway)

    def stepped(self) -> None:
        """A step was taken."""
        for scheduler, stepping in self._schedulers:
            if scheduler.every == "step":
                self._step(scheduler, stepping, None)

    def call(self, time: str, run: Underway | Run) -> bool:
        """Call those that want to be called at this time; whether one of them stops the run."""
        stops = False
        for each in self.given:
            if isinstance(each, Scheduler):
                continue
            called = getattr(each, time, None)
            if called is None and time in ("on_row", "on_epoch") and not _has_times(each):
                called = each
            if called is not None:
                stops = called(run) == "stop" or stops
        return stops

    def _step(self, scheduler: Scheduler, stepping: LRScheduler, found: Evaluation | None) -> None:
        measured: list[Any] = []
        if isinstance(stepping, ReduceLROnPlateau):
            measured = [_measured(scheduler, found)]
        try:
            stepping.step(*measured)
        except ValueError as error:  # one that was made for fewer steps
            raise InputError(
                f"Scheduler: {type(stepping).__name__} fails: {reason(error)}"
            ) from error
        self._take_over(stepping)

    def _take_over(self, stepping: LRScheduler) -> None:
        if self.rate is not None:
            self.rate.now = float(stepping.optimizer.param_groups[0]["lr"])


def _measured(scheduler: Scheduler, found: Evaluation | None) -> float:
    """The measure that a plateau is looked for in."""
    if found is None:
        raise InputError(
            "Scheduler: ReduceLROnPlateau looks at evaluations, which are of epochs; leave out "
            'every="step"'
        )
    measures = {**found._asdict(), **found.metrics}
    del measures["metrics"]
    name = scheduler.measure
    if name is None:
        name = "train_loss" if found.validation_loss is None else "validation_loss"
    value = measures.get(name)
    if value is None and name in found.metrics and name.startswith("validation"):
        return math.nan  # a figure without a value in this epoch: no better one
    if value is None:
        known = ", ".join(each for each, number in measures.items() if number is not None)
        raise InputError(f"measure={quoted(name)}: no measure of this run; there are {known}")
    return float(value)


def _missing(make: Callable[..., Any]) -> list[str]:
    """What has to be given beside an optimizer."""
    try:
        taken = list(inspect.signature(make).parameters.values())[1:]
    except (TypeError, ValueError):  # one of C, which does not say
        return []
    anything = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [each.name for each in taken if each.default is each.empty and each.kind not in anything]


def _has_times(each: Any) -> bool:
    return any(hasattr(each, time) for time in TIMES)


def _with_rate(method: Any, rate: Moved) -> Any:
    """The method with this learning rate."""
    if isinstance(method, Wrapper):
        return dataclasses.replace(method, method=_with_rate(method.method, rate))
    if not hasattr(method, "__dataclass_fields__"):
        raise InputError(
            f"callbacks: the learning rate of {type(method).__name__} cannot be moved: it is no "
            "dataclass with a field lr"
        )
    if {each.name: each.type for each in dataclasses.fields(method)}.get("lr") == "Number":
        raise InputError(
            f"callbacks: the learning rate of {type(method).__name__} cannot be moved: it is one "
            "number for all steps"
        )
    return dataclasses.replace(method, lr=rate)
