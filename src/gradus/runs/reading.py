"""The files of a record as they are read: what is missing or damaged is said in one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gradus.errors import InputError, quoted
from gradus.runs.files import open_plain, read_json

if TYPE_CHECKING:
    from torch import nn

Count = Annotated[int, Field(ge=0)]
Number = float | None


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _Treatment(_Strict):
    """What was done with a column of a table."""

    column: str
    taken_for: str
    missing: Count
    done: str


class _Data(_Strict):
    description: str
    task: str
    train: Count
    test: Count
    input_shape: list[Annotated[int, Field(ge=1)]]
    outputs: Annotated[int, Field(ge=1)]
    validation: Count = 0
    classes: list[str] | None = None
    shares: list[float] | None = None
    target_names: list[str] | None = None
    columns: list[_Treatment] = []
    notes: list[str] = []

    @model_validator(mode="after")
    def _of_these_classes(self) -> Self:
        if self.shares is not None and len(self.shares) != self.outputs:
            raise ValueError(f"{len(self.shares)} shares of {self.outputs} classes")
        return self


class _Divergence(_Strict):
    step: Count
    epoch: Count
    samples: Count
    loss: float
    lr: float
    last_finite_loss: Number
    hint: str


class _Timings(_Strict):
    train_seconds: float
    samples_per_second: float


class _Final(_Strict):
    """The last figures by name: those that every version recorded, and others."""

    __pydantic_extra__: dict[str, Number]
    train_loss: Number
    test_loss: Number
    test_accuracy: Number


class _Kept(_Strict):
    """Which epoch's parameters a run left, and by what it was chosen."""

    epoch: Annotated[int, Field(ge=1)]
    measure: str | None = None
    best: Number = None
    last: Number = None


class _Failure(_Strict):
    """Why a run has learned nothing."""

    hint: str


class _Figure(_Strict):
    """How good the model is, by one measure."""

    value: Number
    low: Number
    high: Number
    constant: Number
    reason: str | None


class _Importance(_Strict):
    """What a model loses with a column."""

    column: str
    lost: float
    low: Number
    high: Number


class _Answers(_Strict):
    """Which class a model names most often."""

    commonest: str
    times: Count
    examples: Count


class _Threshold(_Strict):
    """From which probability on one of two classes is predicted."""

    of: str = Field(alias="class")
    at: Annotated[float, Field(gt=0, lt=1)]


class _Origin(_Strict):
    """A run that another goes on from."""

    how: str
    run: str
    parameters: str


class _Object(_Strict):
    """What identifies an object that was handed over in Python."""

    name: str
    source: str | None
    content: str | None


class _Summary(_Strict):
    """What is read of a run.json beside its spec; what else stands in it is kept as it is."""

    status: str
    engine: str
    kernels: str | None
    not_native: str | None
    stopped: str | None
    steps: Count
    samples: Count
    parameters: Count
    zeros: Count
    final: _Final | None
    divergence: _Divergence | None
    kept: _Kept | None = None
    constant: dict[str, Number] | None = None
    figures: dict[str, dict[str, _Figure]] | None = None
    answers: _Answers | None = None
    importance: list[_Importance] | None = None
    failure: _Failure | None = None
    threshold: _Threshold | None = None
    nets: Annotated[int, Field(ge=1)] | None = None
    auto: dict[str, Any] | None = None
    work: Count | None = None
    origin: list[_Origin] = []
    objects: dict[str, _Object] = {}
    data: _Data
    timings: _Timings


class _Loop(_Strict):
    """What a loop is that is not ours, by what identifies it."""

    title: str
    optimizer: dict[str, Any] | None
    model: dict[str, Any]
    config: dict[str, Any]


class _Error(_Strict):
    """What a loop was left by."""

    kind: str
    message: str


class _Recorded(_Strict):
    """What is read of a run.json of such a loop."""

    status: str
    steps: Count
    samples: Count
    parameters: Count
    loop: _Loop
    final: dict[str, Number] | None
    divergence: _Divergence | None
    error: _Error | None
    timings: _Timings


