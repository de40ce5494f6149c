"""Which engine runs a job. Only the one that does is imported."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from gradus.engine.job import Job, Outcome, Report
from gradus.engine.snapshot import WHOLE_RUN, Course
from gradus.errors import InputError

EngineName = Literal["auto", "eager", "native", "stacked"]
Chosen = Literal["eager", "native", "stacked"]

MEASURED = ((4e4, 70.0), (7e5, 6.0), (1e7, 5.0), (4e7, 2.7), (1.7e8, 1.4), (7e8, 1.2))
"""Parameters times examples of a step, and how many times as long as a native step of a dense
network an eager one takes there: SGD in ``benchmarks/RESULTS.md``, small nets and large ones."""


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


def times_native(job: Job) -> float | None:
    """About how many native steps of a dense network of this size take as long as an eager one.

    Small steps are calls of PyTorch, large ones arithmetic that both engines do. None where there
    are no native steps to compare with: on other devices, and of second order.
    """
    from gradus.methods.second_order import SecondOrder

    if job.device.type != "cpu" or isinstance(job.method, SecondOrder):
        return None
    size = job.sampling.n if job.sampling.name == "full" else job.sampling.batch_size
    work = size * sum(p.numel() for p in job.model.parameters())
    at, times = np.log(MEASURED).T
    return float(f"{np.exp(np.interp(math.log(max(work, 1)), at, times)):.2g}")


def costs(why: str, job: Job) -> str:
    """What keeps a run from the native engine, and what that costs, in one line.

    Args:
        why: the engine is not native.
        job: what is run.
    """
    runs, times = f"{why}; the eager engine takes the steps", times_native(job)
    if times is None:
        return runs
    return f"{runs}, each about {times:g} times as long as that of a dense network of this size"


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
