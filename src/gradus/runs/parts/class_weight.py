"""What each class counts, as the user writes it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from gradus.errors import quoted
from gradus.runs.parts.part import split

BALANCED = ("balanced",)
"""All classes count alike, however many examples each has."""


def _written(value: Any) -> Any:
    """Weights by class name, as a list of texts."""
    if isinstance(value, Mapping):
        return tuple(f"{name}={weight}" for name, weight in value.items())
    found = split(value)
    if not isinstance(found, list | tuple) or not all(isinstance(each, str) for each in found):
        raise ValueError(
            f"class_weight {quoted(value, 60)}: give what each class counts by its name, as "
            "{'no': 1, 'yes': 2}, or balanced"
        )
    return found


def _checked(given: tuple[str, ...]) -> tuple[str, ...]:
    """The same weights, each number written in one way only."""
    if given in ((), BALANCED):
        return given
    pairs = [pair(each) for each in given]
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"class_weight {quoted(twice[0])}: is given twice")
    return tuple(f"{name}={weight:.15g}" for name, weight in pairs)


def pair(written: str) -> tuple[str, float]:
    """The name and the weight of ``yes=2``."""
    name, equals, number = written.rpartition("=")
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if not (equals and name and 0 <= weight < math.inf):
        raise ValueError(
            f"class_weight {quoted(written)}: give balanced, or what each class counts, a number "
            ">= 0, as yes=2,no=1"
        )
    return name, weight


ClassWeight = Annotated[tuple[str, ...], BeforeValidator(_written), AfterValidator(_checked)]
"""``balanced``, or ``yes=2,no=1``; in Python and TOML a mapping from names to numbers too."""
