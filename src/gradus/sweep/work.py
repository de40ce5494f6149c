"""What is to be trained next, and what follows from what came out."""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

import pyarrow as pa

from gradus.runs.spec import RunSpec, run_id
from gradus.sweep.halving import Decision, GoesOn, Pruning
from gradus.sweep.result import Result
from gradus.sweep.search import Listed, Search
from gradus.sweep.store import listed


@dataclass(frozen=True)
class Piece:
    """A run, or the part of it up to where it may be cut; ``until`` None: all of it."""

    run: str
    spec: RunSpec
    until: int | None = None


@final
class Work:
    """The runs of a sweep that are not kept yet, longest first.

    Args:
        search: proposes the runs.
        pruning: says which of them are cut.
        cost: about how long a run takes, in any unit.
        runs: the rows of the runs that are kept already.
        losses: of those, the test loss by epoch; looked at only where runs are pruned.

    Example:
        >>> from gradus.sweep.result import RUNS
        >>> specs = [RunSpec(epochs=epochs) for epochs in (1, 3, 2)]
        >>> work = Work(Listed(specs), None, lambda spec: spec.epochs, RUNS.empty_table())
        >>> [piece.spec.epochs for piece in work.take(2)], work.left
        ([3, 2], 1)
    """

    def __init__(
        self,
        search: Search,
        pruning: Pruning | None,
        cost: Callable[[RunSpec], float],
        runs: pa.Table,
        losses: Mapping[str, Mapping[int, float]] | None = None,
    ) -> None:
        self._search, self._pruning, self._cost = search, pruning, cost
        self._specs: dict[str, RunSpec] = {}
        self._queue: deque[Piece] = deque()
        self._paused: dict[str, Result] = {}
        self._known = losses or {}
        self._over = False
        self.costs: dict[str, float] = {}
        names = listed(runs, "run")
        for name, status, loss in zip(
            names, listed(runs, "status"), runs["test_loss"].to_pylist(), strict=True
        ):
            search.tell(name, loss if status in ("finished", "stopped") else None)
        if pruning is not None:
            self._replay(names)
        if isinstance(search, Listed):
            self._begin(search.ask(sys.maxsize))
            self._over = True

    @property
    def left(self) -> int:
        """How many pieces are known of that nobody has taken."""
        return len(self._queue)

    @property
    def cost_left(self) -> float:
        """The cost of what nobody has taken."""
        return sum(self.costs[piece.run] for piece in self._queue)

    def take(self, n: int) -> list[Piece]:
        """What to train next, n pieces at most."""
        while len(self._queue) < n and not self._over:
            asked = self._search.ask(n - len(self._queue))
            self._begin(asked)
            if not asked:
                self._over = True
                if self._pruning is not None:
                    self._follow(self._pruning.close())
        return [self._queue.popleft() for _ in range(min(n, len(self._queue)))]

    def give_back(self, piece: Piece) -> None:
        """A piece that was taken and not trained: it is the next one."""
        self._queue.appendleft(piece)

    def told(self, piece: Piece, result: Result) -> list[Result]:
        """Take what came out of a piece; gives the results that are to be kept now."""
        loss = float(result.evaluation["test_loss"][-1]) if result.epochs_trained else None
        ended = [] if result.status == "paused" else [result]
        if result.status == "paused":
            self._paused[result.run] = result
        else:
            self._search.tell(result.run, loss if result.status != "diverged" else None)
        if self._pruning is None:
            return ended
        until = piece.until or piece.spec.epochs
        value = loss if result.status in ("paused", "finished") else None
        return ended + self._follow(self._pruning.tell(result.run, until, value))

    def _begin(self, specs: list[RunSpec]) -> None:
        pieces = []
        for spec in specs:
            run = run_id(spec)
            self._specs[run] = spec
            self.costs[run] = self._cost(spec)
            until = None
            if self._pruning is not None:
                until = self._pruning.start(run).until
            pieces.append(Piece(run, spec, until if until != spec.epochs else None))
        # Runs of one seed may share their data: they stand together where they are as long.
        pieces.sort(key=lambda piece: (-self.costs[piece.run], piece.spec.seed))
        self._queue.extend(pieces)

    def _follow(self, decisions: list[Decision]) -> list[Result]:
        """Queue the runs that go on, before others; give those that were cut."""
        cut = []
        for decision in decisions:
            if decision.run not in self._specs:
                cut += self._go_on_in_memory(decision)
            elif isinstance(decision, GoesOn):
                self._paused.pop(decision.run, None)
                spec = self._specs[decision.run]
                until = None if decision.until == spec.epochs else decision.until
                self._queue.appendleft(Piece(decision.run, spec, until))
            else:
                result = self._paused.pop(decision.run).pruned()
                self._search.tell(decision.run, None)
                cut.append(result)
        return cut

    def _replay(self, names: list[str]) -> None:
        """Tell what is known of the runs that are kept, each as far as it was trained."""
        assert self._pruning is not None
        started = [self._pruning.start(name) for name in names]
        for begins in started:
            self._follow(self._tell_known(begins))

    def _go_on_in_memory(self, decision: Decision) -> list[Result]:
        """A run that is kept goes on as far as it is known."""
        return self._follow(self._tell_known(decision)) if isinstance(decision, GoesOn) else []

    def _tell_known(self, onward: GoesOn) -> list[Decision]:
        assert self._pruning is not None
        loss = self._known.get(onward.run, {}).get(onward.until, math.nan)
        return self._pruning.tell(onward.run, onward.until, loss)
