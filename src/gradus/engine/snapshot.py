"""Where a run stands between two steps: enough to go on from there, to the bit."""

from __future__ import annotations

import bisect
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, final

from gradus.engine.job import Evaluation, Observe, Outcome, Row

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from gradus.engine.execution import Execution

CHECKPOINT_SECONDS_EPOCH = 2.0
"""A run is kept at the end of an epoch where it has not been for so long."""

CHECKPOINT_SECONDS = 120.0
"""The same within an epoch."""

CHECKPOINT_SHARE = 0.02
"""Of the time, at most, goes into keeping: large models and long histories are kept less often."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Where a run stands between two steps: everything that its continuation depends on.

    Attributes:
        engine: whose it is, ``"eager"`` or ``"native"``.
        epoch: of the next step, counted from 1.
        index: of the next step within its epoch; 0 where the epoch has not begun.
        outcome: the record so far (a copy).
        last_loss: the last loss that was finite.
        tensors: parameters, buffers, what the method remembers, the losses of this epoch, the
            random state: by name, on the CPU, without gaps; arrays, where there is no model of
            PyTorch.
        facts: what is no tensor, as JSON knows it.
    """

    engine: str
    epoch: int
    index: int
    outcome: Outcome
    last_loss: float | None
    tensors: dict[str, Any]
    facts: dict[str, Any]


@dataclass(frozen=True)
class Watch:
    """Who sees where a run stands on its way.

    Attributes:
        steps: after so many updates each, ascending, from 1 on.
        see: given the number of updates and w, ``[d]``, a copy in the order of
            ``model.parameters()``.
    """

    steps: Sequence[int]
    see: Callable[[int, Tensor], None]

    def next_after(self, step: int) -> float:
        """The next step at which it looks; infinite where there is none."""
        at = bisect.bisect_right(self.steps, step)
        return self.steps[at] if at < len(self.steps) else math.inf


@dataclass(frozen=True)
class Course:
    """Which part of a run is executed, and who keeps where it stands.

    Attributes:
        since: where it goes on; None at the beginning.
        until: after how many epochs it pauses; None for all of them.
        keep: given a snapshot at the end of an epoch, within long ones, and where the run pauses.
        end: given a snapshot where the run has taken its last step, from which it could go on if it
            had more epochs.
        watch: shown where the run stands after certain steps.
        observe: called after every row and every evaluation; may end the run.
        attach: given what executes the run, before the first step of this part of it.
        stepped: called after every step, by the eager engine alone.
    """

    since: Snapshot | None = None
    until: int | None = None
    keep: Callable[[Snapshot], None] | None = None
    end: Callable[[Snapshot], None] | None = None
    watch: Watch | None = None
    observe: Observe | None = None
    attach: Callable[[Execution], None] | None = None
    stepped: Callable[[], None] | None = None


WHOLE_RUN = Course()


@final
class Keeper:
    """When a run under way is kept."""

    def __init__(self, course: Course) -> None:
        self._keep = course.keep
        self._last = time.perf_counter()
        self._least = 0.0

    def offer(self, snapshot: Callable[[], Snapshot]) -> None:
        """Keep where the run stands between two steps of an epoch, if that is due."""
        self._offer(snapshot, CHECKPOINT_SECONDS)

    def offer_epoch(self, snapshot: Callable[[], Snapshot]) -> None:
        """Keep where the run stands after an epoch, if that is due."""
        self._offer(snapshot, CHECKPOINT_SECONDS_EPOCH)

    def _offer(self, snapshot: Callable[[], Snapshot], every: float) -> None:
        if self._keep is None:
            return
        began = time.perf_counter()
        if began - self._last >= max(every, self._least):
            self._keep(snapshot())
            self._last = time.perf_counter()
            self._least = (self._last - began) / CHECKPOINT_SHARE


def copied(outcome: Outcome, *, seconds: float = 0.0) -> Outcome:
    """The record so far, which does not grow with the run; trained for so much longer."""
    return replace(
        outcome,
        history=list(outcome.history),
        evaluation=list(outcome.evaluation),
        train_seconds=outcome.train_seconds + seconds,
    )


