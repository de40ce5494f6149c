"""How the numbers of K runs stand together: equal equations as one, its hyper-parameters [K, 1]."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Sequence
from numbers import Real
from typing import Any

from torch import Tensor

from gradus.engine.dense import Obstacle
from gradus.methods.schedules import Schedule


def structure(value: Any) -> Hashable:
    """What methods or penalties have to have in common to be one: all that is no number.

    A learning rate is a number, scheduled or not.

    Raises:
        Obstacle: a number of it is a tensor already.

    Example:
        >>> from gradus.methods import SGD
        >>> structure(SGD(0.1, momentum=0.9)) == structure(SGD(0.2))
        True
        >>> structure(SGD(0.1, 0.9, nesterov=True)) == structure(SGD(0.1, 0.9))
        False
    """
    if isinstance(value, Tensor):
        raise Obstacle("hyper-parameters that are tensors")
    if _is_number(value):
        return Real
    if dataclasses.is_dataclass(value):
        return type(value), *(structure(part) for part in _parts(value).values())
    return tuple(map(structure, value)) if isinstance(value, tuple | list) else value


def stacked_value(
    values: Sequence[Any], column: Callable[[Sequence[float]], Tensor], rates: Tensor | None
) -> Any:
    """Values of one structure as one value.

    A number that all share stays that number, so that a term that is nowhere set costs nothing.

    Args:
        values: what K runs have.
        column: makes a tensor [K, 1] of K numbers.
        rates: stands where any of the learning rates is scheduled.

    Example:
        >>> import torch
        >>> from gradus.methods import SGD
        >>> column = lambda numbers: torch.tensor(numbers)[:, None]
        >>> method = stacked_value([SGD(0.5, momentum=0.5), SGD(0.5)], column, None)
        >>> method.lr, method.momentum.tolist()
        (0.5, [[0.5], [0.0]])
    """
    first = values[0]
    if _is_number(first):
        if any(isinstance(value, Schedule) for value in values):
            return rates
        return first if all(value == first for value in values) else column(values)
    if dataclasses.is_dataclass(first):
        fields = zip(*(_parts(value).values() for value in values), strict=True)
        made = [stacked_value(field, column, rates) for field in fields]
        return dataclasses.replace(first, **dict(zip(_parts(first), made, strict=True)))  # type: ignore[type-var]
    if isinstance(first, tuple | list):
        return tuple(stacked_value(part, column, rates) for part in zip(*values, strict=True))
    return first


def is_scheduled(method: Any) -> bool:
    """Whether the learning rate changes with the step."""
    return isinstance(method.lr, Schedule)


def mapped(state: Any, change: Callable[[Any], Any]) -> Any:
    """The state of a method with every tensor and every number of it changed."""
    if dataclasses.is_dataclass(state):
        parts = {name: mapped(part, change) for name, part in _parts(state).items()}
        return dataclasses.replace(state, **parts)  # type: ignore[type-var]
    return change(state) if isinstance(state, Tensor | Real) else state


def leaves(state: Any) -> list[Any]:
    """Every tensor and every number of the state of a method."""
    found: list[Any] = []
    mapped(state, found.append)
    return found


def _parts(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, Schedule) or (isinstance(value, Real) and not isinstance(value, bool))
