"""A run, or a sweep, for other programs and for trackers of experiments."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Literal, get_args

from gradus.errors import InputError, quoted
from gradus.exchange.tracked import tracked, tracked_sweep
from gradus.runs.export import SUFFIXES, Written
from gradus.runs.export import export as export_run
from gradus.runs.record import Run
from gradus.sweep.sweep import Sweep

Tracker = Literal["tensorboard", "mlflow", "wandb"]
Kind = Literal["csv", "json", "onnx", "torch-export"] | Tracker

TRACKERS: dict[str, tuple[str, str]] = {
    "tensorboard": ("{name}-tensorboard", "tensorboard --logdir {out}"),
    "mlflow": ("mlflow.db", "mlflow ui --backend-store-uri sqlite:///{out}"),
    "wandb": (".", "wandb sync {out}/wandb/offline-run-*"),
}
"""Where it is written where that is not said, and how it is seen."""


def export(result: Run | Sweep, to: Kind, out: str | os.PathLike[str] | None = None) -> Written:
    """Write a run for other programs, or a run or a sweep for a tracker of experiments.

    Args:
        result: a run; for a tracker a sweep too.
        to: ``csv``, ``json``, ``onnx``, ``torch-export`` (see `Run.export`); ``tensorboard``, a new
            folder of event files, of a sweep with one a run; ``mlflow``, the file of a store, to
            which every export adds; ``wandb``, a folder of offline runs.
        out: the file or folder; None: here, with the name of the run or sweep.

    Returns:
        ``paths`` of what was written, and ``notes`` of what is to be said of it.

    Raises:
        InputError: it cannot be written so, the client of the tracker is not installed, or what
            stands at ``out`` cannot be added to.
        OSError: it cannot be written.

    Example:
        >>> import gradus, tempfile
        >>> run = gradus.train(gradus.RunSpec(model="linear", epochs=1))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     gradus.export(run, "tensorboard", f"{folder}/logs").paths[0].name
        'logs'
    """
    if not isinstance(result, Run | Sweep):
        raise InputError(
            f"export {quoted(result)}: give a run or a sweep, as gradus.open_run(..) opens one"
        )
    name = result.name if isinstance(result, Sweep) else _name(result)
    if to not in TRACKERS:
        if to not in SUFFIXES:
            known = " | ".join((*SUFFIXES, *get_args(Tracker)))
            raise InputError(f"--to {quoted(to)}: choose {known}")
        if isinstance(result, Sweep):
            trackers = ", ".join(TRACKERS)
            raise InputError(f"{result.folder}: is a sweep, which goes to {trackers}, not to {to}")
        return export_run(result, to, Path(f"{name}{SUFFIXES[to]}" if out is None else out))
    usual, seen = TRACKERS[to]
    target = Path(usual.format(name=name) if out is None else out)
    tracker = import_module(f"gradus.exchange.{to}")
    if isinstance(result, Sweep):
        count = tracker.write_sweep(name, tracked_sweep(result), target)
        return Written((target,), (f"{count:,} runs; {seen.format(out=target)}",))
    tracker.write_run(tracked(result), target)
    return Written((target,), (seen.format(out=target),))


def _name(run: Run) -> str:
    return run.title.replace(" ", "-") if run.folder is None else run.folder.resolve().name
