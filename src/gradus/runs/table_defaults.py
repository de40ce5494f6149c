"""What a run on a table of the user's takes where nothing is said.

The classical settings of the subject are those of its classical data. A table is brought to scale,
its numbers cut into pieces, and learned by AdamW with a cosine schedule; nets of which each is that
of its best epoch on the validation part are averaged. ``python -m benchmarks.tables`` measures it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gradus.methods.catalogue import entries
from gradus.models.own import is_object, shown
from gradus.runs.parts.data import TABLES

PREPARED: Mapping[str, Any] = {
    "missing": "median",
    "standardize": True,
    "scaling": "robust",
    "pieces": 32,
    "standardize_target": True,
}
"""How rows become numbers."""

LEARNED: Mapping[str, Any] = {
    "method": "adamw",
    "lr": 0.002,
    "weight_decay": 0.01,
    "schedule": "cosine",
}
"""How the parameters move, unless the user chooses that."""

COURSE: Mapping[str, Any] = {"batch_size": 64, "epochs": 32, "patience": 16}
"""For how long, for a table of some thousand rows."""

WIDTHS, NETS = (256,), 4
"""Nets so wide and so many of them are averaged."""

WORK = 2_000_000
"""Examples that a net sees in all, at most, unless that were less than two epochs."""


SIZED = ("batch_size", "epochs", "models", "pieces", "patience", "standardize_target")
"""What of it follows from the data themselves, once they are read."""


def is_table(data: object) -> bool:
    """Whether the name of data is that of a table's file, or stands for a table in memory.

    Example:
        >>> is_table("houses.csv"), is_table("houses.tsv.gz"), is_table("images.npz")
        (True, True, False)
    """
    name = re.sub(r"\.(gz|zst)$", "", str(data).lower())
    return name.endswith(TABLES) or (is_object(data) and shown(name) == "table")


def defaults_for(given: Mapping[str, Any], on_all_data: frozenset[str]) -> dict[str, Any]:
    """What is taken for options that were not given, for a table.

    Args:
        given: options by name.
        on_all_data: methods that see all examples at every step.
    """
    usual = dict(PREPARED)
    if given.get("standardize") in (False, "false"):
        del usual["scaling"], usual["pieces"]
    own = {field.name for field in entries()[LEARNED["method"]].hyperparameters}
    theirs = {field.name for entry in entries().values() for field in entry.hyperparameters}
    chosen = given.get("method", LEARNED["method"])
    if chosen == LEARNED["method"] and not given.keys() & theirs - own:
        usual |= LEARNED
    usual |= COURSE
    if given.get("sampling") == "full" or str(given.get("method")) in on_all_data:
        del usual["batch_size"]
    if given.get("keep") == "last":
        del usual["patience"]
    if given.get("model", "mlp") == "mlp":
        usual |= {"hidden": WIDTHS, "models": NETS}
    return {name: value for name, value in usual.items() if name not in given}


def by_size(rows: int, numbers: int) -> dict[str, Any]:
    """What follows from the size of a table.

    Args:
        rows: that train.
        numbers: columns of them.

    Example:
        >>> by_size(150, 4)
        {'batch_size': 32, 'epochs': 32, 'models': 4, 'pieces': 32}
        >>> by_size(1_000_000, 30)
        {'batch_size': 256, 'epochs': 2, 'models': 1, 'pieces': 0}
    """
    from gradus.data.preparation import pieces_for

    size = 32 if rows < 2_000 else 64 if rows < 6_000 else 128 if rows < 50_000 else 256
    return {
        "batch_size": min(size, max(1, rows // 4)),
        "epochs": min(COURSE["epochs"], max(2, WORK // rows)),
        "models": NETS if rows <= 50_000 else 2 if rows <= 200_000 else 1,
        "pieces": pieces_for(rows, numbers),
    }
