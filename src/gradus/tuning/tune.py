"""`gradus.tune`: the learning rate of a run, and what else is free, found within a budget."""

from __future__ import annotations

import json
import math
import os
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gradus.engine.selection import ON_TEST
from gradus.errors import InputError, quoted
from gradus.runs.choices import ON_ALL_DATA, flag
from gradus.runs.files import finite, read_json, write_whole
from gradus.runs.job import load_for, prepare, resolved
from gradus.runs.learning_rate.automatic import UNKNOWN, start_anchor
from gradus.runs.learning_rate.limit import Limit
from gradus.runs.learning_rate.range_test import RangeTest, range_test
from gradus.runs.lock import locked
from gradus.runs.objects.asked import objects_of
from gradus.runs.objects.given import Objects
from gradus.runs.parts.data import KNOWN_BY_NAME, VALIDATION_FRACTION
from gradus.runs.parts.method import AUTO
from gradus.runs.parts.part import split as names_in
from gradus.runs.record import Run
from gradus.runs.spec import RunSpec
from gradus.tuning.alternatives import alternatives_of, free_option
from gradus.tuning.batch_size import COST, BatchSizes, batch_sizes
from gradus.tuning.bracket import Alternative, Candidate, Search, search
from gradus.tuning.budget import TRAININGS, Budget
from gradus.tuning.plateau import Plateau, losses_of, plateau_of
from gradus.tuning.trainers import (
    SWEEPS,
    InProcess,
    InSweeps,
    Tell,
    Trainer,
    Trial,
    measure_of,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gradus.engine.job import Job

QUICK = 60.0
"""Seconds of work from which on a search starts other processes; it takes them seconds to start."""

FOR_RANGE = 1 / 3
"""Of a budget, what the range test may take."""

FOR_SIZES = 1 / 5
"""Of what is left of it, what may go into telling which batch size is the fastest."""

RECORD, PICTURE, RUN = "tune.json", "tune.png", "run"
"""In the folder of a search: what came of it, its picture, and the run, where no sweep has it."""

OWN = (RECORD, PICTURE, RUN, *SWEEPS, "lock")
"""All that stands in such a folder."""


@dataclass(frozen=True, eq=False)
class Tuning:
    """What a search found.

    Attributes:
        run: the run with the settings that were found, trained.
        found: those settings: ``lr``, and what else was free.
        measure: the column by which they were chosen.
        plateau: which learning rates cannot be told from the best by the validation loss; None
            where another measure chose.
        limit: what theory allows at the start; None where it says nothing.
        test: what growing learning rates do.
        trials: all that was trained, in that order.
        epochs: of a whole training.
        spent: trainings of that length that it took.
        seconds: that it took.
        command: what trains the same run again.
        folder: of its record; None where it has none.
        unsearched: what else was free, but the budget did not last for: as it is otherwise.
        sizes: what batch sizes cost on the way to the same loss, by theory; None where the batch
            size is not free, the budget did not last for it, or the noise is not known.
    """

    run: Run
    found: Mapping[str, Any]
    measure: str
    plateau: Plateau | None
    limit: Limit | None
    test: RangeTest
    trials: tuple[Trial, ...]
    epochs: int
    spent: float
    seconds: float
    command: str
    folder: Path | None = None
    unsearched: tuple[str, ...] = ()
    sizes: BatchSizes | None = None

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in self.found.items())
        return f"<Tuning {said}: {len(self.trials)} trainings>"

    @property
    def lr(self) -> float:
        """The learning rate that was found."""
        return float(self.found["lr"])

    @property
    def best(self) -> Trial:
        """The whole training with the best measure."""
        return _best(self.trials, self.epochs)

    @property
    def note(self) -> str | None:
        """What is to be said where the choice was made on the test part, because it was asked."""
        return ON_TEST if self.measure.startswith("test") else None

    def plot(self) -> Figure:
        """The loss against the learning rate, the edge of divergence and the limit of theory."""
        from gradus.figures.tuning import draw_rates, rates_of

        return draw_rates(rates_of(self))

    def record(self) -> dict[str, Any]:
        """What tune.json says of it."""
        limit, plateau = self.limit, self.plateau
        return {
            "found": dict(self.found),
            "command": self.command,
            "unsearched": list(self.unsearched),
            "sizes": self.sizes and self.sizes.record(),
            "measure": self.measure,
            "note": self.note,
            "plateau": plateau and {"low": plateau.low, "high": plateau.high,
                                    "examples": plateau.examples},
            "lost_from": self.test.edge,
            "limit": limit and {"lr": limit.lr, "curvature": limit.curvature,
                                "bound": limit.bound, "method": limit.method},
            "range_test": {"lr": self.test.lrs.tolist(), "loss": self.test.losses.tolist(),
                           "beginning": self.test.beginning},
            "trials": [
                {**trial.candidate.options, "lr": trial.candidate.lr,
                 "epochs": trial.candidate.epochs, "status": trial.status,
                 self.measure: trial.value, "train_seconds": trial.seconds}
                for trial in self.trials
            ],
            "epochs": self.epochs,
            "spent_trainings": self.spent,
            "seconds": self.seconds,
        }  # fmt: skip


