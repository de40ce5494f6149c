"""What a sweep says: which configuration is best, which option mattered, where runs diverge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from gradus.sweep.groups import Compared, Grouped, check_varied, mean_by, varied
from gradus.sweep.measures import (
    FINISHED,
    PRUNED,
    Numbers,
    check_measure,
    epochs_trained,
    floats,
    measured,
    numbers,
    sign,
    statuses,
)


def ranking(sweep: Compared, measure: str = "test_loss") -> pa.Table:
    r"""The configurations of a sweep, the best first, each over its seeds.

    With figures m_1..m_n of the runs that finished, a configuration has their mean and its
    standard error

    $$\bar m = \frac1n \sum_i m_i, \qquad
      s = \sqrt{\frac{1}{n (n - 1)} \sum_i (m_i - \bar m)^2},$$

    missing where n < 2. Configurations whose runs all finished come first, then those of which
    some did, each by the mean; then the pruned, by how far they came; last those that diverged or
    stopped. Only configurations with a mean have a rank.

    Args:
        sweep: what is compared.
        measure: ``test_loss``, ``test_accuracy``, ``train_loss``, ``best_test_loss`` or
            ``best_test_accuracy``.

    Returns:
        The columns rank, the options that vary, runs, finished, pruned, stopped, diverged, and
        each measure with its ``_error``.

    Raises:
        InputError: no run has the measure.

    Example:
        >>> import pyarrow as pa
        >>> from types import SimpleNamespace
        >>> runs = pa.table({
        ...     "run": ["a", "b", "c"], "status": ["finished", "finished", "diverged"],
        ...     "lr": [0.1, 0.1, 10.0], "seed": [0, 1, 0], "test_loss": [0.4, 0.6, None],
        ... })
        >>> sweep = SimpleNamespace(name="rates", runs=runs)
        >>> ranking(sweep).select(["rank", "lr", "runs", "diverged", "test_loss"]).to_pylist()[0]
        {'rank': 1, 'lr': 0.1, 'runs': 2, 'diverged': 0, 'test_loss': 0.5}
    """
    check_measure(sweep.runs, measure)
    grouped = Grouped(sweep.runs, tuple(varied(sweep.runs)))
    counts = grouped.counts
    figures: dict[str, Numbers] = {}
    for name in dict.fromkeys((measure, *measured(sweep.runs))):
        figures[name], figures[f"{name}_error"] = grouped.mean_and_error(name)
    mean, finished = figures[measure], counts[FINISHED]
    tier = np.select(
        [np.isnan(mean) & (counts[PRUNED] == 0), np.isnan(mean), finished < counts["runs"]],
        [3, 2, 1],
        0,
    )
    reached, at_cut = grouped.reached(measure)
    worth = np.where(np.isnan(mean), at_cut, mean)
    worth = np.where(tier < 3, sign(measure) * worth, 0.0)
    order = np.lexsort((grouped.first, worth, np.where(tier == 2, -reached, 0), tier))
    ranked = int((tier < 2).sum())
    places = [place if place <= ranked else None for place in range(1, len(order) + 1)]
    columns: dict[str, Any] = {"rank": pa.array(places, pa.int32())}
    rows = grouped.first[order]
    columns |= {name: sweep.runs[name].take(rows) for name in grouped.options}
    columns |= {name: pa.array(count[order]) for name, count in counts.items()}
    columns |= {name: floats(values[order]) for name, values in figures.items()}
    return pa.table(columns)


def sensitivity(
    sweep: Compared, by: str = "lr", facet: str | None = None, measure: str = "test_loss"
) -> pa.Table:
    """What becomes of a measure as one option changes, and where runs diverge.

    At each value of the option the other options are free: ``best`` is the best configuration
    there (its mean over seeds, with its standard error), ``mean`` and ``worst`` are those over all
    configurations there. Only runs that finished count for these; the others are counted.

    Args:
        sweep: what is compared.
        by: the option.
        facet: another option, for whose values this is told apart.
        measure: as in `ranking`.

    Returns:
        The columns facet (under its name), by (under its name), configurations, runs, finished,
        pruned, stopped, diverged, best, error, mean, worst; in the order of the values.

    Raises:
        InputError: an option does not vary in this sweep, or no run has the measure.

    Example:
        >>> import pyarrow as pa
        >>> from types import SimpleNamespace
        >>> runs = pa.table({
        ...     "run": ["a", "b", "c"], "status": ["finished", "finished", "diverged"],
        ...     "lr": [0.1, 1.0, 10.0], "seed": [0, 0, 0], "test_loss": [0.6, 0.4, None],
        ... })
        >>> told = sensitivity(SimpleNamespace(name="rates", runs=runs), by="lr")
        >>> told["best"].to_pylist(), told["diverged"].to_pylist()
        ([0.6, 0.4, None], [0, 0, 1])
    """
    return cells(sweep, (by,) if facet is None else (facet, by), measure)


def cells(sweep: Compared, options: Sequence[str], measure: str = "test_loss") -> pa.Table:
    """The same as `sensitivity` for the values of any number of options taken together.

    Example:
        >>> import pyarrow as pa
        >>> from types import SimpleNamespace
        >>> runs = pa.table({
        ...     "run": ["a", "b"], "status": ["finished"] * 2, "lr": [0.1, 1.0],
        ...     "momentum": [0.0, 0.9], "seed": [0, 0], "test_loss": [0.6, 0.4],
        ... })
        >>> sweep = SimpleNamespace(name="rates", runs=runs)
        >>> cells(sweep, ("lr", "momentum")).select(["lr", "momentum", "best"]).to_pylist()[1]
        {'lr': 1.0, 'momentum': 0.9, 'best': 0.4}
    """
    runs = sweep.runs
    check_measure(runs, measure)
    for option in options:
        check_varied(runs, option)
    cell, whole = Grouped(runs, tuple(options)), Grouped(runs, tuple(varied(runs)))
    mean, error = whole.mean_and_error(measure)
    of = cell.codes[whole.first]  # the cell of each configuration
    there = np.isfinite(mean)
    worth = sign(measure) * mean
    by_worth = np.lexsort((worth, of))
    by_worth = by_worth[there[by_worth]]
    where, at = np.unique(of[by_worth], return_index=True)
    best, best_error, worst = (np.full(len(cell.first), np.nan) for _ in range(3))
    best[where], best_error[where] = mean[by_worth[at]], error[by_worth[at]]
    worst[where] = mean[by_worth[np.append(at[1:], len(by_worth)) - 1]] if len(at) else np.nan
    columns: dict[str, Any] = {name: runs[name].take(cell.first) for name in cell.options}
    columns["configurations"] = pa.array(np.bincount(of, minlength=len(cell.first)))
    columns |= {name: pa.array(count) for name, count in cell.counts.items()}
    columns["best"], columns["error"] = floats(best), floats(best_error)
    columns["mean"] = floats(mean_by(of[there], mean[there], len(cell.first)))
    columns["worst"] = floats(worst)
    return pa.table(columns)


def places(runs: pa.Table, measure: str) -> Numbers:
    """``[runs]``: the place of each run among all, from 1; equal runs share the mean of theirs.

    Those that finished come first, by the measure; then the pruned, the later cut before the
    earlier, then by the measure; those that diverged or stopped share the last place.

    Example:
        >>> import pyarrow as pa
        >>> runs = pa.table({"status": ["finished", "diverged", "finished", "diverged"],
        ...                  "test_loss": [0.5, None, 0.2, None]})
        >>> places(runs, "test_loss").tolist()
        [2.0, 3.5, 1.0, 3.5]
    """
    status, values = statuses(runs), numbers(runs, measure)
    tier = np.select([status == FINISHED, status == PRUNED], [0, 1], 2)
    tier = np.where(np.isfinite(values), tier, 2)
    worth = np.where(tier < 2, sign(measure) * values, 0.0)
    cut = np.where(tier == 1, -epochs_trained(runs), 0)
    keys = np.stack([tier.astype(float), cut.astype(float), worth])
    order = np.lexsort(keys[::-1])
    new = np.append(True, (np.diff(keys[:, order], axis=1) != 0).any(axis=0))[: len(order)]
    group = np.cumsum(new) - 1
    shared = mean_by(group, np.arange(1.0, len(order) + 1), int(new.sum()))
    found = np.empty(len(order))
    found[order] = shared[group]
    return found
