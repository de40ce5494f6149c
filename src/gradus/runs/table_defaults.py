"""What a run on a table of the user's takes where nothing is said.

The classical settings of the subject are those of its classical data. A table is brought to scale,
learned by AdamW with a cosine schedule, and the training ends where the validation part says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gradus.methods.catalogue import entries
from gradus.runs.parts.data import TABLES

PREPARED: Mapping[str, Any] = {
    "missing": "median",
    "standardize": True,
    "scaling": "robust",
    "pieces": 16,
    "standardize_target": True,
}
"""How rows become numbers."""

LEARNED: Mapping[str, Any] = {
    "method": "adamw",
    "lr": 0.003,
    "weight_decay": 0.01,
    "schedule": "cosine",
}
"""How the parameters move, unless the user chooses that."""

COURSE: Mapping[str, Any] = {"batch_size": 64, "epochs": 64, "patience": 16}
"""For how long, for a table of some thousand rows."""

WIDTHS, NETS = (128, 128), 4


def is_table(data: object) -> bool:
    """Whether the name of data is that of a table's file.

    Example:
        >>> is_table("houses.csv"), is_table("houses.tsv.gz"), is_table("images.npz")
        (True, True, False)
    """
    return re.sub(r"\.(gz|zst)$", "", str(data).lower()).endswith(TABLES)


def defaults_for(given: Mapping[str, Any], on_all_data: frozenset[str]) -> dict[str, Any]:
    """What is taken for options that were not given, for a table.

    Args:
        given: options by name.
        on_all_data: methods that see all examples at every step.
    """
    usual = dict(PREPARED)
    if given.get("standardize") in (False, "false"):
        del usual["scaling"], usual["pieces"], usual["standardize_target"]
    own = {field.name for field in entries()[LEARNED["method"]].hyperparameters}
    theirs = {field.name for entry in entries().values() for field in entry.hyperparameters}
    if "method" not in given and not (given.keys() & theirs - own):
        usual |= LEARNED
    elif "schedule" not in given:
        usual.pop("schedule", None)
    usual |= COURSE
    if given.get("sampling") == "full" or str(given.get("method")) in on_all_data:
        del usual["batch_size"]
    if given.get("keep") == "last":
        del usual["patience"]
    if given.get("model", "mlp") == "mlp":
        usual |= {"hidden": WIDTHS, "models": NETS}
    return {name: value for name, value in usual.items() if name not in given}


def by_size(rows: int) -> dict[str, Any]:
    """What follows from the number of training rows.

    Example:
        >>> by_size(150)["batch_size"], by_size(100_000)["batch_size"]
        (16, 256)
    """
    size = 16
    while size < 256 and size * 64 < rows:
        size *= 2
    return {"batch_size": size}
