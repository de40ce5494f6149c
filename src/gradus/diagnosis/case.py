"""What is examined: what the run was made of, from which its job is made again and again."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from gradus.data.dataset import Dataset, Split
from gradus.diagnosis.findings import Remedy
from gradus.engine import choose
from gradus.engine.job import Job
from gradus.engine.selection import NOTHING_SELECTED
from gradus.errors import InputError
from gradus.metrics import best_constant
from gradus.models.own import check_named, is_object, shown
from gradus.runs.again import again
from gradus.runs.choices import flag
from gradus.runs.job import load_for, prepare, resolved
from gradus.runs.objects.given import NO_OBJECTS, Objects
from gradus.runs.seeds import seed_of
from gradus.runs.spec import RunSpec

if TYPE_CHECKING:
    from gradus.diagnosis.fork import Change
    from gradus.runs.record import Run

HELD = 0.15
"""The share of the training examples that trials hold, where the run held none."""

FEWEST = 100
"""Training examples from which on a share of them is held."""

SAMPLE = 2000
"""Examples of a part on which trials are compared, at most."""

ALWAYS = ("data", "method", "lr")
"""Options that a command says even where they are the usual ones."""


@dataclass(eq=False)
class Case:
    """A run, or what would be one.

    Attributes:
        spec: what determines it.
        split: its data.
        objects: of which the spec says only what identifies them.
        run: its record; None where nothing was trained.
        automatic: options that were not given and followed from the data.
        changes: what is done otherwise in its job, beside the options of the spec.
    """

    spec: RunSpec
    split: Split
    objects: Objects = NO_OBJECTS
    run: Run | None = None
    automatic: Mapping[str, Any] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()

    def __post_init__(self) -> None:
        if self.split.train.is_sparse:
            raise InputError(
                f"{self.name}: its inputs are sparse, which the doctor does not examine; give a "
                "run on a share of the columns, as an array"
            )

    @property
    def name(self) -> str:
        """Of the run, for the user."""
        title = f"{self.spec.title} on {shown(self.spec.data)}"
        return title if self.run is None or self.run.folder is None else str(self.run.folder)

    def job(self) -> Job:
        """The job of the run itself, before its first step, every loss of which is recorded.

        Its test part are the examples that the run held, if it held any: what a change does to the
        data it does to them too.
        """
        job = self._prepared(self.spec, self.split)
        if self.split.validation is not None:
            job = replace(job, test=self.split.validation)
        for change in self.changes:
            assert change.apply is not None
            job = change.apply(job)
        return replace(job, log_every=1)

    def mended(self, changes: Sequence[Change]) -> Case:
        """What would be the run with these changes, of which there is no record."""
        options: dict[str, Any] = {}
        for change in changes:
            if change.apply is None:
                options |= change.options
        spec, _ = again(self.spec, self.automatic, options)
        applied = tuple(change for change in changes if change.apply is not None)
        return replace(self, spec=resolved(spec, self.split), run=None, changes=applied)

    def trial(self, pair: int, changes: Sequence[Change] = ()) -> Job:
        """The job of a trial; its test part are held examples, that of the run is not looked at.

        Args:
            pair: trials of the same number have the same seed; that of the run for 0.
            changes: what is done otherwise.

        Raises:
            InputError: a change makes no run.
        """
        options: dict[str, Any] = {}
        for change in changes:
            if change.apply is None:
                options |= change.options
        spec, _ = again(self.spec, self.automatic, options)
        split = self.parts
        found: dict[str, Any] = {"seed": seed_of(spec.seed, pair), "models": 1}
        if spec.batch_size is not None and spec.batch_size * spec.accumulate > len(split.train):
            found |= {"batch_size": len(split.train), "accumulate": 1}
        job = self._prepared(resolved(spec, split).model_copy(update=found), split)
        if split.validation is not None:
            job = replace(job, test=split.validation)
        for change in changes:
            if change.apply is not None:
                job = change.apply(job)
        return job

    def _prepared(self, spec: RunSpec, split: Split) -> Job:
        """A job of which nothing is evaluated on the way; the random state is left as it was."""
        with torch.random.fork_rng():
            job = prepare(spec, split, objects=self.objects)
        return replace(
            *(job,), validation=None, selection=NOTHING_SELECTED, measured=False, nets=1,
            log_every=10**9,
        )  # fmt: skip

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """Training examples of the run that trials train on: the others they hold."""
        n = len(self.split.train)
        if self.split.validation is not None or n < FEWEST:
            return np.arange(n)
        held = min(SAMPLE, round(HELD * n))
        if (n - held) % (self.spec.batch_size or 1) == 1:
            held += 1  # a batch of one example is more than a batch norm can take
        return np.sort(np.random.default_rng(0).permutation(n)[held:])

    @cached_property
    def parts(self) -> Split:
        """The data of trials: with examples that are held, where there are enough."""
        data, rows = self.split.train, self.rows
        if len(rows) == len(data):
            return self.split
        held = np.setdiff1d(np.arange(len(data)), rows)
        train, validation = (data.subset(torch.from_numpy(each)) for each in (rows, held))
        return replace(self.split, train=train, validation=validation)

    def sample(self, data: Dataset, dtype: torch.dtype) -> Dataset:
        """At most ``SAMPLE`` of these examples, the same always."""
        data = data.to(dtype=dtype)
        if len(data) <= SAMPLE:
            return data
        drawn = np.sort(np.random.default_rng(1).permutation(len(data))[:SAMPLE])
        return data.subset(torch.from_numpy(drawn).to(data.x.device))

    def line(self, job: Job) -> float | None:
        """The loss of the best constant prediction; None where it is not known, or is 0."""
        data = job.train.to(dtype=job.dtype)
        constant = best_constant(data, job.loss)
        found = 0.0 if constant is None else constant.judge(self.sample(data, job.dtype)).loss
        return found if found > 0 else None

    def engine(self, job: Job) -> choose.Chosen:
        """Who executes a job of this case: the engine of the run, where it can."""
        recorded = None if self.run is None else self.run.summary["engine"]
        if recorded == "eager" or (recorded is None and self.spec.engine == "eager"):
            return "eager"
        return choose.chosen("auto", job)[0]

    def remedy(self, changes: Sequence[Change]) -> Remedy:
        """What the user runs, or does otherwise, to train with these changes."""
        options = {name: value for each in changes for name, value in each.options.items()}
        words = "; ".join(each.otherwise for each in changes if each.otherwise)
        if not options:
            return Remedy(None, words)
        found = self._with_options(options)
        if not words:
            return found
        return Remedy(None, f"{words}; and {found.call}")

    def _with_options(self, options: Mapping[str, Any]) -> Remedy:
        given = ", ".join(f"{name}={value!r}" for name, value in options.items())
        if any(is_object(getattr(self.spec, name)) for name in ("data", "model", "loss", "method")):
            return Remedy(None, f"gradus.train(..., {given})")
        folder = None if self.run is None else self.run.folder
        if folder is not None:
            said = " ".join(map(as_written, options.items()))
            opened = f"gradus.open_run({str(folder)!r})"
            return Remedy(f"gradus train --spec {folder} {said}", f"{opened}.train({given})")
        spec, _ = again(self.spec, self.automatic, options)
        told = in_full(spec, (*ALWAYS, *options))
        data = told.pop("data")
        if (
            told.get("loss")
            == {"classification": "cross-entropy", "regression": "mse"}[self.split.task]
        ):
            del told["loss"]
        said = " ".join(["gradus train", str(data), *map(as_written, told.items())])
        return Remedy(said, f"run.train({given})" if self.run else f"gradus.train(..., {given})")


def as_written(option: tuple[str, Any]) -> str:
    """An option on the command line.

    Example:
        >>> as_written(("batch_size", 8)), as_written(("standardize", True))
        ('--batch-size 8', '--standardize')
        >>> as_written(("betas", (0.9, 0.99))), as_written(("nesterov", False))
        ('--betas 0.9,0.99', '--nesterov false')
    """
    name, value = option
    if value is True:
        return flag(name)
    if value is False:
        return f"{flag(name)} false"
    if isinstance(value, tuple | list):
        value = ",".join(map(str, value))
    value = f"{value:g}" if isinstance(value, float) else str(value)
    quoted = value if re.fullmatch(r"[\w@%+=:,./-]+", value) else repr(value)
    return f"{flag(name)} {quoted}"


def in_full(spec: RunSpec, always: Sequence[str] = ()) -> dict[str, Any]:
    """The options that say a spec, without those that hold anyhow.

    Example:
        >>> in_full(RunSpec(method="adam", lr=0.1))
        {'data': 'digits', 'method': 'adam', 'lr': 0.1}
    """
    given: dict[str, Any] = {"data": spec.data}
    for name in (*RunSpec.model_fields,):
        if name == "auto":
            continue
        value = getattr(spec, name)
        try:
            usual = getattr(RunSpec.read(given), name)
        except InputError:  # an option that goes with a choice, and has to be given
            usual = None
        if value is not None and (value != usual or name in always):
            given[name] = value
    return given


def case_of(
    run: Run, objects: Objects = NO_OBJECTS, data_dir: str | os.PathLike[str] | None = None
) -> Case:
    """The case of a run.

    Args:
        run: the record.
        objects: that it was trained on, as far as it was.
        data_dir: where data sets that are not embedded are looked for first.

    Raises:
        InputError: it was trained on objects that are not given, is of code that was not named or
            trusted, or went on from the parameters of another run.
    """
    where = run.folder or run.title
    if objects is NO_OBJECTS:
        objects = run.objects
    run.check_code()
    was_run = run.trained is not None or run.trusted
    check_named([run.spec.method], where, trust=was_run, option="method")
    if any(origin["how"] == "from" for origin in run.summary["origin"]):
        raise InputError(
            f"{where}: began with the parameters of another run, which its record does not hold; "
            "examine a run that began by itself"
        )
    if is_object(run.spec.schedule):
        raise InputError(
            f"{where}: its learning rate was moved by {shown(run.spec.schedule)}, whose state no "
            "record holds: it cannot be repeated; give --schedule, or a schedule of gradus.methods"
        )
    try:
        objects = objects.named_by(run.spec)
        objects.check(run.spec)
    except InputError as error:
        said = str(error).replace("gradus.train(data, ", "gradus.diagnose(run, data=.., ")
        raise InputError(said) from None
    split = load_for(run.spec, data_dir, objects=objects)
    if split.order is not None:
        raise InputError(
            f"{where}: its examples came in the order of a DataLoader, which no one can repeat; "
            "give the data themselves"
        )
    return Case(run.spec, split, objects, run, run.summary.get("auto") or {})
