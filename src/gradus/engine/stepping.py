"""Steps by the C++ kernels, whatever their results are kept in.

The kernels take all steps of a call by themselves; Python chooses the batches, looks at the losses
every tenth of a second, and keeps the record. Nothing here needs PyTorch.
"""

from __future__ import annotations

import itertools
import math
import time
from abc import abstractmethod
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradus.engine import words
from gradus.engine.epochs import Epochs
from gradus.engine.job import Report, Row, Task
from gradus.engine.native_sparse import Linear
from gradus.engine.snapshot import Course, Snapshot
from gradus.optim.rules import method_of

CALL_SECONDS = 0.1
"""How long a call of the kernels may last: in between, the run can be interrupted and reports."""

CALLS_ALONE = 10
"""How many calls one thread takes alone before all of them are tried again."""


class KernelSteps(Epochs):
    """One run under way, whose parameters the kernels hold."""

    engine = "native"

    network: Any
    """Of the core: a network, or a linear model on sparse inputs."""
    data: Any
    """The examples that train, as the kernels take them."""

    def __init__(self, task: Task, report: Report, course: Course) -> None:
        super().__init__(task, report, course)
        sampling = task.sampling
        self.size = sampling.n if sampling.name == "full" else sampling.batch_size
        self.queries_ahead = method_of(task.method)["rule"] == "nesterov"
        self.aheads = words.aheads_of(task.method)
        self.latest: _Call | None = None

    def begin(self, network: Any) -> None:
        """Where the run stands at first; ``go_on`` may bring it elsewhere."""
        self.network = network
        self.take_over()
        if (first := words.remembered_first(self.task.method)) is not None:
            for index, column, arrays in self._columns():
                if column == 1:
                    self.network.read(index, 0, *arrays)
                    for array in arrays:
                        if array is not None:
                            array[...] = first(array)
                    self.network.write(index, column, *arrays)
        self.calls = _Calls(self.network.threads)

    @abstractmethod
    def take_over(self) -> None:
        """Bring the network to the parameters outside of it."""

    @abstractmethod
    def arrays(self) -> Iterator[tuple[int, list[NDArray[Any] | None]]]:
        """The layers with parameters: their number, and new arrays for weight and bias."""

    def train(self) -> float | None:
        """The rest of a pass: the mean of its losses, or None where it diverged."""
        started, sampling, now = time.perf_counter(), self.task.sampling, self.now
        losses = np.empty(sampling.steps)
        at = len(now.losses)
        losses[:at] = now.losses
        try:
            with closing(self._stretches(now.epoch - 1, at)) as stretches:
                for stretch in stretches:
                    at = self._train_on(stretch, losses, at, started)
                    if at < stretch.until or self.journal.outcome.ended_by_observer:
                        break
        finally:
            self.journal.outcome.train_seconds += time.perf_counter() - started
        if self.journal.outcome.divergence is not None:
            return None
        sizes = sampling.sizes[:at]
        return float((losses[:at] * sizes).sum() / sizes.sum())

    def _stretches(self, epoch: int, at: int) -> Generator[Stretch]:
        """The steps of an epoch from ``at`` on, as far as the examples of each lie in memory."""
        sampling = self.task.sampling
        yield Stretch(self.data, sampling.indices(epoch), 0, sampling.steps)

    def _train_on(
        self, stretch: Stretch, losses: NDArray[np.float64], at: int, started: float
    ) -> int:
        """Take its steps from ``at`` on; the step at which it ended: where the run did, earlier."""
        now, outcome = self.now, self.journal.outcome
        while at < stretch.until:
            until = min(at + self.calls.steps(), stretch.until)
            if self.course.watch is not None:
                due = self.course.watch.next_after(outcome.step)
                until = int(min(until, at + due - outcome.step))
            if self.course.observe is not None:  # it sees the run where a row is recorded
                until = min(until, at + -at % self.task.log_every + 1)
            rows = len(outcome.history)
            if not self._call(now.epoch, stretch, losses, at, until):
                break
            now.losses += losses[at:until].tolist()
            self.journal.tell(now.epoch)
            self.show()
            at = until
            if len(outcome.history) > rows:
                self.journal.observed(now.epoch)
                if outcome.ended_by_observer:
                    break
            if at < self.task.sampling.steps:
                self.keeper.offer(lambda: self.snapshot(time.perf_counter() - started))
        return at

    def _call(
        self, epoch: int, stretch: Stretch, losses: NDArray[np.float64], at: int, until: int
    ) -> bool:
        """Take the steps of an epoch from ``at`` to ``until``; False where the run diverged."""
        step, steps = self.journal.outcome.step, until - at
        rates = self.journal.rates(step, steps)
        given: dict[str, Any] = {}
        seen = logged = losses[at:until]
        if self.queries_ahead:
            logged = np.empty(steps)
            given["aheads"] = np.fromiter(itertools.islice(self.aheads, steps), np.float64)
            given["wanted"] = np.arange(at, until) % self.task.log_every == 0
            given["losses_at_iterate"] = logged
        first = stretch.first
        batches = stretch.order[(at - first) * self.size : (until - first) * self.size]
        self.latest = _Call(epoch, at, len(batches), seen, logged)
        started = time.perf_counter()
        self.network.run(
            stretch.data, batches, self.size, rates, seen, threads=self.calls.threads, **given
        )
        waited = self.network.timings()["longest_wait"] if self.network.threads > 1 else 0.0
        self.calls.took(time.perf_counter() - started, steps, waited)
        self._note()
        taken = self.journal.outcome.step - step
        if taken < steps:
            self.journal.diverged(step + taken, epoch, float(seen[taken]))
        return taken == steps

    def _note(self) -> None:
        """Write down the steps of the latest call that were taken and are not written down yet."""
        call, journal, outcome = self.latest, self.journal, self.journal.outcome
        step, samples, rows = outcome.step, outcome.samples, []
        steps = self.network.steps - step
        if call is None or steps == 0:
            return
        for i in range(-call.at % self.task.log_every, steps, self.task.log_every):
            consumed = samples + min((i + 1) * self.size, call.examples)
            loss, lr = float(call.logged[i]), journal.lr(step + i)
            rows.append(Row(step + i, consumed, call.epoch, loss, lr, consumed))
        consumed = samples + min(steps * self.size, call.examples)
        last_loss = float(call.losses[steps - 1])
        # Nothing is called from here on: an interruption comes before all of it or after.
        outcome.history += rows
        outcome.step = step + steps
        outcome.samples = outcome.work = consumed  # one gradient an example: first-order methods
        journal.last_loss = last_loss

    def put_aside(self, kept: dict[str, Any]) -> dict[str, Any]:
        """Where the network stands and what its method remembers, column by column."""
        if isinstance(self.network, Linear):
            kept |= self.network.kept()
            return {}
        for index, column, arrays in self._columns():
            self.network.read(index, column, *arrays)
            for name, array in zip(("weight", "bias"), arrays, strict=True):
                if array is not None:
                    kept[f"{index}.{column}.{name}"] = array
        return {}

    def go_on(self, since: Snapshot) -> None:
        """Stand where the snapshot does."""
        kept: Mapping[str, Any] = since.tensors
        self.aheads = itertools.islice(self.aheads, since.outcome.step, None)
        if isinstance(self.network, Linear):
            self.network.go_on(kept, since.outcome.step)
            return
        for index, column, arrays in self._columns():
            for name, array in zip(("weight", "bias"), arrays, strict=True):
                if array is not None:
                    array[...] = np.asarray(kept[f"{index}.{column}.{name}"])
            self.network.write(index, column, *arrays)
        self.network.steps = since.outcome.step

    def _columns(self) -> Iterator[tuple[int, int, list[NDArray[Any] | None]]]:
        """Every layer and what it holds of every parameter, with arrays of their own for it."""
        for index, arrays in self.arrays():
            for column in range(self.network.columns):
                yield index, column, [None if a is None else np.empty_like(a) for a in arrays]


