"""What a user may want to say of a table, which its values only suggest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gradus.data.columns import Column, identifiers
from gradus.data.table_options import TableOptions
from gradus.errors import brief, quoted

FEWEST = 20
"""Rows, more than which tell an order from chance."""

CHANGES = 10
"""Between values one after another, that an order needs at least."""

_OF_TIME = re.compile(r"(.*[ _.-])?(years?|jahr|an|date|time|t|days?|weeks?|months?|hours?)", re.I)


def advice(columns: Sequence[Column], options: TableOptions) -> Iterator[str]:
    """A line for each thing that the user may want otherwise.

    That is a split by time, where rows stand in the order of a date, or of a number with the name
    of one, and parts are drawn at random; and to leave out a column of another name that counts
    the rows.

    Args:
        columns: the features, of all rows that are examples.
        options: what the user wants.

    Example:
        >>> from gradus.data.columns import Form
        >>> import numpy as np
        >>> years = Column("year", Form("number"), np.arange(1980.0, 2020.0))
        >>> print(*advice([years], TableOptions("price")))
        the rows stand in the order of 'year', and parts are drawn at random: to test on the latest, give --split time
    """  # noqa: E501
    if len(columns) == 0 or len(columns[0].values) <= FEWEST:
        return
    if options.parts.split == "random" and options.parts.group is None:
        orders = ((column, _order(column)) for column in columns if _is_of_time(column))
        column, way = next(((each, way) for each, way in orders if way), (None, 0))
        if column is not None:
            turned = "" if way > 0 else "sort them the other way round and "
            yield (
                f"the rows stand in the order of {brief(column.name, 60)!r}"
                f"{'' if way > 0 else ', the latest first'}, and parts are drawn at random: to "
                f"test on the latest, {turned}give --split time"
            )
    if len(columns) == 1:
        return
    for column in columns:
        counts = column.form.kind == "number" and identifiers.count(column.values)
        if counts and not _is_of_time(column):
            yield (
                f"{brief(column.name, 60)!r} counts the rows, and is a feature all the same: if it "
                f"says nothing of them, give --drop {quoted(column.name, 60)}"
            )


def _is_of_time(column: Column) -> bool:
    if column.form.kind == "date":
        return True
    return column.form.kind == "number" and _OF_TIME.fullmatch(column.name.strip()) is not None


def _order(column: Column) -> int:
    """1 where values never fall, -1 where they never rise; 0 else, or where few are different."""
    values = column.values[~column.missing]
    if 2 * len(values) < len(column.values):
        return 0
    later, earlier = values[1:] > values[:-1], values[1:] < values[:-1]
    if later.sum() + earlier.sum() < CHANGES or (later.any() and earlier.any()):
        return 0
    return 1 if later.any() else -1
