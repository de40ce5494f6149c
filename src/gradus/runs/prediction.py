"""What a trained model says of new rows: predictions, in the words and units of the target."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gradus.data.preparation import Classes, Quantities
from gradus.data.unfamiliar import Unfamiliar
from gradus.errors import InputError
from gradus.metrics import Figure
from gradus.metrics.predictions import ClassPredictions, NumberPredictions, Predictions
from gradus.risk.sparse import in_pieces as in_pieces_of
from gradus.runs.drawn import Drawn
from gradus.runs.judging import probabilities
from gradus.runs.new_examples import Piece, in_pieces, none_has_a_target, whole, with_targets
from gradus.runs.thresholds import given_threshold

if TYPE_CHECKING:
    import pyarrow as pa

    from gradus.metrics import Threshold
    from gradus.runs.record import Run

CHUNK = 8192
"""Rows that go through the model at once."""


def model_of(run: Run) -> nn.Module:
    """The model of a run, for others to use.

    Raises:
        InputError: the run diverged, and kept none of the epochs before.
    """
    if run.status == "diverged" and run.summary["kept"] is None:
        raise InputError(
            f"{run.folder or run.title}: the run diverged at step "
            f"{run.summary['divergence']['step']}, and its model says nothing; train again"
        )
    return run.model


def outputs_of(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What a model in ``eval`` mode gives for N inputs, ``[N, outputs]`` on the CPU.

    Raises:
        InputError: that is no finite number.
    """
    with torch.no_grad():
        found = torch.cat([model(part) for part in in_pieces_of(x, CHUNK)])
    if not bool(found.isfinite().all()):
        raise InputError("the model gives what is no finite number for some of these examples")
    return found


def deciding(run: Run, threshold: float | str | None) -> Threshold | None:
    """By which threshold one of two classes is predicted: that given, or else that of the run.

    Raises:
        InputError: that given is none of these classes.
    """
    if threshold is None:
        return run.threshold
    return given_threshold(
        threshold, run.summary["data"].get("classes"), run.summary["data"].get("shares")
    )


def predictions(run: Run, piece: Piece, threshold: Threshold | None) -> pa.Table:
    """What the model of a run says of new examples.

    Args:
        run: of which the model predicts.
        piece: the examples.
        threshold: by which one of two classes is predicted.

    Returns:
        What stands beside them; ``prediction``: of classes the likeliest, and beside it
        ``p(class)`` for each; of numbers the number, in the unit of the target, or
        ``prediction(target)`` for each of several.
    """
    import pyarrow as pa

    outputs, goal = outputs_of(model_of(run), piece.x), run.preparation.goal
    columns: dict[str, Any] = dict(piece.beside)
    if isinstance(goal, Quantities):
        values = goal.unscaled(outputs.double().numpy())
        one = len(goal.targets) == 1
        names = ["prediction" if one else f"prediction({t.name})" for t in goal.targets]
        return pa.table(columns | dict(zip(names, values.T, strict=True)))
    shares = probabilities(outputs, logarithms=run.spec.takes_log_probabilities)
    decided = shares.argmax(axis=1) if threshold is None else threshold.decide(shares)
    codes = decided.astype(np.int32)
    named = pa.DictionaryArray.from_arrays(codes, pa.array(goal.names)).cast(pa.string())
    columns["prediction"] = named
    columns |= {f"p({name})": share for name, share in zip(goal.names, shares.T, strict=True)}
    return pa.table(columns)


def predicted(run: Run, given: Any, threshold: float | str | None = None) -> pa.Table:
    """The same for examples that are a file or in memory, see `gradus.runs.new_examples`."""
    decided_by = deciding(run, threshold)
    piece = whole(run.preparation, given, run.spec.dtype, Unfamiliar())
    return predictions(run, piece, decided_by)


def predicted_shares(run: Run, given: Any) -> NDArray[np.float64]:
    """The probabilities of the classes for new examples, ``[N, C]``.

    Raises:
        InputError: the run predicts numbers.
    """
    if not isinstance(run.preparation.goal, Classes):
        raise InputError("predict_proba: the run predicts numbers, which have no probabilities")
    piece = whole(run.preparation, given, run.spec.dtype, Unfamiliar())
    outputs = outputs_of(model_of(run), piece.x)
    return probabilities(outputs, logarithms=run.spec.takes_log_probabilities)


