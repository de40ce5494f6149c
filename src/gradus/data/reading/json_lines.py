"""How a file of JSON lines, an object a row, becomes a table."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradus.data.reading.kinds import is_text, with_nested
from gradus.data.reading.source import Source, check_columns
from gradus.data.reading.text_files import TextFile, in_blocks
from gradus.errors import InputError, brief, quoted

if TYPE_CHECKING:
    import pyarrow as pa

_KINDS = {
    bool: "true or false",
    int: "numbers",
    float: "numbers",
    str: "text",
    list: "a list",
    dict: "an object",
}
"""What cannot stand together in one column. Whole numbers become real ones beside those."""

_NESTED = {"a list", "an object"}


def read_json_lines(path: Path) -> Source:
    """Read JSON lines: each key is a column, missing where a line has no such key, or null.

    Text that looks like a date stays text. Columns of lists and objects have no values.

    Raises:
        InputError: it cannot be read, a line is no object, or a column is of two kinds.
    """
    import pyarrow as pa

    file = TextFile.at(path, b'{"').checked()
    _check_lines(file)
    try:
        arrow = _read(file)
    except (pa.ArrowException, MemoryError):
        arrow = None
    if arrow is None or _may_be_rounded(arrow):
        schema = _schema(file)
        try:
            arrow = _read(file, schema)
        except (pa.ArrowException, MemoryError) as error:
            raise InputError(f"{path}: cannot be read as JSON lines ({quoted(error)})") from error
    check_columns(path, arrow.num_columns)
    rows = arrow.num_rows
    return Source(path, arrow, lambda row: _place(file, rows, row))


def _check_lines(file: TextFile) -> None:
    """Refuse a file that has a line of anything else than an object.

    pyarrow says of no error in which line it is, and a line of null ends the process (Arrow issue
    47409).
    """
    some = False
    with file.open() as lines:
        for number, line in enumerate(lines, 1):
            begins = line.lstrip()[:1]
            some = some or bool(begins)
            if begins not in (b"", b"{"):
                shown = quoted(line[:60].decode(errors="replace"), 30)
                raise InputError(
                    f"{file.path}, line {number}: {shown!r} begins no object of JSON; write an "
                    "object a line"
                )
    if not some:
        raise InputError(f"{file.path}: the file is empty; give an object a line")


def _read(file: TextFile, schema: pa.Schema | None = None) -> pa.Table:
    """The rows as pyarrow reads them, with columns of a schema where it is known."""
    import pyarrow as pa

    if schema is None:
        arrow = _parse(file, None, "infer")
        schema = arrow.schema
        dates = [field.name for field in schema if pa.types.is_timestamp(field.type)]
        if dates:
            arrow = _parse(file, pa.schema([(name, pa.string()) for name in dates]), "infer")
    else:
        flat = [field for field in schema if not pa.types.is_nested(field.type)]
        arrow = _parse(file, pa.schema(flat), "ignore")
    arrow = arrow.select([f.name for f in schema if not pa.types.is_nested(f.type)])
    for at, field in enumerate(arrow.schema):
        if is_text(field.type):
            words: Any = arrow.column(at).combine_chunks()
            arrow = arrow.set_column(at, field.name, words.dictionary_encode())
    arrow = with_nested(arrow, schema)
    arrow.validate(full=True)
    return arrow


def _parse(file: TextFile, schema: pa.Schema | None, others: Any) -> pa.Table:
    import pyarrow.json

    def parse(block: int) -> pa.Table:
        with file.open() as stream:
            return pyarrow.json.read_json(
                stream,
                read_options=pyarrow.json.ReadOptions(block_size=block),
                parse_options=pyarrow.json.ParseOptions(
                    explicit_schema=schema, unexpected_field_behavior=others
                ),
            )

    return in_blocks(parse, file.size)


def _may_be_rounded(arrow: pa.Table) -> bool:
    """Whether whole numbers may stand in the file that are too large for int64."""
    import pyarrow as pa
    import pyarrow.compute as pc

    real = [column for column in arrow.columns if pa.types.is_floating(column.type)]
    return any((pc.max(pc.abs(column)).as_py() or 0) >= 2**63 for column in real)


def _schema(file: TextFile) -> pa.Schema:
    """The columns after each line, which takes longer than pyarrow but knows what is wrong where.

    Raises:
        InputError: a line is no object, or a column holds what cannot stand together.
    """
    import pyarrow as pa

    kinds: dict[str, str | None] = {}
    real: set[str] = set()
    with io.TextIOWrapper(file.open(), encoding="utf-8") as text:
        for number, line in enumerate(text, 1):
            where = f"{file.path}, line {number}"
            for name, value in _object(line, where).items() if line.strip() else ():
                kind = None if value is None else _KINDS[type(value)]
                before = kinds.setdefault(name, kind)
                if before is None or kind in _NESTED:
                    kinds[name] = kind
                elif kind not in (before, None) and before not in _NESTED:
                    raise InputError(
                        f"{where}: column {brief(name)!r} holds {kind}, and {before} in lines "
                        "before; write all of it in one way"
                    )
                if isinstance(value, float):
                    real.add(name)
                elif isinstance(value, int) and not -(2**63) <= value < 2**63:
                    raise InputError(
                        f"{where}: column {brief(name)!r} holds {quoted(value, 60)}, which is "
                        "rounded as a number; write it as text, in double quotes"
                    )
    return pa.schema([(name, _type(kind, name in real)) for name, kind in kinds.items()])


def _type(kind: str | None, real: bool) -> pa.DataType:
    """The type of a column that holds this."""
    import pyarrow as pa

    types: dict[str | None, pa.DataType] = {
        None: pa.null(),
        "true or false": pa.bool_(),
        "numbers": pa.float64() if real else pa.int64(),
        "text": pa.string(),
        "a list": pa.list_(pa.null()),
        "an object": pa.struct([]),
    }
    return types[kind]


def _object(line: str, where: str) -> dict[str, Any]:
    """The object that a line holds."""
    try:
        found: dict[str, Any] = json.loads(line, object_pairs_hook=_without_repetition)
        return found
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{where}: is no object of JSON ({quoted(error)}); write an object a line"
        ) from error


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{brief(twice)!r} stands in it twice")
    return found


def _place(file: TextFile, rows: int, row: int) -> str:
    """Where a row stands; its line is not known where objects do not stand one a line."""
    with io.TextIOWrapper(file.open(), encoding="utf-8") as text:
        lines = [number for number, line in enumerate(text, 1) if line.strip()]
    return f"line {lines[row]}" if len(lines) == rows else f"row {row + 1}"
