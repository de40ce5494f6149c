"""Where the runs of a sweep are trained: on the processors of this machine, or of a Ray cluster."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gradus.errors import InputError, quoted
from gradus.models.own import is_own
from gradus.sweep.received import models_of
from gradus.sweep.specification import SweepSpec

if TYPE_CHECKING:
    from gradus.sweep.workers import Crew


FROM_OUTSIDE = (
    "Ray Client does not carry calls of several kinds to one worker; give --on ray on a machine of "
    "the cluster, as by ray job submit"
)
"""Why a cluster is not reached from a machine that is none of it."""


@dataclass(frozen=True)
class Room:
    """Where runs are trained, and what each takes there.

    Args:
        workers: how many are trained at a time; None: as many as there is room for.
        on: ``ray``, the cluster of which this machine is one, or a new one on it; None: this
            machine, without Ray.
        cpus_per_run: processors that a run takes of a cluster, 1 where it is not given.
        gpus_per_run: GPUs, or a share of one, none where it is not given.

    Raises:
        InputError: there is no such place, or what a run takes is no number or not asked for there.

    Example:
        >>> Room(on="ray", gpus_per_run=0.5).on
        'ray'
        >>> Room(gpus_per_run=0.5)
        Traceback (most recent call last):
        gradus.errors.InputError: --gpus-per-run 0.5: is for a cluster; give --on ray
    """

    workers: int | None = None
    on: str | None = None
    cpus_per_run: float | None = None
    gpus_per_run: float | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and not (isinstance(self.workers, int) and self.workers > 0):
            raise InputError(f"--workers {quoted(self.workers)}: give a whole number from 1 on")
        if self.on is not None and self.on != "ray":
            if self.on.startswith("ray://"):
                raise InputError(f"--on {quoted(self.on)}: {FROM_OUTSIDE}")
            raise InputError(f"--on {quoted(self.on)}: is no place; give ray")
        taken = {"--cpus-per-run": self.cpus_per_run, "--gpus-per-run": self.gpus_per_run}
        for option, value in taken.items():
            if value is None:
                continue
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{option} {value:g}: must be a number that is not negative")
            if self.on is None:
                raise InputError(f"{option} {value:g}: is for a cluster; give --on ray")
        if self.on is not None and self.cpus_per_run == 0 and not self.gpus_per_run:
            raise InputError("--cpus-per-run 0: a run takes something; give --gpus-per-run too")


def crew_in(
    room: Room, folder: Path, spec: SweepSpec, missing: int, lock: int | None = None
) -> tuple[Crew, int]:
    """The workers for so many runs, none of them started yet, and how many to start.

    Raises:
        InputError: the cluster cannot be reached, or has no room.
    """
    if room.on is None:
        from gradus.sweep.worker_process import LocalCrew

        wanted = min(room.workers or len(os.sched_getaffinity(0)), max(missing, 1))
        return LocalCrew(folder, wanted, lock), wanted
    from gradus.sweep.ray_crew import RayCrew

    crew = RayCrew(
        folder,
        room.on,
        cpus=1.0 if room.cpus_per_run is None else room.cpus_per_run,
        gpus=room.gpus_per_run or 0.0,
        workers=room.workers,
        most=max(missing, 1),
        is_private=any(map(is_own, models_of(spec))),
    )
    return crew, crew.wanted