def tune(
    data: Any = "digits",
    *,
    model: Any = None,
    loss: Any = None,
    validation: Any = None,
    test: Any = None,
    budget: float | str = TRAININGS,
    free: Sequence[str] = ("lr",),
    out: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    tell: Tell = lambda what, done, of: None,
    **options: Any,
) -> Tuning:
    """Find the learning rate of a run, and what else is free, within a budget.

    A range test around what theory allows says from which learning rate on the loss is lost.
    Rates below it are trained side by side for a ninth of the epochs, and around the best of them
    gaps are closed by whole trainings. Everything is chosen on the
    validation part; the test part is looked at by no choice. Where the batch size is free, its
    noise and the time of a step say at the end which is the fastest to the same loss.

    Args:
        data: as for ``gradus.train``.
        model: likewise.
        loss: likewise.
        validation: examples to choose on, as ``data``; else a share of the data is held.
        test: examples to test on, likewise.
        budget: how many whole trainings it may cost; or a time, as ``"60s"``, ``"5min"``.
        free: what is found: ``lr``, and beside it ``batch_size``, ``momentum``, ``weight_decay``,
            ``hidden``.
        out: the folder of the record: ``tune.json``, a picture, and the run. Where a search takes
            longer than a minute sweeps in it keep what was trained, and the same call goes on where
            it was broken off. None: in memory only.
        workers: processes that train there; None: one on each processor, or this one alone where
            the search is short.
        data_dir: where data sets that are not embedded are looked for first.
        tell: told what is done, how far it is, and how far that goes.
        **options: the fields of :class:`~gradus.RunSpec` that are fixed.

    Returns:
        What was found: ``.lr``, ``.run``, ``.plateau``, ``.command``, ``.plot()``; ``.sizes`` where
        the batch size is free.

    Raises:
        InputError: an option is wrong, or is both given and free; nothing is held to choose on; the
            budget does not reach for two trainings; or every learning rate diverges.

    Example:
        >>> import gradus
        >>> found = gradus.tune("digits", model="linear", epochs=9, batch_size=64, budget=4)
        >>> found.run.spec.lr == found.lr, found.spent <= 4.5
        (True, True)
    """
    began = time.perf_counter()
    given = {"data": os.fspath(data) if isinstance(data, os.PathLike) else data}
    given |= {name: part for name, part in (("model", model), ("loss", loss)) if part is not None}
    named, objects = objects_of(given, validation, test, has_target="target" in options)
    asked = {**named, **options}
    if asked["data"] in KNOWN_BY_NAME:
        asked.setdefault("validation_fraction", VALIDATION_FRACTION)
    names = tuple(dict.fromkeys(("lr", *map(free_option, names_in(free)))))
    spec, allowed = _open_spec(asked, names), Budget.read(budget)
    kept = None if out is None else Path(out)
    if kept is not None and objects.identities:
        raise InputError("tune: objects are trained in memory: leave out= away, and save .run")
    place = None if data_dir is None else Path(data_dir)
    split = load_for(spec, place, None, objects)
    spec = resolved(spec, split)
    measure = measure_of(spec, held=split.validation is not None)
    with torch.random.fork_rng():
        job = prepare(spec, split, objects=objects)
    limit, anchor = start_anchor(spec, job)
    clocks = time.perf_counter(), time.process_time()
    most = math.inf if allowed.trainings is None else allowed.trainings * job.steps * FOR_RANGE
    tested = range_test(spec, job, anchor, lambda step, of: tell("range test", step, of), most)
    spent = tested.steps / job.steps
    # Looking at every step makes these slower than those of a run: so many are sure to fit.
    waited, worked = time.perf_counter() - clocks[0], time.process_time() - clocks[1]
    trainings = allowed.in_trainings(waited / spent)
    is_sized = "batch_size" in names and FOR_SIZES * (trainings - spent) >= COST
    trainings = max(trainings - spent - COST * is_sized, 1)
    is_quick = trainings * worked / spent < QUICK and workers is None
    others = alternatives_of(spec, names[1:], len(split.train))
    course = search(tested.edge, spec.epochs, trainings, others)
    with nullcontext() if kept is None else _held(kept, asked):
        trainer: Trainer = (
            InProcess(spec, objects, measure, place)
            if kept is None or is_quick
            else InSweeps(kept, asked, spec, measure, place, workers)
        )
        if kept is not None and isinstance(trainer, InSweeps) and not (kept / RECORD).exists():
            _keep({"asked": _written(asked)}, kept)  # whose sweeps these are, if it is broken off
        trials = _trained(trainer, course, tell)
        best = _best(trials, spec.epochs).candidate
        found = {"lr": best.lr, **best.options}
        run = trainer.run_of(best)
        if _open_spec(asked, names, fixed=False) != _open_spec(asked, names):
            tell("the run", 0, 0)
            run = _as_asked({**asked, **found}, kept, objects, place)
        elif kept is not None and run.folder is None:
            run = replace(run, folder=run.save(kept / RUN))
        sizes = None
        if is_sized:
            tell("batch sizes", 0, 0)
            sizes, cost = batch_sizes(spec.model_copy(update=found), split, objects)
            spent += cost
        done = Tuning(
            run=run,
            found=found,
            measure=measure,
            plateau=_plateau(trials, best, trainer, job),
            limit=limit,
            test=tested,
            trials=tuple(trials),
            epochs=spec.epochs,
            spent=spent + sum(trial.candidate.epochs for trial in trials) / spec.epochs,
            seconds=time.perf_counter() - began,
            command=_command(asked, found, is_named=not objects.identities),
            folder=kept,
            unsearched=_unsearched(names[1:], others, trials),
            sizes=sizes,
        )
        if kept is not None:
            _write(done, kept, asked)
    return done


