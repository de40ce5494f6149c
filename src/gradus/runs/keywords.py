"""Keywords that a call does not take: said in one line, with what may be meant."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from typing import ParamSpec, TypeVar

from gradus.errors import InputError
from gradus.runs.spec import RunSpec, no_such_option
from gradus.runs.words import as_call

P = ParamSpec("P")
Result = TypeVar("Result")


def known_keywords(
    *, of_runs: str = "", elsewhere: Mapping[str, str] | None = None
) -> Callable[[Callable[P, Result]], Callable[P, Result]]:
    """The same call, which refuses a keyword that it does not take in one line.

    Args:
        of_runs: what is said of an option of runs, where these are given elsewhere.
        elsewhere: what is said of other keywords that are given elsewhere, by name.

    Example:
        >>> @known_keywords()
        ... def draw(run, *, against="samples"):
        ...     return against
        >>> draw(None, agains="work")
        Traceback (most recent call last):
        gradus.errors.InputError: agains: no such option (did you mean against?)
    """

    def of(call: Callable[P, Result]) -> Callable[P, Result]:
        taken = inspect.signature(call).parameters

        @wraps(call)
        def checked(*args: P.args, **given: P.kwargs) -> Result:
            for name in given.keys() - taken.keys():
                raise InputError(_said_of(name, [*taken], of_runs, elsewhere or {}))
            return call(*args, **given)

        return checked

    return of


def _said_of(name: str, taken: Collection[str], of_runs: str, elsewhere: Mapping[str, str]) -> str:
    if name in elsewhere:
        return f"{name}: {elsewhere[name]}"
    if of_runs and name in RunSpec.model_fields:
        return f"{name}: {of_runs}"
    return as_call(no_such_option(name, taken))
