"""Which options of a sweep mattered: how much of the variance between runs each explains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from gradus.sweep.compare import places
from gradus.sweep.groups import (
    OWNED,
    Compared,
    Grouped,
    levels,
    mean_by,
    shown,
    varied,
)
from gradus.sweep.measures import FINISHED, Codes, Numbers, check_measure, numbers, statuses


def importance(sweep: Compared, measure: str = "test_loss") -> pa.Table:
    r"""How much of the variance between runs each option explains by itself.

    For an option with the levels l, n_l runs and the mean m_l at each, this is the main effect of
    one-way analysis of variance, the correlation ratio

    $$\eta^2 = \frac{\sum_l n_l (\bar m_l - \bar m)^2}{\sum_i (m_i - \bar m)^2},$$

    between 0 (knowing the option says nothing) and 1 (it says everything). In a full grid without
    interactions the shares of all options, with that of the seed, add up to 1; where they add up
    to less, the rest is interaction. In other sweeps, options that vary together share what they
    explain. Two forms are given:

    - ``explained``: of the measure, over the runs that finished;
    - ``explained_ranks``: of the places of all runs, in which pruned runs come after those that
      finished and the diverged share the last place. It counts divergence, and no single run can
      outweigh the others (times n - 1 it is the statistic of Kruskal and Wallis).

    Runs that do not take an option (the momentum of Adam) are left out where it is judged. The
    row ``seed`` is what remains within configurations, where they have several runs.

    Args:
        sweep: what is compared.
        measure: as in `ranking`.

    Returns:
        The columns option, levels, runs, finished, explained, explained_ranks, best (the value
        with the best mean place, as text), the most important option first.

    Raises:
        InputError: no run has the measure.

    Example:
        >>> import pyarrow as pa
        >>> from types import SimpleNamespace
        >>> runs = pa.table({
        ...     "run": ["a", "b", "c", "d"], "status": ["finished"] * 4,
        ...     "lr": [0.1, 0.1, 1.0, 1.0], "momentum": [0.0, 0.9, 0.0, 0.9],
        ...     "seed": [0, 0, 0, 0], "test_loss": [1.0, 2.0, 4.0, 5.0],
        ... })
        >>> sweep = SimpleNamespace(name="rates", runs=runs)
        >>> [(row["option"], round(row["explained"], 3)) for row in importance(sweep).to_pylist()]
        [('lr', 0.9), ('momentum', 0.1)]
    """
    runs = sweep.runs
    check_measure(runs, measure)
    values, place = numbers(runs, measure), places(runs, measure)
    finished = (statuses(runs) == FINISHED) & np.isfinite(values)
    rows = []
    for option in varied(runs):
        named, codes = levels(runs, option)
        takes = np.ones(len(codes), bool)
        if option in OWNED and named[-1] is None:
            takes = codes != len(named) - 1
        mean_place = mean_by(codes[takes], place[takes], len(named))
        rows.append(
            {
                "option": option,
                "levels": len(np.unique(codes[takes])),
                "runs": int(takes.sum()),
                "finished": int((takes & finished).sum()),
                "explained": _eta_squared(codes[takes & finished], values[takes & finished]),
                "explained_ranks": _eta_squared(codes[takes], place[takes]),
                "best": shown(named[int(np.nanargmin(mean_place))]),
            }
        )
    rows.sort(key=lambda row: -_or_zero(row["explained_ranks"]))
    grouped = Grouped(runs, tuple(varied(runs)))
    if len(grouped.first) < runs.num_rows:
        within = [
            _eta_squared(grouped.codes[kept], figure[kept])
            for kept, figure in ((finished, values), (np.ones_like(finished), place))
        ]
        rows.append(
            {
                "option": "seed",
                "levels": len(levels(runs, "seed")[0]),
                "runs": runs.num_rows,
                "finished": int(finished.sum()),
                "explained": None if within[0] is None else 1 - within[0],
                "explained_ranks": None if within[1] is None else 1 - within[1],
                "best": None,
            }
        )
    return pa.Table.from_pylist(rows, schema=pa.schema(list(IMPORTANCE.items())))


IMPORTANCE: dict[str, pa.DataType] = {
    "option": pa.string(),
    "levels": pa.int64(),
    "runs": pa.int64(),
    "finished": pa.int64(),
    "explained": pa.float64(),
    "explained_ranks": pa.float64(),
    "best": pa.string(),
}


def _eta_squared(codes: Codes, values: Numbers) -> float | None:
    """None where there is nothing to explain."""
    if len(values) == 0:
        return None
    centred = values - values.mean()
    total = float(centred @ centred)
    # Values that are equal but for rounding have no variance to explain.
    if total <= len(values) * (1e-14 * float(np.abs(values).max())) ** 2:
        return None
    sums, counts = np.bincount(codes, centred), np.bincount(codes)
    present = counts > 0
    return min(1.0, float((sums[present] ** 2 / counts[present]).sum()) / total)


def _or_zero(value: Any) -> float:
    return 0.0 if value is None else float(value)
