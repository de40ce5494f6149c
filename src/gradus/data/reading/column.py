"""One column of a table as numbers, flags or names."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from gradus.data.reading.kinds import is_text
from gradus.errors import InputError, brief, quoted

if TYPE_CHECKING:
    import pyarrow as pa

    from gradus.data.reading.source import Source


@dataclass(frozen=True, eq=False)
class Column:
    """One column of a table.

    Args:
        name: its name.
        kind: number (float64, NaN where missing), bool (the same, of 0 and 1), text (None where
            missing) or category (values like those of number or text, taken as names).
        values: ``[N]``.
        missing: bool ``[N]``.
    """

    name: str
    kind: Literal["number", "bool", "text", "category"]
    values: NDArray[Any]
    missing: NDArray[np.bool_]

    def rows(self, kept: NDArray[np.bool_]) -> Column:
        """The column without the rows that are not kept."""
        return Column(self.name, self.kind, self.values[kept], self.missing[kept])


def column_of(source: Source, name: str, categorical: bool) -> Column:
    """One column as numbers, booleans or text; as names where it is categorical.

    Raises:
        InputError: it holds dates, lists, bytes or anything else that is none of these.
    """
    import pyarrow as pa

    try:
        column = _column(source, name, categorical)
    except (pa.ArrowException, ValueError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{source.path}: column {brief(name)!r} cannot be read ({quoted(error)}); mend "
            f"it, or use --drop {quoted(name, 60)}"
        ) from error
    if column is None:
        kind = quoted(str(source.arrow.schema.field(name).type), 60)
        raise InputError(
            f"{source.path}: column {brief(name)!r} holds {kind}; numbers, booleans and text can "
            f"be used, so turn it into one of them or use --drop {quoted(name, 60)}"
        )
    return column


def _column(source: Source, name: str, categorical: bool) -> Column | None:
    import pyarrow as pa

    content = _as_written(source, name).unify_dictionaries().combine_chunks()
    kind = content.type
    if pa.types.is_dictionary(kind):
        categorical = categorical or name in source.categories
        if is_text(kind.value_type):
            # A word that stands in many rows is one object, however long it is.
            rows = cast("pa.DictionaryArray[Any, Any]", content)
            words = np.append(rows.dictionary.to_numpy(zero_copy_only=False), [None])
            values = words[rows.indices.fill_null(-1).to_numpy()]
            missing = rows.is_null().to_numpy(zero_copy_only=False)
            return Column(name, "category" if categorical else "text", values, missing)
        content, kind = content.cast(kind.value_type), kind.value_type
    if pa.types.is_temporal(kind):
        if not categorical:
            shown = quoted(name, 60)
            raise InputError(
                f"{source.path}: column {brief(name)!r} holds dates or times ({kind}); turn it "
                f"into numbers, or use --drop {shown} or --categorical {shown}"
            )
        content, kind = content.cast(pa.string()), pa.string()
    if pa.types.is_boolean(kind) and categorical:
        content, kind = content.cast(pa.string()), pa.string()
    missing = content.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
    if pa.types.is_boolean(kind) or pa.types.is_null(kind):
        flags = content.cast(pa.int8()).cast(pa.float64())
        return Column(name, "bool", flags.to_numpy(zero_copy_only=False), missing)
    if pa.types.is_integer(kind) and categorical:
        # Identifiers of 64 bits are no more exact as numbers.
        whole = content.fill_null(0).to_numpy(zero_copy_only=False)
        return Column(name, "category", whole, missing)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = content.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return Column(name, "category" if categorical else "number", values, missing)
    if is_text(kind):
        values = content.to_numpy(zero_copy_only=False)
        return Column(name, "category" if categorical else "text", values, missing)
    return None


def _as_written(source: Source, name: str) -> pa.ChunkedArray[Any]:
    """A column, that of a text file as flags or dates where all of its words are."""
    import pyarrow as pa

    content = source.arrow[name]
    if source.read_text is None or not pa.types.is_dictionary(content.type):
        return content
    rows: Any = content.unify_dictionaries().combine_chunks()
    for kind in (pa.bool_(), pa.date32(), pa.timestamp("us")):
        with suppress(pa.ArrowInvalid):
            return pa.chunked_array([rows.dictionary.cast(kind).take(rows.indices)])
    return content
