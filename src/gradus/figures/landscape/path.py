"""The path of a recorded run: it is trained again, and its points are kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus.data.dataset import Split
from gradus.engine import choose
from gradus.engine.job import Job
from gradus.engine.snapshot import Course, Watch
from gradus.errors import InputError
from gradus.runs.job import load_for, prepare
from gradus.runs.record import Run

POINTS: Final = 61
"""Points kept of a path, the first and the last included."""

MEMORY: Final = 2**30
"""Largest memory of a path, in bytes: of large models fewer points are kept."""

Progress = Callable[[int, int], None]
"""Called with the number of steps taken, and of how many."""


@dataclass(frozen=True, eq=False)
class RunPath:
    """Where a run went.

    Attributes:
        run: the record.
        split: its data.
        job: what was trained again; its model stands anywhere.
        steps: ``[n]``, parameter updates.
        epochs: ``[n]``, passes over the data until then.
        points: ``[n, d]``, w there; all finite.
        deviation: how far the path is from the recorded model, where the run left it (at its end,
            or after its best epoch), as a share of the path's length from end to end; 0 where both
            are the same to the bit.
    """

    run: Run
    split: Split
    job: Job
    steps: NDArray[np.int64]
    epochs: NDArray[np.float64]
    points: Tensor
    deviation: float


def _engine(run: Run, job: Job) -> choose.Chosen:
    """The engine of the record; where it cannot run here, the eager one takes the same steps."""
    if run.summary["engine"] == "native":
        return choose.chosen("auto", job)[0]
    return "eager"


class _LastPointError(Exception):
    """Ends the training once the last point is kept."""


def path_of(
    run: Run,
    data_dir: str | os.PathLike[str] | None = None,
    progress: Progress = lambda step, steps: None,
) -> RunPath:
    """Train a recorded run again, and keep where it goes.

    Args:
        run: the record; its engine trains again, or the eager one for a stacked run, and where the
            native one is not to be had. Opened with ``model=`` or ``trust=`` where its model is
            code.
        data_dir: where data sets that are not embedded are looked for first.
        progress: called as the work goes on.

    Raises:
        InputError: the run took no step, has several nets, is too large to be kept at three
            points, or its data cannot be had.
    """
    steps = int(run.summary["steps"])
    name = run.folder or run.spec.title
    run.check_code()
    if (run.summary.get("nets") or 1) > 1:
        raise InputError(
            f"{name}: is the average of {run.summary['nets']} nets, which has no one path; draw "
            "that of a run with --models 1"
        )
    if steps < 1:
        raise InputError(f"{name}: took no step: there is no path to draw")
    split = load_for(run.spec, data_dir)
    with torch.random.fork_rng():
        job = prepare(run.spec, split)
        moving = [p for p in job.model.parameters() if p.requires_grad]
        first = torch.cat([p.detach().flatten() for p in moving]).cpu()
        seen = {0: first}
        if len(first) < 2:
            raise InputError(f"{name}: has one parameter: a plane needs two")
        kept = min(POINTS, steps + 1, MEMORY // (first.element_size() * len(first)))
        if kept < 3 and steps > 1:
            raise InputError(
                f"{name}: {len(first):,} parameters: three points of the path take more than "
                f"{MEMORY / 2**30:g} GiB"
            )
        even = np.linspace(0, steps, max(kept, 2)).round().astype(int)
        ends = np.arange(1, steps // job.sampling.steps + 1) * job.sampling.steps
        few = ends if len(ends) <= kept else ends[:0]  # the ends of epochs are among them
        left = _left_at(run, job, steps)
        stops = np.union1d(even, [*few, left])[1:].tolist()

        def see(step: int, w: Tensor) -> None:
            seen[step] = w
            progress(step, steps)
            if step == stops[-1]:
                raise _LastPointError

        engine = _engine(run, job)
        with suppress(_LastPointError):
            course = Course(watch=Watch(stops, see))
            outcome = choose.execute(engine, job, lambda progress: None, course)
            if outcome.status == "interrupted":
                raise KeyboardInterrupt
    finite = [step for step, w in seen.items() if bool(w.isfinite().all())]
    points = torch.stack([seen[step] for step in finite])
    taken = np.array(finite)
    return RunPath(
        run,
        split,
        job,
        taken,
        taken / job.sampling.steps,
        points,
        _deviation(run, seen[left], points) if finite[-1] == steps else float("nan"),
    )


def _left_at(run: Run, job: Job, steps: int) -> int:
    """After how many steps the run had the parameters that it left."""
    kept = run.summary["kept"]
    # The last epoch of a run that its observer ended has fewer steps.
    return steps if kept is None else min(steps, kept["epoch"] * job.sampling.steps)


def _deviation(run: Run, left: Tensor, points: Tensor) -> float:
    """How far the path is from the recorded model, where the run left it."""
    recorded = torch.cat([p.detach().flatten() for p in run.model.parameters() if p.requires_grad])
    length = float((points[-1].double() - points[0].double()).norm())
    return float((left.double() - recorded.double()).norm()) / max(length, 1e-300)
