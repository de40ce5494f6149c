"""Runs and sweeps as TensorBoard reads them: scalars against the step, and HParams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradus.errors import InputError
from gradus.exchange.tracked import Tracked

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FINAL = "final/"
"""Before the figures of the parameters that a run left, which HParams shows."""

EVALUATION = "evaluation/"
"""Before what is known after each epoch."""


def write_run(run: Tracked, folder: Path) -> None:
    """Write a run into a folder of event files.

    Raises:
        InputError: TensorBoard is not installed, or the folder holds something.
        OSError: it cannot be written.
    """
    _check(folder)
    experiment, _, _ = _hparams(run.options, run.figures)
    with _writer(folder) as writer:
        _add(writer, experiment)
        _write(writer, run)


def write_sweep(name: str, runs: Iterable[Tracked], folder: Path) -> int:
    """Write a sweep: what it is about into the folder, and each run into one of its own in it.

    Args:
        name: of the sweep, which TensorBoard takes from the folder.
        runs: of it.
        folder: a new one.

    Returns:
        How many runs were written.

    Raises:
        InputError: TensorBoard is not installed, or the folder holds something.
        OSError: it cannot be written.
    """
    _check(folder)
    options: dict[str, Any] = {}
    figures: dict[str, float] = {}
    count = 0
    for run in runs:
        with _writer(folder / run.name) as writer:
            _write(writer, run)
        options, figures, count = run.options | options, run.figures | figures, count + 1
    experiment, _, _ = _hparams(options, figures)
    with _writer(folder) as writer:
        _add(writer, experiment)
    return count


def _write(writer: SummaryWriter, run: Tracked) -> None:
    _, begins, ends = _hparams(run.options, run.figures)
    _add(writer, begins)
    for curve in run.curves:
        tag = curve.name if curve.of_history else f"{EVALUATION}{curve.name}"
        for step, value in zip(curve.steps.tolist(), curve.values.tolist(), strict=True):
            writer.add_scalar(tag, value, step, walltime=_moment(run, step))
    for name, value in run.figures.items():
        writer.add_scalar(f"{FINAL}{name}", value, run.steps, walltime=_moment(run, run.steps))
    writer.add_text("status", run.status, run.steps)
    _add(writer, ends)


def _moment(run: Tracked, step: int) -> float | None:
    """When a step was taken, at the mean pace of the run."""
    if run.began is None:
        return None
    return run.began + run.seconds * step / max(1, run.steps)


def _add(writer: SummaryWriter, summary: Any) -> None:
    events: Any = writer.file_writer
    events.add_summary(summary)


def _writer(folder: Path) -> SummaryWriter:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder))


def _hparams(options: Mapping[str, Any], figures: Mapping[str, float]) -> tuple[Any, Any, Any]:
    """What an experiment is about, and how a run of it begins and ends."""
    from torch.utils.tensorboard.summary import hparams

    found: tuple[Any, Any, Any] = hparams(
        dict(options), {f"{FINAL}{n}": v for n, v in figures.items()}
    )
    return found


def _check(folder: Path) -> None:
    if find_spec("tensorboard") is None:
        raise InputError(
            "--to tensorboard: TensorBoard is not installed; pip install 'gradus[trackers]'"
        )
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise InputError(f"--out {folder}: is there already; give the name of a new folder")
