"""Who trains the candidates of a search: a sweep on disk, side by side, or this process alone."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from gradus.engine.selection import rises
from gradus.errors import InputError
from gradus.runs.objects.given import Objects
from gradus.runs.record import Run, open_run
from gradus.runs.selection import column_of
from gradus.runs.spec import RunSpec, run_id
from gradus.tuning.bracket import Candidate

SWEEPS = "short", "whole"
"""The sweeps that a search keeps: of trainings for some of the epochs, and for all."""

Tell = Callable[[str, int, int], None]
"""Told what is done, how far it is, and how far that goes."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A candidate that was trained.

    Attributes:
        candidate: it.
        status: how it ended, as that of a run.
        value: the measure, of the epoch that it kept; None where it diverged or was stopped.
        worth: the same so that less is better; infinite where there is none.
        seconds: of training.
    """

    candidate: Candidate
    status: str
    value: float | None
    worth: float
    seconds: float


def trial_of(
    candidate: Candidate, status: str, value: float | None, measure: str, seconds: float
) -> Trial:
    """What became of a candidate."""
    if value is None or not math.isfinite(value) or status in ("diverged", "stopped"):
        return Trial(candidate, status, None, math.inf, seconds)
    # What is no better yet than a constant prediction is on its way, as short trainings are.
    return Trial(candidate, status, value, -value if rises(measure) else value, seconds)


class Trainer(ABC):
    """Trains candidates, and has the runs of those that were trained to their end."""

    measure: str
    """The column by which they are compared."""

    @abstractmethod
    def train(self, candidates: Sequence[Candidate], tell: Tell) -> list[Trial]:
        """Train candidates of one length side by side."""

    @abstractmethod
    def run_of(self, candidate: Candidate) -> Run:
        """The run of a candidate of full length, with its parameters."""


def told_as(candidates: Sequence[Candidate], epochs: int) -> str:
    """What a batch of candidates is called while it is trained."""
    if candidates[0].epochs == epochs:
        return "whole trainings"
    return f"trainings of {candidates[0].epochs} of {epochs} epochs"


@final
class InProcess(Trainer):
    """One after another in this process, in memory: for objects, and where no folder is given.

    Args:
        spec: of the run, whatever its learning rate.
        objects: of which it says only what identifies them.
        measure: the column by which runs are compared.
        data_dir: where data sets that are not embedded are looked for first.
    """

    def __init__(
        self, spec: RunSpec, objects: Objects, measure: str, data_dir: Path | None
    ) -> None:
        self.spec, self.objects, self.measure, self.data_dir = spec, objects, measure, data_dir
        self.runs: dict[Candidate, Run] = {}

    def train(self, candidates: Sequence[Candidate], tell: Tell) -> list[Trial]:  # noqa: D102
        from gradus.runs.train import train

        trials = []
        for done, candidate in enumerate(candidates):
            tell(told_as(candidates, self.spec.epochs), done, len(candidates))
            options = {**candidate.options, "lr": candidate.lr, "epochs": candidate.epochs}
            spec = self.spec.model_copy(update=options)
            run = train(spec, objects=self.objects, data_dir=self.data_dir)
            if run.status == "interrupted":
                raise KeyboardInterrupt
            value = (run.summary["final"] or {}).get(self.measure)
            seconds = run.summary["timings"]["train_seconds"]
            trials.append(trial_of(candidate, run.status, value, self.measure, seconds))
            if candidate.epochs == self.spec.epochs:
                self.runs[candidate] = run
        return trials

    def run_of(self, candidate: Candidate) -> Run:  # noqa: D102
        return self.runs[candidate]


@final
class InSweeps(Trainer):
    """Side by side in the processes of a sweep, which is kept: what was trained is not again.

    Args:
        folder: in which ``short`` and ``whole`` come to stand, the sweeps.
        options: of the runs.
        spec: of them, whatever their learning rate.
        measure: the column by which runs are compared.
        data_dir: where data sets that are not embedded are looked for first.
        workers: how many processes train; None: one on each processor.
    """

    def __init__(
        self,
        folder: Path,
        options: Mapping[str, Any],
        spec: RunSpec,
        measure: str,
        data_dir: Path | None,
        workers: int | None,
    ) -> None:
        self.folder, self.options, self.spec, self.measure = folder, options, spec, measure
        self.data_dir, self.workers = data_dir, workers
        self.asked: dict[str, list[Candidate]] = {name: [] for name in SWEEPS}

    def train(self, candidates: Sequence[Candidate], tell: Tell) -> list[Trial]:  # noqa: D102
        from gradus.sweep.measures import numbers, statuses
        from gradus.sweep.progress import SweepProgress
        from gradus.sweep.sweep import train_sweep

        name = self._sweep_of(candidates[0])
        self.asked[name] += candidates
        what = told_as(candidates, self.spec.epochs)
        before = len(self.asked[name]) - len(candidates)

        def observe(progress: SweepProgress) -> None:
            tell(what, sum(progress.counts.values()) - before, len(candidates))

        sweep = train_sweep(
            self._sweep(name),
            name=name,
            out=self.folder,
            workers=self.workers,
            data_dir=self.data_dir,
            observe=observe,
        )
        if sweep.status == "interrupted":
            raise KeyboardInterrupt
        found = dict(zip(sweep.runs["run"].to_pylist(), range(sweep.runs.num_rows), strict=True))
        values, ended = numbers(sweep.runs, self.measure), statuses(sweep.runs)
        seconds = numbers(sweep.runs, "train_seconds")
        rows = [found[self._run(name, candidate)] for candidate in candidates]
        return [
            trial_of(candidate, str(ended[at]), float(values[at]), self.measure, float(seconds[at]))
            for candidate, at in zip(candidates, rows, strict=True)
        ]

    def run_of(self, candidate: Candidate) -> Run:  # noqa: D102
        whole = SWEEPS[1]
        record = self.folder / whole / "models" / self._run(whole, candidate)
        return open_run(record, trust=True)  # what it names was named in the call

    def _sweep_of(self, candidate: Candidate) -> str:
        return SWEEPS[candidate.epochs == self.spec.epochs]

    def _sweep(self, name: str, candidates: Sequence[Candidate] | None = None) -> Any:
        from gradus.sweep.specification import SweepSpec

        listed = self.asked[name] if candidates is None else candidates
        around = [
            {"base": {**each.options, "lr": each.lr, "epochs": each.epochs}} for each in listed
        ]
        given = {name: value for name, value in self.options.items() if name != "epochs"}
        keep = "all" if name == SWEEPS[1] else "none"
        return SweepSpec.read({"base": given, "around": around, "keep_models": keep})

    def _run(self, name: str, candidate: Candidate) -> str:
        """The id of the run of a candidate."""
        from gradus.sweep.space import runs_of

        (run,) = runs_of(self._sweep(name, [candidate]))
        return run_id(run)


def measure_of(spec: RunSpec, *, held: bool) -> str:
    """The column by which candidates are compared.

    Raises:
        InputError: it is to be that of a part of which nothing is held.
    """
    if spec.measure is not None:
        return column_of(spec.measure)
    if not held:
        raise InputError(
            "tune: no examples are held for validation, to choose on; give --validation-fraction "
            "0.15, or name what else to choose by, as --measure train-loss"
        )
    return "validation_loss"
