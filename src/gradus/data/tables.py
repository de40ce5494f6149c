"""How a table of the user's becomes a split: examples that train, validate and test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from gradus.data.columns import Column, recognise, useless
from gradus.data.dataset import Dataset, Split, Treatment
from gradus.data.example_weights import example_weights
from gradus.data.named import columns_left, target_names
from gradus.data.partition import USUAL_PARTS, Parts, three_parts
from gradus.data.preparation import Fill, Preparation, Scaling, fit, pieces_for
from gradus.data.preparation.names import Names
from gradus.data.preparation.targets import goal_of, targets_of
from gradus.data.reading import read_source
from gradus.data.targets import Targets
from gradus.errors import MOST_QUOTED, InputError, brief, quoted

TAKEN_FOR = {
    "number": "numbers",
    "flag": "yes or no",
    "category": "names",
    "date": "dates",
    "time": "times of day",
    "text": "text",
}


@dataclass(frozen=True)
class TableOptions:
    """How the user wants a table to be read and prepared.

    Attributes:
        target: the column that is predicted, or several with commas between.
        loss: name of the loss, or None; decides between classes and numbers where the target does
            not.
        missing: what becomes of a missing value: a number is the mean or the median of its column
            over the training part, and a feature says so; or its row is left out ("drop").
        scaling: of numbers.
        pieces: into how many each column of numbers is cut, 0 for none; None: after the size.
        standardize_target: whether numbers to predict are learned at mean 0 and deviation 1.
        categorical: columns whose values are names, also where they are numbers.
        drop: columns to leave out.
        parts: how the rows are split. The column of its group is no feature.
        weights: the column of what each row counts in the loss, which is no feature.
        dtype: of x.
    """

    target: str | None
    loss: str | None = None
    missing: Literal["mean", "median", "drop"] = "median"
    scaling: Scaling = "none"
    pieces: int | None = 0
    standardize_target: bool = False
    categorical: Sequence[str] = ()
    drop: Sequence[str] = ()
    parts: Parts = USUAL_PARTS
    weights: str | None = None
    dtype: Literal["float32", "float64"] = "float32"

    @property
    def fill(self) -> Fill:
        """What stands for a missing number; in new rows too, where rows were left out."""
        return "median" if self.missing == "drop" else self.missing


def load_table(path: Path, options: TableOptions) -> Split:
    r"""Read a table, predict some of its columns from the others.

    What each column holds is recognised (see :mod:`gradus.data.columns`); what says nothing, as an
    identifier or a constant, is left out. Encoders are fitted to the training rows
    (see :mod:`gradus.data.preparation`). Rows without a target are left out.

    Args:
        path: the file.
        options: what the user wants.

    Returns:
        The split; its ``treatments`` and ``notes`` say all that was done.

    Raises:
        InputError: the file cannot be read or a column cannot be used; the message names the
            column, the place, and the flag to change.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "fruit.csv"
        >>> rows = "150,red,apple\n120,yellow,banana\n" * 5
        >>> _ = path.write_text("grams,colour,fruit\n" + rows)
        >>> split = load_table(path, TableOptions("fruit"))
        >>> split.features, split.train.classes
        (('grams', 'colour=red', 'colour=yellow'), ('apple', 'banana'))
    """
    source = read_source(path)
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

    def column(name: str, *, categorical: bool) -> Column:
        return recognise(
            name,
            source.arrow[name],
            file=str(path),
            place=source.place,
            categorical=categorical or name in source.categories,
            text=None if source.read_text is None else source.text,
        )

    goals = [column(name, categorical=name in options.categorical) for name in targets]
    inputs = {name: column(name, categorical=name in options.categorical) for name in named}
    group = None
    if options.parts.group is not None:
        group = column(options.parts.group, categorical=True)
        check_group(group, path, options)
    counted = None
    if options.weights is not None:
        counted = column(options.weights, categorical=False)
    left_out = useless(list(inputs.values()))
    used = [column for name, column in inputs.items() if name not in left_out]
    kept, notes = kept_rows(goals, used, group, path, options)
    if kept is not None:
        goals = [column.rows(kept) for column in goals]
        used = [column.rows(kept) for column in used]
        left_out |= useless(used)
        used = [column for column in used if column.name not in left_out]
        group = None if group is None else group.rows(kept)
        counted = None if counted is None else counted.rows(kept)
    y = targets_of(goals, options.loss, str(path))
    groups = None if group is None else group.values.astype(np.int64)
    rows = three_parts(len(y.y), options.parts, labels=y.labels, groups=groups)
    train = rows.train.numpy()
    if empty := [column.name for column in used if column.rows(train).missing.all()]:
        left_out |= dict.fromkeys(empty, "no value in the rows that train")
        used = [column for column in used if column.name not in left_out]
    weights = None
    if counted is not None:
        weights = torch.from_numpy(example_weights(counted, rows, path))
        notes.append(f"rows count in the loss by {brief(counted.name)!r}, in figures all alike")
    goal, y = goal_of(goals, y, train, scale=options.standardize_target)
    pieces = options.pieces
    if pieces is None:
        pieces = pieces_for(len(train), sum(column.form.kind == "number" for column in used))
    encoders = []
    for each in used:
        encoder = fit(each.rows(train), options.scaling, options.fill, pieces)
        if isinstance(encoder, Names) and not encoder.names:
            left_out[each.name] = f"{encoder.pooled:,} names, each in less than 1 % of the rows"
        else:
            encoders.append(encoder)
    used = [column for column in used if column.name not in left_out]
    if not used:
        raise InputError(
            f"{path}: no column says anything of the target {brief(targets[0])!r}: "
            + brief("; ".join(f"{name!r} {why}" for name, why in left_out.items()), MOST_QUOTED)
        )
    preparation = Preparation(encoders=tuple(encoders), goal=goal)

    trains, validates, tests = (
        dataset_of(of, preparation, used, y, weights, options.dtype)
        for of in (rows.train, rows.validation, rows.test)
    )
    assert trains is not None
    assert tests is not None
    return Split(
        trains,
        tests,
        str(path),
        y.task,
        preparation.features,
        ", ".join(targets),
        validates,
        preparation,
        treatments_of(inputs, preparation, left_out),
        (*source.notes, *notes),
    )


def dataset_of(
    rows: torch.Tensor,
    preparation: Preparation,
    columns: Sequence[Column],
    y: Targets,
    weights: torch.Tensor | None,
    dtype: Literal["float32", "float64"],
) -> Dataset | None:
    """A part of the rows of a table as examples; None where there are none.

    Args:
        rows: their numbers.
        preparation: of the inputs.
        columns: the inputs of all rows.
        y: the targets of all rows.
        weights: what all rows count, where they count differently.
        dtype: of x.
    """
    if not len(rows):
        return None
    x = preparation.inputs((column.rows(rows.numpy()) for column in columns), dtype)
    return Dataset(
        torch.from_numpy(x),
        y.y[rows],
        y.classes,
        dtype=getattr(torch, dtype),
        weights=None if weights is None else weights[rows],
    )


def check_group(group: Column, path: Path, options: TableOptions) -> None:
    """Refuse rows of which it is not known where they belong, unless they are left out."""
    if group.missing.any() and options.missing != "drop":
        raise InputError(
            f"--group {quoted(group.name, 60)}: the column has missing values in "
            f"{group.missing.sum()} rows of {path}; fill them in, or use --missing drop"
        )


def kept_rows(
    goals: Sequence[Column],
    used: Sequence[Column],
    group: Column | None,
    path: Path,
    options: TableOptions,
) -> tuple[NDArray[np.bool_] | None, list[str]]:
    """Which rows are not left out, None where all are kept; and what is said of it."""
    total = len(goals[0].values)
    aimless = np.any([column.missing for column in goals], axis=0)
    notes = []
    if aimless.all():
        raise InputError(
            f"{path}: the target {brief(', '.join(c.name for c in goals))!r} has no values; use "
            "another --target"
        )
    if aimless.any():
        notes.append(f"{_share(aimless)} have no target, and are left out")
    dropped = aimless
    if options.missing == "drop":
        others = [*used, *([] if group is None else [group])]
        gaps = {column.name: int(column.missing.sum()) for column in others}
        dropped = np.any([aimless, *(column.missing for column in others)], axis=0)
        if dropped.all():
            raise InputError(
                f"{path}: every row has a missing value ({_counted(gaps)}), --missing drop "
                "leaves none; leave columns out by --drop"
            )
        if (more := dropped & ~aimless).any():
            notes.append(f"{_share(more)} have a missing value, and are left out (--missing drop)")
    if total - dropped.sum() < 2:
        raise InputError(
            f"{path}: {total - dropped.sum()} rows are left to learn from; at least two are needed"
        )
    return (~dropped if dropped.any() else None), notes


def _share(rows: NDArray[np.bool_]) -> str:
    return f"{rows.sum():,} of {len(rows):,} rows ({100 * rows.mean():.2g} %)"


def _counted(gaps: Mapping[str, int]) -> str:
    shown = [f"{brief(name)!r} ({count})" for name, count in gaps.items() if count]
    return brief(", ".join(shown[:10]) + (", .." if len(shown) > 10 else ""), MOST_QUOTED)


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
            column.told or TAKEN_FOR[column.form.kind],
            int(column.missing.sum()),
            done[name] if name in done else f"left out: {left_out[name]}",
        )
        for name, column in inputs.items()
    )
