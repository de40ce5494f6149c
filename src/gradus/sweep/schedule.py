"""The scheduler of a sweep: hands runs to worker processes and stores their results."""

from __future__ import annotations

import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from types import TracebackType
from typing import final

import torch

from gradus.engine import choose
from gradus.errors import InputError
from gradus.runs.interrupt import OneInterrupt
from gradus.runs.job import prepare
from gradus.sweep.backlog import Backlog, WorkItem
from gradus.sweep.kept import EVERY, KeptModels
from gradus.sweep.messages import (
    Alive,
    CheckpointDamaged,
    Heartbeat,
    Ready,
    TaskError,
    TasksEnded,
    WorkerMessage,
)
from gradus.sweep.planning import kind_of
from gradus.sweep.progress import Observer, SweepProgress, Throughput
from gradus.sweep.result import Result
from gradus.sweep.split_cache import CAPACITY, CachedSplit, SplitCache
from gradus.sweep.store import Store
from gradus.sweep.workers import Clock, Crew, Ended, Worker

COMMIT_SECONDS = 0.5
"""At least so long between two commits."""

COMMIT_SHARE = 0.1
"""The largest share of the time that goes into commits: a growing store is written less often."""

PREFETCH_SECONDS = 0.25
"""Items for so long are sent to a worker in advance, so that it never waits for the next."""

MAX_PREFETCH = 64
"""The largest number of items sent to a worker in advance."""

MAX_BATCH_RUNS = 1024
"""The largest number of runs that are trained as one batch."""

MAX_WORKER_DEATHS = 3
"""A run is given up after so many workers died of it without getting any further."""


SILENT_SECONDS = 60.0
"""A worker that is not heard of for so long is reported: it is stopped, or its machine hangs."""


STOP_SECONDS = 2.0
"""So long workers that were told to stop have for it."""


def train_all(
    begin: Callable[[], Backlog],
    store: Store,
    splits: SplitCache,
    kept: KeptModels,
    crew: Crew,
    *,
    workers: int,
    total: int,
    observe: Observer = lambda progress: None,
    tell: Callable[[str], None] = lambda message: None,
) -> bool:
    """Train the backlog and store the results; False if it was interrupted.

    Every worker trains one run at a time. If one dies, others
    continue its runs from their checkpoints. Results are written to the store as they arrive, at
    most twice a second.

    Args:
        begin: creates the backlog; called while the workers start.
        store: receives the results.
        splits: loads the data.
        kept: which runs keep their parameters.
        crew: the workers; it is closed.
        workers: how many.
        total: the number of runs of the sweep, for the progress.
        observe: called with the progress, several times a second.
        tell: called with a one-line message when a worker died or is silent, or a checkpoint was
            damaged.

    Raises:
        InputError: a run cannot be trained, or a file not be written; what has ended is kept.
        RuntimeError: a worker failed of a defect.
    """
    with OneInterrupt() as interrupts, _Scheduler(
        begin, store, splits, kept, crew, workers, total, observe, tell
    ) as schedule:  # fmt: skip
        try:
            schedule.run()
        except KeyboardInterrupt:
            interrupts.close()
            schedule.stop()
            return False
        except BaseException:
            interrupts.close()
            schedule.stop()
            raise
        return True


