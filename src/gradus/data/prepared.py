"""Rows of another table of the same kind, through a preparation that is not fitted again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from gradus.data.columns import Column, Form, recognise_as
from gradus.data.dataset import Split
from gradus.data.preparation import Classes, Preparation, Quantities
from gradus.data.preparation.preparation import AnyEncoder
from gradus.data.preparation.targets import labels_for
from gradus.data.reading import Source, read_source
from gradus.data.side_by_side import side_by_side
from gradus.data.table_options import TableOptions
from gradus.data.table_rows import usable_rows
from gradus.data.tables import goal_told, treatments_of
from gradus.data.targets import Targets, class_targets
from gradus.errors import MOST_QUOTED, InputError, brief


def inputs_of(
    preparation: Preparation,
    source: Source,
    dtype: Literal["float32", "float64"],
    look: Callable[[AnyEncoder, Column], object] = lambda encoder, column: None,
    rows: NDArray[np.bool_] | None = None,
) -> torch.Tensor:
    """The x of the rows of a table, ``[N, features]``.

    Columns are found by their names, in any order; others are not looked at.

    Args:
        preparation: of the table that trained.
        source: the table.
        dtype: of x.
        look: called with each column, as it was read, and its encoder.
        rows: bool, which of the rows of the table; None for all.

    Raises:
        InputError: a column is missing, or holds what cannot be read as in training.
    """
    check_columns([encoder.name for encoder in preparation.encoders], source)

    def read(encoder: AnyEncoder) -> Column:
        column = column_as(source, encoder.name, encoder.form)
        return column if rows is None else column.rows(rows)

    columns = side_by_side(read, preparation.encoders)
    for encoder, column in zip(preparation.encoders, columns, strict=True):
        look(encoder, column)
    return torch.from_numpy(preparation.inputs(columns, dtype))


def column_as(source: Source, name: str, form: Form) -> Column:
    """A column of a table, read by the form that was found in training."""
    return recognise_as(
        name,
        source.arrow[name],
        form,
        file=str(source.path),
        place=source.place,
        text=None if source.read_text is None else source.text,
    )


def check_columns(names: Sequence[str], source: Source) -> None:
    """Refuse a table that lacks columns.

    Raises:
        InputError: it does; the message names them.
    """
    if lacking := [name for name in names if name not in source.names]:
        shown = ", ".join(brief(repr(name), 60) for name in lacking[:10])
        there = ", ".join(brief(repr(name), 60) for name in source.names[:20])
        raise InputError(
            f"{source.path}: no column {brief(shown, MOST_QUOTED)}"
            f"{', ..' if len(lacking) > 10 else ''}, which the model was trained on; the table has "
            f"{brief(there, MOST_QUOTED)}{', ..' if len(source.names) > 20 else ''}"
        )


def load_prepared(path: Path, preparation: Preparation, options: TableOptions) -> Split:
    """The table of a file, as ``split_of_prepared`` takes it.

    Raises:
        InputError: the file cannot be read, or as there.
    """
    return split_of_prepared(read_source(path, options.notation), preparation, options)


def split_of_prepared(source: Source, preparation: Preparation, options: TableOptions) -> Split:
    r"""The rows of a table as examples to go on training with.

    Args:
        source: the table.
        preparation: what was fitted to the table that trained first.
        options: what the user wants; what says how columns are prepared is not looked at.

    Raises:
        InputError: the table lacks a column, or has a class not trained on.

    Example:
        >>> import tempfile
        >>> from gradus.data.tables import load_table
        >>> folder = Path(tempfile.mkdtemp())
        >>> rows = "150,red,apple\n120,yellow,banana\n" * 5
        >>> _ = (folder / "fruit.csv").write_text("grams,colour,fruit\n" + rows)
        >>> first = load_table(folder / "fruit.csv", TableOptions("fruit"))
        >>> _ = (folder / "more.csv").write_text("fruit,colour,grams\n" + "apple,red,7\n" * 5)
        >>> more = load_prepared(folder / "more.csv", first.preparation, TableOptions("fruit"))
        >>> more.train.x[0].tolist(), more.train.classes
        ([7.0, 1.0, 0.0], ('apple', 'banana'))
    """
    goal = preparation.goal
    targets = (goal,) if isinstance(goal, Classes) else goal.targets
    forms = {encoder.name: encoder.form for encoder in preparation.encoders}
    by_name = [name for name in (options.parts.group, options.weights) if name is not None]
    check_columns([*(str(target.name) for target in targets), *forms, *by_name], source)
    goals = [column_as(source, str(target.name), target.form) for target in targets]
    inputs = {name: column_as(source, name, form) for name, form in forms.items()}
    rows = usable_rows(source, goals, list(inputs.values()), options)
    y = targets_as(goal, rows.goals, options.loss, str(source.path))
    parts = rows.parts(y.labels)
    if isinstance(goal, Quantities):
        y = replace(y, y=torch.from_numpy(goal.scaled(y.y.numpy())))
    told = (*goal_told(goals, rows.goals, goal), *treatments_of(inputs, preparation, {}))
    return rows.split(preparation, y, parts, rows.weights(parts), told)


def targets_as(
    goal: Classes | Quantities, columns: Sequence[Column], loss: str | None, where: str
) -> Targets:
    """The targets of all rows, in the unit of their columns."""
    if isinstance(goal, Classes):
        labels = torch.from_numpy(labels_for(goal, columns[0], where))
        return class_targets(labels, goal.names, loss, f"target column {brief(columns[0].name)!r}")
    y = np.column_stack([column.values.astype(np.float64) for column in columns])
    return Targets(torch.from_numpy(y), None, None)
