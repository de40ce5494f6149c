"""The record of a loop that is not Gradus's, written as it runs."""

from __future__ import annotations

import inspect
import os
import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sized
from contextlib import ExitStack
from datetime import UTC, datetime
from math import nan
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

import numpy as np
from torch import Tensor, nn
from torch.optim import Optimizer

from gradus.errors import InputError, quoted
from gradus.recording import points
from gradus.recording.identity import Config, bare, code_of, loop_of
from gradus.recording.losses import Rows, kept, numbers
from gradus.recording.points import Kept, Place
from gradus.runs import checkpoint
from gradus.runs.files import own_folder, read_json
from gradus.runs.further import STATE
from gradus.runs.interrupt import OneInterrupt
from gradus.runs.journal import COLUMNS, JOURNAL, POINTS, Columns, Journal, joined, read_journal
from gradus.runs.journal import Rows as Evaluations
from gradus.runs.lock import locked
from gradus.runs.record_files import (
    OVERVIEW,
    PREDICTIONS,
    PREPARATION,
    REPORT,
    check_apart,
    in_the_way,
)
from gradus.runs.recorded import (
    ALWAYS,
    RecordedRun,
    evaluation_table,
    history_table,
    is_recorded,
    open_recorded,
    summary_of,
)
from gradus.runs.saving import write_curve, write_json, write_parameters, write_tables
from gradus.runs.standing import CHECKPOINT

BLOCK = 1024
"""Losses on a device are read when there are so many."""

SECONDS = 5.0
"""What was logged is on the disk after so long."""


def record(
    folder: str | os.PathLike[str],
    optimizer: Optimizer | None,
    model: nn.Module,
    *,
    config: Config | None = None,
    overwrite: bool = False,
    resume: bool = False,
    **objects: Kept,
) -> Recorder:
    """Keep the record of a loop that is not Gradus's, as of a run of Gradus.

    Within the block ``run.log`` is called at every step and ``run.evaluate`` after an epoch. The
    learning rate is that of the step, read from the optimizer. When the block is left the folder
    holds what `gradus.train` leaves: the history, the evaluation, the curve, the parameters, and
    ``run.json``, which says how the block was left: ``finished``, ``diverged`` (the last loss was
    not finite), ``interrupted`` from the keyboard, or ``failed`` by an error, which goes on to
    whoever called. Until then all that was logged stands in a journal, which survives the end of
    the process.

    A step costs a few microseconds: losses on an accelerator are copied there and read a thousand
    at a time.

    Args:
        folder: of the record.
        optimizer: whose steps are counted and whose learning rate is read; None where there is
            none: then each call of ``log`` is a step.
        model: whose parameters are kept.
        config: options of the user's own, numbers and texts, by which runs are told apart later.
        overwrite: replace the record that the folder holds.
        resume: go on with the record that the folder holds, from its last resume point; with none,
            begin.
        objects: what else a resume point is to hold, by name: a scheduler, a scaler, a sampler, an
            average of the parameters, a ``torch.Generator``.

    Raises:
        InputError: the folder holds a record already, another process works in it, or an object has
            no state that can be kept.

    Example:
        >>> import gradus, tempfile, torch
        >>> folder = tempfile.TemporaryDirectory()
        >>> x, y = torch.randn(64, 3), torch.randn(64, 1)
        >>> model = torch.nn.Linear(3, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> with gradus.record(f"{folder.name}/mine", optimizer, model) as run:
        ...     for epoch in range(1, 4):
        ...         for at in range(0, 64, 16):
        ...             loss = torch.nn.functional.mse_loss(model(x[at : at + 16]), y[at : at + 16])
        ...             optimizer.zero_grad()
        ...             loss.backward()
        ...             optimizer.step()
        ...             run.log(loss, batch=16)
        ...         run.evaluate(epoch, test_loss=0.5)
        >>> opened = gradus.open_run(f"{folder.name}/mine")
        >>> opened.title, opened.history["samples"].to_pylist()[-1]
        ('Optimizer-SGD lr-0.1 bs-16', 192)
        >>> folder.cleanup()
    """
    frame = inspect.currentframe()
    code = None if frame is None or frame.f_back is None else code_of(frame.f_back)
    return recorder(
        folder, optimizer, model, config or {}, code, overwrite=overwrite, resume=resume, **objects
    )


