"""A method that is handed over as an object."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any

from gradus import methods
from gradus.errors import InputError, quoted
from gradus.methods.catalogue import entries
from gradus.methods.method import Method


def method_of(given: Any) -> tuple[dict[str, Any], Method | None]:
    """The options that say the method, where they can; else the method itself.

    Raises:
        InputError: it is no method.

    Example:
        >>> from gradus.methods import Polyak
        >>> method_of(Polyak(lr=0.1, beta=0.5))
        ({'method': 'polyak', 'lr': 0.1, 'beta': 0.5}, None)
    """
    names = {getattr(methods, entry.class_name): name for name, entry in entries().items()}
    if inspect.isclass(given):
        if given in names:
            return {"method": names[given]}, None
        if issubclass(given, Method):
            raise InputError(
                f"method {given.__name__}: is a class; give an object, as {given.__name__}(..)"
            )
    if not isinstance(given, Method):
        raise InputError(
            f"method {quoted(given)}: give a name, an object of gradus.methods, or a Method of "
            "your own"
        )
    if not hasattr(given, "lr"):
        raise InputError(
            f"method {type(given).__name__}: has no lr, the learning rate that the record of a run "
            "names at every step; give it one"
        )
    name = names.get(type(given))
    if name is None:
        return {}, given
    found = {each.name: getattr(given, each.name) for each in fields(given)}  # type: ignore[arg-type]
    if "line_search" in found and found["line_search"] is None:
        found["line_search"] = "none"
    if all(map(_is_plain, found.values())):
        return {"method": name, **found}, None
    return {}, given


def _is_plain(value: Any) -> bool:
    """Whether an option can say it."""
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return isinstance(value, bool | int | float | str)
