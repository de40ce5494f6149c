"""Which columns of a table the options of the user name, and which are left to learn from."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from gradus.errors import MOST_QUOTED, InputError, brief, quoted


def target_names(target: str | None, names: Sequence[str], path: Path) -> list[str]:
    """The columns to predict: one, or several with commas between.

    Raises:
        InputError: none is named, or there is no such column.

    Example:
        >>> target_names("a,b", ["a", "b", "c"], Path("x.csv"))
        ['a', 'b']
        >>> target_names("a,b", ["a", "a,b"], Path("x.csv"))
        ['a,b']
    """
    if target is None:
        raise InputError(f"{path}: say which column to predict by --target; {_listed(names)}")
    if target in names:
        return [target]
    parts = [part.strip() for part in target.split(",")]
    if len(parts) > 1 and len(set(parts)) == len(parts) and any(part in names for part in parts):
        for part in parts:
            check_named("--target", part, names, path)
        return parts
    check_named("--target", target, names, path)
    return [target]


def check_named(flag: str, name: str, names: Sequence[str], path: Path) -> None:
    """Refuse the name of a column that is none.

    Raises:
        InputError: there is no such column.
    """
    if name not in names:
        raise InputError(
            f"{flag} {quoted(name, 60) or '(an empty name)'}: no such column in {path}; "
            f"{_near(name, names)}"
        )


def columns_left(
    names: Sequence[str],
    targets: Sequence[str],
    categorical: Sequence[str],
    drop: Sequence[str],
    group: str | None,
    weights: str | None,
    path: Path,
) -> list[str]:
    """Names of the columns that are not left out by the user, in their order: the features.

    Raises:
        InputError: an option names no column, options contradict each other, or no column but the
            target is left.
    """
    own = {"--group": group, "--weights": weights}
    beside = {flag: name for flag, name in own.items() if name is not None}
    given = {"--categorical": categorical, "--drop": drop}
    for flag, named in (given | {flag: [name] for flag, name in beside.items()}).items():
        for name in named:
            check_named(flag, name, names, path)
    for target in targets:
        if target in drop:
            raise InputError(
                f"--drop {quoted(target, 60)}: is the target; drop another column or change "
                "--target"
            )
        if target == group:
            raise InputError(
                f"--group {quoted(target, 60)}: is the target; name the column that says what "
                "belongs together"
            )
        if target == weights:
            raise InputError(
                f"--weights {quoted(target, 60)}: is the target; name the column that says what a "
                "row counts"
            )
    if both := [name for name in categorical if name in drop]:
        raise InputError(f"--drop {quoted(both[0], 60)}: is declared --categorical too; choose one")
    left = [name for name in names if name not in (*drop, *targets, *beside.values())]
    if not left:
        raise InputError(
            f"{path}: no column but the target {brief(targets[0])!r} is left to learn from"
        )
    return left


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(quoted(name, 60) or "(an empty name)" for name in names[:20])
    return f"the columns are {brief(shown + (', ..' if len(names) > 20 else ''), MOST_QUOTED)}"


def _near(name: str, names: Sequence[str]) -> str:
    lowered = {known.strip().lower(): known for known in names}
    near = difflib.get_close_matches(name.strip().lower(), lowered, n=1)
    return (f"did you mean {brief(lowered[near[0]])!r}? " if near else "") + _listed(names)
