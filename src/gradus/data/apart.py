"""Parts of a table that stand in tables of their own, prepared as the rows that train were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from gradus.data.dataset import Dataset, Split
from gradus.data.partition import Rows
from gradus.data.preparation import Classes, Preparation, Quantities
from gradus.data.prepared import check_columns, column_as, targets_as
from gradus.data.reading import Source
from gradus.data.table_options import TableOptions
from gradus.data.table_rows import usable_rows
from gradus.errors import brief


def with_parts(split: Split, apart: Mapping[str, Source], options: TableOptions) -> Split:
    """The split, with parts that are the rows of other tables.

    Nothing is fitted to them: what the model is chosen by, and tested on, is new to it as the rows
    are for which it will be used.

    Args:
        split: of the table that trains, and its preparation.
        apart: tables of the same kind, for ``validation`` and ``test``.
        options: how the table that trains was read.

    Raises:
        InputError: a table lacks a column, or has a class not trained on, or no row with a target.
    """
    preparation = split.preparation
    assert isinstance(preparation, Preparation)
    found = {name: _part(source, preparation, options) for name, source in apart.items()}
    notes = [
        f"the {name} part is {len(part):,} rows of {brief(str(apart[name].path), 100)}"
        + "".join(f"; {note}" for note in told)
        for name, (part, told) in found.items()
    ]
    parts = {name: part for name, (part, _) in found.items()}
    return replace(
        split,
        validation=parts.get("validation", split.validation),
        test=parts.get("test", split.test),
        notes=(*split.notes, *notes),
        apart=tuple(apart),
    )


def _part(
    source: Source, preparation: Preparation, options: TableOptions
) -> tuple[Dataset, tuple[str, ...]]:
    """All rows of a table as examples, and what is said of those that are left out."""
    goal = preparation.goal
    targets = (goal,) if isinstance(goal, Classes) else goal.targets
    forms = {encoder.name: encoder.form for encoder in preparation.encoders}
    by_name = [] if options.weights is None else [options.weights]
    check_columns([*(str(target.name) for target in targets), *forms, *by_name], source)
    goals = [column_as(source, str(target.name), target.form) for target in targets]
    inputs = [column_as(source, name, form) for name, form in forms.items()]
    alone = replace(options, parts=replace(options.parts, group=None))
    rows = usable_rows(source, goals, inputs, alone)
    y = targets_as(goal, rows.goals, options.loss, str(source.path))
    if isinstance(goal, Quantities):
        y = replace(y, y=torch.from_numpy(goal.scaled(y.y.numpy())))
    everything, none = torch.arange(len(y.y)), torch.empty(0, dtype=torch.int64)
    weights = rows.weights(Rows(everything, none, none))
    part = Dataset(
        torch.from_numpy(preparation.inputs(rows.inputs, options.dtype)),
        y.y,
        y.classes,
        dtype=getattr(torch, options.dtype),
        weights=weights,
    )
    return part, tuple(note for note in rows.notes if "count in the loss" not in note)
