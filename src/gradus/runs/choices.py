"""Which options belong to which choice, and what follows from a choice that is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradus.errors import quoted
from gradus.methods.catalogue import entries
from gradus.models.own import is_object, is_own, is_users
from gradus.runs.parts import PARTS
from gradus.runs.parts.data import OWN_PARTS
from gradus.runs.parts.objective import BY_TARGET
from gradus.runs.parts.part import Table
from gradus.runs.table_defaults import defaults_for, prepared_by_default

OPTIONS: dict[str, Table] = {name: table for part in PARTS for name, table in part.tables.items()}
"""For every choice what can be chosen, and the options that belong to it with their defaults; None:
it has to be given."""

DEFAULT_CHOICES = {name: chosen for part in PARTS for name, chosen in part.default_choices.items()}
"""What is chosen where nothing is said."""

ON_ALL_DATA = {entry.name for entry in entries().values() if entry.second_order}
"""The methods that see all examples at every step, unless a sampling or a batch size is given."""


def complete(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options given, with the defaults of those that belong to the choices made.

    Raises:
        ValueError: an option does not belong to the choice made, or one that it needs is missing.
    """
    values = {name: value for name, value in given.items() if value is not None}
    if values.get("split_seed") == OWN_PARTS:
        values["split_seed"] = values.get("seed", 0)
    prepared = None
    if "auto" not in values:
        prepared = prepared_by_default(values.get("data"), values.get("stream"))
    if prepared is not None:
        usual = defaults_for(values, frozenset(ON_ALL_DATA), prepared)
        values |= usual
        values["auto"] = tuple(usual)
    if str(values.get("method")) in ON_ALL_DATA and "batch_size" not in values:
        values.setdefault("sampling", "full")
    for choice, table in OPTIONS.items():
        chosen = values.get(choice, DEFAULT_CHOICES[choice])
        if choice == "model" and str(chosen) not in table and not is_object(chosen):
            chosen = "*"
        is_taken = is_users(str(chosen)) if choice == "method" else is_object(chosen)
        if str(chosen) not in table and not is_taken:
            continue  # an unknown name: refused with its field, which says what is accepted
        accepted = table.get(str(chosen), {})
        if choice == "sampling" and is_object(chosen):  # which may say how large its batches are
            accepted = {"batch_size": values.get("batch_size", 0)} if "batch_size" in values else {}
        owned = {option for options in table.values() for option in options}
        if choice == "method":
            owned.add("method_options")
            if is_own(str(chosen)):
                accepted = {"method_options": ()}
        for option in sorted(owned & values.keys() - accepted.keys()):
            if chosen == "none" and values[option] in (0, "0", "0.0"):
                del values[option]  # no penalty at strength 0 is no contradiction
                continue
            raise ValueError(_misplaced(option, choice, values.get(choice, chosen), accepted))
        for option, default in accepted.items():
            if default is None and option not in values:
                raise ValueError(f"{flag(choice)} {chosen} needs {flag(option)}")
            values.setdefault(option, default)
    return values


def changed(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The options with some changes.

    What belonged to a choice that is changed goes with it: options that the new one does not
    have, and those that stood at the default of the old one.
    """
    kept = dict(values)
    for choice in OPTIONS.keys() & changes.keys():
        old = str(values.get(choice, DEFAULT_CHOICES[choice]))
        if changes[choice] == old:
            continue
        table = OPTIONS[choice]
        accepted, usual = table.get(str(changes[choice]), {}), table.get(old, {})
        for option in {option for options in table.values() for option in options}:
            given = kept.get(option)
            given = tuple(given) if isinstance(given, list) else given
            if option not in accepted or given == usual.get(option):
                kept.pop(option, None)
        if choice == "method" and _sees_usual_data(old, kept):
            kept.pop("sampling", None)
            kept.pop("batch_size", None)
    return {**kept, **changes}


def _sees_usual_data(method: str, values: Mapping[str, Any]) -> bool:
    """Whether the examples of a step are those that the method sees by default."""
    sampling = "full" if method in ON_ALL_DATA else DEFAULT_CHOICES["sampling"]
    batch_size = OPTIONS["sampling"][sampling].get("batch_size")
    usual = {"sampling": sampling, "batch_size": batch_size}
    return all(values.get(option, default) == default for option, default in usual.items())


def flag(option: str) -> str:
    """The command-line option of a field."""
    name, space, rest = option.partition(" ")
    return f"--{name.replace('_', '-')}{space}{rest}"


def _misplaced(option: str, choice: str, chosen: str, accepted: Mapping[str, Any]) -> str:
    takes = ", ".join(map(flag, accepted)) or "no options"
    if choice == "method" and is_object(chosen):
        takes = "options as it is made: by functools.partial, where it is a class"
    if chosen in ("none", BY_TARGET):
        owners = [name for name, options in OPTIONS[choice].items() if option in options]
        return f"{flag(option)} needs {flag(choice)}: {' | '.join(owners)}"
    return (
        f"{flag(option)} is not an option of {flag(choice)} {quoted(chosen)}, which takes {takes}"
    )
