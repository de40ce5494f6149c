"""A function written as text, such as ``x**2 + 10*y**2``: read by its grammar, never evaluated."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor

from gradus.errors import InputError

OPERATORS: Final[dict[type[ast.AST], Callable[..., Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
FUNCTIONS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    name: getattr(torch, name)
    for name in ("abs", "cos", "cosh", "exp", "log", "sin", "sinh", "sqrt", "tan", "tanh")
}
CONSTANTS: Final = {"pi": math.pi, "e": math.e}
VARIABLES: Final = {"x": 0, "y": 1}

Read = Callable[[Tensor], Tensor]


def function_of(text: str) -> Read:
    """The function of two variables that an expression defines.

    It may use x and y, numbers, ``+ - * / **`` (or ``^``), parentheses, pi, e, and the functions
    abs, cos, cosh, exp, log, sin, sinh, sqrt, tan, tanh.

    Returns:
        A function of a tensor ``[2]``, x and y, that gives a scalar tensor.

    Raises:
        InputError: the text says something else.

    Example:
        >>> import torch
        >>> function_of("x**2 + 10*y**2")(torch.tensor([1.0, 2.0]))
        tensor(41.)
    """
    try:
        tree = ast.parse(text.strip().replace("^", "**"), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        told = error.msg if isinstance(error, SyntaxError) else "it cannot be read"
        raise InputError(
            f"--function {text!r}: {told}; write it as x**2 + 10*y**2, or module:function"
        ) from None
    try:
        read = _read(tree.body, text)
    except RecursionError:
        raise InputError(f"--function {text!r}: it is nested too deeply") from None
    return lambda w: torch.as_tensor(read(w), dtype=w.dtype) + 0 * w.sum()


def _read(node: ast.expr, text: str) -> Read:
    """The function that a node of the syntax tree stands for."""
    match node:
        case ast.Constant(value=int() | float()) if (found := _number(node, text)) is not None:
            value = found
            return lambda w: torch.full((), value, dtype=w.dtype)
        case ast.Name(id=name) if name in VARIABLES:
            at = VARIABLES[name]
            return lambda w: w[at]
        case ast.Name(id=name) if name in CONSTANTS:
            constant = CONSTANTS[name]
            return lambda w: torch.full((), constant, dtype=w.dtype)
        case ast.BinOp(left=left, op=ast.Pow(), right=right) if (
            power := _number(right, text)
        ) is not None:
            base = _read(left, text)
            return lambda w: base(w) ** power
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            act, first, second = OPERATORS[type(op)], _read(left, text), _read(right, text)
            return lambda w: act(first(w), second(w))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
            act, inner = OPERATORS[type(op)], _read(operand, text)
            return lambda w: act(inner(w))
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in FUNCTIONS:
            function, inner = FUNCTIONS[name], _read(argument, text)
            return lambda w: function(inner(w))
    part = ast.unparse(node)
    raise InputError(
        f"--function {text!r}: {part!r} is not known; it may use x, y, numbers, + - * / **, "
        f"{', '.join(CONSTANTS)} and {', '.join(FUNCTIONS)}"
    )


def _number(node: ast.expr, text: str) -> float | None:
    """The number that a node is, with its sign; None where it is none."""
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            try:
                return float(number)
            except OverflowError:
                raise InputError(
                    f"--function {text[:40]}..: has a number that is too large"
                ) from None
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _number(operand, text)
            return None if inner is None else -inner
    return None
