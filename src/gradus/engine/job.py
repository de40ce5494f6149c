"""What an engine is given, and what it gives back."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from gradus.data.sampling import Sampling
from gradus.engine.selection import NOTHING_SELECTED, Scores, Selection
from gradus.methods.method import Method
from gradus.risk.penalties import Penalty

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from gradus.data.dataset import Dataset
    from gradus.engine.clipping import Clip
    from gradus.risk.losses import Loss
    from gradus.risk.together import Together

Part = Literal["train", "validation", "test"]
"""A part of the data: that of training stands for itself up to 10,000 of its examples."""

Status = Literal["finished", "diverged", "stopped", "interrupted", "paused"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Task(ABC):
    """What a run does, whatever its model and its examples are made of.

    Attributes:
        selection: which epoch's parameters remain, and when the run ends before its last epoch.
        log_every: a row is logged at every batch of an epoch whose index this number divides.
        measured: whether the training part is measured after every epoch and the test part at the
            end; where they are not, nobody asks for these figures.
        seed: of what is random in the model while it trains (dropout), with the epoch.
        metrics: figures by name, taken of the validation and the test part beside the measure.
        average_every: H, the steps that each of several processes takes by itself before their
            parameters are averaged; 1: they average the gradient of every step.
    """

    penalty: Penalty | None
    method: Method
    sampling: Sampling
    epochs: int
    log_every: int
    seed: int
    selection: Selection = NOTHING_SELECTED
    measured: bool = True
    metrics: Scores = field(default_factory=dict)
    average_every: int = 1

    @property
    @abstractmethod
    def validates(self) -> bool:
        """Whether examples are held that epochs are compared on."""

    @property
    def tests_every_epoch(self) -> bool:
        """Whether the test part is looked at after every epoch, not once at the end.

        It is where no other part tells how a run goes, or where the user chooses by it.
        """
        if not self.measured:
            return False
        return not self.validates or (self.selection.measure or "").startswith("test")

    def metrics_on(self, part: Part) -> Scores:
        """The figures that are taken of a part."""
        return {} if part == "train" else self.metrics

    @property
    def steps(self) -> int:
        """How many steps the whole run takes."""
        return self.epochs * self.sampling.steps


@dataclass(frozen=True, eq=False, kw_only=True)
class Job(Task):
    """Everything that determines a run, as objects: the engine moves the parameters of ``model``.

    Attributes:
        validation: what epochs are compared on, None where no examples are held for it.
        nets: how many are trained one after another, of which this is one.
        draws: whether anything in the model is random while it trains; where nothing is, PyTorch's
            generator is left alone.
        clip: shortens the gradients of mini-batches, None where they stay as they are.
        chunk_size: examples whose gradients are taken at once, at most.
        compiled: whether the calls of the model that train are compiled by ``torch.compile``.
        ema: the decay of a moving average of the parameters, which is evaluated and left in their
            place; None: there is none.
        precision: of the products of training, ``"float32"``: that of ``dtype``, or ``"bf16"``.
        together: the processes that train the run, each by its share of every batch; None: this one
            alone.
    """

    model: nn.Module
    loss: Loss
    train: Dataset
    test: Dataset
    device: torch.device
    dtype: torch.dtype
    validation: Dataset | None = None
    nets: int = 1
    draws: bool = True
    clip: Clip | None = None
    chunk_size: int = 4096
    precision: Literal["float32", "bf16"] = "float32"
    ema: float | None = None
    compiled: bool = False
    together: Together | None = None

    @property
    def validates(self) -> bool:
        """Whether examples are held that epochs are compared on."""
        return self.validation is not None

    @property
    def placed_loss(self) -> Loss:
        """The loss where the run is, as far as it holds tensors: what classes count."""
        return copy.deepcopy(self.loss).to(device=self.device)


class Row(NamedTuple):
    """One row of the history: a mini-batch, before its step."""

    step: int
    """Parameter updates so far."""
    samples: int
    """Training examples consumed, this batch included."""
    epoch: int
    """The epoch it belongs to, counted from 1."""
    loss: float
    """The mean loss of the mini-batch at w_t, before the step; without the penalty."""
    lr: float
    """The learning rate of the step."""
    work: int
    """Examples whose gradient or Hessian product was evaluated so far, this step included."""


class Evaluation(NamedTuple):
    """What is known after an epoch."""

    epoch: int
    samples: int
    running_train_loss: float
    """The mean, over the examples of the epoch, of the losses that the method saw on its way."""
    train_loss: float
    """The mean loss of the training part at the end of the epoch, over at most 10,000 of its
    examples: the same in every epoch and run. NaN where it is not measured."""
    validation_loss: float | None
    validation_accuracy: float | None
    test_loss: float | None
    """None where the test part was not looked at after this epoch."""
    test_accuracy: float | None
    """The fraction of test examples whose largest output is their class; None for regression."""
    work: int
    """Examples whose gradient or Hessian product was evaluated so far."""
    measured: float | None = None
    """The measure that epochs are compared by, where it is none of the above."""
    metrics: Mapping[str, float | None] = {}
    """The figures that were asked for, as ``validation_f1``; None where there is none."""


class Judged(NamedTuple):
    """How good a model is on a part of the data."""

    loss: float
    accuracy: float | None
    measured: float | None = None
    """What epochs are compared by, where that is taken on this part, and neither of the above."""
    metrics: Mapping[str, float | None] = {}
    """The figures that were asked for, by name."""


class Tested(NamedTuple):
    """How good the parameters that a run leaves are on the test part, example by example."""

    loss: float
    accuracy: float | None
    losses: Tensor
    """``[n]``: what each example adds to the sum of which the mean loss is made."""
    masses: Tensor
    """``[n]``: what each adds to the divisor of that mean; 1 but for weighted losses."""
    outputs: Tensor
    """``[n, m]``: what the model gives for each."""
    metrics: Mapping[str, float | None] = {}
    """The figures that were asked for, by name."""


class Divergence(NamedTuple):
    """Where a run diverged."""

    step: int
    """The step whose loss was not finite (parameter updates before it)."""
    samples: int
    """Training examples consumed before it."""
    epoch: int
    loss: float
    last_finite_loss: float | None
    lr: float


class Progress(NamedTuple):
    """Where a run stands."""

    epoch: int
    step: int
    samples: int
    loss: float | None
    row: Row | None = None
    """The row of the history that was recorded with the latest step, if it was."""
    evaluation: Evaluation | None = None
    """Set once an epoch, after its parts were evaluated."""
    since: int = 0
    """The step at which this part of the run began."""

    @property
    def samples_since(self) -> float:
        """Examples consumed since then."""
        return self.samples * (self.step - self.since) / max(self.step, 1)


@dataclass(eq=False)
class Outcome:
    """What a run left behind, however it ended; the parameters are in the model itself."""

    status: Status = "finished"
    step: int = 0
    samples: int = 0
    work: int = 0
    ended_by_observer: bool = False
    history: list[Row] = field(default_factory=list)
    evaluation: list[Evaluation] = field(default_factory=list)
    divergence: Divergence | None = None
    kept_epoch: int | None = None
    """The epoch whose parameters the model has; None where they are those of no epoch's end."""
    tested: Tested | None = None
    """What they are worth on the test part."""
    stopped: str | None = None
    """Why the method could not take its next step."""
    averaged: Evaluation | None = None
    """Where several nets were averaged, the figures of the average."""
    kept_epochs: tuple[int | None, ...] = ()
    """Likewise the epoch of each net."""
    net: int = 1
    """Which of several nets the history, the evaluation and what ended the run are of."""
    train_seconds: float = 0.0
    test_seconds: float = 0.0

    @property
    def samples_per_second(self) -> float:
        """Training examples per second of training, test passes not counted."""
        return self.samples / self.train_seconds if self.train_seconds else math.nan


Report = Callable[[Progress], object]
"""Told from time to time how a run goes: what it says changes nothing."""

Observe = Callable[[Progress], Literal["stop"] | None]
"""Called after every recorded row, once its step is taken, and after every evaluation.

The run ends in good order where it answers "stop": the epoch ends there, and is evaluated.
"""
