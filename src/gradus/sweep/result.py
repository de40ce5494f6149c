"""What a run of a sweep leaves behind: what a worker sends, and the rows it becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gradus.runs.record import EVALUATION, HISTORY
from gradus.runs.spec import RunSpec, canonical

if TYPE_CHECKING:
    from gradus.engine.job import Divergence, Outcome

Status = Literal["finished", "diverged", "stopped", "pruned", "paused"]
Columns = Mapping[str, NDArray[Any]]
"""Columns of equal length, by name."""


@dataclass(frozen=True, eq=False)
class Result:
    """A run that has ended, or paused where it may be cut.

    Attributes:
        run: its id.
        spec: what determines it, as it was asked for.
        loss: the loss, also where it followed from the data.
        engine: the one that executed it.
        kernels: the variant of the kernels, where there are any.
        history: step, samples, epoch, loss, lr.
        evaluation: epoch, samples, train_loss, test_loss, test_accuracy (NaN for regression).
        pruned_epoch: after which epoch it was cut.
    """

    run: str
    spec: RunSpec
    status: Status
    loss: str | None
    engine: str
    kernels: str | None
    steps: int
    samples: int
    train_seconds: float
    history: Columns
    evaluation: Columns
    divergence: Divergence | None = None
    stopped: str | None = None
    pruned_epoch: int | None = None

    @property
    def epochs_trained(self) -> int:
        """How many epochs were trained and evaluated."""
        return int(self.evaluation["epoch"][-1]) if len(self.evaluation["epoch"]) else 0

    def pruned(self) -> Result:
        """The same run, cut where it has paused."""
        return replace(self, status="pruned", pruned_epoch=self.epochs_trained)


def result_of(
    run: str,
    spec: RunSpec,
    outcome: Outcome,
    *,
    status: Status,
    loss: str | None,
    engine: str,
    kernels: str | None,
) -> Result:
    """The result of a run, its rows as columns."""
    return Result(
        run=run,
        spec=spec,
        status=status,
        loss=loss,
        engine=engine,
        kernels=kernels,
        steps=outcome.step,
        samples=outcome.samples,
        train_seconds=outcome.train_seconds,
        history=columns(outcome.history, HISTORY),
        evaluation=columns(outcome.evaluation, EVALUATION),
        divergence=outcome.divergence,
        stopped=outcome.stopped,
    )


def columns(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> Columns:
    """Rows as columns of the types of this schema."""
    turned = zip(*rows, strict=True) if rows else ((),) * len(schema)
    return {
        field.name: np.array(values, dtype=field.type.to_pandas_dtype())
        for field, values in zip(schema, turned, strict=True)
    }


def _kind_of(annotation: Any) -> pa.DataType:
    """The type of the column of an option: tuples stand as on the command line, 512,512."""
    kinds = {annotation, *get_args(annotation)}
    for kind, column in ((bool, pa.bool_()), (int, pa.int64()), (float, pa.float64())):
        if kind in kinds:
            return column
    return pa.string()


FIGURES: dict[str, pa.DataType] = {
    "epochs_trained": pa.int32(),
    "steps": pa.int64(),
    "samples": pa.int64(),
    "train_loss": pa.float64(),
    "test_loss": pa.float64(),
    "test_accuracy": pa.float64(),
    "best_test_loss": pa.float64(),
    "best_test_accuracy": pa.float64(),
    "best_epoch": pa.int32(),
    "diverged_step": pa.int64(),
    "diverged_samples": pa.int64(),
    "diverged_loss": pa.float64(),
    "pruned_epoch": pa.int32(),
    "stopped": pa.string(),
    "train_seconds": pa.float64(),
    "engine": pa.string(),
    "kernels": pa.string(),
    "part": pa.int32(),
    "spec": pa.string(),
}
"""The columns of a row that are no options. ``engine`` is the one that executed the run, and
``part`` says in which file of history/ and of evaluation/ its rows stand."""

OPTIONS: dict[str, pa.DataType] = {
    name: _kind_of(field.annotation)
    for name, field in RunSpec.model_fields.items()
    if name not in FIGURES
}

RUNS = pa.schema(
    [("run", pa.string()), ("status", pa.string()), *OPTIONS.items(), *FIGURES.items()]
)
"""The columns of runs.parquet."""


def row(result: Result, part: int) -> dict[str, Any]:
    """The row of a run in runs.parquet."""
    spec = result.spec
    options = {name: getattr(spec, name) for name in OPTIONS}
    for name, value in options.items():
        if isinstance(value, tuple):
            options[name] = ",".join(map(str, value))
    options["loss"] = result.loss
    evaluation, found = result.evaluation, result.divergence
    figures: dict[str, Any] = {}
    if result.epochs_trained:
        figures = {name: float(evaluation[name][-1]) for name in ("train_loss", "test_loss")}
        best = int(np.argmin(evaluation["test_loss"]))
        figures["best_test_loss"] = float(evaluation["test_loss"][best])
        figures["best_epoch"] = int(evaluation["epoch"][best])
        if not np.isnan(evaluation["test_accuracy"][-1]):
            figures["test_accuracy"] = float(evaluation["test_accuracy"][-1])
            figures["best_test_accuracy"] = float(np.max(evaluation["test_accuracy"]))
    if found is not None:
        figures["diverged_step"] = found.step
        figures["diverged_samples"] = found.samples
        figures["diverged_loss"] = found.loss
    return {
        "run": result.run,
        "status": result.status,
        **options,
        "epochs_trained": result.epochs_trained,
        "steps": result.steps,
        "samples": result.samples,
        **figures,
        "pruned_epoch": result.pruned_epoch,
        "stopped": result.stopped,
        "train_seconds": result.train_seconds,
        "engine": result.engine,
        "kernels": result.kernels,
        "part": part,
        "spec": canonical(spec),
    }
