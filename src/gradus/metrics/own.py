"""A figure of the user's own: any function of outputs and targets."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gradus.errors import InputError, quoted

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
"""What a column may be called."""


@dataclass(frozen=True)
class Metric:
    """A function that says how good a model is, and what it is called.

    Args:
        function: of the outputs of a model and the targets, of all examples of a part at once; it
            gives one number. Outputs ``[n, m]`` are as the loss sees them (of classes logits, or
            logarithms of probabilities) with classes ``[n]``; numbers and their targets ``[n, m]``
            are in the unit of the target.
        name: of its column; that of the function, where none is given.
        rises: whether more of it is better, which has to be said where epochs are compared by it.

    Raises:
        InputError: it is no function, or has no name that a column can have.

    Example:
        >>> def within_one(output, target):
        ...     return ((output - target).abs() < 1).double().mean()
        >>> Metric(within_one, rises=True).name
        'within_one'
    """

    function: Callable[..., Any]
    name: str = ""
    rises: bool | None = None

    def __post_init__(self) -> None:
        given = quoted(getattr(self.function, "__name__", self.function), 60)
        if isinstance(self.function, type) or not callable(self.function):
            raise InputError(
                f"metrics {given}: give a name, or a function (output, target) -> number"
            )
        if not self.name:
            kind = type(self.function).__name__
            object.__setattr__(self, "name", getattr(self.function, "__name__", kind))
        if not NAME.fullmatch(self.name):
            raise InputError(
                f"metrics {quoted(self.name)}: is no name of letters, digits and _; name it, as "
                '{"within_one": ..}'
            )
