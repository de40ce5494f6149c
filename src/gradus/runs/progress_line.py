"""How a run goes as a line of text, for whoever has no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable

from gradus.engine.job import Job, Progress, Report
from gradus.formatting import duration, number


def progress_line(job: Job, show: Callable[[str], object], every: float) -> Report:
    """What is told of every step, and shows a line of it now and then.

    Args:
        job: what is run.
        show: a line.
        every: seconds between two of them; that of the last step is shown in any case.
    """
    steps = job.steps * job.nets
    started = told = time.perf_counter()

    def report(progress: Progress) -> None:
        nonlocal told
        now = time.perf_counter()
        last = progress.step == steps and progress.evaluation is not None
        if now - told < every and not last:
            return
        told = now
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
