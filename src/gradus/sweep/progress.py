"""How far a sweep is, how fast it goes, and its best run so far."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

from gradus.formatting import duration, number
from gradus.notebook import LINE_EVERY, cell_line
from gradus.runs.progress_line import paced
from gradus.runs.selection import column_of
from gradus.runs.spec import RunSpec
from gradus.sweep.measures import FINISHED
from gradus.sweep.messages import Heartbeat
from gradus.sweep.result import Result, worths
from gradus.sweep.store import Store, best_row, listed


@dataclass(frozen=True)
class SweepProgress:
    """The progress of a sweep.

    Attributes:
        counts: how many runs have ended, by status, those of earlier calls included.
        total: how many runs the sweep has.
        under_way: the run that each worker trains, with its last heartbeat.
        best: the best run so far by the measure, with its loss and accuracy on that part.
        runs_per_second: runs ended in this call, over its time.
        samples_per_second: examples trained in this call, over its time.
        seconds_left: an estimate; NaN before the first run has ended.
    """

    counts: Counter[str]
    total: int
    under_way: tuple[tuple[RunSpec, Heartbeat | None], ...]
    best: tuple[RunSpec, float, float | None] | None
    runs_per_second: float
    samples_per_second: float
    seconds_left: float


Observer = Callable[[SweepProgress], None]

ENDED = ("finished", "failed", "diverged", "stopped", "pruned")
"""How runs end, in the order in which they are counted."""


def observer(given: Observer | None) -> Observer:
    """Who is told of a sweep: who is given; else, in a notebook, the line below the cell."""
    line = cell_line() if given is None else None
    if line is None:
        return given or (lambda progress: None)
    due = paced(LINE_EVERY)

    def observe(progress: SweepProgress) -> None:
        if due(sum(progress.counts.values()) == progress.total):
            line("  ".join(words_of(progress)))

    return observe


def words_of(progress: SweepProgress) -> list[str]:
    """How many runs have ended, and how; how fast it goes; and the best of them."""
    ended = sum(progress.counts[status] for status in ENDED)
    parts = [f"{ended:,} of {progress.total:,} runs"]
    parts += [
        f"{progress.counts[status]:,} {status}"
        for status in ENDED[1:]
        if progress.counts[status]
    ]  # fmt: skip
    if progress.samples_per_second > 0:
        parts.append(f"{progress.samples_per_second:,.0f} samples/s")
    if progress.seconds_left == progress.seconds_left:
        parts.append(f"{duration(progress.seconds_left)} left")
    if progress.best is not None:
        spec, loss, accuracy = progress.best
        share = "" if accuracy is None else f", {100 * accuracy:.2f} %"
        parts.append(f"best {number(loss)}{share} ({spec.title})")
    return parts


@final
class Throughput:
    """Counts what has ended and measures how fast.

    Args:
        store: of the sweep, with the runs of earlier calls.
    """

    def __init__(self, store: Store) -> None:
        self.counts = Counter(listed(store.runs, "status"))
        self.best = _best_of(store)
        statuses = listed(store.runs, "status")
        known = [
            worth
            for worth, status in zip(worths(store.runs), statuses, strict=True)
            if worth is not None and status == FINISHED
        ]
        self.worth = min(known, default=math.inf)
        self.began = time.monotonic()
        self.cost = self.seconds = 0.0
        self.runs = 0
        self.samples: Counter[str] = Counter()

    @property
    def seconds_per_run(self) -> float:
        """The mean training time of a run; NaN before the first has ended."""
        return self.seconds / self.runs if self.runs else math.nan

    def heartbeat(self, beat: Heartbeat) -> None:
        """Note how far a run is."""
        self.samples[beat.run] = beat.samples

    def ended(self, result: Result, cost: float) -> None:
        """Note the result of a run, or of a part of it."""
        self.runs += 1
        self.cost += cost
        self.seconds += result.train_seconds
        self.samples[result.run] = result.samples
        if result.status in (FINISHED, "paused") and result.epochs_trained:
            worth = result.worth
            if worth is not None and worth < self.worth:
                self.worth = worth
                self.best = result.resolved, *figures_of(result.spec, result.evaluation, -1)

    def progress(
        self,
        total: int,
        under_way: tuple[tuple[RunSpec, Heartbeat | None], ...],
        waiting: float,
        sent: float,
        workers: int,
    ) -> SweepProgress:
        """The progress now; ``waiting`` and ``sent`` are costs of runs still to be trained."""
        elapsed = time.monotonic() - self.began
        left = math.nan
        if self.cost:
            left = (waiting + sent) * elapsed / self.cost
        return SweepProgress(
            counts=Counter(self.counts),
            total=total,
            under_way=under_way,
            best=self.best,
            runs_per_second=self.runs / elapsed if elapsed else math.nan,
            samples_per_second=self.samples.total() / elapsed if elapsed else math.nan,
            seconds_left=left,
        )


def _best_of(store: Store) -> tuple[RunSpec, float, float | None] | None:
    measures = listed(store.runs, "measure")
    found = best_row(store.runs, column_of(measures[0])) if measures else None
    if found is None:
        return None
    spec = RunSpec.model_validate_json(found["spec"])
    return spec, *figures_of(spec, {name: [value] for name, value in found.items()}, 0)


def figures_of(spec: RunSpec, columns: Mapping[str, Any], at: int) -> tuple[float, float | None]:
    """The loss and the accuracy on the part that the measure of a run is taken on."""
    part = (spec.measure or "validation-loss").partition("-")[0]
    accuracy = columns[f"{part}_accuracy"][at] if f"{part}_accuracy" in columns else None
    known = None if accuracy is None or math.isnan(accuracy) else float(accuracy)
    return float(columns[f"{part}_loss"][at]), known
