r"""Which runs go on and which are cut: successive halving, as decisions without a clock or a file.

Runs are compared at rungs, the epochs $r, r \eta, r \eta^2, \dots$ below the last. Of the n runs
that come to a rung (a diverged one among them), the best $\max(1, \lfloor n / \eta \rfloor)$ by
their measure go on; the others are cut there. In a sweep these "runs" are configurations, judged by
the mean over their seeds: see `gradus.sweep.configurations`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class GoesOn:
    """A run is trained from the end of one epoch to the end of another; epoch 0 is its start."""

    run: str
    epoch: int
    until: int


@dataclass(frozen=True)
class Cut:
    """A run is not trained beyond the end of an epoch."""

    run: str
    epoch: int


Decision = GoesOn | Cut


@dataclass
class _Rung:
    """What has come to one rung.

    Attributes:
        epoch: at whose end runs are compared.
        told: how many runs have come here, or have diverged on their way.
        ranked: the best of them that may still be kept, as (measure, order of start, run).
        above: those that went on.
        out: how many were cut here, or have diverged on their way.
    """

    epoch: int
    told: int = 0
    ranked: list[tuple[float, int, str]] = field(default_factory=list)
    above: set[str] = field(default_factory=set)
    out: int = 0


class Pruning(ABC):
    """What decides, run by run, as it is told how they do.

    A run is started, trained until the epoch said, and its measure told. Then it waits until a
    decision names it. The same calls in the same order give the same decisions. Equal losses stand
    in the order in which their runs were started.

    Args:
        runs: how many runs will be started, at most; ``close`` says that no more will be.
        epochs: of a run that is not cut.
        eta: η, 2 or more.
        first_rung: r, the epochs before the first comparison, below ``epochs``.
    """

    def __init__(self, runs: int, epochs: int, *, eta: int = 3, first_rung: int = 1) -> None:
        self._runs, self._epochs, self._eta = runs, epochs, eta
        self._rungs: list[_Rung] = []
        while first_rung < epochs:
            self._rungs.append(_Rung(first_rung))
            first_rung *= eta
        self._order: dict[str, int] = {}
        self._toward: dict[str, int] = {}
        self._waiting: set[str] = set()
        self._cut: dict[str, int] = {}

    @property
    def rungs(self) -> tuple[int, ...]:
        """The epochs after which runs are compared."""
        return tuple(rung.epoch for rung in self._rungs)

    @property
    def cut(self) -> Mapping[str, int]:
        """The runs that were cut, in that order, and the epochs at whose end they were."""
        return MappingProxyType(self._cut)

    def start(self, run: str) -> GoesOn:
        """Let a run begin; says until when.

        Raises:
            ValueError: it has begun already, or all runs have.
        """
        if run in self._order or len(self._order) == self._runs:
            raise ValueError(f"run {run}: started before, or one more than {self._runs}")
        self._order[run] = len(self._order)
        return self._onward(run, since=0, rung=0)

    def tell(self, run: str, epoch: int, worth: float | None) -> list[Decision]:
        """What follows from a run's measure at the end of an epoch; of any runs, at any rung.

        Epochs before the one until which the run goes on are no comparison, and change nothing.

        Args:
            run: which.
            epoch: that has ended.
            worth: the measure there, less being better; None, or a number that is not finite:
                the run has diverged, and ends.

        Raises:
            ValueError: the run is not being trained, or not until there.
        """
        if run not in self._toward or run in self._waiting or epoch > self._until(run):
            raise ValueError(f"run {run}: is not being trained in epoch {epoch}")
        at = self._toward[run]
        if worth is None or not math.isfinite(worth):
            del self._toward[run]
            if at == len(self._rungs):
                return []
            self._rungs[at].told += 1
            self._rungs[at].out += 1
            return self._decide()
        if epoch < self._until(run):
            return []
        if at == len(self._rungs):
            del self._toward[run]
            return []
        self._waiting.add(run)
        self._rungs[at].told += 1
        insort(self._rungs[at].ranked, (worth, self._order[run], run))
        return self._decide()

    def close(self) -> list[Decision]:
        """What follows from it that no more runs will be started."""
        self._runs = len(self._order)
        return self._decide()

    @abstractmethod
    def _going_on(self, told: int, kept: int, untold: int) -> int:
        """How many of the best at a rung go on now.

        Args:
            told: how many have come.
            kept: how many go on at least, of all that will come.
            untold: how many may still come.
        """

    def _decide(self) -> list[Decision]:
        """What is certain now, from the lowest rung up: who is cut below does not come above."""
        decisions: list[Decision] = []
        coming = self._runs
        for at, rung in enumerate(self._rungs):
            # Where rungs below are not decided, more are counted than will come: what is certain
            # with them is certain without.
            kept = max(1, coming // self._eta)
            while len(rung.ranked) > kept:
                _, _, run = rung.ranked.pop()
                if run not in rung.above:
                    decisions.append(self._leave(run, rung))
            going = self._going_on(rung.told, kept, coming - rung.told)
            for _, _, run in rung.ranked[: max(0, going)]:
                if run not in rung.above:
                    rung.above.add(run)
                    self._waiting.remove(run)
                    decisions.append(self._onward(run, since=rung.epoch, rung=at + 1))
            coming -= rung.out
        return decisions

    def _leave(self, run: str, rung: _Rung) -> Cut:
        rung.out += 1
        self._waiting.remove(run)
        del self._toward[run]
        self._cut[run] = rung.epoch
        return Cut(run, rung.epoch)

    def _onward(self, run: str, *, since: int, rung: int) -> GoesOn:
        self._toward[run] = rung
        return GoesOn(run, since, self._until(run))

    def _until(self, run: str) -> int:
        at = self._toward[run]
        return self._epochs if at == len(self._rungs) else self._rungs[at].epoch


class Halving(Pruning):
    """Synchronous successive halving: who is kept does not depend on who is told first.

    A run is cut, or goes on, as soon as no run that may still come can change that.

    Source: Jamieson, Talwalkar (2016), "Non-stochastic best arm identification and hyperparameter
    optimization", figure 2; of n runs here at least one goes on.

    Example:
        >>> from gradus.sweep import Halving
        >>> halving = Halving(runs=3, epochs=9, eta=3, first_rung=3)
        >>> [halving.start(run).until for run in "abc"]
        [3, 3, 3]
        >>> halving.tell("a", 3, 0.9), halving.tell("b", 3, 0.5)
        ([], [Cut(run='a', epoch=3)])
        >>> halving.tell("c", 3, 0.7)
        [Cut(run='c', epoch=3), GoesOn(run='b', epoch=3, until=9)]
    """

    def _going_on(self, told: int, kept: int, untold: int) -> int:
        return kept - untold


class Asha(Pruning):
    r"""Asynchronous successive halving: of the runs told so far, the best part goes on at once.

    A run goes on when it is among the best $\lfloor m / \eta \rfloor$ of the m that have come to
    its rung by then, so that more may go on than by `Halving`, never one of its less. It is cut as
    soon as it cannot come to be among them.

    Source: Li et al. (2020), "A system for massively parallel hyperparameter tuning", algorithm 2.

    Example:
        >>> from gradus.sweep import Asha
        >>> asha = Asha(runs=5, epochs=4, eta=2, first_rung=2)
        >>> [asha.start(run).until for run in "abc"]
        [2, 2, 2]
        >>> asha.tell("a", 2, 0.9), asha.tell("b", 2, 0.5)
        ([], [GoesOn(run='b', epoch=2, until=4)])
        >>> asha.tell("c", 2, 0.4), asha.close()
        ([Cut(run='a', epoch=2), GoesOn(run='c', epoch=2, until=4)], [])
    """

    def _going_on(self, told: int, kept: int, untold: int) -> int:
        return max(told // self._eta, kept - untold)
