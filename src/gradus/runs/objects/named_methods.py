"""A method of the user's by its name, ``package.module:Class``, its options as they are written."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Sequence
from functools import partial
from typing import Any

from torch.optim import Optimizer

from gradus.errors import InputError, quoted, reason
from gradus.methods.method import Method
from gradus.models.own import from_here, own_function
from gradus.optim.as_method import OptimizerMethod


def named_method(name: str, written: Sequence[str]) -> Method:
    """The method of this name: a ``Method``, or the class of an optimizer.

    It is looked for in the current folder first, then where Python looks.

    Args:
        name: ``package.module:Class``.
        written: its options, as ``lr=0.1``.

    Raises:
        InputError: it cannot be imported, is no method, or does not take the options.

    Example:
        >>> named_method("torch.optim:RAdam", ["lr=0.01", "betas=(0.9, 0.99)"]).lr
        0.01
    """
    options = _options(",".join(written))
    with from_here():
        kind = own_function(name, "--method")
        asked = f"--method {quoted(name)}"
        if not inspect.isclass(kind) or not issubclass(kind, Method | Optimizer):
            raise InputError(
                f"{asked}: is neither a class of gradus.methods.Method nor of torch.optim.Optimizer"
            )
        if issubclass(kind, Optimizer):
            return OptimizerMethod(partial(kind, **options), name)
        try:
            method: Method = kind(**options)
        except Exception as error:
            raise InputError(
                f"{asked}: cannot be made with --method-options {','.join(written) or 'none'}: "
                f"{reason(error)}"
            ) from error
    if not hasattr(method, "lr"):
        raise InputError(
            f"{asked}: has no lr, the learning rate that the record of a run names at every step; "
            "give it one"
        )
    return method


def _options(written: str) -> dict[str, Any]:
    """The options of ``lr=0.1,betas=(0.9, 0.99)``; what is no literal of Python is text.

    Example:
        >>> _options("lr=0.1,betas=(0.9, 0.99),form=fused")
        {'lr': 0.1, 'betas': (0.9, 0.99), 'form': 'fused'}
    """
    found: dict[str, Any] = {}
    try:
        call = ast.parse(f"options({written})", mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise ValueError("no options")
        if any(keyword.arg is None for keyword in call.keywords):
            raise ValueError("no name")
        for keyword in call.keywords:
            is_word = isinstance(keyword.value, ast.Name)
            value = ast.unparse(keyword.value) if is_word else ast.literal_eval(keyword.value)
            found[str(keyword.arg)] = value
    except (ValueError, SyntaxError):
        raise InputError(
            f"--method-options {quoted(written)}: give each as name=value, as lr=0.1,momentum=0.9"
        ) from None
    return found
