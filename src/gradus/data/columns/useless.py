"""Which columns nothing can be learned from, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

from gradus.data.columns import identifiers
from gradus.data.columns.column import Column
from gradus.errors import brief

_LOOKED_AT = 1000  # rows that two columns must share before they are compared


def useless(columns: Iterable[Column], *, kept: Collection[str] = ()) -> dict[str, str]:
    """The columns that are left out, and why, in a few words.

    Left out are columns without values, with one value in every row, or with those of another
    column before it; free text and identifiers; and what counts the rows under a name that says
    so or under none, such as the index of a frame that was written along.

    Args:
        columns: as they stand in the file.
        kept: names of columns that are not left out whatever they hold, such as the target.

    Example:
        >>> from gradus.data.columns import recognise
        >>> import pyarrow as pa
        >>> table = pa.table({"": [0, 1, 2], "a": [5, 5, 7], "b": [1, 1, 1], "c": [5, 5, 7.0]})
        >>> useless(recognise(name, table[name], file="t") for name in table.column_names)
        {'': 'counts the rows', 'b': '1 in every row', 'c': "the same as 'a'"}
    """
    reasons: dict[str, str] = {}
    alike: dict[tuple[str, bytes], list[Column]] = {}
    for column in columns:
        if column.name in kept:
            continue
        reason = _alone(column)
        if reason is None:
            others = alike.setdefault(_print(column), [])
            same = next((other for other in others if _equal(column, other)), None)
            reason = None if same is None else f"the same as {brief(same.name)!r}"
            others.append(column)
        if reason is not None:
            reasons[column.name] = reason
    return reasons


def _alone(column: Column) -> str | None:
    """Why a column is useless whatever the others hold, or None."""
    missing = column.missing
    if missing.all():
        return "no values"
    if column.form.kind == "text":
        used = len(np.unique(column.values[~missing]))
        return f"text, another in {used:,} of {len(missing) - missing.sum():,} rows"
    if not missing.any() and _constant(column):
        return f"{_shown(column)} in every row"
    if column.form.kind != "number":
        return None
    if counts_by_name(column) and identifiers.count(column.values):
        return "counts the rows"
    if identifiers.identify(column.name, column.values):
        return "identifies the rows: another whole number in each"
    return None


def counts_by_name(column: Column) -> bool:
    """Whether its name says, or may say, that it counts the rows."""
    return identifiers.named_so(column.name) or identifiers.may_be_named_so(column.name)


def _constant(column: Column) -> bool:
    some = column.values[:_LOOKED_AT]
    return bool((some == some[0]).all() and (column.values == column.values[0]).all())


def _shown(column: Column) -> str:
    value = column.values[0]
    if column.words:
        return repr(brief(column.words[value]))
    if column.form.flags is not None:
        return column.form.flags[int(value)]
    if column.form.kind == "date":
        return str(value.astype("datetime64[s]"))
    return f"{value:.15g}"


def _print(column: Column) -> tuple[str, bytes]:
    """What equal columns have in common: some of their rows, from all over them."""
    some = column.values[:: max(1, len(column.values) // _LOOKED_AT)]
    if column.values.dtype.kind == "f":
        some = np.nan_to_num(some) + 0.0  # -0.0 is 0.0
    return column.form.kind, some.tobytes()


def _equal(one: Column, other: Column) -> bool:
    gaps = one.values.dtype.kind != "i"
    return one.words == other.words and np.array_equal(one.values, other.values, equal_nan=gaps)