def parts_of(snapshot: Snapshot) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A snapshot as tensors by name and facts that JSON knows, for a file of each."""
    outcome = snapshot.outcome
    tensors = {f"run.{name}": tensor for name, tensor in snapshot.tensors.items()}
    tensors |= _columns("history", outcome.history, Row)
    tensors |= _columns("evaluation", outcome.evaluation, Evaluation)
    facts = {
        "engine": snapshot.engine,
        "epoch": snapshot.epoch,
        "index": snapshot.index,
        "step": outcome.step,
        "samples": outcome.samples,
        "work": outcome.work,
        "train_seconds": outcome.train_seconds,
        "test_seconds": outcome.test_seconds,
        "last_loss": snapshot.last_loss,
        "run": snapshot.facts,
    }
    return tensors, facts


def snapshot_of(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Snapshot:
    """The snapshot that was taken into these parts.

    Raises:
        KeyError: a part is missing.
    """
    if "evaluation.running_train_loss" not in tensors:
        tensors = _of_earlier_version(tensors)
    outcome = Outcome(
        step=facts["step"],
        samples=facts["samples"],
        work=facts.get("work", facts["samples"]),
        train_seconds=facts["train_seconds"],
        test_seconds=facts["test_seconds"],
        history=_rows("history", tensors, Row),
        evaluation=_rows("evaluation", tensors, Evaluation),
    )
    run = {name[4:]: tensor for name, tensor in tensors.items() if name.startswith("run.")}
    place = facts["engine"], facts["epoch"], facts["index"]
    return Snapshot(*place, outcome, facts["last_loss"], run, facts["run"])


def _of_earlier_version(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Until there was a validation part, ``train_loss`` was what the running mean is now.

    Work was not counted: it is taken to be one gradient an example, as first-order methods take.
    """
    import torch

    running = tensors["evaluation.train_loss"]
    unknown = torch.full_like(running, math.nan)
    return {
        **{f"evaluation.{name}": unknown for name in Evaluation._fields if name != METRICS},
        **tensors,
        "history.work": tensors["history.samples"],
        "evaluation.work": tensors["evaluation.samples"],
        "evaluation.running_train_loss": running,
        "evaluation.train_loss": unknown,
    }


METRICS = "metrics"
"""The field of an evaluation that holds figures by name, each of which has a column."""

INTEGERS = ("step", "samples", "epoch", "work")
"""Columns of whole numbers; the others are float64, where NaN is what there is not."""


def _columns(table: str, rows: Sequence[NamedTuple], kind: type[NamedTuple]) -> dict[str, Tensor]:
    import torch

    columns = zip(*rows, strict=True) if rows else ((),) * len(kind._fields)
    named: dict[str, Any] = dict(zip(kind._fields, columns, strict=True))
    if METRICS in named:
        taken = named.pop(METRICS)
        named |= {f"{METRICS}.{each}": [row[each] for row in taken] for each in (taken or ({},))[0]}
    return {
        f"{table}.{name}": torch.tensor(
            [math.nan if v is None else v for v in column], dtype=_type(name)
        )
        for name, column in named.items()
    }


def _rows(table: str, tensors: Mapping[str, Tensor], kind: Any) -> list[Any]:
    # A field with a default is newer than some snapshots.
    there = [name for name in kind._fields if name not in kind._field_defaults]
    there += [name for name in kind._field_defaults if f"{table}.{name}" in tensors]
    begins = f"{table}.{METRICS}."
    metrics = [name.removeprefix(begins) for name in tensors if name.startswith(begins)]
    columns = [tensors[f"{table}.{name}"].tolist() for name in there]
    columns += [tensors[f"{begins}{name}"].tolist() for name in metrics]
    found = []
    for row in zip(*columns, strict=True):
        values = [None if isinstance(v, float) and math.isnan(v) else v for v in row]
        given = dict(zip(there, values, strict=False))
        taken = dict(zip(metrics, values[len(there) :], strict=True))
        found.append(kind(**given, **({METRICS: taken} if taken else {})))
    return found


def _type(name: str) -> torch.dtype:
    import torch

    return torch.int64 if name in INTEGERS else torch.float64
