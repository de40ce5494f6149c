"""What a sweep says: which configuration is best, how one option acts, where runs diverge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from gradus.sweep.bins import in_bins
from gradus.sweep.groups import Compared, Grouped, check_varied, mean_by, varied
from gradus.sweep.measures import (
    COMPLETE,
    FINISHED,
    PRUNED,
    Codes,
    Numbers,
    check_measure,
    epochs_trained,
    floats,
    measure_of,
    measured,
    numbers,
    sign,
    statuses,
)
from gradus.sweep.paired import compare, interval


def ranking(sweep: Compared, measure: str | None = None) -> pa.Table:
    r"""The configurations of a sweep, the best first, each over its seeds.

    With the figures $m_1 \dots m_n$ of its complete runs, a configuration has their mean and its
    95 % confidence interval

    $$\bar m \pm t_{n - 1} \sqrt{\frac{1}{n (n - 1)} \sum_i (m_i - \bar m)^2},$$

    missing where n < 2; and the mean of its differences to the best within seeds, with an interval
    corrected for the choice of the best. Runs of one seed see the same examples in the same order.
    Configurations all of whose runs finished come first, then those of which some failed, then
    those of which only some are complete, each by the mean; then the pruned, by how far they came;
    last those that diverged or stopped. Only configurations with a mean have a rank, which equal
    ones share.

    Args:
        sweep: what is compared.
        measure: one of ``gradus.sweep.measures.MEASURES``; None: that of the sweep.

    Returns:
        The columns rank, the options that vary, runs, finished, failed, pruned, stopped, diverged,
        each measure with its ``_low`` and ``_high``, and of ``measure`` ``difference``,
        ``difference_low``, ``difference_high``, and ``may_be_best``: whether the configuration
        cannot be told from the best (see `gradus.sweep.paired.compare`), missing where there is
        one seed; never so where a run failed, was cut or was lost.

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
    measure = measure_of(sweep.runs) if measure is None else measure
    check_measure(sweep.runs, measure)
    grouped = Grouped(sweep.runs, tuple(varied(sweep.runs)))
    counts, direction = grouped.counts, sign(measure)
    figures: dict[str, Numbers] = {}
    for name in dict.fromkeys((measure, *measured(sweep.runs))):
        mean, low, high = interval(grouped.figures(name))
        figures |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    whole = sum(counts[name] for name in COMPLETE) == counts["runs"]
    # What is no better than a constant is no candidate, however widely its seeds are spread.
    learned = counts[FINISHED] == counts["runs"]
    found = compare(direction * grouped.figures(measure), np.asarray(learned))
    figures["difference"] = direction * found.difference + 0.0  # the best from itself: 0, not -0
    ends = np.sort(direction * np.stack([found.difference_low, found.difference_high]), axis=0)
    figures["difference_low"], figures["difference_high"] = ends
    mean = figures[measure]
    missing = np.isnan(mean)
    tiers = [missing & (counts[PRUNED] == 0), missing, ~np.asarray(whole), ~np.asarray(learned)]
    tier = np.select(tiers, [4, 3, 2, 1], 0)
    reached, at_cut = grouped.reached(measure)
    worth = np.where(np.isnan(mean), at_cut, mean)
    worth = np.where(tier < 4, direction * worth, 0.0)
    # Equal ones stand in the order of their options, in whichever order their runs have ended.
    order = np.lexsort((worth, np.where(tier == 3, -reached, 0), tier))
    columns: dict[str, Any] = {"rank": _ranks(tier[order], worth[order])}
    rows = grouped.first[order]
    columns |= {name: sweep.runs[name].take(rows) for name in grouped.options}
    columns |= {name: pa.array(count[order]) for name, count in counts.items()}
    columns |= {name: floats(values[order]) for name, values in figures.items()}
    untold = np.full(len(order), not found.told)
    columns["may_be_best"] = pa.array(found.may_be_best[order], pa.bool_(), mask=untold)
    return pa.table(columns)


def best_runs(runs: pa.Table, measure: str, most: int = 1) -> list[list[str]]:
    """The runs of the best configurations, the best first, each by its seeds.

    They are those that ``ranking`` puts first: all of their runs finished, and their mean is best.

    Args:
        runs: of a sweep.
        measure: one of ``gradus.sweep.measures.MEASURES``.
        most: how many configurations.

    Example:
        >>> import pyarrow as pa
        >>> runs = pa.table({
        ...     "run": ["a", "b", "c", "d"], "status": ["finished"] * 3 + ["failed"],
        ...     "lr": [0.1, 0.1, 1.0, 9.0], "seed": [1, 0, 0, 0], "test_loss": [0.1, 0.3, 0.3, 0.1],
        ... })
        >>> best_runs(runs, "test_loss", 3)
        [['b', 'a'], ['c']]
    """
    grouped = Grouped(runs, tuple(varied(runs)))
    mean = interval(grouped.figures(measure))[0]
    whole = (grouped.counts[FINISHED] == grouped.counts["runs"]) & np.isfinite(mean)
    order = np.argsort(np.where(whole, sign(measure) * mean, np.inf), kind="stable")
    names = runs["run"].to_pylist()
    found = []
    for group in order[: min(most, int(whole.sum()))]:
        (own,) = np.nonzero(grouped.codes == group)
        found.append([names[at] for at in own[np.argsort(grouped.seeds[own], kind="stable")]])
    return found


