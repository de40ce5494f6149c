"""The spec of a run that is trained once more with some changes.

What the user gave stays; what was chosen automatically, for a table, stays too, unless the changes
lead to another choice: then it is chosen anew.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from gradus.runs.choices import DEFAULT_CHOICES, ON_ALL_DATA, OPTIONS, changed, flag
from gradus.runs.spec import RunSpec
from gradus.runs.table_defaults import SIZED, defaults_for, prepared_by_default

OF_THE_DATA = (
    *("data", "target", "drop", "categorical", "missing", "group", "loss"),
    *("validation_fraction", "test_fraction"),
)
"""With another of these, what follows from the data may be another."""


def again(
    spec: RunSpec,
    automatic: Collection[str],
    changes: Mapping[str, Any],
    *,
    where: str = "",
    rate_found: bool = False,
) -> tuple[RunSpec, str | None]:
    """The spec with some changes, and in one line what was chosen anew for them.

    Args:
        spec: of a run.
        automatic: options that were not given then, and were chosen for its table; those that the
            spec itself still leaves to follow from the data are among them anyhow.
        changes: options by name.
        where: what it was read from, for messages.
        rate_found: whether its learning rate was found by short trainings, for its method.

    Raises:
        InputError: the changes make no run.

    Example:
        >>> spec = RunSpec(data="houses.csv", target="price", lr=0.01)
        >>> spec, said = again(spec, spec.auto, {"method": "sgd"})
        >>> spec.lr, spec.schedule, said.rpartition(", ")[2]
        (0.01, 'constant', '--schedule constant (was cosine)')
    """
    if not changes:
        return spec, None
    recorded = spec.model_dump(exclude={"auto"})
    was = {name: value for name, value in recorded.items() if value is not None}
    chosen = [name for name in dict.fromkeys((*spec.auto, *automatic)) if name in recorded]
    left = [name for name in chosen if name not in changes]
    if rate_found and "lr" not in changes and changes.get("method", spec.method) != spec.method:
        del was["lr"]  # it is of no use to another method
    before = _defaults({name: value for name, value in was.items() if name not in chosen})
    after = _defaults(
        {name: value for name, value in changed(was, changes).items() if name not in left}
    )
    moved = any(
        name in changes and str(changes[name]) != str(recorded[name]) for name in OF_THE_DATA
    )
    anew = [
        name for name in left
        if before.get(name) != after.get(name) or (moved and name in SIZED)
    ]  # fmt: skip
    # What belongs to a choice goes with it, whoever makes the choice.
    choices = {name: after.get(name, DEFAULT_CHOICES[name]) for name in anew if name in OPTIONS}
    values = changed(was, {**choices, **changes})
    values = {name: value for name, value in values.items() if name in choices or name not in anew}
    values |= {name: after[name] for name in anew if name in after}
    values["auto"] = tuple(
        name for name in left
        if (name in after if name in anew else name in spec.auto or name not in SIZED)
    )  # fmt: skip
    found = RunSpec.read(values, where=where)
    told = []
    if "lr" not in was and found.lr is not None and found.lr != spec.lr:
        told.append(f"--lr {found.lr:g} (was {spec.lr:g}, found for {spec.method})")
    for name in anew:
        value = getattr(found, name)
        if name in found.auto and name in SIZED:
            told.append(f"{flag(name)} by the data")
        elif value is not None and value != recorded[name]:
            told.append(f"{flag(name)} {value} (was {recorded[name]})")
    return found, f"chosen anew: {', '.join(told)}" if told else None


def _defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is chosen for what is not given; nothing for data that are known by name."""
    prepared = prepared_by_default(given.get("data"), given.get("stream"))
    return {} if prepared is None else defaults_for(given, frozenset(ON_ALL_DATA), prepared)
