"""What a run of a sweep leaves behind: what a worker sends, and the rows it becomes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gradus.engine.selection import NOTHING_SELECTED, Selection, rises
from gradus.runs.parts.training import MEASURES
from gradus.runs.record_tables import HISTORY, evaluated
from gradus.runs.selection import column_of, figure_of, is_scored, tested
from gradus.runs.spec import RunSpec, canonical

if TYPE_CHECKING:
    from gradus.engine.job import Divergence, Outcome

Status = Literal["finished", "failed", "diverged", "stopped", "pruned", "paused"]
Columns = Mapping[str, NDArray[Any]]
"""Columns of equal length, by name."""


@dataclass(frozen=True, eq=False)
class Result:
    """A run that has ended, or paused where it may be cut.

    Attributes:
        run: its id.
        spec: what determines it, as it was asked for.
        resolved: the same with what followed from the data.
        engine: the one that executed it.
        kernels: the variant of the kernels, where there are any.
        work: examples whose gradient or Hessian product was evaluated.
        history: step, samples, epoch, loss, lr, work.
        evaluation: epoch, samples, running_train_loss, train_loss, and loss and accuracy on the
            validation and on the test part (NaN where there is none, or it was not evaluated); and
            the measure of the run, where it is another figure.
        constant_train_loss: what the best constant prediction reaches on the training part.
        kept_epoch: the epoch whose parameters the run left.
        test: of those, the figures on the test part, with their uncertainty.
        test_measured: of those, what runs are compared by, taken on the test part; None where it is
            a loss or an accuracy.
        pruned_epoch: after which epoch it was cut.
    """

    run: str
    spec: RunSpec
    resolved: RunSpec
    status: Status
    engine: str
    kernels: str | None
    steps: int
    samples: int
    work: int
    train_seconds: float
    history: Columns
    evaluation: Columns
    constant_train_loss: float | None = None
    kept_epoch: int | None = None
    test: Mapping[str, Any] | None = None
    test_measured: float | None = None
    divergence: Divergence | None = None
    stopped: str | None = None
    pruned_epoch: int | None = None

    @property
    def epochs_trained(self) -> int:
        """How many epochs were trained and evaluated."""
        return int(self.evaluation["epoch"][-1]) if len(self.evaluation["epoch"]) else 0

    @property
    def worth(self) -> float | None:
        """The measure of the run, so that less is better; None where no epoch ended.

        It is that after the epoch that the run kept, or, where it may go on, after its last.
        """
        measure = column_of(self.spec.measure or "validation-loss")
        if not self.epochs_trained:
            return None
        epochs = list(self.evaluation["epoch"])
        at = -1 if self.kept_epoch is None else epochs.index(self.kept_epoch)
        value = float(self.evaluation[measure][at])
        return -value if rises(measure) else value

    def pruned(self) -> Result:
        """The same run, cut where it has paused."""
        return replace(self, status="pruned", pruned_epoch=self.epochs_trained)


def result_of(
    run: str,
    spec: RunSpec,
    outcome: Outcome,
    *,
    resolved: RunSpec,
    status: Status,
    engine: str,
    kernels: str | None,
    constant_train_loss: float | None = None,
    selection: Selection = NOTHING_SELECTED,
    test_measured: float | None = None,
) -> Result:
    """The result of a run, its rows as columns."""
    return Result(
        run=run,
        spec=spec,
        resolved=resolved,
        status=status,
        engine=engine,
        kernels=kernels,
        steps=outcome.step,
        samples=outcome.samples,
        work=outcome.work,
        train_seconds=outcome.train_seconds,
        history=columns(outcome.history, HISTORY),
        evaluation=columns(*evaluated(outcome.evaluation, selection)),
        constant_train_loss=constant_train_loss,
        kept_epoch=outcome.kept_epoch,
        test=outcome.tested and tested(outcome.tested),
        test_measured=test_measured,
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
    "work": pa.int64(),
    "constant_train_loss": pa.float64(),
    "running_train_loss": pa.float64(),
    "train_loss": pa.float64(),
    "validation_loss": pa.float64(),
    "validation_accuracy": pa.float64(),
    "test_loss": pa.float64(),
    "test_accuracy": pa.float64(),
    "test_standard_error": pa.float64(),
    "test_examples": pa.int64(),
    "best_validation_loss": pa.float64(),
    "best_validation_accuracy": pa.float64(),
    "best_test_loss": pa.float64(),
    "best_test_accuracy": pa.float64(),
    "best_epoch": pa.int32(),
    "kept_epoch": pa.int32(),
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
``part`` says in which file of history/ and of evaluation/ its rows stand. Figures without ``best``
are those after ``kept_epoch``, whose parameters the run left, or after its last epoch; those with
``best`` are the best of all epochs; ``best_epoch`` is the best by the measure of the run."""

