"""The values of one option of a sweep, from what the user wrote."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from gradus.errors import quoted
from gradus.runs.choices import OPTIONS, flag
from gradus.runs.parts.data import OWN_PARTS
from gradus.runs.parts.method import AUTO
from gradus.runs.spec import RunSpec, first_line
from gradus.sweep.ranges import Range

FREE_TEXT = ("data", "target")
"""Options that may hold a comma themselves."""


class OptionError(ValueError):
    """What is wrong with one option, so that a file's line can be named."""

    def __init__(self, option: str, message: str) -> None:
        super().__init__(message)
        self.option = option


@cache
def _schema() -> type[BaseModel]:
    """The fields of RunSpec each for itself, without what ties them to each other."""
    fields: dict[str, Any] = {
        name: (field.annotation, field) for name, field in RunSpec.model_fields.items()
    }
    return create_model(
        "Options", __config__=ConfigDict(extra="forbid", allow_inf_nan=False), **fields
    )


def value_of(option: str, given: Any) -> Any:
    """One value of an option of a run, of the type that a RunSpec gives it."""
    if given == "none" and "none" in OPTIONS.get(option, {}):
        return given  # no penalty, as one of several
    if (option, given) == ("split_seed", OWN_PARTS):
        return given  # resolved in each run
    if (option, given) == ("lr", AUTO):
        raise OptionError(option, "--lr auto: is found for a run by itself; give numbers")
    try:
        return getattr(_schema().model_validate({option: given}), option)
    except ValidationError as error:
        said = first_line(error, RunSpec.model_fields)
        # A sweep takes no rate that each run finds by itself.
        raise OptionError(option, said.removesuffix(f", or {AUTO}")) from None


def _kinds(option: str) -> set[Any]:
    """The types that a value of the option may have."""

    def within(annotation: Any) -> set[Any]:
        inner = () if get_origin(annotation) in (tuple, Literal) else get_args(annotation)
        return {get_origin(annotation) or annotation}.union(*map(within, inner))

    return within(RunSpec.model_fields[option].annotation)


def is_whole(option: str) -> bool:
    """Whether an option takes whole numbers only."""
    return int in _kinds(option)


def separator_of(option: str) -> str:
    """What stands between several values of an option: ``,``, or ``;`` where one may hold that."""
    return ";" if tuple in _kinds(option) or option in FREE_TEXT else ","


def alternatives(option: str, written: Any) -> tuple[Any, ...]:
    """The values that an option is to take, from what the user wrote.

    Args:
        option: of a run.
        written: a text as on the command line, one value, or a list of values. Texts of numbers
            may be ranges: one with a count stands for its values; one without stays as it is.

    Raises:
        ValueError: a value is none of this option, or there is none.

    Example:
        >>> from gradus.sweep.values import alternatives
        >>> alternatives("lr", "10,0.1"), alternatives("lr", "log:1e-3:0.1:3")
        ((10.0, 0.1), (0.001, 0.01, 0.1))
        >>> alternatives("hidden", "64;512,512"), alternatives("lr", "log:1e-3:0.1")
        (((64,), (512, 512)), ('log:1e-3:0.1',))
    """
    if option not in RunSpec.model_fields:
        value_of(option, written)  # says so, and which is meant
    parts = [written]
    if hasattr(written, "tolist"):  # an array
        written = written.tolist()
    if isinstance(written, range):
        written = list(written)
    if isinstance(written, str):
        parts = [part.strip() for part in written.split(separator_of(option)) if part.strip()]
    elif isinstance(written, list | tuple):
        parts = list(written)
    values: list[Any] = []
    for part in parts:
        values += _expanded(option, part)
    if not values:
        example = separator_of(option).join(("A", "B"))
        raise OptionError(option, f"{flag(option)}: has no value; give some, as {example}")
    if len(values) > 1 and (drawn := [value for value in values if open_range(option, value)]):
        raise OptionError(
            option, f"{flag(option)}: {drawn[0]} has no count, and so stands for itself alone"
        )
    return tuple(dict.fromkeys(values))


def open_range(option: str, value: Any) -> Range | None:
    """The range that a value of an option stands for, where it is one to draw from."""
    numeric = {int, float} & _kinds(option)
    return Range.read(value) if numeric and Range.is_written(value) else None


def _expanded(option: str, part: Any) -> tuple[Any, ...]:
    try:
        written = open_range(option, part)
    except ValueError as error:
        raise OptionError(option, f"{flag(option)} {quoted(part)}: {error}") from None
    if written is None:
        return (value_of(option, part),)
    for bound in (written.low, written.high):
        value_of(option, bound)
    if written.count is None:
        return (part,)
    return tuple(value_of(option, value) for value in written.values(whole=is_whole(option)))
