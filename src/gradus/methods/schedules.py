r"""Which learning rate $\alpha_t$ a step takes: schedules, pure functions of the step t."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from gradus.methods.hyperparameters import Number, require, require_whole


class Schedule(ABC):
    r"""A learning rate that depends on the step: $t \mapsto \alpha_t$, t = 0 at the first step.

    Every method takes a schedule where it takes a learning rate.

    Example:
        >>> from gradus.methods import Cosine, Warmup
        >>> schedule = Warmup(Cosine(lr=0.1, steps=100), steps=10)
        >>> [round(schedule(t), 3) for t in (0, 4, 9, 50, 100)]
        [0.01, 0.05, 0.098, 0.05, 0.0]
    """

    @abstractmethod
    def __call__(self, step: int) -> float:
        """The learning rate of this step."""


LearningRate = Number | Schedule


def learning_rate(lr: LearningRate, step: int) -> Number:
    r"""$\alpha_t$ of a schedule, or the one number."""
    return lr(step) if isinstance(lr, Schedule) else lr


def require_learning_rate(lr: LearningRate) -> None:
    """A learning rate is a schedule or a finite number that is not negative."""
    if not isinstance(lr, Schedule):
        require("lr", lr, at_least=0.0)


@dataclass(frozen=True)
class Constant(Schedule):
    r"""$\alpha_t = \alpha_0$."""

    lr: float

    def __post_init__(self) -> None:
        require("lr", self.lr, at_least=0.0)

    def __call__(self, step: int) -> float:  # noqa: D102  (said by Schedule)
        return self.lr


@dataclass(frozen=True)
class StepDecay(Schedule):
    r"""$\alpha_t = \alpha_0 \, c^{\lfloor t / k \rfloor}$, decaying by c every k steps.

    Args:
        lr: $\alpha_0$.
        decay_every: k, the steps between two decays.
        decay_factor: c, what the learning rate is multiplied by at each.
    """

    lr: float
    decay_every: int
    decay_factor: float = 0.1

    def __post_init__(self) -> None:
        require("lr", self.lr, at_least=0.0)
        require_whole("decay_every", self.decay_every)
        require("decay_factor", self.decay_factor, at_least=0.0)

    def __call__(self, step: int) -> float:  # noqa: D102  (said by Schedule)
        return self.lr * self.decay_factor ** (step // self.decay_every)


@dataclass(frozen=True)
class InverseTime(Schedule):
    r"""$\alpha_t = \alpha_0 / (1 + \gamma t)$, the diminishing steps of Robbins, Monro (1951)."""

    lr: float
    gamma: float

    def __post_init__(self) -> None:
        require("lr", self.lr, at_least=0.0)
        require("gamma", self.gamma, at_least=0.0)

    def __call__(self, step: int) -> float:  # noqa: D102  (said by Schedule)
        return self.lr / (1 + self.gamma * step)


@dataclass(frozen=True)
class InverseSqrt(Schedule):
    r"""$\alpha_t = \alpha_0 / \sqrt{1 + \gamma t}$."""

    lr: float
    gamma: float = 1.0

    def __post_init__(self) -> None:
        require("lr", self.lr, at_least=0.0)
        require("gamma", self.gamma, at_least=0.0)

    def __call__(self, step: int) -> float:  # noqa: D102  (said by Schedule)
        return self.lr / math.sqrt(1 + self.gamma * step)


@dataclass(frozen=True)
class Cosine(Schedule):
    r"""$\alpha_t = \alpha_T + \tfrac12 (\alpha_0 - \alpha_T)(1 + \cos(\pi t / T))$ up to T.

    Args:
        lr: $\alpha_0$.
        steps: T, the step from which the final learning rate holds.
        final_lr: $\alpha_T$.

    Source: Loshchilov, Hutter (2017), "SGDR", equation (5).
    """

    lr: float
    steps: int
    final_lr: float = 0.0

    def __post_init__(self) -> None:
        require("lr", self.lr, at_least=0.0)
        require_whole("steps", self.steps)
        require("final_lr", self.final_lr, at_least=0.0)

    def __call__(self, step: int) -> float:  # noqa: D102  (said by Schedule)
        return along_cosine(self.lr, self.final_lr, min(step, self.steps) / self.steps)


def along_cosine(start: float, end: float, passed: float) -> float:
    """Half a period of the cosine from start to end, of which this share has passed."""
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * passed))


@dataclass(frozen=True)
class Exponential(Schedule):
    r"""$\alpha_t = \alpha_0 \, c^t$.

    Args:
        lr: $\alpha_0$.
        decay_factor: c, what the learning rate is multiplied by at each step.
    """

    lr: float
    decay_factor: float

    def __post_init__(self) -> None:
        require("lr", self.lr, at_least=0.0)
        require("decay_factor", self.decay_factor, at_least=0.0)

    def __call__(self, step: int) -> float:  # noqa: D102  (said by Schedule)
        return self.lr * self.decay_factor**step


@dataclass(frozen=True)
class Polynomial(Schedule):
    r"""$\alpha_t = \alpha_T + (\alpha_0 - \alpha_T)(1 - t / T)^p$ up to T; a line for p = 1.

    Args:
        lr: $\alpha_0$.
        steps: T, the step from which the final learning rate holds.
        power: p > 0.
        final_lr: $\alpha_T$.
    """

    lr: float
    steps: int
    power: float = 1.0
    final_lr: float = 0.0

    def __post_init__(self) -> None:
        require("lr", self.lr, at_least=0.0)
        require_whole("steps", self.steps)
        require("power", self.power, at_least=0.0)
        require("final_lr", self.final_lr, at_least=0.0)

    def __call__(self, step: int) -> float:  # noqa: D102  (said by Schedule)
        left = 1 - min(step, self.steps) / self.steps
        return self.final_lr + (self.lr - self.final_lr) * math.pow(left, self.power)


@dataclass(frozen=True)
class Warmup(Schedule):
    r"""Linear warm-up of another schedule: $\alpha_t \cdot \min(1, (t + 1) / \text{steps})$.

    Args:
        schedule: what holds from then on; it counts its steps from the same t.
        steps: the number of steps over which the learning rate rises.
    """

    schedule: Schedule
    steps: int

    def __post_init__(self) -> None:
        if not isinstance(self.schedule, Schedule):
            raise TypeError(f"schedule must be a Schedule, not {self.schedule!r}")
        require_whole("steps", self.steps)

    def __call__(self, step: int) -> float:  # noqa: D102  (said by Schedule)
        return self.schedule(step) * min(1.0, (step + 1) / self.steps)