@contextmanager
def _held(folder: Path, asked: Mapping[str, Any]) -> Iterator[None]:
    """The folder of a search, in which one process works at a time.

    Raises:
        InputError: it cannot be written, or holds another search, or something else.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be written: {error.strerror}") from None
    if foreign := sorted({path.name for path in folder.iterdir()} - {*OWN}):
        raise InputError(f"--out {folder}: holds {foreign[0]} already; give another")
    with locked(folder):
        if (folder / RECORD).exists() and asked_in(folder) != _written(asked):
            raise InputError(f"--out {folder}: holds a search with other options; give another")
        yield


def asked_in(folder: Path) -> dict[str, str]:
    """The options of the search that a folder holds, as they are kept.

    Raises:
        InputError: they cannot be read.
    """
    path = folder / RECORD
    try:
        return dict(dict(read_json(path))["asked"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: cannot be read: {quoted(error)}; give another --out") from None


def _written(asked: Mapping[str, Any]) -> dict[str, str]:
    """Options as they are kept, to be held against those of another call."""
    return {name: str(value) for name, value in sorted(asked.items())}


def _write(done: Tuning, folder: Path, asked: Mapping[str, Any]) -> None:
    from gradus.figures.style import save

    _keep({"asked": _written(asked), **done.record()}, folder)
    save(done.plot(), folder / PICTURE)


def _keep(record: Mapping[str, Any], folder: Path) -> None:
    write_whole(folder / RECORD, json.dumps(finite(record), indent=1).encode())


def _open_spec(asked: Mapping[str, Any], free: Sequence[str], *, fixed: bool = True) -> RunSpec:
    """The run whose free options are to be found, of one net that trains to its last epoch.

    Raises:
        InputError: an option is wrong, or is both given and free.
    """
    for name in free:
        if name in asked:
            raise InputError(
                f"{flag(name)} {quoted(asked[name])}: is what the search finds; leave it out"
            )
    if asked.get("method") in ON_ALL_DATA:
        raise InputError(
            f"--method {asked['method']}: finds the length of its steps by itself; give a "
            "first-order method, as sgd or adam"
        )
    spec = RunSpec.read({**asked, "lr": AUTO}).model_copy(update={"lr": UNKNOWN})
    return spec.fixed if fixed else spec


def _trained(trainer: Trainer, course: Search, tell: Tell) -> list[Trial]:
    """All that the search asks for, trained.

    Raises:
        InputError: all of it diverged.
    """
    trials: list[Trial] = []
    batch = next(course, None)
    while batch is not None:
        found = trainer.train(batch, tell)
        trials += found
        try:
            batch = course.send([trial.worth for trial in found])
        except StopIteration:
            batch = None
    if all(math.isinf(trial.worth) for trial in trials):
        rates = [trial.candidate.lr for trial in trials]
        raise InputError(
            f"tune: diverges at every learning rate from {max(rates):g} down to {min(rates):g}: "
            "look for extreme values in the data, or give --clip-norm 1"
        )
    return trials


def _best(trials: Sequence[Trial], epochs: int) -> Trial:
    """The whole training with the best measure."""
    whole = [trial for trial in trials if trial.candidate.epochs == epochs]
    return min(whole, key=lambda trial: (trial.worth, trial.candidate.lr))


def _unsearched(
    names: Sequence[str], others: Sequence[Sequence[Alternative]], trials: Sequence[Trial]
) -> tuple[str, ...]:
    """The options of which no other value was trained."""
    tried = {name for trial in trials for name in trial.candidate.options}
    own = {name: {key for each in choices for key in each.options}
           for name, choices in zip(names, others, strict=True)}  # fmt: skip
    return tuple(name for name, keys in own.items() if not keys & tried)


def _plateau(
    trials: Sequence[Trial], best: Candidate, trainer: Trainer, job: Job
) -> Plateau | None:
    """The rates that cannot be told from the best, of whole trainings with its other options."""
    if job.validation is None or trainer.measure != "validation_loss":
        return None  # what another measure chose is not compared by the losses of examples
    alike = [
        trial.candidate
        for trial in trials
        if trial.candidate.epochs == best.epochs
        and trial.candidate.options == best.options
        and math.isfinite(trial.worth)
    ]
    part = job.validation.to(dtype=job.dtype)
    return plateau_of(
        best.lr, {each.lr: losses_of(trainer.run_of(each), job.loss, part) for each in alike}
    )


def _as_asked(
    options: Mapping[str, Any], kept: Path | None, objects: Objects, data_dir: Path | None
) -> Run:
    """The run that `gradus train` makes of what was found: of several nets, with its patience."""
    from gradus.runs.train import train

    folder = None if kept is None else kept / RUN
    spec = RunSpec.read(options)
    return train(spec, out=folder, overwrite=True, data_dir=data_dir, objects=objects)


def _command(asked: Mapping[str, Any], found: Mapping[str, Any], *, is_named: bool) -> str:
    """What trains the run again."""
    options = {name: value for name, value in {**asked, **found}.items() if name != "data"}
    if not is_named:
        said = ", ".join(f"{name}={value!r}" for name, value in found.items())
        return f"gradus.train(.., {said})"
    words = ["gradus", "train", str(asked["data"])]
    for name, value in options.items():
        if value is True:
            words.append(flag(name))
        elif value is False:
            words.append(f"--no-{flag(name)[2:]}")
        else:
            several = isinstance(value, tuple | list)
            written = ",".join(map(str, value)) if several else str(value)
            words += [flag(name), written]
    return shlex.join(words)