FIGURES = {"final", "divergence", "timings", "kept", "test", "constant"}
"""Parts of a summary that hold numbers."""


def read_summary(path: Path) -> dict[str, Any]:
    """The content of a run.json, in which everything has its type.

    Of a loop that is not ours it has no ``spec``, but says what the ``loop`` is.

    Raises:
        FileNotFoundError: there is none.
        NotADirectoryError: nor a folder that could hold it.
        InputError: it is damaged.
    """
    try:
        content: dict[str, Any] = dict(read_json(path))
        content |= {name: _with_numbers(content[name]) for name in FIGURES & content.keys()}
        if "loop" in content:
            _Recorded.model_validate(content)
            return content
        _Summary.model_validate(content)
        content["spec"] = dict(content["spec"])
    except (FileNotFoundError, NotADirectoryError):
        raise
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        at = ".".join(map(str, found["loc"]))
        wrong = f"{quoted(at)} {quoted(found['input'])}: {found['msg']}"
        raise InputError(f"{path}: the record cannot be read: {wrong}") from None
    except KeyError as error:
        raise InputError(f"{path}: the record cannot be read: {error} is missing") from None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: the record cannot be read: {quoted(error)}") from None
    return content


def _with_numbers(part: Any) -> Any:
    """The numbers that JSON does not know, which stand in it by their names, as numbers again."""
    if not isinstance(part, Mapping):
        return part
    return {
        name: float(value) if value in ("inf", "-inf", "nan") else value
        for name, value in part.items()
    }


UNREADABLE = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, MemoryError)
"""What reading a damaged Parquet file raises."""


def read_table(path: Path, columns: Sequence[str], known: Sequence[str] = ()) -> pa.Table:
    """A table of numbers.

    Args:
        path: of the Parquet file.
        columns: that it has.
        known: that it may have beside them; others are left alone.

    Raises:
        FileNotFoundError: there is none.
        InputError: it is damaged, or a column is missing or holds no numbers.
    """
    try:
        with open(open_plain(path), "rb") as file:
            # A process that ends at once, before threads for it are at rest, would be aborted.
            table = pq.ParquetFile(file).read(use_threads=False)
        for name in dict.fromkeys((*columns, *known, *table.column_names)):
            held = table.column_names.count(name)
            if held == 0 and name not in columns:
                continue
            if held != 1:
                raise ValueError(f"{held} columns {name}")
            kind = table[name].type
            if name in (*columns, *known) and not (
                pa.types.is_integer(kind) or pa.types.is_floating(kind)
            ):
                raise ValueError(f"its column {name} holds {kind}, not numbers")
    except FileNotFoundError:
        raise
    except UNREADABLE as error:
        raise InputError(f"{path}: the record cannot be read: {quoted(error)}") from None
    return table


def load_parameters(model: nn.Module, path: Path) -> None:
    """Give a model the parameters that a record keeps.

    Raises:
        InputError: they are missing, damaged, or those of another model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_model

    try:
        with open(open_plain(path), "rb"):  # no folder, and no pipe to wait for
            load_model(model, path)
    except FileNotFoundError:
        raise InputError(f"{path}: the parameters of the model are missing") from None
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError) as error:
        raise InputError(
            f"{path}: the parameters of the model cannot be read: {quoted(error)}"
        ) from None


def check_size(build: Callable[[], nn.Module], itemsize: int, path: Path) -> None:
    """Refuse a model that a file of parameters cannot hold, before memory is taken for it.

    Args:
        build: makes the model; called where tensors have a shape and no content.
        itemsize: bytes of one parameter.
        path: of the file.

    Raises:
        InputError: it has more parameters than there are bytes for, or than there can be.
    """
    import torch

    try:
        with torch.device("meta"):
            parameters = sum(parameter.numel() for parameter in build().parameters())
    except (RuntimeError, TypeError):
        raise InputError(f"{path}: no model has the widths that run.json says") from None
    if path.is_file() and parameters * itemsize > path.stat().st_size:
        raise InputError(
            f"{path}: the parameters of the model cannot be read: it holds fewer than the "
            f"{parameters:,} that run.json says"
        )
