"""Tables in memory, of whatever library, as data that are handed over."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradus.data.apart import with_parts
from gradus.data.arrays import ReadAs
from gradus.data.dataset import Split
from gradus.data.in_memory import source_of
from gradus.data.partition import Parts
from gradus.data.prepared import split_of_prepared
from gradus.data.reading import Notation, Source, written_as
from gradus.data.table_options import TableOptions
from gradus.data.tables import split_of_table
from gradus.errors import InputError, quoted
from gradus.models.own import is_object
from gradus.runs.objects.handed import Data
from gradus.runs.objects.identity import Identity

if TYPE_CHECKING:
    import pyarrow as pa

    from gradus.data.preparation import AnyPreparation
    from gradus.runs.spec import RunSpec


def of_table(given: Any, apart: Mapping[str, Any]) -> Data:
    """A frame of pyarrow, Polars or pandas, or a dict of columns.

    Args:
        given: the table.
        apart: tables that validate and test, which may be the paths of files.

    Raises:
        InputError: one cannot be read as a table.
    """
    source = _source(given, "data")
    parts = {name: _source(part, name) for name, part in apart.items()}

    def load(spec: RunSpec, read: ReadAs | None, preparation: AnyPreparation | None) -> Split:
        options = options_of(spec, tuple(parts))
        written = written_as(source, options.notation)
        if preparation is None:
            split = split_of_table(written, options)
        elif preparation.kind == "table":
            split = split_of_prepared(written, preparation, options)
        else:
            raise InputError("data: is a table, and the model was trained on arrays")
        others = {name: written_as(part, options.notation) for name, part in parts.items()}
        return with_parts(split, others, options) if others else split

    columns = {field.name: str(field.type) for field in source.arrow.schema}
    digests = [_digest(each.arrow) for each in (source, *parts.values())]
    content = (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )
    return Data(
        load,
        Identity("table", columns | {"parts": [*parts]} if parts else columns, content=content),
    )


def _source(given: Any, name: str) -> Source:
    import pyarrow as pa

    try:
        source = source_of(given)
    except InputError as error:
        if name == "data":
            raise
        said = str(error).replace("the table:", f"the table given as {name}:", 1)
        raise InputError(said) from error
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(
            f"{name}: the {type(given).__name__} cannot be read as a table: {quoted(error)}"
        ) from error
    return source if name == "data" else replace(source, path=Path(f"the table given as {name}"))


def options_of(spec: RunSpec, apart: tuple[str, ...] = ()) -> TableOptions:
    """How the table of a run is prepared, of which some parts are given by themselves.

    Raises:
        InputError: an option is for text files alone.
    """
    if spec.separator is not None:
        raise InputError(
            f"separator {quoted(spec.separator)}: is of the fields of text files, and the data are "
            "a table in memory; leave it out"
        )
    return TableOptions(
        spec.target,
        None if is_object(spec.loss) else spec.loss,
        spec.missing or "median",
        (spec.scaling or "standard") if spec.standardize else "none",
        None if "pieces" in spec.auto else spec.pieces,
        spec.standardize_target,
        spec.categorical,
        spec.drop,
        Parts(
            spec.test_fraction,
            spec.validation_fraction,
            spec.split_seed,
            spec.split,
            spec.group,
            apart,
        ),
        spec.weights,
        spec.dtype,
        Notation(None, spec.decimal, spec.missing_values),
    )


class _Digest(io.RawIOBase):
    """Takes what is written to it into a digest."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self.sha256.update(content)
        return len(content)


def _digest(arrow: pa.Table) -> str:
    """The SHA-256 of a table, however its columns are cut into pieces."""
    import pyarrow as pa

    sink = _Digest()
    with pa.ipc.new_stream(sink, arrow.schema) as writer:
        writer.write_table(arrow.combine_chunks())
    return sink.sha256.hexdigest()
