"""What a tracker of experiments is told of a run: its options, its curves, and its figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gradus.runs.record import Run
from gradus.runs.recorded import RecordedRun
from gradus.sweep.comparison import options_of_loop
from gradus.sweep.groups import OWN
from gradus.sweep.measures import MEASURES
from gradus.sweep.result import OPTIONS, option_columns
from gradus.sweep.sweep import Sweep

PLACES = ("run", "step", "samples", "epoch", "work", "seconds", "net")
"""Columns that say where a row stands."""

OF_HISTORY = ("loss", "lr")
"""What is known of a batch; all else is known after an epoch."""

Numbers = NDArray[np.float64]


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
    def of_history(self) -> bool:
        """Whether it has a row a logged batch, not one an epoch."""
        return self.name in OF_HISTORY


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
    options: dict[str, bool | int | float | str]
    figures: dict[str, float]
    curves: tuple[Curve, ...]
    status: str
    steps: int
    began: float | None
    seconds: float


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
    if isinstance(run, RecordedRun):
        options = options_of_loop(run)
    else:
        options = option_columns(run.spec, run.spec.loss)
    final = summary["final"] or {}
    return Tracked(
        name=run.title if run.folder is None else run.folder.resolve().name,
        options=_given(options),
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


def _given(options: Mapping[str, Any]) -> dict[str, bool | int | float | str]:
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
    # After an epoch so many examples were consumed: in as many steps as the rows around say.
    consumed = np.concatenate([[0], history["samples"].to_numpy(), [max(samples, 1)]])
    taken = np.concatenate([[0], at + 1, [steps]])
    there = np.interp(evaluation["samples"].to_numpy(), consumed, taken)
    for name in evaluation.column_names:
        if name not in PLACES:
            yield from _curve(name, np.rint(there).astype(np.int64), evaluation[name])


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
