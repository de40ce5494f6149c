"""Which folder a sweep stands in: by its name, and whether it holds that one or may grow to it."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from gradus.errors import InputError, quoted
from gradus.runs.choices import flag
from gradus.runs.files import write_whole
from gradus.runs.spec import RunSpec, run_id
from gradus.sweep import earlier
from gradus.sweep.space import runs_of, shown
from gradus.sweep.specification import SweepSpec
from gradus.sweep.toml_file import read_toml, to_toml

SPECIFICATION = "sweep.toml"


def folder_of(name: str | os.PathLike[str], out: str | os.PathLike[str] = "sweeps") -> Path:
    """The folder of a sweep, which is given by its name among the others or by its path."""
    path = Path(name)
    return path if path.is_dir() or len(path.parts) > 1 else Path(out) / path


def check_name(name: str) -> None:
    """Refuse a name of a sweep that leads out of the folder of sweeps.

    Raises:
        InputError: it does, or names no folder.
    """
    if not isinstance(name, str) or name in ("", ".", "..") or "/" in name or "\0" in name:
        raise InputError(
            f"--name {quoted(name)}: is not the name of a folder; give its place by --out"
        )


def kept_spec(folder: Path) -> SweepSpec:
    """The sweep that a folder holds.

    Raises:
        InputError: it holds none, or one that cannot be read.
    """
    path = folder / SPECIFICATION
    if not path.exists():
        raise InputError(f"{folder}: holds no sweep: {SPECIFICATION} is missing{others(folder)}")
    return read_toml(path, earlier.sweep_of)


def others(folder: Path) -> str:
    """The sweeps beside a folder, as the end of a message."""
    names = sorted(path.parent.name for path in folder.parent.glob(f"*/{SPECIFICATION}"))
    return f"; {folder.parent} has {', '.join(names[:5])}" if names else ""


def enter(folder: Path, spec: SweepSpec) -> None:
    """Write down what the folder is to hold, unless it holds another sweep.

    Raises:
        InputError: it does.
    """
    path = folder / SPECIFICATION
    if path.exists():
        old = read_toml(path, earlier.sweep_of)
        if old == spec:
            return
        if why := difference(old, spec):
            raise InputError(
                f"{folder}: holds another sweep, {why}; give another --name, or go on with "
                f"--resume {folder}"
            )
    elif foreign := next(
        (p.name for p in folder.iterdir() if p.name[0] != "." and p.name != "lock"), None
    ):
        raise InputError(f"{folder}: holds no sweep, but {foreign}; give another --name")
    try:
        write_whole(path, to_toml(spec).encode())
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None


def difference(old: SweepSpec, new: SweepSpec) -> str | None:
    """What speaks against it that ``new`` is ``old`` with more runs, as words; None: it is.

    Example:
        >>> old, more = SweepSpec(vary={"lr": "1,0.1"}), SweepSpec(vary={"lr": "1,0.1,0.01"})
        >>> difference(old, more), difference(more, old)
        (None, 'whose --lr is 1,0.1,0.01')
    """
    if new.model_copy(update={"keep_models": old.keep_models}) == old:
        return None
    pruned, drawn = old.prune or new.prune, "optuna" in (old.search, new.search)
    if (
        not pruned
        and not drawn
        and set(map(run_id, runs_of(old))) <= set(map(run_id, runs_of(new)))
    ):
        return None
    if not pruned and old.search == new.search == "optuna":
        free = {"trials", "sampler", "storage", "keep_models"}
        more = (new.trials or 0) >= (old.trials or 0)
        if more and old.model_dump(exclude=free) == new.model_dump(exclude=free):
            return None
    before, now = dict(_told(old)), dict(_told(new))
    for option, values in before.items():
        if not set(values) <= set(now.get(option, ())):
            return f"whose {flag(option)} is {','.join(values)}"
    for option in now.keys() - before.keys():
        return f"which has no {flag(option)}"
    if old.prune or new.prune:
        return "whose runs were cut by comparison with each other"
    return "of other base points"


def _told(spec: SweepSpec) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every option with its values, as they are written."""
    for name in ("search", "prune", "eta", "first_rung", "seeds", "trials"):
        value = getattr(spec, name)
        if value is not None:
            yield name, (str(value),)
    values: defaultdict[str, list[str]] = defaultdict(list)
    for point in spec.points:
        for option, value in point.base.items():
            if option not in point.vary:
                values[option].append(shown(value))
        for option, several in point.vary.items():
            values[option] += map(shown, several)
    for option, written in values.items():
        yield option, tuple(dict.fromkeys(written))


def free_name(spec: SweepSpec, listed: Sequence[RunSpec] | None, out: Path) -> str:
    """DATA-METHOD-N: the first that holds this sweep, or one that it adds to, or nothing."""

    def told(option: str) -> str:
        value = spec.points[0].base.get(option, RunSpec.model_fields[option].default)
        return str(next(iter(spec.points[0].vary.get(option, (value,)))))

    # That of a table follows from what else is given.
    method = listed[0].method if listed else told("method")
    stem = f"{Path(told('data')).stem}-{method}"
    for n in count(1):
        path = out / f"{stem}-{n}" / SPECIFICATION
        if not path.parent.exists():
            return path.parent.name
        try:
            if path.exists() and difference(read_toml(path, earlier.sweep_of), spec) is None:
                return path.parent.name
        except InputError:
            continue
    raise AssertionError(math.inf)