OPTIONS: dict[str, pa.DataType] = {
    name: _kind_of(field.annotation)
    for name, field in RunSpec.model_fields.items()
    if name not in FIGURES
}

RUNS = pa.schema(
    [("run", pa.string()), ("status", pa.string()), *OPTIONS.items(), *FIGURES.items()]
)
"""The columns of runs.parquet."""


SCORED: tuple[str, ...] = tuple(column_of(each) for each in MEASURES if is_scored(each))
"""Columns of figures that only runs have that are compared by them."""


def with_scores(schema: pa.Schema, names: Iterable[str]) -> pa.Schema:
    """A schema with those columns of figures that are among the names.

    Example:
        >>> with_scores(pa.schema([("run", pa.string())]), ["run", "test_f1"]).names
        ['run', 'test_f1']
    """
    there = {*names} - {*schema.names}
    possible = [name for each in SCORED for name in (each, f"best_{each}")]
    return pa.schema([*schema, *((name, pa.float64()) for name in possible if name in there)])


def _figures(result: Result) -> dict[str, Any]:
    """What is known of a run after the epoch that it kept, and of the best of its epochs."""
    evaluation = result.evaluation
    epochs = evaluation["epoch"]
    at = len(epochs) - 1 if result.kept_epoch is None else list(epochs).index(result.kept_epoch)
    found: dict[str, Any] = {"kept_epoch": result.kept_epoch}
    for name, values in evaluation.items():
        known = name in FIGURES or name in SCORED
        if not known or name in ("samples", "work") or np.isnan(values).all():
            continue
        found[name] = None if np.isnan(values[at]) else float(values[at])
        if f"best_{name}" in FIGURES or name in SCORED:
            found[f"best_{name}"] = float(values[best_of(name, values)])
    measure = column_of(result.spec.measure or "validation-loss")
    if not np.isnan(evaluation[measure]).all():
        found["best_epoch"] = int(epochs[best_of(measure, evaluation[measure])])
    if result.test is not None:
        found["test_standard_error"] = result.test["standard_error"]
        found["test_examples"] = result.test["examples"]
    if result.test_measured is not None and not math.isnan(result.test_measured):
        found[f"test_{figure_of(str(result.spec.measure))}"] = result.test_measured
    return found


def worths(runs: pa.Table) -> list[float | None]:
    """The measure of each row of runs.parquet, so that less is better; None where there is none."""
    found: list[float | None] = []
    for at, asked in enumerate(runs["measure"].to_pylist()):
        measure = column_of(asked or "validation-loss")
        value = runs[measure][at].as_py() if measure in runs.column_names else None
        found.append(None if value is None else -value if rises(measure) else value)
    return found


def best_of(measure: str, values: NDArray[np.float64]) -> int:
    """The position of the best value: of the highest accuracy, of the least loss."""
    return int(np.nanargmax(values) if rises(measure) else np.nanargmin(values))


def option_columns(spec: RunSpec, loss: str | None) -> dict[str, Any]:
    """The options of a run as they stand in its row; the loss may have followed from the data."""
    options = {name: getattr(spec, name) for name in OPTIONS}
    for name, value in options.items():
        if isinstance(value, tuple):
            options[name] = ",".join(map(str, value))
    return options | {"loss": loss}


def row(result: Result, part: int) -> dict[str, Any]:
    """The row of a run in runs.parquet."""
    spec = result.spec
    found = result.divergence
    figures: dict[str, Any] = {}
    if result.epochs_trained:
        figures = _figures(result)
    if found is not None:
        figures["diverged_step"] = found.step
        figures["diverged_samples"] = found.samples
        figures["diverged_loss"] = found.loss
    return {
        "run": result.run,
        "status": result.status,
        **option_columns(result.resolved, result.resolved.loss),
        "epochs_trained": result.epochs_trained,
        "steps": result.steps,
        "samples": result.samples,
        "work": result.work,
        "constant_train_loss": result.constant_train_loss,
        **figures,
        "pruned_epoch": result.pruned_epoch,
        "stopped": result.stopped,
        "train_seconds": result.train_seconds,
        "engine": result.engine,
        "kernels": result.kernels,
        "part": part,
        "spec": canonical(spec),
    }
