"""What users bring themselves: the function ``package.module:function`` of theirs.

It is imported and called, and may do anything: so only the user's own command or call may name it.
One that a record or a file names, which may come from elsewhere, is not imported unasked.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gradus.errors import InputError, quoted

OBJECT = "object:"
"""Begins what stands in a spec for an object that was handed over in Python: what identifies it."""


def is_own(model: str) -> bool:
    """Whether a model is code of the user's, ``package.module:factory``."""
    return ":" in model and not is_object(model)


def is_object(written: object) -> bool:
    """Whether what a spec says stands for an object that was handed over in Python."""
    return isinstance(written, str) and written.startswith(OBJECT)


def is_users(written: str) -> bool:
    """Whether it stands for something of the user's own, by its name or handed over."""
    return is_own(written) or is_object(written)


def shown(written: str) -> str:
    """What a spec says, for a title or a message: of an object its name.

    Example:
        >>> shown("object:mynet.Net#0123456789ab"), shown("digits")
        ('mynet.Net', 'digits')
    """
    return written.removeprefix(OBJECT).partition("#")[0] if is_object(written) else written


def check_named(
    models: Iterable[str],
    where: str | Path,
    *,
    named: Collection[str] = (),
    trust: bool = False,
    option: str = "model",
) -> None:
    """Refuse code that a record or a file names where the user's command or call does not.

    Args:
        models: that it names.
        where: the record or the file.
        named: models that the command or the call names.
        trust: whether the user trusts all of it.
        option: which names them.

    Raises:
        InputError: importing a model would run code of others.

    Example:
        >>> check_named(["mlp", "mynet:make"], "runs/mine", named=["mynet:make"])
        >>> try:
        ...     check_named(["mynet:make"], "received")
        ... except InputError as error:
        ...     print(str(error).partition(";")[0])
        received: its model mynet:make is code: mynet would be imported and make called
    """
    for model in models:
        if is_own(model) and model not in named and not trust:
            module, _, factory = model.partition(":")
            raise InputError(
                f"{where}: its {option} {quoted(model)} is code: {quoted(module)} would be "
                f"imported and {quoted(factory)} called; if you know it say --{option} "
                f"{quoted(model)}, or --trust"
            )


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
        InputError: the module cannot be imported, is one of Python's own, or has no such function.
    """
    module_name, _, function_name = name.partition(":")
    asked, shown = f"{option} {quoted(name)}", quoted(module_name)
    top = module_name.partition(".")[0]
    if module_name.endswith(".py") or "/" in module_name or "\\" in module_name:
        inner = module_name.removesuffix(".py").replace("\\", "/").removeprefix("./").strip("/")
        right = f"{quoted(inner.replace('/', '.'))}:{quoted(function_name)}"
        raise InputError(f"{asked}: names a file; name its module, as {option} {right}")
    if top in sys.stdlib_module_names:
        raise InputError(
            f"{asked}: {top} is a module of Python's standard library, not one of yours; "
            "give your file another name"
        )
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise InputError(f"{asked}: {shown} could not be imported: {error}") from error
        raise InputError(
            f"{asked}: no module {shown} in {Path.cwd()} or on the Python path; "
            f"write {option} file:function for a function in file.py"
        ) from None
    except (Exception, SystemExit) as error:
        raise InputError(f"{asked}: {shown} could not be imported: {told(error)}") from error
    function: Callable[..., Any] | None = getattr(module, function_name, None)
    if not callable(function):
        functions = [name for name in dir(module) if callable(getattr(module, name, None))]
        near = difflib.get_close_matches(quoted(function_name), functions, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise InputError(f"{asked}: {shown} has no function {quoted(function_name)!r}{hint}")
    return function


ONE_EXAMPLE = (
    "Expected more than 1 value per channel",
    "; a mini-batch holds one example, perhaps the last of an epoch: give another --batch-size",
)
"""What a batch norm of PyTorch says of a batch, and what would be right."""


def told(error: BaseException) -> str:
    """An error of the user's code in one line."""
    said = str(error).strip()
    remedy = ONE_EXAMPLE[1] if said.startswith(ONE_EXAMPLE[0]) else ""
    line = quoted(said.splitlines()[0]) if said else "no message"
    return f"{type(error).__name__}: {line}{remedy}"
