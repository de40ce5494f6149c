"""What an optimizer, a model and a loop are, by what identifies them: names and options."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from gradus.errors import InputError, quoted
from gradus.runs.spec import plain

LONGEST_DESCRIPTION = 20_000
"""Characters of what a model says of itself."""

Config = Mapping[str, bool | int | float | str | None]
"""Options of the user's own, by name."""


def qualified_name(value: object) -> str:
    """Where the class of a value is found.

    Example:
        >>> from torch import nn
        >>> qualified_name(nn.ReLU())
        'torch.nn.modules.activation.ReLU'
    """
    return f"{type(value).__module__}.{type(value).__qualname__}"


def bare(model: nn.Module) -> nn.Module:
    """The model within what compiles it or spreads it over devices."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and type(model).__name__ in ("DataParallel", "DistributedDataParallel"):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def loop_of(
    optimizer: Optimizer | None,
    model: nn.Module,
    config: Config,
    code: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What a run is, as its record says it.

    Args:
        optimizer: that takes its steps.
        model: that it trains.
        config: options of the user's own.
        code: where its loop stands.

    Raises:
        InputError: an option is none that JSON knows.
    """
    if not isinstance(config, Mapping):
        raise InputError(f"config {quoted(config)}: give a dict of numbers and texts by name")
    for name, value in config.items():
        if not isinstance(name, str) or not isinstance(value, bool | int | float | str | None):
            raise InputError(
                f"config {quoted(name)}: {quoted(value)} is no number and no text, and cannot "
                "stand in the record; give what identifies it"
            )
    return {
        "title": title_of(optimizer, model),
        "optimizer": None if optimizer is None else _of_optimizer(optimizer),
        "model": _of_model(bare(model)),
        "config": dict(config),
        "code": code,
    }


def title_of(optimizer: Optimizer | None, model: nn.Module, batch: int | None = None) -> str:
    """The title of a loss curve.

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(2, 1)
        >>> title_of(torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.5), model, 16)
        'Optimizer-SGD lr-0.001 mt-0.5 bs-16'
    """
    if optimizer is None:
        parts = [f"Model-{type(bare(model)).__name__}"]
    else:
        group = optimizer.param_groups[0]
        parts = [f"Optimizer-{type(optimizer).__name__}"]
        for short, name in (("lr", "lr"), ("mt", "momentum"), ("mt", "beta")):
            value = group.get(name)
            if isinstance(value, int | float | Tensor) and (name == "lr" or value):
                parts.append(f"{short}-{plain(float(value))}")
    return " ".join(parts if batch is None else [*parts, f"bs-{batch}"])


def _of_optimizer(optimizer: Optimizer) -> dict[str, Any]:
    """Its class, and the options of each of its groups."""
    groups = [
        {name: _option(value) for name, value in group.items() if name != "params"}
        | {"parameters": sum(p.numel() for p in group["params"])}
        for group in optimizer.param_groups
    ]
    return {"class": qualified_name(optimizer), "groups": groups}


def _option(value: Any) -> Any:
    if isinstance(value, Tensor) and value.numel() == 1:
        return value.item()
    if isinstance(value, tuple | list):
        return [_option(part) for part in value]
    return value if isinstance(value, bool | int | float | str | None) else quoted(value)


def _of_model(model: nn.Module) -> dict[str, Any]:
    parameters = list(model.parameters())
    return {
        "class": qualified_name(model),
        "description": repr(model)[:LONGEST_DESCRIPTION],
        "parameters": sum(p.numel() for p in parameters),
        "trained": sum(p.numel() for p in parameters if p.requires_grad),
    }


def code_of(caller: FrameType) -> dict[str, Any]:
    """Where the loop stands that runs in a frame, and a checksum of that file as it is now."""
    code, path = caller.f_code, Path(caller.f_code.co_filename)
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    return {
        "module": str(caller.f_globals.get("__name__", "")),
        "function": code.co_qualname,
        "file": path.name,
        "sha256": digest,
    }
