"""The backlog of a sweep: which runs are trained next, and what their results change."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

import pyarrow as pa

from gradus.runs.spec import RunSpec, run_id
from gradus.sweep.configurations import ConfigurationPruning
from gradus.sweep.halving import Decision, GoesOn
from gradus.sweep.result import Result, worths
from gradus.sweep.search import Listed, Search
from gradus.sweep.store import listed

KEPT = ("finished", "failed", "pruned")
"""Statuses of runs whose figures count; those of others are worse than any."""


@dataclass(frozen=True)
class WorkItem:
    """A run, or the part of it that ends with an epoch where it may be pruned.

    Attributes:
        run: its id.
        spec: what determines it, as it was asked for.
        resolved: the same with what follows from the size of its data.
        until: the epoch after which it pauses; None: it is trained to its end.
    """

    run: str
    spec: RunSpec
    resolved: RunSpec
    until: int | None = None


@final
class Backlog:
    """The runs of a sweep that are not in the store yet, the longest first.

    Args:
        search: proposes the runs.
        pruning: decides which configurations end early.
        cost: estimates how long a run takes, in any unit.
        runs: the rows of the runs that are in the store already.
        losses: of those, the measure by epoch, less being better; only for pruning.
        resolve: gives a run with what follows from the size of its data.

    Example:
        >>> from gradus.sweep.result import RUNS
        >>> specs = [RunSpec(epochs=epochs) for epochs in (1, 3, 2)]
        >>> backlog = Backlog(Listed(specs), None, lambda spec: spec.epochs, RUNS.empty_table())
        >>> [item.spec.epochs for item in backlog.take(2)], backlog.left
        ([3, 2], 1)
    """

    def __init__(
        self,
        search: Search,
        pruning: ConfigurationPruning | None,
        cost: Callable[[RunSpec], float],
        runs: pa.Table,
        losses: Mapping[str, Mapping[int, float]] | None = None,
        resolve: Callable[[RunSpec], RunSpec] = lambda run: run,
    ) -> None:
        self._search, self._pruning, self._cost = search, pruning, cost
        self._resolve = resolve
        self._specs: dict[str, RunSpec] = {}
        self._queue: deque[WorkItem] = deque()
        self._paused: dict[str, Result] = {}
        self._recorded = losses or {}
        self._kept: set[str] = set()
        self._over = False
        self.costs: dict[str, float] = {}
        names = listed(runs, "run")
        for name, status, loss in zip(names, listed(runs, "status"), worths(runs), strict=True):
            search.tell(name, loss if status in KEPT else None)
            if status in KEPT:
                self._kept.add(name)
        if pruning is not None:
            specs = map(RunSpec.model_validate_json, listed(runs, "spec"))
            self._replay(dict(zip(names, specs, strict=True)))
        if isinstance(search, Listed):
            self._begin(search.ask(sys.maxsize))
            self._over = True

    @property
    def left(self) -> int:
        """How many items are waiting."""
        return len(self._queue)

    @property
    def cost_left(self) -> float:
        """The estimated cost of the items that are waiting."""
        return sum(self.costs[item.run] for item in self._queue)

    def take(self, n: int) -> list[WorkItem]:
        """The next items to train, n at most."""
        while len(self._queue) < n and not self._over:
            asked = self._search.ask(max(n - len(self._queue), self._search.at_once))
            self._begin(asked)
            if not asked:
                if self._search.waits:
                    break
                self._over = True
                if self._pruning is not None:
                    self._follow(self._pruning.close())
        return [self._queue.popleft() for _ in range(min(n, len(self._queue)))]

    def put_back(self, item: WorkItem) -> None:
        """Put an item that was taken and not trained at the head of the queue."""
        self._queue.appendleft(item)

    def again(self, run: str, spec: RunSpec) -> None:
        """Put a run that is in the store at the end of the queue, to have its parameters."""
        resolved = self._resolve(spec)
        self.costs[run] = self._cost(spec)
        self._queue.append(WorkItem(run, spec, resolved))

    def complete(self, item: WorkItem, result: Result) -> list[Result]:
        """Record the result of an item; returns the results that can be stored now."""
        loss = result.worth
        ended = [] if result.status == "paused" else [result]
        if result.status == "paused":
            self._paused[result.run] = result
        else:
            self._search.tell(result.run, loss if result.status in KEPT else None)
        if self._pruning is None:
            return ended
        until = item.until or item.resolved.epochs
        value = loss if result.status in (*KEPT, "paused") else None
        over = result.status != "paused"
        return ended + self._follow(self._pruning.tell(result.run, until, value, ended=over))

    def _begin(self, specs: list[RunSpec]) -> None:
        items = []
        for spec in specs:
            run = run_id(spec)
            self._specs[run] = spec
            until, resolved = None, self._resolve(spec)
            self.costs[run] = self._cost(spec)
            if self._pruning is not None:
                until = self._pruning.start(run, spec).until
            items.append(WorkItem(run, spec, resolved, until if until != resolved.epochs else None))
        # Runs of one seed may share their data: they stand together where they are as long.
        items.sort(key=lambda item: (-self.costs[item.run], item.spec.seed))
        self._queue.extend(items)

    def _follow(self, decisions: list[Decision]) -> list[Result]:
        """Queue the runs that go on, before others; returns the results of those pruned."""
        cut = []
        for decision in decisions:
            if decision.run not in self._specs:
                cut += self._decide_stored(decision)
            elif isinstance(decision, GoesOn):
                self._paused.pop(decision.run, None)
                spec = self._specs[decision.run]
                resolved = self._resolve(spec)
                until = None if decision.until == resolved.epochs else decision.until
                self._queue.appendleft(WorkItem(decision.run, spec, resolved, until))
            else:
                result = self._paused.pop(decision.run).pruned()
                self._search.tell(decision.run, result.worth)
                cut.append(result)
        return cut

    def _replay(self, specs: Mapping[str, RunSpec]) -> None:
        """Replay the results in the store, each run as far as it was trained."""
        assert self._pruning is not None
        started = [self._pruning.start(run, spec) for run, spec in specs.items()]
        for begins in started:
            self._follow(self._tell_recorded(begins))

    def _decide_stored(self, decision: Decision) -> list[Result]:
        """Answer a decision on a run in the store from its recorded losses."""
        return self._follow(self._tell_recorded(decision)) if isinstance(decision, GoesOn) else []

    def _tell_recorded(self, onward: GoesOn) -> list[Decision]:
        """Tell the recorded loss of a run in the store; after its last epoch, that of the last."""
        assert self._pruning is not None
        losses = self._recorded.get(onward.run, {})
        last = max(losses, default=0)
        loss = losses.get(onward.until)
        if loss is None and onward.run in self._kept and losses:
            loss = losses[last]
        ended = last <= onward.until
        return self._pruning.tell(onward.run, onward.until, loss, ended=ended)
