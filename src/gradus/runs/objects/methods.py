"""A method that is handed over as an object."""

from __future__ import annotations

import inspect
from dataclasses import fields
from functools import partial
from typing import Any

from torch.optim import Optimizer

from gradus import methods
from gradus.errors import InputError, quoted
from gradus.methods.catalogue import entries
from gradus.methods.method import Method
from gradus.optim.as_method import OptimizerMethod
from gradus.runs.objects.identity import identity_of


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
    if isinstance(given, Optimizer):
        name = type(given).__name__
        raise InputError(
            f"method {name}: is an optimizer of parameters that are made already, and a copy of "
            f"the model is trained; give its class, or functools.partial({name}, lr=..)"
        )
    inner = given.func if isinstance(given, partial) else given
    if inspect.isclass(inner) and issubclass(inner, Optimizer):
        return {}, OptimizerMethod(given, identity_of(given).name)
    if not isinstance(given, Method):
        raise InputError(
            f"method {quoted(given)}: give a name, an object of gradus.methods, a Method of your "
            "own, or the class of an optimizer"
        )
    if not hasattr(given, "lr"):
        raise InputError(
            f"method {type(given).__name__}: has no lr, the learning rate that the record of a run "
            "names at every step; give it one"
        )
    if type(given) not in names:
        return {}, given
    found = {each.name: getattr(given, each.name) for each in fields(given)}  # type: ignore[arg-type]
    if "line_search" in found and found["line_search"] is None:
        found["line_search"] = "none"
    if all(map(_is_plain, found.values())):
        return {"method": names[type(given)], **found}, None
    return {}, given


def _is_plain(value: Any) -> bool:
    """Whether an option can say it."""
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return isinstance(value, bool | int | float | str)
