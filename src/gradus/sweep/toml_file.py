"""A sweep as a TOML file: written, read, and its errors located by line."""

from __future__ import annotations

import bisect
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tomli_w

from gradus.errors import InputError, quoted
from gradus.runs import files
from gradus.sweep.specification import SweepSpec, underscored


def read_toml(
    path: Path, upgraded: Callable[[dict[str, Any]], dict[str, Any]] = lambda content: content
) -> SweepSpec:
    """The sweep that a TOML file holds; what is wrong is said with its line.

    Args:
        path: of the file.
        upgraded: puts what an earlier version recorded into the words of this one; what a user
            writes stays as it is.

    Raises:
        InputError: there is no such file, it is not TOML, or not the specification of a sweep.
    """
    try:
        text, content = files.read_toml(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the TOML file of a sweep") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not the specification of a sweep: {quoted(error)}") from None

    def where(keys: tuple[Any, ...]) -> str:
        line = _line(text, keys)
        return f"{path}: " if line is None else f"{path}, line {line}: "

    return SweepSpec.read(upgraded(content), where=where)


def to_toml(spec: SweepSpec) -> str:
    """The sweep as TOML, which ``read_toml`` reads back as an equal one.

    What stands at its default is left out.

    Example:
        >>> from gradus.sweep import SweepSpec, to_toml
        >>> print(to_toml(SweepSpec(base={"epochs": 2}, vary={"lr": "0.1"}, seeds=3)))
        seeds = 3
        <BLANKLINE>
        [base]
        measure = "validation-loss"
        epochs = 2
        <BLANKLINE>
        [vary]
        lr = [
            0.1,
        ]
        <BLANKLINE>
    """
    return tomli_w.dumps(spec.model_dump(exclude_defaults=True))


TOKEN = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}|\'{3}.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|'''
    r"#[^\n]*|[\[{]|[\]}]|\n",
    re.DOTALL,
)
"""What matters for where a statement ends: texts, comments, brackets and ends of lines."""


def _line(text: str, keys: tuple[Any, ...]) -> int | None:
    """The line on which the value stands that keys and positions lead to, counted from 1.

    What stands up to the end of a statement is TOML, and holds the value from one of them on:
    that one is found by bisection.
    """
    ends = _statements(text)
    at = bisect.bisect_left(ends, True, key=lambda end: _holds(tomllib.loads(text[:end]), keys))
    return None if at == len(ends) else text.count("\n", 0, ends[at - 1] if at else 0) + 1


def _statements(text: str) -> list[int]:
    """Where the statements of a TOML document end: at ends of lines outside of brackets."""
    depth, ends = 0, []
    for token in TOKEN.finditer(text):
        first = token[0][0]
        if first in "[{":
            depth += 1
        elif first in "]}":
            depth -= 1
        elif first == "\n" and depth == 0:
            ends.append(token.end())
    return [*ends, len(text)]


def _holds(content: Any, keys: tuple[Any, ...]) -> bool:
    for key in keys:
        if isinstance(content, Mapping):
            content = underscored(content)
            if key not in content:
                return False
        elif not (isinstance(content, list) and isinstance(key, int) and key < len(content)):
            return False
        content = content[key]
    return True
