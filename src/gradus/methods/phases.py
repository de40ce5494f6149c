"""Schedules of several phases: one cycle, warm restarts, stable then decaying."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gradus.methods.hyperparameters import require, require_whole
from gradus.methods.schedules import Schedule, along_cosine


@dataclass(frozen=True)
class OneCycle(Schedule):
    r"""Up from a fraction of the learning rate to it, then down to nearly nothing, along cosines.

    With $u = sT - 1$, where s is the share that rises, and $C(a, b, x)$ half a cosine from a to b:

    $$\alpha_t = \begin{cases} C(\alpha / c,\ \alpha,\ t / u) & t < u \\
    C(\alpha,\ \alpha / (c\, c_T),\ (t - u) / (T - 1 - u)) & \text{else, up to } T - 1
    \end{cases}$$

    Args:
        lr: $\alpha$, the highest learning rate.
        steps: T, the steps of the whole; from the last on its learning rate holds.
        rising_share: s in (0, 1), the share of the steps over which the learning rate rises.
        start_divisor: c, what the highest learning rate is divided by at the start.
        final_divisor: $c_T$, what that of the start is divided by at the end.

    Raises:
        ValueError: a number is out of its range.

    Example:
        >>> from gradus.methods import OneCycle
        >>> schedule = OneCycle(0.1, steps=11, rising_share=0.5)
        >>> [round(schedule(t), 4) for t in (0, 2, 4, 5, 7, 10)]
        [0.004, 0.0437, 0.0971, 0.098, 0.0571, 0.0]

    Source: Smith, Topin (2018), "Super-convergence"; torch.optim.lr_scheduler.OneCycleLR, whose
        rates these are.
    """

    lr: float
    steps: int
    rising_share: float = 0.3
    start_divisor: float = 25.0
    final_divisor: float = 1e4

    def __post_init__(self) -> None:
        require("lr", self.lr, at_least=0.0)
        require_whole("steps", self.steps)
        require("rising_share", self.rising_share, at_least=0.0, below=1.0)
        require("start_divisor", self.start_divisor, at_least=1.0)
        require("final_divisor", self.final_divisor, at_least=1.0)

    def __call__(self, step: int) -> float:  # noqa: D102  (said by Schedule)
        start, last, top = self.lr / self.start_divisor, self.steps - 1, self._top
        if step < top:
            return along_cosine(start, self.lr, step / top)
        passed = (min(step, last) - top) / (last - top)
        return along_cosine(self.lr, start / self.final_divisor, passed)

    @property
    def _top(self) -> float:
        """The time, between two steps mostly, at which the highest learning rate is reached."""
        return self.rising_share * self.steps - 1


@dataclass(frozen=True)
class WarmRestarts(Schedule):
    r"""Cosines from the learning rate down to the final one, each k times as long as the last.

    $$\alpha_t = \alpha_T + \tfrac12 (\alpha_0 - \alpha_T)(1 + \cos(\pi\, t_i / T_i)), \qquad
    T_i = k^i\, T_0$$

    where $t_i$ counts the steps since the i-th restart.

    Args:
        lr: $\alpha_0$.
        period: $T_0$, the steps of the first cosine.
        period_factor: k, a whole number >= 1.
        final_lr: $\alpha_T$.

    Raises:
        ValueError: a number is out of its range.

    Example:
        >>> from gradus.methods import WarmRestarts
        >>> schedule = WarmRestarts(0.1, period=4, period_factor=2)
        >>> [round(schedule(t), 3) for t in (0, 2, 3, 4, 8, 12)]
        [0.1, 0.05, 0.015, 0.1, 0.05, 0.1]

    Source: Loshchilov, Hutter (2017), "SGDR", equation (5);
        torch.optim.lr_scheduler.CosineAnnealingWarmRestarts, whose rates these are.
    """

    lr: float
    period: int
    period_factor: int = 1
    final_lr: float = 0.0

    def __post_init__(self) -> None:
        require("lr", self.lr, at_least=0.0)
        require_whole("period", self.period)
        require_whole("period_factor", self.period_factor)
        require("final_lr", self.final_lr, at_least=0.0)

    def __call__(self, step: int) -> float:  # noqa: D102  (said by Schedule)
        begun, period = 0, self.period
        if self.period_factor == 1:
            begun = step - step % period
        while step - begun >= period:
            begun, period = begun + period, period * self.period_factor
        return along_cosine(self.lr, self.final_lr, (step - begun) / period)


@dataclass(frozen=True)
class StableDecay(Schedule):
    r"""The learning rate as it is, then down in a line; with warm-up "warmup-stable-decay".

    $$\alpha_t = \alpha_T + (\alpha_0 - \alpha_T)\,
        \min\!\left(1, \frac{T - t}{\lceil s T \rceil}\right)$$

    A run can be made longer without having known how long: the decay begins when it is to end.

    Args:
        lr: $\alpha_0$.
        steps: T, the step from which the final learning rate holds.
        decay_share: s in (0, 1], the share of the steps over which the learning rate falls.
        final_lr: $\alpha_T$.

    Raises:
        ValueError: a number is out of its range.

    Example:
        >>> from gradus.methods import StableDecay, Warmup
        >>> schedule = Warmup(StableDecay(0.1, steps=10, decay_share=0.4), steps=2)
        >>> [round(schedule(t), 3) for t in (0, 1, 6, 8, 10)]
        [0.05, 0.1, 0.1, 0.05, 0.0]

    Source: Hu et al. (2024), "MiniCPM", section 4; Hägele et al. (2024), "Scaling laws and
        compute-optimal training beyond fixed training durations".
    """

    lr: float
    steps: int
    decay_share: float = 0.2
    final_lr: float = 0.0

    def __post_init__(self) -> None:
        require("lr", self.lr, at_least=0.0)
        require_whole("steps", self.steps)
        require("decay_share", self.decay_share, at_least=0.0)
        if not 0 < self.decay_share <= 1:
            raise ValueError(f"decay_share must be in (0, 1], not {self.decay_share!r}")
        require("final_lr", self.final_lr, at_least=0.0)

    def __call__(self, step: int) -> float:  # noqa: D102  (said by Schedule)
        left = (self.steps - min(step, self.steps)) / math.ceil(self.decay_share * self.steps)
        return self.final_lr + (self.lr - self.final_lr) * min(1.0, left)
