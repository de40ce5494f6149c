"""More epochs for a run that has ended: where it goes on, and what stands in the way."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradus.errors import InputError
from gradus.methods.schedules import learning_rate
from gradus.models.own import is_users
from gradus.runs import checkpoint
from gradus.runs.choices import flag
from gradus.runs.files import read_whole
from gradus.runs.record import Run
from gradus.runs.spec import RunSpec

if TYPE_CHECKING:
    from gradus.engine.job import Job
    from gradus.engine.snapshot import Snapshot

STATE = "state"
"""In the folder of a run that has ended, where it stands: what more epochs go on from."""

CHANGES = ("epochs", "patience")
"""The options that a run which has ended may go on with."""


@dataclass(frozen=True)
class Further:
    """A run that has ended, to be gone on with.

    Attributes:
        spec: with more epochs.
        before: as it was.
        state: the folder that says where it stands.
        origin: what the record will say that it goes on from.
        auto: options of which the record says that they follow from the data.
        rate: how its learning rate was found, where it was.
    """

    spec: RunSpec
    before: RunSpec
    state: Path
    origin: tuple[Mapping[str, Any], ...]
    auto: tuple[str, ...]
    rate: Mapping[str, Any] | None

    def check(self, job: Job, since: Snapshot) -> None:
        """Refuse to go on where the patience of the run is spent already.

        Raises:
            InputError: it is.
        """
        rows, selection = since.outcome.evaluation, job.selection
        best = selection.best(rows)
        if best is not None and selection.is_over(rows[-1], best):
            waited = rows[-1].epoch - best.epoch
            raise InputError(
                f"{self.state.parent}: its patience is spent: epoch {rows[-1].epoch}, its last, is "
                f"{waited} after its best; have it wait longer, as by --epochs {self.spec.epochs} "
                f"--patience {2 * waited}"
            )

    def told(self, job: Job, since: Snapshot) -> str | None:
        """What is to be said of the learning rate, where its schedule depends on the epochs."""
        if is_users(self.before.method):  # it has its own schedule, if any
            return None
        step = since.outcome.step
        steps = self.before.epochs * job.sampling.steps
        was, goes_on = (
            learning_rate(method.lr, step)
            for method in (self.before.build_method(steps=steps), job.method)
        )
        if was == goes_on:
            return None
        return (
            f"the schedule {self.spec.schedule} now spans {self.spec.epochs} epochs: the "
            f"learning rate is {goes_on:.3g} from here on, where it had come to {was:.3g}"
        )


def further(folder: Path, changes: Mapping[str, Any]) -> Further:
    """What is needed to go on with the run of a folder.

    Args:
        folder: of a run that has ended.
        changes: the options with which it goes on, of ``CHANGES``.

    Raises:
        InputError: it ended as more epochs do not change, has as many already, or keeps no state.
    """
    from gradus.runs.record import open_run

    run = open_run(folder)
    if run.status not in ("finished", "failed"):
        raise InputError(
            f"{folder}: this run ended as {run.status}, and does not go on; train it again with "
            "other options"
        )
    spec = RunSpec.read({**run.spec.model_dump(), **changes})
    last = run.evaluation["epoch"][-1].as_py()
    if spec.epochs <= last:
        raise InputError(
            f"--epochs {spec.epochs}: {folder} has {last} epochs already; give how many it is to "
            "have in all"
        )
    state = folder / STATE
    if checkpoint.begun(state) is None:
        raise InputError(
            f"{folder}: keeps no {STATE} to go on with: it was trained by an earlier version, or "
            f"with --no-state; train it again with --spec {folder / 'run.json'} "
            f"{' '.join(f'{flag(name)} {value}' for name, value in changes.items())}"
        )
    origin = {
        "how": "resume",
        "run": folder.resolve().name,
        "epochs": last,
        "steps": run.summary["steps"],
        "parameters": digest(run),
    }
    auto = tuple(name for name in run.summary.get("auto") or () if name not in changes)
    rate = run.summary.get("learning_rate")
    return Further(spec, run.spec, state, (*run.summary["origin"], origin), auto, rate)


def digest(run: Run) -> str:
    """The SHA-256 of the file of a run's parameters."""
    assert run.folder is not None
    path = run.folder / "model.safetensors"
    try:
        return hashlib.sha256(read_whole(path)).hexdigest()
    except FileNotFoundError:
        raise InputError(f"{path}: the parameters of the model are missing") from None
