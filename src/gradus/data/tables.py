"""How a table of the user's becomes a split: examples that train, validate and test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gradus.data.advice import advice
from gradus.data.columns import Column, useless
from gradus.data.dataset import Split, Treatment
from gradus.data.named import columns_left, target_names
from gradus.data.preparation import Classes, Preparation, fit, pieces_for
from gradus.data.preparation.goal import Goal
from gradus.data.preparation.names import Names
from gradus.data.preparation.preparation import AnyEncoder
from gradus.data.preparation.targets import goal_of, targets_of
from gradus.data.reading import Source, read_source
from gradus.data.side_by_side import side_by_side
from gradus.data.table_options import TableOptions
from gradus.data.table_rows import column_of, usable_rows
from gradus.errors import MOST_QUOTED, InputError, brief


def load_table(path: Path, options: TableOptions) -> Split:
    """The table of a file, as ``split_of_table`` takes it.

    Raises:
        InputError: the file cannot be read, or as there.
    """
    return split_of_table(read_source(path, options.notation), options)


def split_of_table(source: Source, options: TableOptions) -> Split:
    r"""Predict some columns of a table from the others.

    What each column holds is recognised (see :mod:`gradus.data.columns`); what says nothing, as an
    identifier or a constant, is left out. Encoders are fitted to the training rows
    (see :mod:`gradus.data.preparation`). Rows without a target are left out.

    Args:
        source: the table.
        options: what the user wants.

    Returns:
        The split; its ``treatments`` and ``notes`` say all that was done.

    Raises:
        InputError: a column cannot be used; the message names the column, the place, and the flag
            to change.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "fruit.csv"
        >>> rows = "150,red,apple\n120,yellow,banana\n" * 5
        >>> _ = path.write_text("grams,colour,fruit\n" + rows)
        >>> split = load_table(path, TableOptions("fruit"))
        >>> split.features, split.train.classes
        (('grams', 'colour=red', 'colour=yellow'), ('apple', 'banana'))
    """
    import pyarrow as pa

    path = source.path
    targets = target_names(options.target, source.names, path)
    named = columns_left(
        source.names,
        targets,
        options.categorical,
        options.drop,
        options.parts.group,
        options.weights,
        path,
    )

    goals = _columns(source, targets, options)
    inputs = dict(zip(named, _columns(source, named, options), strict=True))
    left_out = useless(list(inputs.values()))
    used = [column for name, column in inputs.items() if name not in left_out]
    rows = usable_rows(source, goals, used, options)
    del source  # its memory is as much as that of the columns, and x comes on top of them
    pa.default_memory_pool().release_unused()
    if rows.kept is not None:
        left_out |= useless(rows.inputs)
    y = targets_of(rows.goals, options.loss, str(path))
    parts = rows.parts(y.labels)
    train = parts.train.numpy()
    for column in rows.inputs:
        if column.missing[train].all():
            left_out.setdefault(column.name, "no value in the rows that train")
    weights = rows.weights(parts)
    goal, y = goal_of(rows.goals, y, train, scale=options.standardize_target)
    used = [column for column in rows.inputs if column.name not in left_out]
    pieces = options.pieces
    if pieces is None:
        pieces = pieces_for(len(train), sum(column.form.kind == "number" for column in used))

    def fitted(column: Column) -> AnyEncoder:
        return fit(column.rows(train), options.scaling, options.fill, pieces)

    encoders = []
    for each, encoder in zip(used, side_by_side(fitted, used), strict=True):
        if isinstance(encoder, Names) and not encoder.names:
            left_out[each.name] = f"{encoder.pooled:,} names, each in less than 1 % of the rows"
        else:
            encoders.append(encoder)
    if not encoders:
        raise InputError(
            f"{path}: no column says anything of the target {brief(targets[0])!r}: "
            + brief("; ".join(f"{name!r} {why}" for name, why in left_out.items()), MOST_QUOTED)
        )
    preparation = Preparation(encoders=tuple(encoders), goal=goal, notation=options.notation)
    told = (*goal_told(goals, rows.goals, goal), *treatments_of(inputs, preparation, left_out))
    features = [column for column in used if column.name not in left_out]
    rows = replace(rows, notes=(*rows.notes, *advice(features, options)))
    return rows.split(preparation, y, parts, weights, told)


def _columns(source: Source, names: Sequence[str], options: TableOptions) -> list[Column]:
    """Columns of a table, read by what their values are."""
    return side_by_side(
        lambda name: column_of(source, name, categorical=name in options.categorical), names
    )


def treatments_of(
    inputs: Mapping[str, Column],
    preparation: Preparation,
    left_out: Mapping[str, str],
) -> tuple[Treatment, ...]:
    """What is said of each column."""
    done = {encoder.name: encoder.done for encoder in preparation.encoders}
    return tuple(
        Treatment(
            name,
            column.told,
            int(column.missing.sum()),
            done[name] if name in done else f"left out: {left_out[name]}",
        )
        for name, column in inputs.items()
    )


MOST_CLASSES = 4
"""Classes that are named among what is said of the target, where there are more."""


def goal_told(
    columns: Sequence[Column], complete: Sequence[Column], goal: Goal
) -> tuple[Treatment, ...]:
    """What is said of each target: its classes with their shares, or from where to where it goes.

    Args:
        columns: of the file.
        complete: without the rows that are left out.
        goal: what is predicted.
    """
    if isinstance(goal, Classes):
        done = [f"predicted as {len(goal.names):,} classes: {_named(goal)}"]
    else:
        done = [
            f"predicted as a number: {column.values.min():.6g} to {column.values.max():.6g}"
            + (f", learned less {to.centre:.4g}, over {to.scale:.4g}" if to.is_scaled else "")
            for column, to in zip(complete, goal.targets, strict=True)
        ]
    return tuple(
        Treatment(column.name, column.told, int(column.missing.sum()), what)
        for column, what in zip(columns, done, strict=True)
    )


def _named(goal: Classes) -> str:
    """The commonest classes, in their order, with their shares of the training rows."""
    least = sorted(goal.shares, reverse=True)[:MOST_CLASSES][-1]
    shown = [
        f"{brief(name, 30)} {100 * share:.3g} %"
        for name, share in zip(goal.names, goal.shares, strict=True)
        if share >= least
    ][:MOST_CLASSES]
    more = len(goal.names) - len(shown)
    return ", ".join(shown) + (f", .. and {more:,} more" if more else "")
