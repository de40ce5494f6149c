"""Runs and sweeps for Weights & Biases, written offline: nothing is sent anywhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from gradus.errors import InputError
from gradus.exchange.tracked import Tracked

PROJECT = "gradus"


def write_run(run: Tracked, folder: Path, group: str | None = None) -> None:
    """Write a run into ``wandb/offline-run-...`` in a folder; ``wandb sync`` sends it.

    Args:
        run: what is written.
        folder: where.
        group: of runs that belong together.

    Raises:
        InputError: wandb is not installed, or the folder is a file.
    """
    if find_spec("wandb") is None:
        raise InputError("--to wandb: wandb is not installed; pip install 'gradus[trackers]'")
    import wandb

    if folder.is_file():
        raise InputError(f"--out {folder}: is a file; give a folder")
    folder.mkdir(parents=True, exist_ok=True)
    begun = wandb.init(
        mode="offline",
        dir=str(folder),
        project=PROJECT,
        name=run.name,
        group=group,
        config=dict(run.options),
        reinit="create_new",  # a run of the user's own stays what it is
        settings=wandb.Settings(silent=True, console="off", disable_git=True),
    )
    rows: defaultdict[int, dict[str, float]] = defaultdict(dict)
    for curve in run.curves:
        name = curve.name if curve.of_history else f"evaluation/{curve.name}"
        for step, value in zip(curve.steps.tolist(), curve.values.tolist(), strict=True):
            rows[step][name] = value
    for step in sorted(rows):
        begun.log(rows[step], step=step)
    begun.summary.update({f"final/{name}": value for name, value in run.figures.items()})
    begun.summary["status"] = run.status
    begun.finish(exit_code=0 if run.status == "finished" else 1)


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