class Stretch(NamedTuple):
    """Steps of an epoch whose examples lie in memory together."""

    data: Any
    """They, as the kernels take them."""
    order: NDArray[np.int64]
    """Of the examples, batch after batch."""
    first: int
    """The index of the first step within its epoch."""
    until: int
    """That behind the last."""


@dataclass
class _Call:
    """Steps that the kernels take at once, and what they tell of them."""

    epoch: int
    at: int
    """The index of the first within its epoch."""
    examples: int
    losses: NDArray[np.float64]
    """What the method saw."""
    logged: NDArray[np.float64]
    """At the iterates, where a row is logged."""


class _Calls:
    """How many steps fit into a call, and how many threads take them.

    Threads that share every layer wait for the slowest of them. Where another process has one of
    their processors, that is most of the time, and one thread alone is faster: it then takes the
    next calls, until the others are tried again. The result is the same to the bit. Short calls,
    in which threads have hardly started, say nothing of it.
    """

    def __init__(self, threads: int) -> None:
        self._steps = 1
        self._all, self.threads = threads, threads
        self._waited = 0.0
        self._alone = 0

    def steps(self) -> int:
        return self._steps

    def took(self, seconds: float, steps: int, waited: float) -> None:
        """A call took so long; in all calls together a thread has waited for so long."""
        fitting = math.floor(CALL_SECONDS * steps / max(seconds, 1e-9))
        self._steps = max(1, min(fitting, 8 * self._steps))
        waiting, self._waited = waited - self._waited, waited
        if self.threads > 1 and waiting > seconds / 2 and seconds > CALL_SECONDS / 4:
            self.threads, self._alone = 1, CALLS_ALONE
        elif self.threads < self._all:
            self._alone -= 1
            if self._alone == 0:
                self.threads = self._all
