"""How the user's own tables become a split."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gradus.data.dataset import Dataset, Split
from gradus.data.fitting import fill_with_means, standardize_columns
from gradus.data.partition import USUAL_PARTS, Parts, three_parts
from gradus.data.reading import Column, Source, read_source
from gradus.data.targets import column_targets, label
from gradus.errors import MOST_QUOTED, InputError, brief, quoted

MOST_CATEGORIES = 1000
"""A categorical column with more distinct values is refused: each becomes a column of x."""

_FEW = 20  # text with no more distinct values than this is never taken for identifiers
_ID_SHARE = 0.9  # text of which more than this share of values is distinct identifies its rows


def load_table(
    path: Path,
    *,
    target: str | None,
    loss: str | None = None,
    missing: str | None = None,
    standardize: bool = False,
    categorical: Sequence[str] = (),
    drop: Sequence[str] = (),
    parts: Parts = USUAL_PARTS,
) -> Split:
    r"""Read a table, predict one of its columns from the others.

    Columns of numbers are features as they are, booleans are 0 and 1, text is one-hot: a feature
    ``colour=red`` for each value in the training part, all zero for a value seen only in another
    part. Dates, identifiers (text that differs in nearly every row), and text in a column of
    numbers are refused. The index that pandas writes into Parquet files is left out.

    Args:
        path: a file that ``gradus.data.reading`` reads.
        target: the column that is predicted.
        loss: name of the loss, or None; decides between classes and numbers where the target does
            not.
        missing: what an empty field, NA, NaN or null means: None, it is refused; "mean", the mean
            of the column over the training part (numbers only); "drop", the row is left out.
        standardize: bring every column of numbers to mean 0 and standard deviation 1 over the
            training part; indicators and booleans stay 0 and 1.
        categorical: columns whose values are names, also where they are numbers.
        drop: columns to leave out.
        parts: how the rows are split. The column of its group is no feature.

    Raises:
        InputError: the file cannot be read or a column cannot be used; the message names the
            column, the place, and the flag to change.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "fruit.csv"
        >>> rows = "150,red,apple\n120,yellow,banana\n" * 5
        >>> _ = path.write_text("grams,colour,fruit\n" + rows)
        >>> split = load_table(path, target="fruit")
        >>> split.features, split.train.classes
        (('grams', 'colour=red', 'colour=yellow'), ('apple', 'banana'))
    """
    source = read_source(path)
    names = _used(source, target, categorical, drop, parts.group)
    columns = [source.column(name, categorical=name in categorical) for name in names]
    for column in columns:
        _check(column, source, target)
    if parts.group is not None:
        columns.append(source.column(parts.group, categorical=True))
        _check_groups(columns[-1], path, missing)
    columns = _complete(columns, path, target, missing)
    groups = None
    if parts.group is not None:
        groups = np.unique(columns.pop().values, return_inverse=True)[1].astype(np.int64)
    goal = next(column for column in columns if column.name == target)
    values = goal.values.astype(bool) if goal.kind == "bool" else goal.values
    targets = column_targets(
        values, loss, f"target column {brief(goal.name)!r}", categorical=goal.kind == "category"
    )
    train, validation, test = three_parts(len(values), parts, labels=targets.labels, groups=groups)
    blocks = []
    features: list[str] = []
    numbers: list[bool] = []
    for column in columns:
        if column is not goal:
            block, block_names = _features(column, train.numpy())
            blocks.append(block)
            features += block_names
            numbers += [column.kind == "number"] * len(block_names)
    x: NDArray[np.floating] = np.concatenate(blocks, axis=1)
    if missing == "mean" and np.isnan(x).any():
        x = fill_with_means(x, train.numpy(), features, str(path))
    if standardize:
        x = standardize_columns(x, train.numpy(), np.array(numbers))
    data = Dataset(torch.from_numpy(x), targets.y, targets.classes)
    return Split(
        data.subset(train),
        data.subset(test),
        str(path),
        targets.task,
        tuple(features),
        target,
        data.subset(validation) if len(validation) else None,
    )


def _check_groups(column: Column, path: Path, missing: str | None) -> None:
    """Refuse rows of which it is not known where they belong, unless they are left out."""
    if column.missing.any() and missing != "drop":
        raise InputError(
            f"--group {quoted(column.name, 60)}: the column has missing values in "
            f"{column.missing.sum()} rows of {path}; fill them in, or use --missing drop"
        )


def _features(column: Column, train: NDArray[np.int64]) -> tuple[NDArray[np.float64], list[str]]:
    if column.kind in ("number", "bool"):
        return column.values[:, None], [column.name]
    from sklearn.preprocessing import OneHotEncoder

    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    encoder.fit(column.values[train, None])
    names = [f"{column.name}={label(value)}" for value in encoder.categories_[0]]
    return encoder.transform(column.values[:, None]), names


def _used(
    source: Source,
    target: str | None,
    categorical: Sequence[str],
    drop: Sequence[str],
    group: str | None,
) -> list[str]:
    """Names of the columns that are not left out: the target and at least one other."""
    names, path = source.names, source.path
    if target is None:
        raise InputError(f"{path}: say which column to predict by --target; {_listed(names)}")
    own = [] if group is None else [group]
    for flag, named in (
        ("--target", [target]),
        ("--categorical", categorical),
        ("--drop", drop),
        ("--group", own),
    ):
        for name in named:
            if name not in names:
                raise InputError(
                    f"{flag} {quoted(name, 60)}: no such column in {path}; {_near(name, names)}"
                )
    if target in drop:
        raise InputError(
            f"--drop {quoted(target, 60)}: is the target; drop another column or change --target"
        )
    if both := [name for name in categorical if name in drop]:
        raise InputError(f"--drop {quoted(both[0], 60)}: is declared --categorical too; choose one")
    if target == group:
        raise InputError(
            f"--group {quoted(group, 60)}: is the target; name the column that says what belongs "
            "together"
        )
    used = [name for name in names if name not in drop and name != group]
    if len(used) == 1:
        raise InputError(
            f"{path}: no column but the target {brief(target)!r} is left to learn from"
        )
    return used


def _check(column: Column, source: Source, target: str | None) -> None:
    """Refuse a column that holds nothing, infinity, misspelt numbers, or identifiers."""
    where = f"{source.path}: column {brief(column.name)!r}"
    name = quoted(column.name, 60)
    instead = "another --target" if column.name == target else f"--drop {name}"
    missing = "drop" if column.name == target else "mean | drop"
    mend = f"mend it, or leave it empty and use --missing {missing}"
    if column.missing.all():
        raise InputError(f"{where} has no values; use {instead}")
    if column.kind == "number" and (infinite := np.isinf(column.values)).any():
        place = source.place(int(np.flatnonzero(infinite)[0]))
        raise InputError(f"{where}, {place}: infinite, which no method can learn from; {mend}")
    if column.kind not in ("text", "category"):
        return
    counts = Counter(column.values[~column.missing].tolist())
    total = counts.total()
    if column.kind == "text":
        names = {value for value in counts if not _is_number(value)}
        declare = f"if these are names, declare --categorical {name}"
        if not names:
            raise InputError(
                f"{where} holds numbers stored as text (such as {brief(next(iter(counts)))!r}); "
                f"store them as numbers, or, {declare}"
            )
        if 2 * sum(counts[value] for value in names) < total:
            row = next(i for i, value in enumerate(column.values) if value in names)
            raise InputError(
                f"{where}, {source.place(row)}: {brief(column.values[row])!r} is not a number; "
                f"{mend}; or, {declare}"
            )
        if len(counts) > max(_FEW, _ID_SHARE * total):
            raise InputError(
                f"{where} is text that differs in {len(counts):,} of {total:,} rows, so it "
                f"identifies rows and predicts nothing; use {instead}"
            )
    if len(counts) > MOST_CATEGORIES:
        raise InputError(
            f"{where} has {len(counts):,} distinct values, more than {MOST_CATEGORIES:,}; "
            f"use {instead}"
        )


def _is_number(text: str) -> bool:
    if "_" in text:  # Python's separator, not a number to anyone else
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


def _complete(
    columns: list[Column], path: Path, target: str | None, missing: str | None
) -> list[Column]:
    """Refuse missing values, or leave their rows out, or leave them for their column's mean."""
    gaps = {column.name: int(column.missing.sum()) for column in columns if column.missing.any()}
    if missing == "drop":
        kept = ~np.any([column.missing for column in columns], axis=0)
        if not kept.any():
            raise InputError(
                f"{path}: every row has a missing value ({_counted(gaps)}), --missing drop "
                "leaves none; leave columns out by --drop"
            )
        return [column.rows(kept) for column in columns]
    if gaps and missing is None:
        only_drop = " drop" if target in gaps else " mean | drop"
        raise InputError(
            f"{path}: missing values in {_counted(gaps)}; choose --missing{only_drop}, or "
            "leave columns out by --drop"
        )
    if target in gaps:
        raise InputError(
            f"--missing mean: the target column {brief(str(target))!r} in {path} has missing "
            f"values ({gaps[target]}), which cannot be made up; use --missing drop"
        )
    for column in columns:
        if column.kind != "number" and column.missing.any():
            raise InputError(
                f"--missing mean: column {brief(column.name)!r} in {path} holds no numbers and has "
                f"missing values ({gaps[column.name]}); use --missing drop, or --drop "
                f"{quoted(column.name, 60)}"
            )
    return columns


def _counted(gaps: dict[str, int]) -> str:
    shown = [f"{brief(name)!r} ({count})" for name, count in gaps.items()]
    return brief(", ".join(shown[:10]) + (", .." if len(shown) > 10 else ""), MOST_QUOTED)


def _listed(names: list[str]) -> str:
    shown = ", ".join(quoted(name, 60) for name in names[:20])
    return f"the columns are {brief(shown + (', ..' if len(names) > 20 else ''), MOST_QUOTED)}"


def _near(name: str, names: list[str]) -> str:
    lowered = {known.strip().lower(): known for known in names}
    near = difflib.get_close_matches(name.strip().lower(), lowered, n=1)
    return (f"did you mean {brief(lowered[near[0]])!r}? " if near else "") + _listed(names)