def _ranks(tier: Codes, worth: Numbers) -> Any:
    """The ranks of configurations in their order, which equal ones share."""
    new = np.append(True, (np.diff(tier) != 0) | (np.diff(worth) != 0))[: len(tier)]
    first = np.maximum.accumulate(np.where(new, np.arange(len(tier)), 0))
    return pa.array(first + 1, pa.int32(), mask=tier >= 3)


def sensitivity(
    sweep: Compared, by: str = "lr", facet: str | None = None, measure: str | None = None
) -> pa.Table:
    """What becomes of a measure as one option changes, and where runs diverge.

    At each value of the option the other options are free: ``best`` is the best configuration
    there (its mean over seeds, from ``low`` to ``high`` with 95 % confidence), ``mean`` and
    ``worst`` are those over all configurations there. Only complete runs count for these; the
    others are counted.

    Args:
        sweep: what is compared.
        by: the option.
        facet: another option, for whose values this is told apart.
        measure: as in `ranking`.

    Returns:
        The columns facet (under its name), by (under its name), configurations, runs, finished,
        failed, pruned, stopped, diverged, best, low, high, mean, worst; in the order of the values.

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


def cells(
    sweep: Compared,
    options: Sequence[str],
    measure: str | None = None,
    *,
    bins: bool = False,
) -> pa.Table:
    """The same as `sensitivity` for the values of any number of options taken together.

    Args:
        sweep: what is compared.
        options: whose values are told apart.
        measure: as in `ranking`.
        bins: whether of very many numbers those near each other stand together.

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
    measure = measure_of(runs) if measure is None else measure
    check_measure(runs, measure)
    for option in options:
        check_varied(runs, option)
    told = in_bins(runs, options) if bins else runs
    cell, whole = Grouped(told, tuple(options)), Grouped(runs, tuple(varied(runs)))
    mean, low, high = interval(whole.figures(measure))
    of = cell.codes[whole.first]  # the cell of each configuration
    there = np.isfinite(mean)
    worth = sign(measure) * mean
    by_worth = np.lexsort((worth, of))
    by_worth = by_worth[there[by_worth]]
    where, at = np.unique(of[by_worth], return_index=True)
    found = {name: np.full(len(cell.first), np.nan) for name in ("best", "low", "high")}
    for name, values in zip(found, (mean, low, high), strict=True):
        found[name][where] = values[by_worth[at]]
    worst = np.full(len(cell.first), np.nan)
    worst[where] = mean[by_worth[np.append(at[1:], len(by_worth)) - 1]] if len(at) else np.nan
    columns: dict[str, Any] = {name: told[name].take(cell.first) for name in cell.options}
    columns["configurations"] = pa.array(np.bincount(of, minlength=len(cell.first)))
    columns |= {name: pa.array(count) for name, count in cell.counts.items()}
    columns |= {name: floats(values) for name, values in found.items()}
    columns["mean"] = floats(mean_by(of[there], mean[there], len(cell.first)))
    columns["worst"] = floats(worst)
    return pa.table(columns)


def evenly(runs: pa.Table, measure: str, most: int) -> list[str]:
    """So many runs at most, evenly spread over the places that runs have, in the order of the rows.

    Example:
        >>> import pyarrow as pa
        >>> runs = pa.table({"run": ["a", "b", "c", "d", "e"], "status": ["finished"] * 5,
        ...                  "test_loss": [0.1, 0.5, 0.3, 0.2, 0.4]})
        >>> evenly(runs, "test_loss", 3)
        ['a', 'b', 'c']
    """
    names = runs["run"]
    if runs.num_rows > most:
        order = np.argsort(places(runs, measure), kind="stable")
        at = np.linspace(0, runs.num_rows - 1, most).round().astype(np.int64)
        names = names.take(np.sort(order[at]))
    return [str(name) for name in names.to_pylist()]


def places(runs: pa.Table, measure: str) -> Numbers:
    """``[runs]``: the place of each run among all, from 1; equal runs share the mean of theirs.

    Those that are complete come first, by the measure; then the pruned, the later cut before the
    earlier, then by the measure; those that diverged or stopped share the last place.

    Example:
        >>> import pyarrow as pa
        >>> runs = pa.table({"status": ["finished", "diverged", "finished", "diverged"],
        ...                  "test_loss": [0.5, None, 0.2, None]})
        >>> places(runs, "test_loss").tolist()
        [2.0, 3.5, 1.0, 3.5]
    """
    status, values = statuses(runs), numbers(runs, measure)
    tier = np.select([np.isin(status, COMPLETE), status == PRUNED], [0, 1], 2)
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
