"""Which engine runs a job. Only the one that does is imported."""

from __future__ import annotations

from typing import Literal

from gradus.engine.job import Job, Outcome, Report
from gradus.engine.snapshot import WHOLE_RUN, Course
from gradus.errors import InputError

EngineName = Literal["auto", "eager", "native", "stacked"]
Chosen = Literal["eager", "native", "stacked"]


def chosen(engine: EngineName, job: Job) -> tuple[Chosen, str | None]:
    """The engine that runs the job; and, where the choice was free, why not the native one.

    Args:
        engine: ``auto`` is native wherever it can be, else eager; the others are that engine.
        job: what is to be run.

    Raises:
        InputError: an engine is asked for that cannot run the job; or GRADUS_KERNELS forces
            kernels that do not run here.
    """
    if engine == "eager":
        return "eager", None
    if engine == "stacked":
        from gradus.engine import stacked

        if obstacle := stacked.obstacle([job]):
            raise InputError(f"--engine stacked: {obstacle}; use --engine eager, or auto")
        return "stacked", None
    from gradus.engine import native

    obstacle = native.obstacle(job)
    if obstacle is None:
        return "native", None
    if engine == "native":
        raise InputError(f"--engine native: {obstacle}; use --engine eager, or auto")
    return "eager", obstacle


def goes_with_others(engine: EngineName, job: Job) -> bool:
    """Whether the job, being one of many, is run with others in one block.

    On a GPU that is where the engine is free: one run alone leaves most of it idle.
    """
    if engine == "auto" and job.device.type == "cuda":
        from gradus.engine import stacked

        return stacked.obstacle([job]) is None
    return engine == "stacked"


def execute(engine: Chosen, job: Job, report: Report, course: Course = WHOLE_RUN) -> Outcome:
    """Run the job on this engine, or the part of it that the course says.

    The stacked engine runs a job whole, and keeps nothing on the way.
    """
    if engine == "stacked":
        from gradus.engine import stacked

        return stacked.execute([job], [report], [course.observe])[0]
    if engine == "native":
        from gradus.engine import native

        return native.execute(job, report, course)
    from gradus.engine import eager

    return eager.execute(job, report, course)
