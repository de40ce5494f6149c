"""Tables that are in memory already, as those of a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradus.data.reading import AS_GUESSED, Notation, Source, read_source, written_as
from gradus.data.reading.kinds import declared_categories, with_nested
from gradus.errors import InputError, quoted

if TYPE_CHECKING:
    import pyarrow as pa


def source_of(table: Any, notation: Notation = AS_GUESSED) -> Source:
    """The content of a table, wherever it is.

    Args:
        table: the path of a file; a pyarrow table; a frame of pandas, Polars or another library
            that gives its data by the Arrow PyCapsule interface or the dataframe interchange
            protocol; or a mapping of names to columns.
        notation: what the user says of how values are written in it.

    Raises:
        InputError: the file cannot be read.
        TypeError: it is nothing of the kind.

    Example:
        >>> source_of({"grams": [150, 120]}).names
        ['grams']
    """
    import pyarrow as pa

    if isinstance(table, str | os.PathLike):
        return read_source(Path(table), notation)
    arrow = _arrow(table)
    names = [field.name for field in arrow.schema if not pa.types.is_nested(field.type)]
    source = Source(
        Path("the table"),
        with_nested(arrow.select(names), arrow.schema).unify_dictionaries(),
        lambda row: f"row {row + 1}",
        categories=declared_categories(arrow.schema),
    )
    return written_as(source, notation)


def is_frame(given: object) -> bool:
    """Whether something is a table in memory, whatever library it is of."""
    return hasattr(given, "__arrow_c_stream__") or hasattr(given, "__dataframe__")


def _arrow(table: Any) -> pa.Table:
    import pyarrow as pa

    if isinstance(table, pa.Table):
        return table
    if isinstance(table, Mapping):
        for name, column in table.items():
            if isinstance(column, str | bytes) or not np.iterable(column):
                raise InputError(
                    f"the table: column {quoted(name)} is {quoted(column, 60)}, not a column of "
                    f"values; give a list, as [{quoted(repr(column), 60)}]"
                )
        return pa.table({str(name): pa.array(column) for name, column in table.items()})
    if hasattr(table, "__arrow_c_stream__"):
        if hasattr(table, "rename") and not all(isinstance(name, str) for name in table.columns):
            table = table.rename(columns=str)  # of pandas, whose names may be numbers
        return pa.table(table)
    if hasattr(table, "__dataframe__"):
        from pyarrow import interchange

        exchanged: pa.Table = interchange.from_dataframe(table)  # type: ignore[attr-defined]
        return exchanged
    raise TypeError(
        f"a table must be a path, a pyarrow, pandas or Polars table or a dict of columns, not "
        f"{type(table).__name__}"
    )
