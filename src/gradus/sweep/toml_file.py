"""A sweep as a TOML file: written, read, and its errors located by line."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tomli_w

from gradus.errors import InputError
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
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the TOML file of a sweep") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not the specification of a sweep: {error}") from None

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


def _line(text: str, keys: tuple[Any, ...]) -> int | None:
    """The line on which the value stands that keys and positions lead to, counted from 1.

    A value begins where the lines above are TOML without it, and is there once lines are TOML
    with it, however it is written.
    """
    lines = text.splitlines()
    above = 0
    for end in range(1, len(lines) + 1):
        try:
            content = tomllib.loads("\n".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue
        if _holds(content, keys):
            return above + 1
        above = end
    return None


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