def evaluated(
    run: Run, given: Any, target: Any = None, threshold: float | str | None = None
) -> dict[str, Figure]:
    """How good the model of a run is on examples of which the target is known.

    Those without a target are left out. Of more rows of a file than `gradus.runs.drawn.MOST`, that
    many are drawn.

    Raises:
        InputError: none has a target, a column is missing, or a class was not trained on.
    """
    said = beside_truth(run, given, target, Unfamiliar(), threshold).said
    known = training_targets(run)
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


@dataclass(frozen=True, eq=False)
class Beside:
    """Predictions beside what is true.

    Attributes:
        said: the predictions, of all examples that have a target or of those drawn of them.
        examples: how many have one.
        left_out: how many have none.
    """

    said: Predictions
    examples: int
    left_out: int


def beside_truth(
    run: Run,
    given: Any,
    target: Any,
    seen: Unfamiliar,
    threshold: float | str | None = None,
) -> Beside:
    """What the model of a run says of examples that have a target, beside that.

    No more of a file is in memory than a piece of it, and what was said of those drawn so far.

    Args:
        run: of which the model predicts.
        given: the examples.
        target: their targets, where they do not stand beside them.
        seen: told of every column of a table.
        threshold: by which one of two classes is predicted; None: that of the run.

    Raises:
        InputError: none has a target, a column is missing, or a class was not trained on.
    """
    goal, decided_by, left_out = run.preparation.goal, deciding(run, threshold), 0
    is_file = isinstance(given, str | os.PathLike)
    drawn = Drawn() if is_file else Drawn(sys.maxsize)
    for known in with_targets(run.preparation, given, target, run.spec.dtype, seen):
        left_out += known.left_out
        if len(known.truth):
            drawn.add(outputs_of(model_of(run), known.x).numpy(), known.truth)
    names = (goal.name,) if isinstance(goal, Classes) else tuple(t.name for t in goal.targets)
    if not drawn.rows:
        raise none_has_a_target(f"{given if is_file else 'the table'}: no row", names)
    outputs, truth = drawn.arrays()
    if isinstance(goal, Classes):
        p = probabilities(torch.from_numpy(outputs), logarithms=run.spec.takes_log_probabilities)
        said: Predictions = ClassPredictions(p, truth, goal.names, decided_by)
    else:
        values = goal.unscaled(outputs.astype(np.float64))
        said = NumberPredictions(values, truth, names, run.spec.quantile)
    return Beside(said, drawn.rows, left_out)


def predict_file(
    run: Run,
    path: Path,
    out: Path,
    told: Callable[[int], object] = lambda rows: None,
    threshold: float | str | None = None,
) -> tuple[int, tuple[str, ...]]:
    """Write the predictions for the rows of a file, piece by piece, into another.

    The file appears whole or not at all.

    Args:
        run: of which the model predicts.
        path: the file.
        out: where to; CSV or Parquet by its ending.
        told: called with the number of rows predicted so far.
        threshold: by which one of two classes is predicted; None: that of the run.

    Returns:
        The number of rows, and what is to be said of them.

    Raises:
        InputError: the file cannot be read or lacks a column, or ``out`` cannot be written.
    """
    from gradus.runs.table_writing import table_writer

    rows, seen, decided_by = 0, Unfamiliar(), deciding(run, threshold)
    with table_writer(out) as write:
        for piece in in_pieces(run.preparation, path, run.spec.dtype, seen):
            found = predictions(run, piece, decided_by)
            write(found)
            rows += found.num_rows
            told(rows)
    return rows, seen.told(rows)


def first_predictions(
    run: Run, path: Path, most: int, threshold: float | str | None = None
) -> tuple[pa.Table, bool, tuple[str, ...]]:
    """The predictions for the first rows of a file, whether there are more, and what is to be said.

    That is said of the first piece of the file.
    """
    seen = Unfamiliar()
    decided_by = deciding(run, threshold)
    pieces = in_pieces(run.preparation, path, run.spec.dtype, seen)
    found = predictions(run, next(pieces), decided_by)
    told = seen.told(found.num_rows)
    more = found.num_rows > most or next(pieces, None) is not None
    return found.slice(0, most), more, told
