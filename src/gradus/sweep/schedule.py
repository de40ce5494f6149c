"""How the runs of a sweep are trained side by side: worker processes, and what is kept when."""

from __future__ import annotations

import itertools
import math
import os
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from types import TracebackType
from typing import final

import torch

from gradus.engine import choose
from gradus.errors import InputError
from gradus.runs.interrupt import OneInterrupt
from gradus.runs.spec import RunSpec
from gradus.runs.train import prepare
from gradus.sweep.library import HELD, Held, Library
from gradus.sweep.messages import (
    Damaged,
    Data,
    Ended,
    Forget,
    Order,
    Ready,
    Refused,
    Stop,
    Task,
    Together,
    Under,
    Word,
)
from gradus.sweep.result import Result
from gradus.sweep.store import Store, best_row, listed
from gradus.sweep.work import Piece, Work

COMMIT_SECONDS = 0.5
"""Between two commits, at least."""

COMMIT_SHARE = 0.1
"""Of the time, at most, goes into commits: a store that grows is written less often."""

AHEAD_SECONDS = 0.25
"""So much work is sent to a worker ahead, that it never waits for the next run."""

MOST_AHEAD = 64

MOST_TOGETHER = 1024
"""Runs of one block."""

DEATHS = 3
"""How often a worker may die of one run that gets nowhere."""

START = (
    "import sys; sys.path[:] = {path!r}; from gradus.sweep.worker import main; main({fd}, {to!r})"
)


@dataclass(frozen=True)
class Standing:
    """Where a sweep stands, told a few times a second.

    Attributes:
        counts: runs by how they ended, those of earlier times among them.
        total: of runs, as far as it is known.
        under_way: what is known of the runs in training, by worker.
        best: the best run so far with its test loss and accuracy.
        samples_per_second: examples trained, over the last seconds.
        seconds_left: until the end; NaN where it is not known.
    """

    counts: Counter[str]
    total: int
    under_way: tuple[tuple[RunSpec, Under | None], ...]
    best: tuple[RunSpec, float, float | None] | None
    runs_per_second: float
    samples_per_second: float
    seconds_left: float


Observer = Callable[[Standing], None]


