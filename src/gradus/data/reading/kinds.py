"""What is done about columns after their types, whatever kind of file they stand in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is text."""
    import pyarrow as pa

    is_kind = pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view
    return any(check(kind) for check in is_kind)


def declared_categories(schema: pa.Schema) -> frozenset[str]:
    """Names of the columns that a file declares to be categories."""
    import pyarrow as pa

    return frozenset(field.name for field in schema if pa.types.is_dictionary(field.type))


def with_nested(arrow: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table with the columns that were not read, of lists and the like, without their values.

    Args:
        arrow: the other columns, in the order of the schema.
        schema: of all.
    """
    import pyarrow as pa

    fields: list[pa.Field[Any]] = []
    columns: list[pa.ChunkedArray[Any]] = []
    read = zip(arrow.schema, arrow.columns, strict=True)
    for field in schema:
        if pa.types.is_nested(field.type):
            fields.append(field)
            columns.append(pa.chunked_array([pa.nulls(arrow.num_rows, field.type)]))
        else:
            known, column = next(read)
            fields.append(known)
            columns.append(column)
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))
