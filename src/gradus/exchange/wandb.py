"""Runs and sweeps for Weights & Biases, written offline: nothing is sent anywhere."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Literal, final

from gradus.errors import InputError
from gradus.exchange.tracked import End, Options, Point, Tracked

PROJECT = "gradus"

Mode = Literal["offline", "online", "shared", "disabled"]


@final
class Session:
    """A run in ``wandb/offline-run-...`` in a folder; ``wandb sync`` sends it.

    Args:
        folder: where.
        name: of the run.
        options: of it.
        group: of runs that belong together.
        mode: of the client.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        options: Options,
        *,
        group: str | None = None,
        mode: Mode = "offline",
    ) -> None:
        import wandb

        folder.mkdir(parents=True, exist_ok=True)
        self.run = wandb.init(
            mode=mode,
            dir=str(folder),
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=name,
            group=group,
            config=dict(options),
            reinit="create_new",  # a run of the user's own stays what it is
            settings=wandb.Settings(silent=True, console="off", disable_git=True),
        )

    def log(self, points: Iterable[Point]) -> None:
        """Write numbers, those of a step at once."""
        for step, found in groupby(points, key=lambda point: point.step):
            self.run.log({point.name: point.value for point in found}, step=step)

    def end(self, end: End) -> None:
        """Write the final figures and how it ended."""
        self.run.summary.update({point.name: point.value for point in end.points})
        self.run.summary["status"] = end.status
        self.run.finish(exit_code=0 if end.status == "finished" else 1)


def write_run(run: Tracked, folder: Path, group: str | None = None) -> None:
    """Write a run into ``wandb/offline-run-...`` in a folder; ``wandb sync`` sends it.

    Args:
        run: what is written.
        folder: where.
        group: of runs that belong together.

    Raises:
        InputError: wandb is not installed, or the folder is a file.
    """
    check_installed("--to wandb")
    if folder.is_file():
        raise InputError(f"--out {folder}: is a file; give a folder")
    run.write(Session(folder, run.name, run.options, group=group))


def write_sweep(name: str, runs: Iterable[Tracked], folder: Path) -> int:
    """Write the runs of a sweep, in a group of its name.

    Returns:
        How many runs were written.

    Raises:
        InputError: wandb is not installed, or the folder is a file.
    """
    count = 0
    for count, run in enumerate(runs, 1):  # noqa: B007
        write_run(run, folder, name)
    return count


def check_installed(said: str) -> None:
    """Refuse to begin without wandb.

    Raises:
        InputError: it is not installed.
    """
    if find_spec("wandb") is None:
        raise InputError(f"{said}: wandb is not installed; pip install 'gradus[trackers]'")