@final
class _Scheduler:
    def __init__(
        self,
        begin: Callable[[], Backlog],
        store: Store,
        splits: SplitCache,
        kept: KeptModels,
        crew: Crew,
        workers: int,
        total: int,
        observe: Observer,
        tell: Callable[[str], None],
    ) -> None:
        self.begin, self.store, self.splits, self.kept = begin, store, splits, kept
        self.crew = crew
        self.observe, self.tell, self.total = observe, tell, total
        self.checkpoints = store.folder / "checkpoints"
        self.ended: list[Result] = []
        self.committed = -math.inf
        self.pause = COMMIT_SECONDS
        self.deaths: Counter[str] = Counter()
        self.steps_at_death: dict[str, int] = {}
        self.alone: set[str] = set()
        self.again: set[str] = set()
        self.batchable: dict[Hashable, bool] = {}
        self.died_at_start = 0
        self.given_up: list[str] = []
        self.error: TaskError | None = None
        self.throughput = Throughput(store)
        self.wanted = workers
        self.clock = Clock()

    @property
    def workers(self) -> Sequence[Worker]:
        return self.crew.workers

    def __enter__(self) -> _Scheduler:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.crew.close()

    def run(self) -> None:
        """Train until the backlog is empty."""
        for _ in range(self.wanted):
            self._start()
        self.backlog = self.begin()
        while True:
            for worker in list(self.workers):
                self._fill(worker)
            self._commit()
            self.observe(self._progress())
            if not any(worker.items for worker in self.workers) and not self._waiting():
                self._commit(at_once=True)
                if self._repeat():
                    continue
                break
            self._listen(timeout=self._timeout())
            self._report_silent()
            if self.error is not None:
                raise self._exception(self.error)
        self.kept.tidy(self.store.runs, over=True)
        for run in self.kept.lacking(self.store.runs):
            self.tell(
                f"run {run}: trained once more it ended otherwise: its parameters are not kept"
            )
        self.observe(self._progress())
        if self.given_up:
            raise InputError(self.given_up[0])

    def _waiting(self) -> bool:
        """Whether anything is to be trained, for which no worker is ready yet."""
        first = self.backlog.take(1)
        for item in first:
            self.backlog.put_back(item)
        return bool(first)

    def _repeat(self) -> bool:
        """Queue the runs that are to be kept and whose parameters are not there; each once."""
        lacking = self.kept.lacking(self.store.runs)
        for run in lacking.keys() - self.again:
            self.backlog.again(run, lacking[run])
        repeated = not lacking.keys() <= self.again
        self.again |= lacking.keys()
        return repeated

    def _among(self, item: WorkItem) -> int:
        """Of how many best a run has to be one, for its record to be kept."""
        return EVERY if item.run in self.again else self.kept.among(item.spec)

    def _start(self) -> None:
        self.crew.start().heard = self.clock.now

    def stop(self) -> None:
        """Store the results that workers hold; runs under way stay at their checkpoints."""
        for worker in self.workers:
            worker.stop()
        until = time.monotonic() + STOP_SECONDS
        while self.workers and (left := until - time.monotonic()) > 0:
            for worker, message in self.crew.hear(left):
                if not isinstance(message, Ended):
                    self._handle(worker, message)
        self._commit(at_once=True)

    def _fill(self, worker: Worker) -> None:
        """Send a worker as many items as it may have waiting."""
        wanted = self._prefetch(worker)
        while len(worker.items) < wanted:
            items = self.backlog.take(1)
            if not items:
                return
            item = items[0]
            # Where a worker dies, it has to be certain of which run.
            if item.run in self.alone and worker.items:
                self.backlog.put_back(item)
                return
            items, splits = self._batch(item)
            try:
                worker.send(items, splits, [self._among(each) for each in items])
            except OSError:
                for each in reversed(items):
                    self.backlog.put_back(each)
                self._replace(worker, self.crew.dismiss(worker))
                return
            if item.run in self.alone:
                return

    def _batch(self, item: WorkItem) -> tuple[list[WorkItem], list[CachedSplit]]:
        """The item, with those that are trained in one batch with it, and the split of each."""
        items, splits = [item], [self.splits.get(item.spec)]
        fair = math.ceil((1 + self.backlog.left) / len(self.workers))
        while len(items) < min(fair, MAX_BATCH_RUNS) and self._is_batchable(item):
            following = self.backlog.take(1)
            if not following:
                break
            split = self.splits.get(following[0].spec)
            numbers = {each.number for each in (*splits, split)}
            if not self._is_batchable(following[0]) or len(numbers) > CAPACITY:
                self.backlog.put_back(following[0])
                break
            items += following
            splits.append(split)
        return items, splits

    def _is_batchable(self, item: WorkItem) -> bool:
        """Whether the run can be trained in a batch with others of its kind."""
        if item.until is not None:  # a batch does not pause
            return False
        spec, key = item.spec, kind_of(item.spec)
        if key not in self.batchable:
            with torch.random.fork_rng(devices=[]):
                job = prepare(spec, self.splits.get(spec).split)
            self.batchable[key] = choose.goes_with_others(spec.engine, job)
        return self.batchable[key]

    def _prefetch(self, worker: Worker) -> int:
        """How many items a worker may have waiting."""
        if not worker.ready or any(item.run in self.alone for item in worker.items):
            return 0
        seconds = self.throughput.seconds_per_run
        if math.isnan(seconds):
            return 1
        fair = math.ceil(self.backlog.left / len(self.workers))
        return max(1, min(MAX_PREFETCH, int(PREFETCH_SECONDS / max(seconds, 1e-6)), fair))

    def _listen(self, timeout: float) -> None:
        """Handle the messages that arrive within a time."""
        for worker, message in self.crew.hear(timeout):
            if isinstance(message, Ended):
                self._replace(worker, message)
            else:
                self._handle(worker, message)

    def _report_silent(self) -> None:
        """Say of workers with tasks, once, that nothing was heard of them for long."""
        now = self.clock.read()
        for worker in self.workers:
            if worker.items and not worker.missed and now - worker.heard > SILENT_SECONDS:
                worker.missed = True
                self.tell(worker.silent(SILENT_SECONDS))

    def _handle(self, worker: Worker, message: WorkerMessage) -> None:
        worker.heard, worker.missed = self.clock.now, False
        match message:
            case Alive():
                pass
            case Ready():
                worker.ready, self.died_at_start = True, 0
            case Heartbeat():
                worker.heartbeat = message
                self.throughput.heartbeat(message)
            case CheckpointDamaged():
                self.tell(message.message)
            case TaskError():
                self.error = message
            case TasksEnded():
                for result in message.results:
                    item = worker.items.popleft()
                    self.alone.discard(item.run)
                    if item.run in self.again:
                        shutil.rmtree(self.checkpoints / item.run, ignore_errors=True)
                        continue
                    self.throughput.ended(result, self.backlog.costs[item.run])
                    ended = self.backlog.complete(item, result)
                    self.throughput.counts.update(each.status for each in ended)
                    self.ended += ended

    def _replace(self, worker: Worker, ended: Ended) -> None:
        """Replace a worker that died; its runs go on elsewhere from their checkpoints."""
        if not worker.ready and ended.of_its_run:
            self.died_at_start += 1
            if self.died_at_start >= MAX_WORKER_DEATHS:
                raise RuntimeError(
                    f"workers cannot start: the last {ended.how}; see what it wrote above"
                )
        if worker.items and ended.of_its_run:
            self._blame(worker, ended.how)
        elif worker.items:
            self.tell(f"a worker {ended.how}: {worker.items[0].resolved.title} goes on in another")
        for item in reversed(worker.items):
            if ended.of_its_run:
                self.alone.add(item.run)
            self.backlog.put_back(item)
        self._start()

    def _blame(self, worker: Worker, how: str) -> None:
        """Count a death against the run under way; give up a run that makes no progress."""
        item = worker.items[0]
        title = item.resolved.title
        if item.run in self.alone:
            beat = worker.heartbeat
            steps = beat.step if beat and beat.run == item.run else 0
            if steps > self.steps_at_death.get(item.run, 0):
                self.deaths[item.run] = 0
            self.steps_at_death[item.run] = steps
            self.deaths[item.run] += 1
        if self.deaths[item.run] >= MAX_WORKER_DEATHS:
            worker.items.popleft()
            self.given_up.append(
                f"run {item.run} ({title}): its worker {how}, {MAX_WORKER_DEATHS} times "
                "(out of memory?); the others are kept: go on with --resume "
                f"{self.store.folder}"
            )
            return
        self.tell(f"a worker {how}: {title} goes on in another")

    def _commit(self, *, at_once: bool = False) -> None:
        """Write the results to the store, if that is due."""
        began = time.monotonic()
        if not self.ended or not (at_once or began - self.committed >= self.pause):
            return
        self.store.add(self.ended)
        for result in self.ended:
            shutil.rmtree(self.checkpoints / result.run, ignore_errors=True)
        self.kept.tidy(self.store.runs)
        self.ended = []
        self.committed = time.monotonic()
        self.pause = max(COMMIT_SECONDS, (self.committed - began) / COMMIT_SHARE)

    def _timeout(self) -> float:
        """How long to wait for messages before the next commit is due."""
        if not self.ended:
            return COMMIT_SECONDS
        return max(0.0, self.committed + self.pause - time.monotonic())

    def _exception(self, error: TaskError) -> Exception:
        if not error.wrong:
            return RuntimeError(f"run {error.run} failed in its worker:\n{error.message}")
        return InputError(
            f"{error.message} (run {error.run}; what has ended is kept: go on with --resume "
            f"{self.store.folder})"
        )

    def _progress(self) -> SweepProgress:
        under_way = [
            (worker.items[0].resolved, worker.heartbeat if worker.heartbeat
             and worker.heartbeat.run == worker.items[0].run else None)
            for worker in self.workers
            if worker.items
        ]  # fmt: skip
        sent = [self.backlog.costs[item.run] for worker in self.workers for item in worker.items]
        return self.throughput.progress(
            self.total, tuple(under_way), self.backlog.cost_left, sum(sent), len(self.workers)
        )
