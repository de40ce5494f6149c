"""What a tracker of experiments is told of a run: its options, its curves, and its figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from gradus.runs.record import Run
from gradus.runs.recorded import RecordedRun
from gradus.runs.spec import RunSpec
from gradus.sweep.comparison import options_of_loop
from gradus.sweep.groups import OWN
from gradus.sweep.measures import MEASURES
from gradus.sweep.result import OPTIONS, option_columns
from gradus.sweep.sweep import Sweep

PLACES = ("run", "step", "samples", "epoch", "work", "seconds", "net")
"""Columns that say where a row stands."""

OF_HISTORY = ("loss", "lr")
"""What is known of a batch; all else is known after an epoch."""

EVALUATION = "evaluation/"
"""Before what is known after each epoch."""

FINAL = "final/"
"""Before the figures of the parameters that a run left."""

Options = dict[str, bool | int | float | str]
Numbers = NDArray[np.float64]


class Point(NamedTuple):
    """A number of a run, as trackers take it.

    Attributes:
        name: under which it stands.
        step: after so many updates; of a mini-batch, before the next.
        value: it.
        moment: when it was known, in seconds since 1970; None: now.
    """

    name: str
    step: int
    value: float
    moment: float | None


class Session(Protocol):
    """A run in a tracker: it is told all that is known of it, and then how it ended."""

    def log(self, points: Iterable[Point]) -> None:
        """Take numbers whose steps do not fall."""

    def end(self, end: End) -> None:
        """Take how the run ended; nothing follows."""


class End(NamedTuple):
    """How a run ended.

    Attributes:
        status: of it.
        figures: of the parameters that it left, by name.
        step: it took so many.
        moment: when, in seconds since 1970; None: now.
    """

    status: str
    figures: Mapping[str, float]
    step: int
    moment: float | None

    @property
    def points(self) -> list[Point]:
        """The figures as trackers take them."""
        return [Point(f"{FINAL}{n}", self.step, v, self.moment) for n, v in self.figures.items()]


@dataclass(frozen=True, eq=False)
class Curve:
    """How something changed.

    Attributes:
        name: of it.
        steps: ``[n]``, after so many updates; of the history, before the next.
        values: ``[n]``.
    """

    name: str
    steps: NDArray[np.int64]
    values: Numbers

    @property
    def label(self) -> str:
        """Its name in a tracker."""
        return label(self.name)


@dataclass(frozen=True, eq=False)
class Tracked:
    """A run as trackers know runs.

    Attributes:
        name: of its folder, or its id in a sweep.
        options: by name: those that it has.
        figures: of the parameters that it left, by name.
        curves: the mini-batch loss and the learning rate, and what is known after each epoch.
        status: how it ended.
        steps: that it took.
        began: seconds since 1970, where they were recorded.
        seconds: of training.
    """

    name: str
    options: Options
    figures: dict[str, float]
    curves: tuple[Curve, ...]
    status: str
    steps: int
    began: float | None
    seconds: float

    def moment(self, step: int) -> float | None:
        """When a step was taken, at the mean pace of the run; None where nobody knows."""
        if self.began is None:
            return None
        return self.began + self.seconds * step / max(1, self.steps)

    @property
    def points(self) -> list[Point]:
        """All that is known on the way, in the order of its steps."""
        found = [
            Point(curve.label, step, value, self.moment(step))
            for curve in self.curves
            for step, value in zip(curve.steps.tolist(), curve.values.tolist(), strict=True)
        ]
        return sorted(found, key=lambda point: point.step)

    @property
    def end(self) -> End:
        """How it ended."""
        return End(self.status, self.figures, self.steps, self.moment(self.steps))

    def write(self, session: Session) -> None:
        """Tell a tracker all of it."""
        session.log(self.points)
        session.end(self.end)


def label(name: str) -> str:
    """What a number is called in a tracker.

    Example:
        >>> label("loss"), label("test_loss")
        ('loss', 'evaluation/test_loss')
    """
    return name if name in OF_HISTORY else f"{EVALUATION}{name}"


def options_of(spec: RunSpec) -> Options:
    """The options of a run, by name."""
    return _given(option_columns(spec, spec.loss))


def tracked(run: Run) -> Tracked:
    """A run as trackers know runs.

    Example:
        >>> import gradus
        >>> from gradus.exchange.tracked import tracked
        >>> found = tracked(gradus.train(gradus.RunSpec(model="linear", epochs=1)))
        >>> found.options["lr"], [curve.name for curve in found.curves][:3]
        (0.001, ['loss', 'lr', 'running_train_loss'])
    """
    summary = run.summary
    loop, final = isinstance(run, RecordedRun), summary["final"] or {}
    return Tracked(
        name=run.title if run.folder is None else run.folder.resolve().name,
        options=_given(options_of_loop(run)) if loop else options_of(run.spec),
        figures={n: v for n, v in final.items() if n not in PLACES and v is not None},
        curves=tuple(_curves(run.history, run.evaluation, summary["samples"], summary["steps"])),
        status=run.status,
        steps=summary["steps"],
        began=_seconds(summary.get("started")),
        seconds=summary["timings"]["train_seconds"],
    )


def tracked_sweep(sweep: Sweep) -> Iterator[Tracked]:
    """The runs of a sweep that have ended, one after another."""
    histories, evaluations = _by_run(sweep.history), _by_run(sweep.evaluation)
    for row in sweep.runs.to_pylist():
        name = row["run"]
        samples, steps = row["samples"] or 0, row["steps"] or 0
        yield Tracked(
            name=name,
            options=_given({option: row.get(option) for option in OPTIONS}),
            figures={n: row[n] for n in MEASURES if row.get(n) is not None},
            curves=tuple(_curves(histories[name], evaluations[name], samples, steps)),
            status=row["status"],
            steps=steps,
            began=None,
            seconds=row["train_seconds"] or 0.0,
        )


def _given(options: Mapping[str, Any]) -> Options:
    """The options that a run has, of which trackers know numbers and texts."""
    return {
        name.removeprefix(OWN): ",".join(map(str, v)) if isinstance(v, list | tuple) else v
        for name, v in options.items()
        if v is not None and v != "" and v != []
    }


def _curves(history: pa.Table, evaluation: pa.Table, samples: int, steps: int) -> Iterator[Curve]:
    at = history["step"].to_numpy()
    for name in OF_HISTORY:
        yield from _curve(name, at, history[name])
    ends = evaluation["samples"].to_numpy()
    there = steps_after(ends, at, history["samples"].to_numpy(), (steps, samples))
    for name in evaluation.column_names:
        if name not in PLACES:
            yield from _curve(name, there, evaluation[name])


def steps_after(
    samples: ArrayLike, steps: ArrayLike, consumed: ArrayLike, now: tuple[int, int]
) -> NDArray[np.int64]:
    """How many steps it took to consume so many examples, at the end of an epoch.

    As many as came before the next row, for the first batch of every epoch has one; after the last
    row in proportion.

    Args:
        samples: ``[n]``, of which that is asked.
        steps: ``[rows]``, before the step of each row of a history.
        consumed: ``[rows]``, examples after it.
        now: how many steps and examples there are in all.

    Example:
        >>> steps_after([65, 130], [0, 2], [64, 129], now=(4, 130))
        array([2, 4])
    """
    taken, seen = np.asarray(steps, np.int64), np.asarray(consumed, np.int64)
    asked = np.asarray(samples, np.int64)
    last = (int(taken[-1]) + 1, int(seen[-1])) if len(taken) else (0, 0)
    ends: Numbers = np.interp(asked, [last[1], max(now[1], 1)], [last[0], now[0]])
    following = np.searchsorted(seen, asked, side="right")
    before = np.append(taken, 0)[following]
    return np.where(following < len(taken), before, np.rint(ends).astype(np.int64))


def _curve(name: str, steps: NDArray[np.int64], column: Any) -> Iterator[Curve]:
    """The values of a column that are there."""
    values = np.asarray(column.to_numpy(), np.float64)
    there = np.asarray(column.is_valid().to_numpy(), np.bool_)
    if there.any():
        yield Curve(name, steps[there], values[there])


def _by_run(table: pa.Table) -> defaultdict[str, pa.Table]:
    """The rows of each run; of one without rows, none."""
    names = np.asarray(table["run"].to_pylist(), dtype=np.str_)
    order = np.argsort(names, kind="stable")
    found, starts = np.unique(names[order], return_index=True)
    ends = np.append(starts[1:], len(names))
    rows, none = table.take(order), table.slice(0, 0)
    pieces = zip(found.tolist(), starts.tolist(), ends.tolist(), strict=False)
    return defaultdict(
        lambda: none, {n: rows.slice(start, end - start) for n, start, end in pieces}
    )


def _seconds(started: str | None) -> float | None:
    if started is None:
        return None
    return datetime.fromisoformat(started).timestamp()
