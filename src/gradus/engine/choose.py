"""Which engine runs a job."""

from __future__ import annotations

from typing import Literal

from gradus.engine import eager, native
from gradus.engine.job import Job, Outcome, Report
from gradus.engine.snapshot import WHOLE_RUN, Course
from gradus.errors import InputError

EngineName = Literal["auto", "eager", "native"]


def chosen(engine: EngineName, job: Job) -> tuple[Literal["eager", "native"], str | None]:
    """The engine that runs the job; and, where the choice was free, why not the native one.

    Args:
        engine: ``native`` and ``eager`` are that engine; ``auto`` is native wherever it can be.
        job: what is to be run.

    Raises:
        InputError: the native engine is asked for and cannot run the job; or GRADUS_KERNELS forces
            kernels that do not run here.
    """
    if engine == "eager":
        return "eager", None
    obstacle = native.obstacle(job)
    if obstacle is None:
        return "native", None
    if engine == "native":
        raise InputError(f"--engine native: {obstacle}; use --engine eager, or auto")
    return "eager", obstacle


def execute(
    engine: Literal["eager", "native"], job: Job, report: Report, course: Course = WHOLE_RUN
) -> Outcome:
    """Run the job on this engine, or the part of it that the course says."""
    run = native.execute if engine == "native" else eager.execute
    return run(job, report, course)
