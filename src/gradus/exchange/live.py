"""A run in trackers while it is under way: each is told by a thread of its own."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from time import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, final

from gradus.engine.job import Evaluation, Row
from gradus.errors import InputError, quoted, reason
from gradus.exchange.tracked import (
    OF_HISTORY,
    PLACES,
    End,
    Options,
    Point,
    Session,
    label,
    options_of,
    steps_after,
    tracked,
)
from gradus.runs.record_tables import figures_after

if TYPE_CHECKING:
    from gradus.engine.selection import Selection
    from gradus.runs.callbacks import Underway
    from gradus.runs.record import Run

SECONDS = 1.0
"""Between two times that a tracker is told."""

PATIENCE = 30.0
"""Seconds that a run which has ended waits for its trackers."""

EVENTS = "tensorboard"
"""The folder of the event files, in that of the record."""

Opens = Callable[[str, Options], Session]
"""Opens the session of a run by its name and its options."""


@final
class Tracking:
    """Tells trackers of a run as it goes: a callback of the run, and a block around it.

    Rows are handed over to a thread a tracker, which tells it once a second: neither a slow tracker
    nor one that fails holds the run up. One that fails is told no more, which one line says. Of
    several nets the curves are those of the first, as in the record.

    Args:
        places: each tracker by name, with where it writes; None: `place_of` says where.
        out: the folder of the record, if it has one.
        tell: told in a line of a tracker that fails.

    Raises:
        InputError: there is no such tracker, its client is not installed, or it has no place.
    """

    def __init__(
        self,
        places: Mapping[str, str | os.PathLike[str] | None],
        out: Path | None,
        tell: Callable[[str], None],
    ) -> None:
        self.out, self.tell = out, tell
        self.seen: dict[str, str] = {}
        """How what each writes is looked at."""
        self.followers = {name: _Follower(self._opens(name, at)) for name, at in places.items()}
        self._begun = False
        self._first: Underway | None = None
        """The run under way: of several nets, the first."""
        self._told: set[str] = set()
        self._last_row = -1
        """The step of the last row of the history that was handed over."""
        self._handed_over: set[tuple[str, int]] = set()
        """Which figures of epochs were: their names and steps."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """A run that an error ended is told as failed."""
        if self._first is not None:
            status = "interrupted" if kind is KeyboardInterrupt else "failed"
            self._end(End(status, {}, self._first.step, None))

    def on_start(self, run: Underway) -> None:
        """Open the sessions, and tell them what a run that goes on had recorded."""
        if self._begun:
            return
        self._begun, self._first = True, run
        name = run.spec.title if self.out is None else self.out.resolve().name
        options = options_of(run.spec)
        for follower in self.followers.values():
            follower.begin(name, options)
        self._hand_over(_before(run))

    def on_row(self, run: Underway) -> None:
        """Hand over a row of the history."""
        if run is self._first and run.row is not None:
            self._hand_over(_of_row(run.row))

    def on_epoch(self, run: Underway) -> None:
        """Hand over what is known after an epoch."""
        if run is self._first and run.evaluation is not None:
            self._hand_over(_of_evaluation(run.evaluation, run.step, run.selection))

    def on_end(self, run: Run) -> None:
        """Hand over what became known at the end alone, and wait until all is written."""
        whole = tracked(run)
        self._hand_over(point for point in whole.points if not self._is_handed_over(point))
        self._end(whole.end)

    def _hand_over(self, points: Iterable[Point]) -> None:
        found = list(points)
        self._handed_over.update(point[:2] for point in found if point.name not in OF_HISTORY)
        rows = (point.step for point in found if point.name in OF_HISTORY)
        self._last_row = max(rows, default=self._last_row)
        for follower in self.followers.values():
            if follower.failure is None:
                follower.waiting.extend(found)
        self._tell_of_failures()

    def _is_handed_over(self, point: Point) -> bool:
        if point.name in OF_HISTORY:
            return point.step <= self._last_row
        return point[:2] in self._handed_over

    def _end(self, end: End) -> None:
        self._first = None  # it holds the network of the engine
        for follower in self.followers.values():
            follower.finish(end)
        waited_since = time()
        for name, follower in self.followers.items():
            if not follower.is_done(PATIENCE - (time() - waited_since)):
                self._tell(name, f"has not taken all within {PATIENCE:.0f} seconds")
        self._tell_of_failures()

    def _tell_of_failures(self) -> None:
        for name, follower in self.followers.items():
            if follower.failure is not None and name not in self._told:
                self._tell(name, f"follows no longer: {follower.failure}")

    def _tell(self, name: str, what: str) -> None:
        self._told.add(name)
        after = "" if self.out is None else f": gradus export {self.out} --to {name} writes it"
        self.tell(f"{name} {what}; the run is recorded all the same{after}")

    def _opens(self, name: str, at: str | os.PathLike[str] | None) -> Opens:
        """What opens the session of a tracker, once all is checked that can be."""
        if name not in TRACKERS:
            raise InputError(f"--track {quoted(name)}: choose {' | '.join(TRACKERS)}")
        import_module(f"gradus.exchange.{name}").check_installed(f"--track {name}")
        opens, self.seen[name] = TRACKERS[name](self.out, at)
        return opens


@final
class _Follower:
    """A thread that tells one tracker what is waiting for it.

    Args:
        opens: the session.
    """

    def __init__(self, opens: Opens) -> None:
        self.opens = opens
        self.waiting: deque[Point] = deque()
        self.failure: str | None = None
        self._end: End | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, name: str, options: Options) -> None:
        """Start to follow a run."""
        self._thread = threading.Thread(
            target=self._follow, args=(name, options), name=f"track {name}", daemon=True
        )
        self._thread.start()

    def finish(self, end: End) -> None:
        """The run has ended."""
        self._end = end
        self._ended.set()

    def is_done(self, seconds: float) -> bool:
        """Whether all is told, or it has failed, after so many seconds at most."""
        if self._thread is None:
            return True
        self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()

    def _follow(self, name: str, options: Options) -> None:
        try:
            session = self.opens(name, options)
            while not self._ended.wait(SECONDS):
                session.log(self._taken())
            session.log(self._taken())
            if self._end is not None:
                session.end(self._end)
        except Exception as error:
            self.failure = reason(error)

    def _taken(self) -> list[Point]:
        return [self.waiting.popleft() for _ in range(len(self.waiting))]


def _of_row(row: Row) -> Iterator[Point]:
    """Of a mini-batch, before its step."""
    now = time()
    for name in OF_HISTORY:
        yield Point(name, row.step, getattr(row, name), now)


def _of_evaluation(found: Evaluation, step: int, selection: Selection) -> Iterator[Point]:
    """Of an epoch that ended after so many steps."""
    now = time()
    for name, value in figures_after(found, selection).items():
        if value is not None and name not in PLACES:
            yield Point(label(name), step, value, now)


def _before(run: Underway) -> list[Point]:
    """What a run that goes on had recorded, in the order of its steps."""
    ends = steps_after(
        [each.samples for each in run.evaluations],
        [row.step for row in run.history],
        [row.samples for row in run.history],
        (run.step, run.samples),
    )
    found = [point for row in run.history for point in _of_row(row)]
    for each, step in zip(run.evaluations, ends.tolist(), strict=True):
        found += _of_evaluation(each, step, run.selection)
    return sorted(found, key=lambda point: point.step)


def _tensorboard(out: Path | None, at: Any) -> tuple[Opens, str]:
    from gradus.exchange import tensorboard

    if at is None and out is None:
        raise InputError(
            "--track tensorboard: has no folder to write into; give out=.., or "
            'track={"tensorboard": "logs/mine"}'
        )
    folder = (out or Path()) / EVENTS if at is None else Path(at)
    if at is not None:
        tensorboard.check_new(folder, "--track tensorboard:")

    def opens(name: str, options: Options) -> Session:
        for old in folder.glob("events.out.tfevents.*"):  # of a run before, or of its first part
            old.unlink()
        return tensorboard.Session(folder, options)

    return opens, f"tensorboard --logdir {folder}"


def _mlflow(out: Path | None, at: Any) -> tuple[Opens, str]:
    from gradus.exchange import mlflow

    uri = os.environ.get("MLFLOW_TRACKING_URI") if at is None else None
    if uri is None:
        uri = f"sqlite:///{Path('mlflow.db' if at is None else at).resolve()}"

    def opens(name: str, options: Options) -> Session:
        client = mlflow.client_of(uri)
        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", mlflow.EXPERIMENT)
        return mlflow.Session(client, mlflow.experiment_of(client, experiment), name, options)

    return opens, f"mlflow ui --backend-store-uri {uri}"


def _wandb(out: Path | None, at: Any) -> tuple[Opens, str]:
    from gradus.exchange import wandb

    folder = Path(os.environ.get("WANDB_DIR", ".") if at is None else at)
    mode: Any = os.environ.get("WANDB_MODE", "offline")
    opens = partial(wandb.Session, folder, mode=mode)
    return opens, f"wandb sync {folder}/wandb/offline-run-*"


TRACKERS: dict[str, Callable[[Path | None, Any], tuple[Opens, str]]] = {
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
    "wandb": _wandb,
}
"""Each tracker, with what makes what opens its sessions, and how what it writes is looked at."""