def recorder(
    folder: str | os.PathLike[str],
    optimizer: Optimizer | None,
    model: nn.Module,
    config: Config,
    code: Mapping[str, Any] | None,
    *,
    overwrite: bool,
    resume: bool = False,
    **objects: Kept,
) -> Recorder:
    """What `record` gives; ``code`` says where the loop stands."""
    _check_given(optimizer, model)
    points.check(objects)
    if overwrite and resume:
        raise InputError("record: overwrite=True begins anew and resume=True goes on: give one")
    named = {
        "model": bare(model),
        **({} if optimizer is None else {"optimizer": optimizer}),
        **objects,
    }
    loop = loop_of(optimizer, model, config, code)
    return Recorder(Path(folder), optimizer, model, named, loop, overwrite=overwrite, resume=resume)


@final
class Recorder:
    """A loop whose record is being kept: what `gradus.record` gives to its block.

    Attributes:
        folder: of the record.
        step: steps taken so far.
        samples: examples consumed so far.
        epoch: the epoch under way, counted from 1: that after the last that was evaluated.
        resumed: whether the loop goes on from a resume point.
    """

    def __init__(
        self,
        folder: Path,
        optimizer: Optimizer | None,
        model: nn.Module,
        objects: dict[str, Kept],
        loop: dict[str, Any],
        *,
        overwrite: bool,
        resume: bool,
    ) -> None:
        self.folder, self.optimizer, self.model, self.objects = folder, optimizer, model, objects
        self.loop, self._overwrite, self._goes_on = loop, overwrite, resume
        self.step, self.samples, self.epoch, self.resumed = 0, 0, 1, False
        self._points = folder / POINTS
        self._entered = ExitStack()
        self._journal: Journal | None = None
        self._batches: Counter[int] = Counter()

    def __enter__(self) -> Self:
        self._check_folder()
        with ExitStack() as entered:
            entered.enter_context(locked(self.folder, f"{POINTS}/lock"))
            self._begin()
            if self.optimizer is not None:
                hook = self.optimizer.register_step_post_hook(self._stepped)
                entered.callback(hook.remove)
            self._entered = entered.pop_all()
        return self

    def _check_folder(self) -> None:
        """Refuse a folder that holds something, unless it was said what becomes of it."""
        folder = self.folder
        if folder.is_file():
            raise InputError(f"{folder}: cannot be written: it is a file, not a folder")
        check_apart(folder)
        if self._overwrite:
            return
        held = "a run" if is_recorded(folder) else in_the_way(folder)
        if held is None and (folder / CHECKPOINT).exists():
            held = "a run that was broken off"
        if self._goes_on:
            if held is not None and not is_recorded(folder):
                raise InputError(
                    f"{folder}: holds a run of Gradus, not of this loop; give another folder"
                )
        elif held is not None:
            held = "a run" if held == "run.json" else held
            raise InputError(
                f"{folder}: holds {held} already; give another folder, overwrite=True to replace "
                "it, or resume=True to go on with it"
            )

    def _begin(self) -> None:
        """Begin the record, or go on with that of the folder."""
        place = self._set_back() if self._goes_on and self._points.is_dir() else None
        if place is not None:
            self.started = str(read_json(self._points / checkpoint.BEGINNING)["started"])
            self._stand(place, *self._recorded())
            self.resumed = True
            return
        own_folder(self._points)
        for path in self._points.iterdir():
            if path.name != "lock":
                path.unlink()
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        begun = {
            "loop": self.loop,
            "parameters": self.loop["model"]["parameters"],
            "started": self.started,
        }
        write_json(self._points / checkpoint.BEGINNING, begun)
        self._stand(Place(0, 0, 1, 0, 0, 0.0), joined([]), [])

    def _recorded(self) -> tuple[Columns, Evaluations]:
        """The rows that the folder holds."""
        if (self._points / JOURNAL).exists():
            return read_journal(self._points / JOURNAL)
        run = open_recorded(self.folder)
        rows = run.evaluation.to_pylist()
        return {name: run.history[name].to_numpy() for name in COLUMNS}, [
            {name: value for name, value in row.items() if value is not None} for row in rows
        ]

    def _set_back(self) -> Place | None:
        """Set the objects back to where they stood last; None where nothing is kept."""
        damaged: list[str] = []
        found = points.read(self._points, damaged.append)
        if found is None and damaged:
            raise InputError(
                f"{damaged[0].partition(';')[0]}; there is none before it: begin anew with "
                "overwrite=True"
            )
        for told in damaged:
            warnings.warn(told, stacklevel=4)
        if found is None:
            return None
        place, states, drawn = found
        self._check_optimizer(read_json(self._points / checkpoint.BEGINNING)["loop"]["optimizer"])
        points.give_back(self.objects, states, drawn)
        return place

    def _check_optimizer(self, recorded: Mapping[str, Any] | None) -> None:
        """Refuse the state of an optimizer of another class, which may load and fail later."""
        given = self.loop["optimizer"]
        if recorded is None or given is None:
            return  # the names of what is kept tell
        was, now = str(recorded["class"]), str(given["class"])
        if was.rpartition(".")[2] != now.rpartition(".")[2]:
            raise InputError(
                f"resume: the optimizer of {self.folder} is a {was}, and a {now} was given; give "
                "one of that class, or begin anew with overwrite=True"
            )

    def _stand(self, place: Place, history: Columns, evaluation: Evaluations) -> None:
        """Go on from a place, with the rows that there were there."""
        history = {name: column[: place.rows] for name, column in history.items()}
        self._rows, self._evaluation = Rows(history), evaluation[: place.evaluations]
        if self._journal is not None:
            self._journal.close()
        self._journal = Journal(self._points / JOURNAL, history, self._evaluation)
        self.step, self.samples, self.epoch = place.step, place.samples, place.epoch
        self._after: bool | None = None
        self._at_row = place.step
        self._rows_of_step: list[int] | None = [0]
        self._lr_of_step: float | Tensor = nan
        now = time.perf_counter()
        self._clock, self._written, self._kept = now - place.seconds, now, now

    def _stepped(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self.step += 1
        self._lr_of_step = optimizer.param_groups[0]["lr"]

    def log(
        self,
        loss: float | Tensor,
        *unnamed: object,
        batch: int | Sized | None = None,
        epoch: int | None = None,
        after: bool | None = None,
    ) -> None:
        """A row of the history: the mean loss of a mini-batch, at the parameters before its step.

        To be called once a mini-batch, before ``optimizer.step()`` or after it, but always on the
        same side of it. Where several mini-batches make a step, their rows have that step.

        Args:
            loss: a number, or a tensor of one.
            unnamed: nothing: what else is given has a name.
            batch: how many examples it is the mean of, or a tensor or list of as many; it has to
                be given.
            epoch: to which it belongs, counted from 1; None: that after the last evaluation.
            after: whether the mini-batch whose step it is, or the last of those that make one, is
                logged after ``optimizer.step()``; None: as was the first row, which says so
                unless several make a step: then it is taken to be before.

        Raises:
            InputError: the loss is not one number, or the batch no number of examples.
        """
        self._open  # noqa: B018  (refuses what is logged outside the block)
        now = time.perf_counter()
        if unnamed:
            raise InputError(
                f"log: takes the loss alone without a name; give batch={quoted(unnamed[0], 60)}"
            )
        examples = batch if type(batch) is int and batch > 0 else _examples(batch)
        if epoch is not None:
            self.epoch = _checked_epoch(epoch)
        rate: float | Tensor = nan
        if self.optimizer is None:
            step = self.step
            self.step += 1
        else:
            step, rate = self._place(self.optimizer, after)
        self.samples += examples
        self._batches[examples] += 1
        pending = self._rows.pending
        seconds, value = now - self._clock, kept(loss, "loss")
        pending.append((step, self.samples, self.epoch, value, kept(rate, "lr"), seconds))
        if len(pending) >= BLOCK or now - self._written > SECONDS:
            self._write()

    def _place(self, optimizer: Optimizer, after: bool | None) -> tuple[int, float | Tensor]:
        """The step that a row belongs to, and its learning rate."""
        stepped, self._at_row = self.step > self._at_row, self.step
        if after is None:
            if self._after is None:
                self._after = stepped
            after = self._after
            if not after:
                self._check_side(stepped)
        if after and stepped:
            return self.step - 1, self._lr_of_step
        return self.step, optimizer.param_groups[0]["lr"]

    def _check_side(self, stepped: bool) -> None:
        """Say so where rows that were taken to come before their step seem to come after it.

        Of n mini-batches a step, n rows come before the first step where each is logged before it,
        and n - 1 where it is after; n come between two steps.
        """
        counts = self._rows_of_step
        if counts is None:
            return
        if stepped:
            counts.append(0)
        counts[-1] += 1
        if len(counts) > 2:
            self._rows_of_step = None
        elif len(counts) == 2 and counts[1] > counts[0]:
            self._rows_of_step = None
            warnings.warn(
                f"log: {counts[0]} row{'s' if counts[0] > 1 else ''} came before the first step "
                f"and {counts[1]} before the next; where rows are logged after optimizer.step(), "
                "say so by run.log(.., after=True), else by after=False",
                stacklevel=4,
            )

    def _write(self) -> None:
        """Write down what was logged; from time to time, wait until it is on the disk."""
        journal, block = self._open, self._rows.read()
        if block is not None:
            journal.rows(block)
        now = time.perf_counter()
        if now - self._written > SECONDS:
            journal.sync()
            self._written = now

    @property
    def _open(self) -> Journal:
        """What is being written.

        Raises:
            InputError: the block has not been entered, or was left.
        """
        if self._journal is None:
            raise InputError(
                "record: is written within its block; write 'with gradus.record(...) as run:'"
            )
        return self._journal

    def evaluate(self, epoch: int, **figures: float | Tensor) -> None:
        """What is known after an epoch.

        The mean of what was logged since the last one stands beside it as ``running_train_loss``.

        Args:
            epoch: counted from 1; within one there may be several.
            figures: by name: ``train_loss``, ``validation_loss``, ``validation_accuracy``,
                ``test_loss``, ``test_accuracy`` are those of a run of Gradus, by which runs are
                compared; ``accuracy`` is that of the part whose loss is given; others are kept.

        Raises:
            InputError: a later epoch was evaluated already, or a figure is no number.
        """
        journal = self._open
        epoch, last = _checked_epoch(epoch), self._last_evaluated("epoch")
        if epoch < last:
            raise InputError(f"evaluate: epoch {epoch} comes before epoch {last}, not after it")
        if "accuracy" in figures:
            parts = [part for part in ("validation", "test") if f"{part}_loss" in figures]
            if len(parts) != 1:
                raise InputError(
                    "accuracy: of which part? give validation_accuracy or test_accuracy"
                )
            figures[f"{parts[0]}_accuracy"] = figures.pop("accuracy")
        for name in figures:
            if name in TAKEN:
                raise InputError(f"evaluate: {name} is a column of its own; give another name")
        values = numbers(kept(value, name) for name, value in figures.items())
        self._write()
        row = {
            "epoch": epoch,
            "samples": self.samples,
            "running_train_loss": self._running_mean(),
            **dict(zip(figures, values, strict=True)),
            "seconds": time.perf_counter() - self._clock,
        }
        self._evaluation.append(row)
        journal.evaluated(row)
        self.epoch = epoch + 1

    def _last_evaluated(self, place: str) -> int:
        """Where the last evaluation stands; 0 before the first."""
        return int(self._evaluation[-1][place]) if self._evaluation else 0

    def _running_mean(self) -> float:
        """The mean loss of the examples since the last evaluation."""
        columns = self._rows.columns
        before = self._last_evaluated("samples")
        since = columns["samples"] > before
        batches = np.diff(columns["samples"], prepend=0)[since]
        if not len(batches):
            return nan
        return float(np.average(columns["loss"][since], weights=batches))

    def keep(self, minutes: float = 0.0) -> bool:
        """Keep a resume point: where the loop stands, to be gone on from exactly.

        To be called between two steps, where the loop could begin again: after an epoch and its
        scheduler. It holds the states of the optimizer, of the model and of the other objects, and
        those of the random generators of Python, NumPy and PyTorch, in safetensors and JSON.

        Args:
            minutes: do nothing unless so long has passed since the last.

        Returns:
            Whether one was kept.

        Raises:
            InputError: a state holds what safetensors and JSON do not know.
            OSError: it cannot be written; the one before is as it was.
        """
        journal = self._open
        if minutes and time.perf_counter() - self._kept < 60 * minutes:
            return False
        self._write()
        journal.sync()
        seconds = time.perf_counter() - self._clock
        rows = len(self._rows.columns["loss"])
        place = Place(self.step, self.samples, self.epoch, rows, len(self._evaluation), seconds)
        points.keep(self._points, self.objects, place)
        self._kept = time.perf_counter()
        return True

    def resume(self) -> None:
        """Go back to the last resume point: the objects, the random generators, and the record.

        ``gradus.record(..., resume=True)`` does so as its block is entered.

        Raises:
            InputError: none was kept, or the objects are others than those that were kept.
        """
        self._write()
        place = self._set_back()
        if place is None:
            raise InputError(f"{self.folder}: no resume point was kept; call run.keep() before")
        self._stand(place, self._rows.columns, self._evaluation)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._entered, OneInterrupt() as interrupts:
            interrupts.close()
            try:
                self._finish(error)
            except Exception as failed:
                if error is None:
                    raise
                error.add_note(f"gradus: the record could not be written: {quoted(failed)}")

    def _finish(self, error: BaseException | None) -> None:
        """Leave the record of a loop that has ended."""
        self._write()
        columns = self._rows.columns
        if error is None and self.samples > self._last_evaluated("samples"):
            self.evaluate(max(self.epoch, self._last_evaluated("epoch")))
        if self._batches:
            self.loop["title"] += f" bs-{self._batches.most_common(1)[0][0]}"
        ended = "failed" if isinstance(error, Exception) else "interrupted"
        summary = summary_of(
            self.loop,
            self.loop["model"]["parameters"],
            columns,
            self._evaluation,
            status="finished" if error is None else ended,
            started=self.started,
            steps=self.step,
            error=error,
        )
        run = RecordedRun(
            summary, history_table(columns), evaluation_table(self._evaluation), self.folder
        )
        (self.folder / "run.json").unlink(missing_ok=True)
        for name in OF_A_RUN:
            (self.folder / name).unlink(missing_ok=True)
        for name in (CHECKPOINT, STATE):
            checkpoint.remove(self.folder / name)
        write_tables(self.folder, run.history, run.evaluation)
        write_parameters(self.folder, bare(self.model))
        write_curve(self.folder, run)
        write_json(self.folder / "run.json", summary)
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        (self._points / JOURNAL).unlink()


OF_A_RUN = (PREDICTIONS, OVERVIEW, REPORT, PREPARATION)
"""What the record of a run of Gradus holds, and that of a loop does not."""

TAKEN = {*ALWAYS, "work", "seconds", "run"}
"""Columns that are no figures of the user's."""


def _check_given(optimizer: Any, model: Any) -> None:
    if isinstance(model, nn.Module) and isinstance(optimizer, Optimizer | None):
        return
    hint = ": the optimizer comes before the model" if isinstance(optimizer, nn.Module) else ""
    raise InputError(
        "record: needs a torch.optim.Optimizer (or None) and a torch.nn.Module, not "
        f"{type(optimizer).__name__} and {type(model).__name__}{hint}"
    )


def _examples(batch: Any) -> int:
    """How many examples a batch has."""
    if isinstance(batch, int | np.integer) and not isinstance(batch, bool) and batch > 0:
        return int(batch)
    if isinstance(batch, list | Tensor | np.ndarray) and len(batch):
        return len(batch)
    if batch is None:
        raise InputError(
            "batch: is missing; say how many examples the loss is the mean of, as "
            "run.log(loss, batch=16), or batch=x, the tensor of their inputs"
        )
    raise InputError(
        f"batch: how many examples it has, as 16, or the tensor of their inputs, not "
        f"{type(batch).__name__} {quoted(batch) if isinstance(batch, int | float) else ''}".rstrip()
    )


def _checked_epoch(epoch: Any) -> int:
    if isinstance(epoch, int | np.integer) and not isinstance(epoch, bool) and epoch > 0:
        return int(epoch)
    raise InputError(f"epoch {quoted(epoch)}: epochs are counted from 1, as epoch + 1 of a range")
