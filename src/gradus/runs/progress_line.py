"""How a run goes as a line of text, for whoever has no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable

from gradus.engine.job import Job, Progress, Report
from gradus.formatting import duration, number


def paced(every: float) -> Callable[[bool], bool]:
    """A function that says whether a line is due: so many seconds after another, or as the last.

    Example:
        >>> due = paced(3600.0)
        >>> due(False), due(True)
        (False, True)
    """
    told = time.perf_counter()

    def due(last: bool) -> bool:
        nonlocal told
        now = time.perf_counter()
        if now - told < every and not last:
            return False
        told = now
        return True

    return due


def progress_line(job: Job, show: Callable[[str], object], every: float) -> Report:
    """What is told of every step, and shows a line of it now and then.

    Args:
        job: what is run.
        show: a line.
        every: seconds between two of them; that of the last step is shown in any case.
    """
    steps = job.steps * job.nets
    started, due = time.perf_counter(), paced(every)

    def report(progress: Progress) -> None:
        if not due(progress.step == steps and progress.evaluation is not None):
            return
        now = time.perf_counter()
        left = (now - started) * (steps - progress.step) / (progress.step - progress.since)
        parts = [
            f"epoch {progress.epoch}/{job.epochs}",
            f"loss {number(progress.loss)}",
            f"{progress.samples_since / (now - started):,.0f} samples/s",
            f"{duration(left)} left",
        ]
        if progress.evaluation is not None:
            found = progress.evaluation
            part = "test" if found.validation_loss is None else "validation"
            parts.insert(2, f"{part} loss {number(getattr(found, f'{part}_loss'))}")
        show("  ".join(parts))

    return report
