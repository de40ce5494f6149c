"""From which probability on an example is taken for a class of two, as the user writes it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from gradus.errors import quoted

BY_MEASURE = ("f1", "balanced-accuracy", "accuracy")
"""What it may be chosen by, on the validation part."""


def class_and_value(written: str) -> tuple[str | None, float]:
    """The class, where one is named, and the probability.

    Raises:
        ValueError: there is no probability between 0 and 1.

    Example:
        >>> class_and_value("0.3"), class_and_value("yes=0.3")
        ((None, 0.3), ('yes', 0.3))
    """
    name, equals, number = written.rpartition("=")
    try:
        at = float(number)
    except ValueError:
        at = -1.0
    if not 0 < at < 1 or (equals and not name):
        raise ValueError(
            f"threshold {quoted(written)}: give a probability between 0 and 1, as 0.3 or yes=0.3"
        )
    return name or None, at


def _checked(written: str) -> str:
    """One way only for each."""
    if written in BY_MEASURE:
        return written
    try:
        name, at = class_and_value(written)
    except ValueError as error:
        known = ", ".join(BY_MEASURE)
        raise ValueError(f"{error}, or what to choose it by on validation: {known}") from None
    return f"{at:.15g}" if name is None else f"{name}={at:.15g}"


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) else value


Written = Annotated[str, BeforeValidator(_text), AfterValidator(_checked)]
"""``0.3``, ``yes=0.3`` or a measure."""