def train_all(
    begin: Callable[[], Work],
    store: Store,
    library: Library,
    *,
    workers: int,
    total: int,
    observe: Observer = lambda standing: None,
    tell: Callable[[str], None] = lambda message: None,
) -> bool:
    """Train all of the work and keep it in the store; False where it was interrupted.

    Every worker is a process that trains one run at a time on one thread. Where one is killed, its
    runs go to others and go on from their checkpoints. What has ended is written at once where
    nothing was written for half a second, else within that time.

    Args:
        begin: gives what is to be trained; called while the workers start.
        store: where it is kept.
        library: the data.
        workers: how many processes.
        total: how many runs the sweep has, for the observer.
        observe: told where the sweep stands.
        tell: told, in one line, of what was damaged or died and is made good.

    Raises:
        InputError: a run cannot be trained, or a file not be written; what has ended is kept.
        RuntimeError: a worker failed.
    """
    with OneInterrupt() as interrupts, _Schedule(
        begin, store, library, workers, total, observe, tell
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


@dataclass(eq=False)
class _Worker:
    """A worker as seen from here.

    Attributes:
        pieces: sent and not heard of, in this order.
        held: the data that it has.
        under: the last word on the run under way.
    """

    process: subprocess.Popen[bytes]
    connection: Connection[Order, Word]
    pieces: deque[Piece] = field(default_factory=deque)
    held: deque[int] = field(default_factory=lambda: deque())
    under: Under | None = None
    ready: bool = False

    def send(self, pieces: Sequence[Piece], data: Sequence[Held]) -> None:
        """Have a piece, or several as one block, trained after what was sent before."""
        for each in data:
            if each.number in self.held:
                continue
            shared = each.shared
            self.connection.send(Data(each.number, shared.size, shared.split))
            with socket.socket(fileno=os.dup(self.connection.fileno())) as end:
                socket.send_fds(end, [b"."], [shared.descriptor])
            self.held.append(each.number)
        tasks = [
            Task(piece.run, piece.spec, each.number, piece.until)
            for piece, each in zip(pieces, data, strict=True)
        ]
        self.connection.send(tasks[0] if len(tasks) == 1 else Together(tuple(tasks)))
        while len(self.held) > HELD:
            # Orders are followed one after another: what was sent before still has its data.
            self.connection.send(Forget(self.held.popleft()))
        self.pieces.extend(pieces)


@final
class _Schedule:
    def __init__(
        self,
        begin: Callable[[], Work],
        store: Store,
        library: Library,
        workers: int,
        total: int,
        observe: Observer,
        tell: Callable[[str], None],
    ) -> None:
        self.begin, self.store, self.library = begin, store, library
        self.observe, self.tell, self.total = observe, tell, total
        self.checkpoints = store.folder / "checkpoints"
        self.ended: list[Result] = []
        self.committed = -math.inf
        self.pause = COMMIT_SECONDS
        self.deaths: Counter[str] = Counter()
        self.steps_at_death: dict[str, int] = {}
        self.alone: set[str] = set()
        self.together: dict[Hashable, bool] = {}
        self.died_at_start = 0
        self.given_up: list[str] = []
        self.refusal: Refused | None = None
        self.pace = _Pace(store)
        self.wanted = workers
        self.workers: list[_Worker] = []

    def __enter__(self) -> _Schedule:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for worker in self.workers:
            worker.connection.close()
        for worker in self.workers:
            try:
                worker.process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()

    def run(self) -> None:
        """Until there is nothing left to do."""
        self.workers = [self._started() for _ in range(self.wanted)]
        self.work = self.begin()
        while True:
            for worker in list(self.workers):
                self._fill(worker)
            self._commit()
            self.observe(self._standing())
            if not any(worker.pieces for worker in self.workers):
                break
            self._listen(timeout=self._patience())
            if self.refusal is not None:
                raise self._refused(self.refusal)
        self._commit(at_once=True)
        self.observe(self._standing())
        if self.given_up:
            raise InputError(self.given_up[0])

    def stop(self) -> None:
        """Take what has ended, and keep it; runs under way are left at their checkpoints."""
        for worker in self.workers:
            try:
                worker.connection.send(Stop())
            except OSError:
                continue
        until = time.monotonic() + 2
        listening = {worker.connection: worker for worker in self.workers}
        while listening and (left := until - time.monotonic()) > 0:
            for connection in wait(list(listening), left):
                worker = listening[connection]  # type: ignore[index]
                try:
                    self._heard(worker, worker.connection.recv())
                except (EOFError, OSError):
                    del listening[worker.connection]
        self._commit(at_once=True)

    def _started(self) -> _Worker:
        ours, theirs = Pipe()
        to = str(self.store.folder.resolve())
        code = START.format(path=[p or os.getcwd() for p in sys.path], fd=theirs.fileno(), to=to)
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            # Threads of several processes that wait for each other are slow.
            env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            # A terminal sends Ctrl-C to the group in front: workers end when they are told to.
            process_group=0,
        )
        theirs.close()
        return _Worker(process, ours)

    def _fill(self, worker: _Worker) -> None:
        """Send a worker what it may begin with before it is heard of again."""
        ahead = self._ahead(worker)
        while len(worker.pieces) < ahead:
            pieces = self.work.take(1)
            if not pieces:
                return
            piece = pieces[0]
            # Whose fault a death is has to be plain.
            if piece.run in self.alone and worker.pieces:
                self.work.give_back(piece)
                return
            pieces, data = self._block(piece)
            try:
                worker.send(pieces, data)
            except OSError:
                for each in reversed(pieces):
                    self.work.give_back(each)
                self._lost(worker)
                return
            if piece.run in self.alone:
                return

    def _block(self, piece: Piece) -> tuple[list[Piece], list[Held]]:
        """The piece, with those that are trained as one block with it, and the data of each."""
        pieces, data = [piece], [self.library.data_of(piece.spec)]
        fair = math.ceil((1 + self.work.left) / len(self.workers))
        while len(pieces) < min(fair, MOST_TOGETHER) and self._goes_with_others(piece):
            following = self.work.take(1)
            if not following:
                break
            held = self.library.data_of(following[0].spec)
            numbers = {each.number for each in (*data, held)}
            if not self._goes_with_others(following[0]) or len(numbers) > HELD:
                self.work.give_back(following[0])
                break
            pieces += following
            data.append(held)
        return pieces, data

    def _goes_with_others(self, piece: Piece) -> bool:
        """Whether the run is trained in one block with others; known of runs like it."""
        if piece.until is not None:  # a block does not pause
            return False
        spec, key = piece.spec, kind_of(piece.spec)
        if key not in self.together:
            with torch.random.fork_rng(devices=[]):
                job = prepare(spec, self.library.data_of(spec).split)
            self.together[key] = choose.goes_with_others(spec.engine, job)
        return self.together[key]

    def _ahead(self, worker: _Worker) -> int:
        if any(piece.run in self.alone for piece in worker.pieces):
            return 0
        seconds = self.pace.seconds_of_a_run
        if not worker.ready or math.isnan(seconds):
            return 1
        fair = math.ceil(self.work.left / len(self.workers))
        return max(1, min(MOST_AHEAD, int(AHEAD_SECONDS / max(seconds, 1e-6)), fair))

    def _listen(self, timeout: float) -> None:
        """Hear what workers have to say."""
        by_connection = {worker.connection: worker for worker in self.workers}
        for connection in wait(list(by_connection), timeout):
            worker = by_connection[connection]  # type: ignore[index]
            try:
                self._heard(worker, worker.connection.recv())
                while worker.connection.poll():
                    self._heard(worker, worker.connection.recv())
            except (EOFError, OSError):
                self._lost(worker)

    def _heard(self, worker: _Worker, word: Word) -> None:
        match word:
            case Ready():
                worker.ready, self.died_at_start = True, 0
            case Under():
                worker.under = word
                self.pace.under_way(word)
            case Damaged():
                self.tell(word.message)
            case Refused():
                self.refusal = word
            case Ended():
                for result in word.results:
                    piece = worker.pieces.popleft()
                    self.pace.ended(result, self.work.costs[piece.run])
                    ended = self.work.told(piece, result)
                    self.pace.counts.update(each.status for each in ended)
                    self.ended += ended
                    self.alone.discard(piece.run)

    def _lost(self, worker: _Worker) -> None:
        """A worker has died: others take its runs, which go on from their checkpoints."""
        self.workers.remove(worker)
        worker.connection.close()
        code = worker.process.wait()
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        if not worker.ready:
            self.died_at_start += 1
            if self.died_at_start >= DEATHS:
                raise RuntimeError(f"workers cannot start: the last {how}; see what it wrote above")
        if worker.pieces:
            self._blame(worker, how)
        for piece in reversed(worker.pieces):
            self.alone.add(piece.run)
            self.work.give_back(piece)
        self.workers.append(self._started())

    def _blame(self, worker: _Worker, how: str) -> None:
        """Give a run up that workers die of again and again without getting any further."""
        piece = worker.pieces[0]
        title = piece.spec.title
        if piece.run in self.alone:
            steps = worker.under.step if worker.under and worker.under.run == piece.run else 0
            if steps > self.steps_at_death.get(piece.run, 0):
                self.deaths[piece.run] = 0
            self.steps_at_death[piece.run] = steps
            self.deaths[piece.run] += 1
        if self.deaths[piece.run] >= DEATHS:
            worker.pieces.popleft()
            self.given_up.append(
                f"run {piece.run} ({title}): its worker {how}, {DEATHS} times (out of memory?); "
                f"the others are kept: go on with --resume {self.store.folder.name}"
            )
            return
        self.tell(f"a worker {how}: {title} goes on in another")

    def _commit(self, *, at_once: bool = False) -> None:
        """Write what has ended, if that is due."""
        began = time.monotonic()
        if not self.ended or not (at_once or began - self.committed >= self.pause):
            return
        self.store.add(self.ended)
        for result in self.ended:
            shutil.rmtree(self.checkpoints / result.run, ignore_errors=True)
        self.ended = []
        self.committed = time.monotonic()
        self.pause = max(COMMIT_SECONDS, (self.committed - began) / COMMIT_SHARE)

    def _patience(self) -> float:
        """Until something is to be done although nobody says anything."""
        if not self.ended:
            return COMMIT_SECONDS
        return max(0.0, self.committed + self.pause - time.monotonic())

    def _refused(self, refusal: Refused) -> Exception:
        if not refusal.wrong:
            return RuntimeError(f"run {refusal.run} failed in its worker:\n{refusal.message}")
        name = self.store.folder.name
        return InputError(
            f"{refusal.message} (run {refusal.run}; what has ended is kept: go on with "
            f"--resume {name})"
        )

    def _standing(self) -> Standing:
        under_way = [
            (worker.pieces[0].spec, worker.under if worker.under
             and worker.under.run == worker.pieces[0].run else None)
            for worker in self.workers
            if worker.pieces
        ]  # fmt: skip
        sent = [self.work.costs[piece.run] for worker in self.workers for piece in worker.pieces]
        return self.pace.standing(
            self.total, tuple(under_way), self.work.cost_left, sum(sent), len(self.workers)
        )


