"""Options with more values than a picture can tell apart: those that are near stand together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gradus.sweep.groups import levels

APART = 100
"""So many values of an option stand each for itself; of more, those near each other together."""

BINS = 40
"""So many groups they are in."""


def values_of(runs: pa.Table, option: str) -> int | None:
    """How many values an option has that are put into groups; None where each is for itself.

    Example:
        >>> runs = pa.table({"lr": [0.001 * i for i in range(1, 201)], "seed": [0, 1] * 100})
        >>> values_of(runs, "lr"), values_of(runs, "seed")
        (200, None)
    """
    column = runs[option]
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        return None
    count = int(pc.count_distinct(column).as_py())
    return count if count > APART else None


def in_bins(runs: pa.Table, options: Sequence[str]) -> pa.Table:
    """The runs, where an option with many values has those of groups of neighbours in their place.

    All groups have about as many values, so that they lie as close as the values that were tried,
    whether those were drawn evenly, by their logarithm, or where losses are low. Each stands under
    the value in its middle.

    Args:
        runs: of a sweep.
        options: those that are looked at.

    Example:
        >>> found = in_bins(pa.table({"lr": [0.5 ** i for i in range(200)]}), ["lr"])["lr"]
        >>> len(found.unique()), [found[i].as_py() for i in (0, 4, 5)]
        (40, [0.25, 0.25, 0.0078125])
    """
    for option in options:
        if values_of(runs, option) is not None:
            at = runs.schema.get_field_index(option)
            values, codes = levels(runs, option)
            there = len(values) - (values[-1] is None)
            group = np.arange(there) * BINS // there
            middle = (np.searchsorted(group, group) + np.searchsorted(group, group, "right")) // 2
            column = pa.array(values, runs[option].type)
            runs = runs.set_column(at, option, column.take(np.append(middle, there)[codes]))
    return runs
