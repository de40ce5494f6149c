"""Messages in the words of a call: options as keywords, where the command line has flags."""

from __future__ import annotations

import re
from functools import cache

from gradus.models.own import OBJECT

NAMES = {"from": "start", "state": "keep-state"}
"""Flags that are called otherwise in a call."""

NUMBER = r"-?\d[\d.e+-]*(?<![.])"


def as_call(message: str) -> str:
    """A message that speaks of flags, in the words of ``gradus.train(..)`` and ``RunSpec(..)``.

    Example:
        >>> as_call("--lr -1: must be greater than or equal to 0")
        'lr=-1: must be greater than or equal to 0'
        >>> as_call("use --missing mean | median, or leave the column out by --drop")
        'use missing=mean | median, or leave the column out by drop'
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
    """
    message = re.sub(rf"{OBJECT}([^\s#]+)#[0-9a-f]+", r"\1", message)
    message = re.sub(r"--resume (\S+?)(?=[,:;]?(\s|$))", r"gradus.resume('\1')", message)
    message = re.sub(r"--spec (\S+)/run\.json", r"gradus.open_run('\1').spec and", message)
    return re.sub(r"--(no-)?([A-Za-z][A-Za-z0-9-]*)(?: (?=(\S+)))?", _keyword, message)


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
        "overwrite": None,
        "keep_state": None,
    }
