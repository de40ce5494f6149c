"""Runs and sweeps as TensorBoard reads them: scalars against the step, and HParams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from gradus.errors import InputError
from gradus.exchange.tracked import FINAL, End, Options, Point, Tracked

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


@final
class Session:
    """A run in a folder of event files.

    Args:
        folder: of the files.
        options: of the run.
        alone: whether the folder is no part of that of a sweep, which says what its runs have.
    """

    def __init__(self, folder: Path, options: Options, *, alone: bool = True) -> None:
        self.options, self.alone = options, alone
        self.writer = _writer(folder)
        _, begins, _ = _hparams(options, {})
        _add(self.writer, begins)

    def log(self, points: Iterable[Point]) -> None:
        """Write numbers; they can be read at once."""
        for name, step, value, moment in points:
            self.writer.add_scalar(name, value, step, walltime=moment)
        self.writer.flush()

    def end(self, end: End) -> None:
        """Write the final figures and the status, and close the files."""
        self.log(end.points)
        self.writer.add_text("status", end.status, end.step)
        experiment, _, ends = _hparams(self.options, end.figures)
        if self.alone:
            _add(self.writer, experiment)
        _add(self.writer, ends)
        self.writer.close()


def write_run(run: Tracked, folder: Path) -> None:
    """Write a run into a folder of event files.

    Raises:
        InputError: TensorBoard is not installed, or the folder holds something.
        OSError: it cannot be written.
    """
    check_installed("--to tensorboard")
    check_new(folder, "--out")
    run.write(Session(folder, run.options))


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
    check_installed("--to tensorboard")
    check_new(folder, "--out")
    options: Options = {}
    figures: dict[str, float] = {}
    count = 0
    for run in runs:
        run.write(Session(folder / run.name, run.options, alone=False))
        options, figures, count = run.options | options, run.figures | figures, count + 1
    experiment, _, _ = _hparams(options, figures)
    with _writer(folder) as writer:
        _add(writer, experiment)
    return count


def check_installed(said: str) -> None:
    """Refuse to begin without TensorBoard.

    Raises:
        InputError: it is not installed.
    """
    if find_spec("tensorboard") is None:
        raise InputError(f"{said}: TensorBoard is not installed; pip install 'gradus[trackers]'")


def check_new(folder: Path, said: str) -> None:
    """Refuse a folder that would mix two runs.

    Raises:
        InputError: it holds something, or is a file.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise InputError(f"{said} {folder}: is there already; give the name of a new folder")


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
