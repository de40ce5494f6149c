"""What a call asks for: the options that say it, and the objects that they only identify."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn
from torch.utils.data import DataLoader

from gradus.errors import InputError
from gradus.runs.choices import OPTIONS
from gradus.runs.objects.data import data_of
from gradus.runs.objects.given import Objects
from gradus.runs.objects.groups import Groups, as_optimizer
from gradus.runs.objects.identity import Identity, identity_of
from gradus.runs.objects.losses import loss_of
from gradus.runs.objects.methods import method_of
from gradus.runs.objects.metrics import metrics_of
from gradus.runs.objects.models import check_modes, maker_of
from gradus.runs.parts.method import AUTO
from gradus.runs.spec import RunSpec


def with_groups(
    options: Mapping[str, Any], objects: Objects, groups: Groups
) -> tuple[dict[str, Any], Objects]:
    """The same options and objects, of which the method has groups: it is an optimizer then.

    Raises:
        InputError: it can have none.
    """
    method, identity = objects.method, objects.identities.get("method")
    if method is None:
        spec = RunSpec.read(options)
        if spec.lr == AUTO:
            raise InputError("--lr auto: is not found for groups of parameters; give a number")
        method = objects.named_by(spec).method or spec.build_equation(None)
        identity = identity_of(method)
    assert identity is not None
    identity = replace(identity, options={**identity.options, **groups.options})
    own = {option for table in OPTIONS["method"].values() for option in table}
    said = {name: value for name, value in options.items() if name not in own}
    identities = {**objects.identities, "method": identity}
    made = replace(objects, method=as_optimizer(method), groups=groups, identities=identities)
    return {**said, "method": identity.written}, made


def objects_of(
    given: Mapping[str, Any],
    validation: Any = None,
    test: Any = None,
    *,
    has_target: bool = False,
    length: int | None = None,
) -> tuple[dict[str, Any], Objects]:
    """The options that say what was given as objects; and those objects that they only identify.

    Args:
        given: data, model, loss and method, as far as they are given.
        validation: a part of the data that was given apart.
        test: likewise.
        has_target: whether a column is named that is predicted.
        length: of how many batches an epoch is, where the data are an iterable of such.

    Raises:
        InputError: one is of no kind that is taken.
    """
    options: dict[str, Any] = {}
    found: dict[str, Any] = {}
    identities: dict[str, Identity] = {}
    described: dict[str, Identity] = {}
    for name, value in given.items():
        if isinstance(value, str) and name != "metrics":
            options[name] = value
        elif name == "data":
            how: dict[str, Any] = {"has_target": has_target, "length": length}
            found[name] = data_of(value, validation, test, **how)
            identities[name] = found[name].identity
            if length is not None:
                identities["sampling"] = found[name].identity
            elif isinstance(value, DataLoader):
                identities["sampling"] = found[name].identity
                options |= {"batch_size": value.batch_size} if value.batch_size else {}
        elif name == "model":
            check_modes(value)
            found |= {name: maker_of(value), "is_module": isinstance(value, nn.Module)}
            identities[name] = identity_of(value)
        elif name == "metrics":
            options[name], found[name], own = metrics_of(value)
            described |= own
        elif name == "schedule":
            identities[name] = identity_of(value)
        else:
            said, kept = loss_of(value) if name == "loss" else method_of(value)
            options |= said
            if kept is not None:
                found[name], identities[name] = kept, identity_of(value)
    options |= {name: identity.written for name, identity in identities.items()}
    return options, Objects(**found, identities=identities | described)