@final
class _Pace:
    """How fast it goes, and how well."""

    def __init__(self, store: Store) -> None:
        self.counts = Counter(listed(store.runs, "status"))
        self.best = _best_of(store)
        self.began = time.monotonic()
        self.cost = self.seconds = 0.0
        self.runs = 0
        self.samples: Counter[str] = Counter()

    @property
    def seconds_of_a_run(self) -> float:
        return self.seconds / self.runs if self.runs else math.nan

    def under_way(self, under: Under) -> None:
        self.samples[under.run] = under.samples

    def ended(self, result: Result, cost: float) -> None:
        self.runs += 1
        self.cost += cost
        self.seconds += result.train_seconds
        self.samples[result.run] = result.samples
        if result.status in ("finished", "paused", "stopped") and result.epochs_trained:
            loss = float(result.evaluation["test_loss"][-1])
            accuracy = float(result.evaluation["test_accuracy"][-1])
            if self.best is None or loss < self.best[1]:
                self.best = result.spec, loss, None if math.isnan(accuracy) else accuracy

    def standing(
        self,
        total: int,
        under_way: tuple[tuple[RunSpec, Under | None], ...],
        waiting: float,
        sent: float,
        workers: int,
    ) -> Standing:
        elapsed = time.monotonic() - self.began
        left = math.nan
        if self.cost:
            left = (waiting + sent) * elapsed / self.cost
        return Standing(
            counts=Counter(self.counts),
            total=total,
            under_way=under_way,
            best=self.best,
            runs_per_second=self.runs / elapsed if elapsed else math.nan,
            samples_per_second=self.samples.total() / elapsed if elapsed else math.nan,
            seconds_left=left,
        )


