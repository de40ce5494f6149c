"""Messages in the words of a call: options as keywords, where the command line has flags."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from gradus.errors import InputError, quoted
from gradus.models.own import OBJECT

NAMES = {"from": "start", "state": "keep-state"}
"""Flags that are called otherwise in a call."""

SWEEPS = (
    *("seeds", "trials", "eta", "first_rung", "storage", "name", "cpus_per_run", "gpus_per_run"),
    *("workers", "x", "y", "x_range", "y_range", "size", "steps"),
)
"""Options of many runs that take a number or a text."""

COLUMNS = ("categorical", "drop", "target")
"""Options that take the name of a column, which may be any word: that ends a message."""

NUMBER = r"-?\d[\d.e+,-]*(?<![.,])"


@contextmanager
def in_words_of_the_call(resume: str = "gradus.resume") -> Iterator[None]:
    """Within, what is wrong is said in keywords, not in flags.

    Args:
        resume: what goes on with what a message may speak of.
    """
    try:
        yield
    except InputError as error:
        raise type(error)(as_call(str(error), resume)) from error.__cause__


def check_path(name: str, given: Any, *, required: bool = False) -> None:
    """Refuse what is the path of nothing.

    Raises:
        InputError: it is.
    """
    if (required or given is not None) and not isinstance(given, str | os.PathLike):
        raise InputError(f"{name} {quoted(given, 60)}: give the path of a folder")


def as_call(message: str, resume: str = "gradus.resume") -> str:
    """A message that speaks of flags, in the words of ``gradus.train(..)`` and ``RunSpec(..)``.

    Args:
        message: in one line.
        resume: what goes on with what it may speak of.

    Example:
        >>> as_call("--lr -1: must be greater than or equal to 0")
        'lr=-1: must be greater than or equal to 0'
        >>> as_call("use --missing mean | median, or leave the column out by --drop")
        'use missing=mean | median, or leave the column out by drop'
        >>> as_call("turn it into a number or use --drop names")
        'turn it into a number or use drop=names'
        >>> as_call("--label-smoothing is not an option of --loss mse, which takes no options")
        'label_smoothing is not an option of loss=mse, which takes no options'
        >>> as_call("go on with --resume runs/mine, or add --overwrite")
        "go on with gradus.resume('runs/mine'), or add overwrite=True"
        >>> as_call("train it again with --spec runs/mine/run.json --epochs 9")
        "train it again with gradus.open_run('runs/mine').spec and epochs=9"
        >>> as_call("it was trained with --no-state")
        'it was trained with keep_state=False'
        >>> as_call("--model object:mynet.Net#0123456789ab: gives (2, 3), try --standardize")
        'model=mynet.Net: gives (2, 3), try standardize=True'
        >>> as_call("give batch-size by --batch-size; see gradus train --help")
        'give batch-size by batch_size; see gradus train --help'
        >>> as_call("is damaged: go on with --resume sweeps/a", "gradus.resume_sweep")
        "is damaged: go on with gradus.resume_sweep('sweeps/a')"
    """
    message = re.sub(rf"{OBJECT}([^\s#]+)#[0-9a-f]+", r"\1", message)
    message = re.sub(
        r"(?:gradus sweep )?--resume (\S+?)(?=[,:;)]*(\s|$))", rf"{resume}('\1')", message
    )
    message = re.sub(r"--spec (\S+)/run\.json", r"gradus.open_run('\1').spec and", message)
    return re.sub(r"--(?!help)(no-)?([A-Za-z][A-Za-z0-9-]*)(?: (?=(\S+)))?", _keyword, message)


def _keyword(found: re.Match[str]) -> str:
    """The keyword that a flag stands for, with its value where one follows."""
    off, flag, following = found.groups()
    flag = NAMES.get(flag, flag)
    name, kinds, gap = flag.replace("-", "_"), _kinds(), "" if following is None else " "
    if name not in kinds:
        return f"{name}{gap}"
    choices = kinds[name]
    if choices is None:
        return f"{name}={off is None}{gap}"
    # What ends a message's part, as ":", "," or ";", ends a value too.
    value = (following or "").rstrip(":;,).")
    is_value = following and (following.endswith(":") or following[0] in "'[(")
    is_value = is_value or (name in COLUMNS and found.end() + len(value) == len(found.string))
    is_value = is_value or value in choices or value.isupper() or re.fullmatch(NUMBER, value)
    return f"{name}=" if value and is_value else f"{name}{gap}"


@cache
def _kinds() -> dict[str, tuple[str, ...] | None]:
    """The options by name: what can be chosen, or None of one that is on or off."""
    from gradus.runs.spec import RunSpec, choices

    found: dict[str, tuple[str, ...] | None] = {}
    for name, field in RunSpec.model_fields.items():
        is_flag = "bool" in str(field.annotation)
        found[name] = None if is_flag else tuple(choices(field.annotation))
    return found | {
        "model": ("mlp", "linear"),
        "out": (),
        "track": ("tensorboard", "mlflow", "wandb"),
        "freeze": (),
        "budget": (),
        "free": (),
        "start": (),
        "search": ("grid", "one-at-a-time", "random", "optuna"),
        "sampler": ("tpe", "gp", "qmc", "random"),
        "prune": ("halving", "asha"),
        "on": ("ray",),
        "to": (),
        "processes": (),
        **dict.fromkeys(SWEEPS, ()),
        "overwrite": None,
        "keep_state": None,
    }
