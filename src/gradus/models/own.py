"""What users bring themselves: the function ``package.module:function`` of theirs."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gradus.errors import InputError


@contextmanager
def from_here() -> Iterator[None]:
    """Within, modules are looked for in the current folder first, then where Python looks."""
    folder, path = str(Path.cwd()), list(sys.path)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        # Last from here on: what the user's code imports later is found, and hides no library.
        sys.path[:] = path if folder in path else [*path, folder]


def own_function(name: str, option: str) -> Callable[..., Any]:
    """The function that ``package.module:function`` names.

    Args:
        name: of the module and of the function in it.
        option: which asks for it, as ``--model``; messages begin with it.

    Raises:
        InputError: the module cannot be imported, or has no such function.
    """
    module_name, _, function_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise InputError(
                f"{option} {name}: {module_name} could not be imported: {error}"
            ) from error
        raise InputError(
            f"{option} {name}: no module {module_name} in {Path.cwd()} or on the Python path; "
            f"write {option} file:function for a function in file.py"
        ) from None
    except Exception as error:
        raise InputError(
            f"{option} {name}: {module_name} could not be imported: {told(error)}"
        ) from error
    function: Callable[..., Any] | None = getattr(module, function_name, None)
    if not callable(function):
        near = difflib.get_close_matches(function_name, dir(module), n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise InputError(f"{option} {name}: {module_name} has no function {function_name!r}{hint}")
    return function


def told(error: Exception) -> str:
    """An error of the user's code in one line."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
