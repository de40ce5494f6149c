"""What every part of a run's specification is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from gradus.models.own import is_object, is_users

Table = Mapping[str, Mapping[str, Any]]
"""What can be chosen, and for each the options that belong to it with their defaults.

None stands for an option that has to be given. ``*`` stands for every other name.
"""


class Part(BaseModel):
    """Options that belong together.

    Attributes:
        heading: of these options, where they are listed.
        tables: of every option here that is a choice, what belongs to what can be chosen.
        default_choices: what is chosen where nothing is said.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    heading: ClassVar[str]
    tables: ClassVar[Mapping[str, Table]] = {}
    default_choices: ClassVar[Mapping[str, str]] = {}


def split(value: Any) -> Any:
    """A list written as on the command line: ``512,512``."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return (value,) if isinstance(value, int) else value


Names = Annotated[tuple[str, ...], BeforeValidator(split)]
Widths = Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(split)]
Pair = Annotated[tuple[float, float], BeforeValidator(split)]


def _object_or(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """What stands for an object is taken as it is."""
    return value if is_object(value) else check(value)


def _users_or(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """What stands for an object, or names code of the user's, is taken as it is."""
    return value if isinstance(value, str) and is_users(value) else check(value)


OrUsers = WrapValidator(_users_or)
"""The same, and that too where it may be ``package.module:Class``."""

OrObject = WrapValidator(_object_or)
"""Marks a choice between names in whose place an object may have been handed over."""
