"""What earlier versions recorded, in the words of this one.

Until there was a validation part, the seed of a run drew its test part too, no examples were held
to choose on, and ``train_loss`` was the mean of the losses that the method saw during an epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

UNKNOWN_THEN = ("train_loss", "validation_loss", "validation_accuracy")
"""Columns of an evaluation that did not exist, or meant something else."""


NO_OPTIONS_THEN = ("label_smoothing", "class_weight")
"""Options of a loss that has them since; without them it is what it was."""

KEYS = ("kept", "test", "constant", "failure", "figures", "answers", "importance", "threshold")
"""Of a summary, that did not exist."""


def spec_of(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a recorded run: the same examples train and test.

    Not for what a user writes, where an option that is left out takes its default.

    Example:
        >>> spec_of({"seed": 3, "lr": 0.1})
        {'seed': 3, 'lr': 0.1, 'auto': (), 'split_seed': 3, 'validation_fraction': 0.0}
        >>> spec_of({"seed": 3, "split_seed": 0, "auto": ()})
        {'seed': 3, 'split_seed': 0, 'auto': ()}
    """
    found = dict(recorded)
    found.setdefault("auto", ())  # nothing followed from the data but the loss
    if "split_seed" not in recorded:
        found |= {"split_seed": recorded.get("seed") or 0, "validation_fraction": 0.0}
    return found


def figures_of(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The figures after an epoch, by name.

    Example:
        >>> figures_of({"epoch": 1, "train_loss": 0.5, "test_loss": 0.4})
        {'epoch': 1, 'running_train_loss': 0.5, 'test_loss': 0.4, 'train_loss': None, 'validation_loss': None, 'validation_accuracy': None}
    """  # noqa: E501
    if "running_train_loss" in recorded:
        return dict(recorded)
    found = {_now(name): value for name, value in recorded.items()}
    return found | dict.fromkeys(UNKNOWN_THEN)


def summary_of(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The content of run.json but for its spec."""
    final = recorded["final"]
    found = {**recorded, "final": final and figures_of(final)}
    return (
        found
        | {name: recorded.get(name) for name in KEYS}
        | {
            "ended_by_observer": recorded.get("ended_by_observer", False),
            "work": recorded.get("work"),
            "origin": recorded.get("origin", []),
            "objects": recorded.get("objects", {}),
        }
    )


def evaluation_of(recorded: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table of evaluations; figures that were not taken are missing."""
    if "running_train_loss" not in recorded.column_names:
        recorded = recorded.rename_columns([_now(name) for name in recorded.column_names])
    return history_of(recorded, schema)


def history_of(recorded: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table with all columns of a schema; what was not recorded then is missing."""
    import pyarrow as pa

    for field in schema:
        if field.name not in recorded.column_names:
            recorded = recorded.append_column(field, pa.nulls(recorded.num_rows, field.type))
    known = recorded.select(schema.names).cast(schema)
    for name in recorded.column_names:
        if name not in schema.names:  # what a later version adds
            known = known.append_column(name, recorded[name])
    return known


def _now(name: str) -> str:
    return "running_train_loss" if name == "train_loss" else name