def _best_of(store: Store) -> tuple[RunSpec, float, float | None] | None:
    found = best_row(store.runs, "test_loss")
    if found is None:
        return None
    return RunSpec.model_validate_json(found["spec"]), found["test_loss"], found["test_accuracy"]


def cost_of(spec: RunSpec, held: Held) -> float:
    """About how many seconds a run takes: only the order and the ratios are used."""
    split = held.split
    examples = len(split.train)
    size = examples if spec.sampling == "full" else min(spec.batch_size or 1, examples)
    widths = [math.prod(split.train.input_shape), *(spec.hidden or ()), split.train.outputs]
    parameters = sum(before * after for before, after in itertools.pairwise(widths))
    step = 2e-5 + parameters * (2e-10 + 6e-11 * size)
    return spec.epochs * math.ceil(examples / size) * step


def check(runs: list[RunSpec], library: Library) -> None:
    """Prepare one run of every kind, so that what is wrong is said before anything is trained.

    Raises:
        InputError: a run cannot be trained.
    """
    seen = set()
    for spec in runs:
        if kind_of(spec) in seen:
            continue
        seen.add(kind_of(spec))
        with torch.random.fork_rng(devices=[]):
            choose.chosen(spec.engine, prepare(spec, library.data_of(spec).split))


def kind_of(spec: RunSpec) -> Hashable:
    """What decides whether and by which engine a run can be trained."""
    return (
        spec.data, spec.target, spec.loss, spec.model, spec.hidden, spec.sampling,
        spec.batch_size, spec.engine, spec.device, spec.dtype, spec.method, spec.penalty,
        spec.proximal,
    )  # fmt: skip
