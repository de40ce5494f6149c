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
        InputError: the file cannot be read, or it is nothing of the kind.

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


def _column(name: str, values: Any) -> pa.Array[Any]:
    import pyarrow as pa

    try:
        column: pa.Array[Any] = pa.array(values)
        return column
    except (pa.ArrowException, TypeError, ValueError) as error:
        kinds = sorted({type(each).__name__ for each in values if each is not None})
        if len(kinds) < 2:
            raise InputError(
                f"the table: column {quoted(name)} is no column of values: {quoted(error)}"
            ) from error
        raise InputError(
            f"the table: column {quoted(name)} holds values of several types, "
            f"{quoted(', '.join(kinds), 60)}; give numbers alone, or text alone"
        ) from error


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
        columns = {str(name): _column(str(name), column) for name, column in table.items()}
        first, rows = next(((name, len(each)) for name, each in columns.items()), ("", 0))
        for name, each in columns.items():
            if len(each) != rows:
                raise InputError(
                    f"the table: column {quoted(name)} has {len(each)} rows, and {quoted(first)} "
                    f"has {rows}; give columns of one length"
                )
        return pa.table(columns)
    if isinstance(table, pa.ChunkedArray | pa.Array) or getattr(table, "ndim", 2) == 1:
        raise InputError(
            f"the table: a {type(table).__name__}, one column; give a table, or a dict of columns"
        )
    if hasattr(table, "__arrow_c_stream__"):
        if hasattr(table, "rename") and not all(isinstance(name, str) for name in table.columns):
            table = table.rename(columns=str)  # of pandas, whose names may be numbers
        return pa.table(table)
    if hasattr(table, "__dataframe__"):
        from pyarrow import interchange

        exchanged: pa.Table = interchange.from_dataframe(table)  # type: ignore[attr-defined]
        return exchanged
    raise InputError(
        f"the table: of type {type(table).__name__}; give a path, a table of pyarrow, pandas or "
        "Polars, or a dict of columns"
    )
