"""What an engine is given, and what it gives back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import nn

from gradus.data.dataset import Dataset
from gradus.data.sampling import Sampling
from gradus.methods.method import Method
from gradus.risk.losses import Loss
from gradus.risk.penalties import Penalty

Status = Literal["finished", "diverged", "stopped", "interrupted", "paused"]


@dataclass(frozen=True, eq=False)
class Job:
    """Everything that determines a run, as objects: the engine moves the parameters of ``model``.

    Attributes:
        log_every: a row is logged at every batch of an epoch whose index this number divides.
        seed: of what is random in the model while it trains (dropout), with the epoch.
    """

    model: nn.Module
    loss: Loss
    penalty: Penalty | None
    method: Method
    train: Dataset
    test: Dataset
    sampling: Sampling
    epochs: int
    log_every: int
    seed: int
    device: torch.device
    dtype: torch.dtype

    @property
    def steps(self) -> int:
        """How many steps the whole run takes."""
        return self.epochs * self.sampling.steps


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


class Evaluation(NamedTuple):
    """What is known after an epoch."""

    epoch: int
    samples: int
    train_loss: float
    """The mean, over the examples of the epoch, of the losses that the method saw."""
    test_loss: float
    test_accuracy: float | None
    """The fraction of test examples whose largest output is their class; None for regression."""


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
    """Where a run stands, told after every step."""

    epoch: int
    step: int
    samples: int
    loss: float | None
    evaluation: Evaluation | None = None
    """Set once an epoch, after its test pass."""
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
    history: list[Row] = field(default_factory=list)
    evaluation: list[Evaluation] = field(default_factory=list)
    divergence: Divergence | None = None
    stopped: str | None = None
    """Why the method could not take its next step."""
    train_seconds: float = 0.0
    test_seconds: float = 0.0

    @property
    def samples_per_second(self) -> float:
        """Training examples per second of training, test passes not counted."""
        return self.samples / self.train_seconds if self.train_seconds else math.nan


Report = Callable[[Progress], None]
