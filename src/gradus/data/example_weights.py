"""What each row of a table counts in the loss: a column that is no feature."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gradus.data.columns import Column
from gradus.data.partition import Rows
from gradus.errors import InputError, quoted


def example_weights(column: Column, rows: Rows, path: Path) -> NDArray[np.float64]:
    """The weights of all rows, ``[N]``: those that train have the mean 1, which no mean loss sees.

    Args:
        column: of the weights.
        rows: which of them train, validate and test.
        path: of the file, for the message.

    Raises:
        InputError: the column holds something else than numbers >= 0, has gaps, or leaves a part
            without any row that counts.
    """
    flag = f"--weights {quoted(column.name, 60)}"
    if column.form.kind != "number" and column.form.flags != ("0", "1"):
        raise InputError(f"{flag}: the column of {path} holds no numbers, but {column.told}")
    if gaps := int(column.missing.sum()):
        raise InputError(f"{flag}: the column has missing values in {gaps:,} rows of {path}")
    weights = column.values.astype(np.float64)
    if (weights < 0).any():
        raise InputError(f"{flag}: a row cannot count {weights.min():g}; weights are >= 0")
    for part, of in rows._asdict().items():
        if len(of) and not weights[of.numpy()].any():
            raise InputError(f"{flag}: is 0 in every row of the {part} part")
    weights /= weights[rows.train.numpy()].mean()
    return weights
