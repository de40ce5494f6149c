"""The tables of a record: their columns, and how they are made and read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gradus.errors import InputError, quoted
from gradus.runs.reading import read_table

if TYPE_CHECKING:
    from gradus.engine.job import Evaluation
    from gradus.engine.selection import Selection

NAMED_TYPES = {"int64": pa.int64(), "int32": pa.int32(), "float64": pa.float64()}


def schema_of(**columns: str) -> pa.Schema:
    """A schema of columns whose type ends in ``?`` where a value may be missing."""
    return pa.schema(
        [
            pa.field(name, NAMED_TYPES[kind.rstrip("?")], nullable=kind.endswith("?"))
            for name, kind in columns.items()
        ]
    )


HISTORY = schema_of(
    step="int64", samples="int64", epoch="int32", loss="float64", lr="float64", work="int64?"
)
EVALUATION = schema_of(
    epoch="int32",
    samples="int64",
    running_train_loss="float64",
    train_loss="float64?",
    validation_loss="float64?",
    validation_accuracy="float64?",
    test_loss="float64?",
    test_accuracy="float64?",
    work="int64?",
)


HISTORY_READ = ("step", "samples", "epoch", "loss", "lr")
EVALUATION_READ = ("epoch", "samples", "train_loss", "test_loss", "test_accuracy")
"""The columns that every record has, also of earlier versions."""


def evaluated(
    rows: Sequence[Evaluation], selection: Selection
) -> tuple[Sequence[Sequence[Any]], pa.Schema]:
    """What is known after each epoch, and its columns.

    The measure is one where it is a score, and so is each figure that was asked for.
    """
    schema = EVALUATION
    if selection.score is not None:
        schema = schema.append(pa.field(str(selection.measure), pa.float64()))
    asked = rows[0].metrics if rows else ()
    for name in sorted(asked, key=lambda name: (not name.startswith("validation"), name)):
        if name not in schema.names:
            schema = schema.append(pa.field(name, pa.float64()))
    found = [figures_after(row, selection) for row in rows]
    return [[row[name] for name in schema.names] for row in found], schema


def figures_after(row: Evaluation, selection: Selection) -> dict[str, Any]:
    """What is known after an epoch, by the names of columns."""
    found = {**row._asdict(), **row.metrics}
    measured = found.pop("measured")
    del found["metrics"]
    return found if selection.score is None else {**found, str(selection.measure): measured}


def table(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    """Rows as a table of this schema."""
    return pa.Table.from_pylist(
        [dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema
    )


def read_rows(
    path: Path,
    columns: Sequence[str],
    complete: Callable[[pa.Table, pa.Schema], pa.Table],
    schema: pa.Schema,
) -> pa.Table:
    """A table of a record, whichever version wrote it, with all columns of the schema."""
    table = read_table(path, columns, schema.names)
    try:
        return complete(table, schema)
    except (pa.ArrowException, ValueError) as error:
        raise InputError(f"{path}: the record cannot be read: {quoted(error)}") from None
