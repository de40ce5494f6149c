"""What a trained model says of new rows: predictions, in the words and units of the target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gradus.data.in_memory import source_of
from gradus.data.preparation import Classes, Quantities
from gradus.data.preparation.targets import labels_for
from gradus.data.prepared import check_columns, column_as, inputs_of
from gradus.data.reading import Source, stream
from gradus.data.unfamiliar import Unfamiliar
from gradus.errors import InputError, brief
from gradus.metrics import Figure
from gradus.metrics.predictions import ClassPredictions, NumberPredictions, Predictions
from gradus.runs.judging import probabilities

if TYPE_CHECKING:
    import pyarrow as pa

    from gradus.runs.record import Run

CHUNK = 8192
"""Rows that go through the model at once."""


def outputs_of(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What a model in ``eval`` mode gives for N inputs, ``[N, outputs]`` on the CPU.

    Raises:
        InputError: that is no finite number.
    """
    with torch.no_grad():
        found = torch.cat([model(part) for part in x.split(CHUNK)])
    if not bool(found.isfinite().all()):
        raise InputError("the model gives what is no finite number: its run diverged; train again")
    return found


def predictions(run: Run, source: Source, seen: Unfamiliar) -> pa.Table:
    """What the model of a run says of the rows of a table.

    Args:
        run: of which the model predicts.
        source: the table.
        seen: told of every column.

    Returns:
        ``prediction``: of classes the likeliest, and beside it ``p(class)`` for each; of numbers
        the number, in the unit of the target, or ``prediction(target)`` for each of several.
    """
    import pyarrow as pa

    preparation = run.preparation
    x = inputs_of(preparation, source, run.spec.dtype, seen.look)
    outputs, goal = outputs_of(run.model, x), preparation.goal
    if isinstance(goal, Quantities):
        values = goal.unscaled(outputs.double().numpy())
        one = len(goal.targets) == 1
        names = ["prediction" if one else f"prediction({t.name})" for t in goal.targets]
        return pa.table(dict(zip(names, values.T, strict=True)))
    shares = probabilities(outputs, logarithms=run.spec.takes_log_probabilities)
    likeliest = pa.array(shares.argmax(axis=1).astype(np.int32))
    named = pa.DictionaryArray.from_arrays(likeliest, pa.array(goal.names)).cast(pa.string())
    columns: dict[str, Any] = {"prediction": named}
    columns |= {f"p({name})": share for name, share in zip(goal.names, shares.T, strict=True)}
    return pa.table(columns)


def predicted(run: Run, table: Any) -> pa.Table:
    """The same for a table that is a file or in memory, see `source_of`."""
    return predictions(run, source_of(table), Unfamiliar())


def predicted_shares(run: Run, table: Any) -> NDArray[np.float64]:
    """The probabilities of the classes for the rows of a table, ``[N, C]``.

    Raises:
        InputError: the run predicts numbers.
    """
    if not isinstance(run.preparation.goal, Classes):
        raise InputError("predict_proba: the run predicts numbers, which have no probabilities")
    source = source_of(table)
    outputs = outputs_of(run.model, inputs_of(run.preparation, source, run.spec.dtype))
    return probabilities(outputs, logarithms=run.spec.takes_log_probabilities)


def evaluated(run: Run, table: Any) -> dict[str, Figure]:
    """How good the model of a run is on the rows of a table that has the target too.

    Rows without a target are left out.

    Raises:
        InputError: no row has a target, a column is missing, or a class was not trained on.
    """
    said, known = beside_truth(run, source_of(table), Unfamiliar()), training_targets(run)
    if isinstance(said, ClassPredictions):
        return said.figures(known["shares"])
    return said.figures(known["mean"], known["median"], known["quantiles"])


def training_targets(run: Run) -> dict[str, Any]:
    """What the targets of the training rows alone say, in the words of run.json."""
    goal = run.preparation.goal
    if isinstance(goal, Classes):
        return {"shares": goal.shares}
    return {
        "mean": [target.mean for target in goal.targets],
        "median": [target.median for target in goal.targets],
        "quantile": run.spec.quantile,
        "quantiles": run.summary["data"].get("quantiles"),
    }


def beside_truth(run: Run, source: Source, seen: Unfamiliar) -> Predictions:
    """What the model of a run says of the rows of a table that have a target, beside that.

    Args:
        run: of which the model predicts.
        source: the table.
        seen: told of every column.

    Raises:
        InputError: no row has a target, a column is missing, or a class was not trained on.
    """
    goal = run.preparation.goal
    targets = (goal,) if isinstance(goal, Classes) else goal.targets
    check_columns([str(target.name) for target in targets], source)
    columns = [column_as(source, str(target.name), target.form) for target in targets]
    known = ~np.any([column.missing for column in columns], axis=0)
    if not known.any():
        names = ", ".join(brief(column.name) for column in columns)
        raise InputError(f"{source.path}: no row has a target ({names}): nothing can be evaluated")
    if not known.all():
        columns = [column.rows(known) for column in columns]
        source = replace(source, arrow=source.arrow.filter(known))
    x = inputs_of(run.preparation, source, run.spec.dtype, seen.look)
    outputs = outputs_of(run.model, x)
    if not bool(outputs.isfinite().all()):
        raise InputError(
            f"{run.folder or run.spec.title}: the model gives what is no finite number, and cannot "
            f"be evaluated: the run ended as {run.status}"
        )
    if isinstance(goal, Classes):
        return ClassPredictions(
            probabilities(outputs, logarithms=run.spec.takes_log_probabilities),
            labels_for(goal, columns[0], str(source.path)),
            goal.names,
        )
    return NumberPredictions(
        goal.unscaled(outputs.double().numpy()),
        np.column_stack([column.values.astype(np.float64) for column in columns]),
        tuple(target.name for target in goal.targets),
        run.spec.quantile,
    )


def predict_file(
    run: Run, path: Path, out: Path, told: Callable[[int], object] = lambda rows: None
) -> tuple[int, tuple[str, ...]]:
    """Write the predictions for the rows of a file, piece by piece, into another.

    The file appears whole or not at all.

    Args:
        run: of which the model predicts.
        path: the table.
        out: where to; CSV or Parquet by its ending.
        told: called with the number of rows predicted so far.

    Returns:
        The number of rows, and what is to be said of them.

    Raises:
        InputError: the table cannot be read or lacks a column, or ``out`` cannot be written.
    """
    from gradus.runs.table_writing import table_writer

    rows, seen = 0, Unfamiliar()
    with table_writer(out) as write:
        for source in stream(path):
            found = predictions(run, source, seen)
            write(found)
            rows += found.num_rows
            told(rows)
    return rows, seen.told(rows)


def first_predictions(run: Run, path: Path, most: int) -> tuple[pa.Table, bool, tuple[str, ...]]:
    """The predictions for the first rows of a file, whether there are more, and what is to be said.

    That is said of the first piece of the file.
    """
    pieces = stream(path)
    source = next(pieces)
    more = source.arrow.num_rows > most or next(pieces, None) is not None
    seen = Unfamiliar()
    found = predictions(run, source, seen)
    return found.slice(0, most), more, seen.told(found.num_rows)
