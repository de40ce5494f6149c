"""What a run on data of the user's own takes where nothing is said.

The classical settings of the subject are those of its classical data. A table is brought to scale,
its numbers cut into pieces, arrays and images are standardised; all is learned by AdamW with a
cosine schedule; nets of which each is that of its best epoch on rows that it did not see are
averaged. ``python -m benchmarks.tables`` measures it, ``python -m benchmarks.small_tables`` what
small ones take. Sparse rows stay as they are, and a linear model is learned on them.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Mapping
from typing import Any

from gradus.methods.catalogue import entries
from gradus.models.own import is_object, shown
from gradus.runs.parts.data import KNOWN_BY_NAME, SPARSE, TABLES

PREPARED: Mapping[str, Any] = {
    "missing": "median",
    "standardize": True,
    "scaling": "robust",
    "pieces": 32,
    "standardize_target": True,
}
"""How rows become numbers."""

OF_ARRAYS: Mapping[str, Any] = {
    "missing": "median",
    "standardize": True,
    "standardize_target": True,
}
OF_IMAGES: Mapping[str, Any] = {"standardize": True}
"""How arrays and images do."""

OF_SPARSE: Mapping[str, Any] = {"standardize_target": True}
"""How sparse rows do: they stay as they are."""

LEARNED: Mapping[str, Any] = {
    "method": "adamw",
    "lr": 0.002,
    "weight_decay": 0.3,
    "schedule": "cosine",
}
"""How the parameters move, unless the user chooses that."""

LEARNED_SPARSE: Mapping[str, Any] = {"method": "adagrad", "lr": 0.1}
"""How those of a linear model on sparse rows do: a column that is rare takes longer steps."""

COURSE: Mapping[str, Any] = {"batch_size": 64, "epochs": 32, "patience": 8}
"""For how long, for a table of some thousand rows."""

WIDTHS, NETS = (256,), 4
"""Nets so wide and so many of them are averaged."""

WORK = 2_000_000
"""Examples that a net sees in all, at most, unless that were less than two epochs."""

USUAL_INPUTS = 1024
"""Inputs with more numbers count for as many examples as they are longer: they take the time."""

FEWEST_EPOCHS = 8
"""Of such inputs."""

FEWEST_STEPS = 512
"""How many are taken on shorter ones, unless no epoch gets better any more: 32 epochs of 100 rows
are 128 steps, after which a net has hardly begun."""


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


def is_svmlight(data: object) -> bool:
    """Whether the name of data is that of a file of svmlight.

    Example:
        >>> is_svmlight("news.svm"), is_svmlight("news.libsvm.gz"), is_svmlight("news.csv")
        (True, True, False)
    """
    return re.sub(r"\.(gz|bz2|zst)$", "", str(data).lower()).endswith(SPARSE)


def is_sparse(data: object) -> bool:
    """Whether data are a file of sparse rows; of a ``.npz`` file only its table of contents says.

    Example:
        >>> is_sparse("news.svm"), is_sparse("not-there.npz")
        (True, False)
    """
    if not str(data).lower().endswith(".npz"):
        return is_svmlight(data)
    try:
        with zipfile.ZipFile(str(data)) as file:
            return {"format.npy", "shape.npy", "data.npy"} <= set(file.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):  # who reads it says what is wrong
        return False


def prepared_by_default(data: object, stream: object = None) -> Mapping[str, Any] | None:
    """How data are prepared where nothing is said; None for those known by name, and objects.

    Args:
        data: their name.
        stream: whether they are streamed, as it is written: a folder is one of tables then.

    Example:
        >>> prepared_by_default("x.npy") == OF_ARRAYS, prepared_by_default("photos/") == OF_IMAGES
        (True, True)
        >>> prepared_by_default("digits") is None, prepared_by_default("clicks/", True) == PREPARED
        (True, True)
    """
    if is_table(data):
        return PREPARED
    if is_sparse(data):
        return OF_SPARSE
    if data is None or str(data) in KNOWN_BY_NAME or is_object(data):
        return None
    if str(data).lower().endswith((".npz", ".npy")):
        return OF_ARRAYS
    return PREPARED if str(stream).lower() == "true" else OF_IMAGES


def defaults_for(
    given: Mapping[str, Any],
    on_all_data: frozenset[str],
    prepared: Mapping[str, Any] = PREPARED,
) -> dict[str, Any]:
    """What is taken for options that were not given.

    Args:
        given: options by name.
        on_all_data: methods that see all examples at every step.
        prepared: how the data are prepared where nothing is said.
    """
    usual = dict(prepared)
    if "pieces" in usual and given.get("standardize") in (False, "false"):
        del usual["scaling"], usual["pieces"]
    learned = LEARNED
    if prepared is OF_SPARSE and not given.keys() & {"hidden", "models"}:
        usual["model"] = "linear"
        if given.get("model", "linear") == "linear":
            learned = LEARNED_SPARSE
    own = {field.name for field in entries()[learned["method"]].hyperparameters}
    theirs = {field.name for entry in entries().values() for field in entry.hyperparameters}
    chosen = given.get("method", learned["method"])
    if chosen == learned["method"] and not given.keys() & theirs - own:
        usual |= learned
    usual |= COURSE
    if given.get("sampling") == "full" or str(given.get("method")) in on_all_data:
        del usual["batch_size"]
    if given.get("keep") == "last":
        del usual["patience"]
    if given.get("model", usual.get("model", "mlp")) == "mlp":
        usual |= {"hidden": WIDTHS, "models": NETS}
    return {name: value for name, value in usual.items() if name not in given}


def by_size(rows: int, numbers: int, inputs: int = 0) -> dict[str, Any]:
    """What follows from the size of the data.

    Args:
        rows: that train.
        numbers: columns of them, of a table.
        inputs: numbers of an input, of arrays and images.

    Example:
        >>> by_size(150, 4)
        {'batch_size': 32, 'epochs': 110, 'models': 4, 'pieces': 8}
        >>> by_size(1_000_000, 30)
        {'batch_size': 256, 'epochs': 2, 'models': 1, 'pieces': 0}
        >>> by_size(5_000, 0, inputs=3 * 64 * 64)
        {'batch_size': 64, 'epochs': 32, 'models': 2, 'pieces': 32}
    """
    from gradus.data.preparation import pieces_for

    size = 32 if rows < 2_000 else 64 if rows < 6_000 else 128 if rows < 50_000 else 256
    long = inputs > USUAL_INPUTS
    seen = rows * inputs // USUAL_INPUTS if long else rows
    size = min(size, max(1, rows // 4))
    epochs = min(COURSE["epochs"], max(FEWEST_EPOCHS if long else 2, WORK // seen))
    return {
        "batch_size": size,
        "epochs": epochs if long else max(epochs, math.ceil(FEWEST_STEPS * size / rows)),
        "models": NETS if seen <= 50_000 else 2 if seen <= 200_000 else 1,
        "pieces": pieces_for(rows, numbers),
    }
