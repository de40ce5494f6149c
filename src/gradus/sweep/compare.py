"""What a sweep says: which configuration is best, which option mattered, where runs diverge."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gradus.errors import InputError
from gradus.runs.choices import OPTIONS
from gradus.runs.spec import RunSpec
from gradus.sweep.space import Panel

FINISHED, PRUNED, STOPPED, DIVERGED = STATUSES = ("finished", "pruned", "stopped", "diverged")

MEASURES = ("test_loss", "test_accuracy", "train_loss", "best_test_loss", "best_test_accuracy")
"""The figures of a run that configurations are compared by."""

NO_OPTIONS = ("seed", "epochs_trained")
OWNED = {option for table in OPTIONS.values() for taken in table.values() for option in taken}
"""Options that some choice does not take: where one is missing, the run has no such option."""

Codes = NDArray[np.int64]
Numbers = NDArray[np.float64]


class Compared(Protocol):
    """What comparing needs of a sweep."""

    @property
    def name(self) -> str:
        """How the sweep is called."""

    @property
    def runs(self) -> pa.Table:
        """A row a run: status, options, last and best figures."""

    @property
    def history(self) -> pa.Table:
        """Rows of all histories, with the column ``run``."""

    @property
    def evaluation(self) -> pa.Table:
        """Rows of all evaluations, with the column ``run``."""

    @property
    def panels(self) -> Sequence[Panel]:
        """The axes of a one-at-a-time sweep; empty for others."""


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
    for name in dict.fromkeys((measure, *_measured(sweep.runs))):
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
    columns |= {name: _floats(values[order]) for name, values in figures.items()}
    return pa.table(columns)


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
        mean_place = _mean_by(codes[takes], place[takes], len(named))
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
    columns["best"], columns["error"] = _floats(best), _floats(best_error)
    columns["mean"] = _floats(_mean_by(of[there], mean[there], len(cell.first)))
    columns["worst"] = _floats(worst)
    return pa.table(columns)


def varied(runs: pa.Table) -> list[str]:
    """The options with more than one value, in the order of RunSpec; the seed is none of them.

    Options that some runs do not take, and that have one value in the others, do not vary.

    Example:
        >>> import pyarrow as pa
        >>> varied(pa.table({"momentum": [0.5, 0.5], "lr": [0.1, 1.0], "seed": [0, 1]}))
        ['lr']
    """
    known = [name for name in RunSpec.model_fields if name in runs.column_names]
    return [
        name
        for name in known
        if name not in NO_OPTIONS
        # That a choice does not take an option is no value of it.
        and pc.count_distinct(
            _decoded(runs, name), mode="only_valid" if name in OWNED else "all"
        ).as_py()
        > 1
    ]


def levels(runs: pa.Table, option: str) -> tuple[list[Any], Codes]:
    """The distinct values of an option in order, a missing one last; which of them each run has.

    Example:
        >>> import pyarrow as pa
        >>> values, codes = levels(pa.table({"lr": [1.0, None, 0.1, 1.0]}), "lr")
        >>> values, codes.tolist()
        ([0.1, 1.0, None], [1, 2, 0, 1])
    """
    encoded = _decoded(runs, option).combine_chunks().dictionary_encode(null_encoding="encode")
    values = encoded.dictionary.to_pylist()
    order = sorted(range(len(values)), key=lambda at: (values[at] is None, values[at]))
    place = np.empty(len(values), np.int64)
    place[order] = np.arange(len(values))
    return [values[at] for at in order], place[encoded.indices.to_numpy(zero_copy_only=False)]


@dataclass(frozen=True, eq=False)
class Grouped:
    """Runs grouped by the values of some options, in the order of these.

    Attributes:
        runs: the table of runs.
        options: by which they are grouped.
    """

    runs: pa.Table
    options: tuple[str, ...]

    @cached_property
    def codes(self) -> Codes:
        """``[runs]``: the group of each run."""
        codes = np.zeros(self.runs.num_rows, np.int64)
        for option in self.options:
            named, level = levels(self.runs, option)
            # Made dense after every option, codes never grow beyond the number of runs.
            codes = np.unique(codes * len(named) + level, return_inverse=True)[1]
        return codes

    @cached_property
    def first(self) -> Codes:
        """``[groups]``: the first run of each group."""
        return np.asarray(np.unique(self.codes, return_index=True)[1], np.int64)

    @cached_property
    def counts(self) -> dict[str, Codes]:
        """How many runs each group has, in all and of each status."""
        status, n = statuses(self.runs), len(self.first)
        counts = {"runs": np.bincount(self.codes, minlength=n)}
        for name in STATUSES:
            counts[name] = np.bincount(self.codes[status == name], minlength=n)
        return counts

    def mean_and_error(self, measure: str) -> tuple[Numbers, Numbers]:
        """``[groups]`` each: the mean over finished runs and its standard error, else NaN."""
        values = numbers(self.runs, measure)
        kept = (statuses(self.runs) == FINISHED) & np.isfinite(values)
        codes, values, n = self.codes[kept], values[kept], len(self.first)
        mean, count = _mean_by(codes, values, n), np.bincount(codes, minlength=n)
        squares = np.bincount(codes, (values - mean[codes]) ** 2, minlength=n)
        with np.errstate(invalid="ignore", divide="ignore"):
            error = np.sqrt(squares / (count * (count - 1)))
        return mean, np.where(count > 1, error, np.nan)

    def reached(self, measure: str) -> tuple[Codes, Numbers]:
        """``[groups]`` each: epochs trained at most, and the mean of the last measures there."""
        n = len(self.first)
        values = numbers(self.runs, measure)
        epochs = _epochs(self.runs)
        furthest = np.zeros(n, np.int64)
        np.maximum.at(furthest, self.codes, epochs)
        there = np.isfinite(values) & (epochs == furthest[self.codes])
        return furthest, _mean_by(self.codes[there], values[there], n)


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
    cut = np.where(tier == 1, -_epochs(runs), 0)
    keys = np.stack([tier.astype(float), cut.astype(float), worth])
    order = np.lexsort(keys[::-1])
    new = np.append(True, (np.diff(keys[:, order], axis=1) != 0).any(axis=0))[: len(order)]
    group = np.cumsum(new) - 1
    shared = _mean_by(group, np.arange(1.0, len(order) + 1), int(new.sum()))
    found = np.empty(len(order))
    found[order] = shared[group]
    return found


def check_measure(runs: pa.Table, measure: str) -> None:
    """Refuse a measure that no run has.

    Raises:
        InputError: it is unknown, or missing in every run.
    """
    if measure not in MEASURES:
        near = difflib.get_close_matches(measure, MEASURES, n=1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise InputError(f"measure {measure}: choose {' | '.join(MEASURES)}{meant}")
    measured = _measured(runs)
    if measure not in measured and not (measure == "test_loss" and not measured):
        raise InputError(f"measure {measure}: no run of this sweep has one; choose "
                         f"{' | '.join(measured) or 'another'}")  # fmt: skip


def check_varied(runs: pa.Table, option: str) -> None:
    """Refuse an option that does not vary.

    Raises:
        InputError: it has one value, or there is no such option.
    """
    options = varied(runs)
    if option not in options:
        near = difflib.get_close_matches(option, options, n=1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        there = f"choose {' | '.join(options)}" if options else "nothing but the seed does"
        raise InputError(f"{option}: does not vary in this sweep; {there}{meant}")


def rises(measure: str) -> bool:
    """Whether more of it is better.

    Example:
        >>> rises("test_accuracy"), rises("test_loss")
        (True, False)
    """
    return measure.endswith("accuracy")


def sign(measure: str) -> float:
    """What a measure is multiplied with so that less of it is better.

    Example:
        >>> sign("test_accuracy")
        -1.0
    """
    return -1.0 if rises(measure) else 1.0


def shown(value: Any) -> str:
    """A value of an option as people write it.

    Example:
        >>> shown(1e-05), shown(0.5), shown(16), shown(None), shown("adam")
        ('0.00001', '0.5', '16', 'none', 'adam')
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        short = f"{value:.4g}"
        if "e" in short and 1e-5 <= abs(value) < 1e6:
            return str(np.format_float_positional(float(short), trim="-"))
        return short
    return str(value)


def cell(option: str, value: Any) -> str:
    """A value of an option in a table: nothing where the run does not take the option.

    Example:
        >>> cell("momentum", None), cell("penalty", None), cell("lr", 0.1)
        ('', 'none', '0.1')
    """
    return "" if value is None and option in OWNED else shown(value)


def numbers(runs: pa.Table, name: str) -> Numbers:
    """A column as float64, NaN where it is missing.

    Example:
        >>> import pyarrow as pa
        >>> numbers(pa.table({"test_loss": [0.5, None]}), "test_loss").tolist()
        [0.5, nan]
    """
    if name not in runs.column_names:
        return np.full(runs.num_rows, np.nan)
    column: Any = runs[name].cast(pa.float64()).combine_chunks()
    return np.asarray(pc.fill_null(column, float("nan")).to_numpy(zero_copy_only=False))


def statuses(runs: pa.Table) -> NDArray[np.str_]:
    """``[runs]``: the status of each.

    Example:
        >>> import pyarrow as pa
        >>> statuses(pa.table({"status": ["finished", "diverged"]})) == "diverged"
        array([False,  True])
    """
    named, codes = levels(runs, "status")
    return np.asarray(named, dtype=np.str_)[codes] if named else np.zeros(0, dtype=np.str_)


def _epochs(runs: pa.Table) -> Codes:
    return np.asarray(np.nan_to_num(numbers(runs, "epochs_trained")), np.int64)


def _measured(runs: pa.Table) -> list[str]:
    return [name for name in MEASURES if np.isfinite(numbers(runs, name)).any()]


def _decoded(runs: pa.Table, name: str) -> Any:
    column = runs[name]
    kind = column.type
    return column.cast(kind.value_type) if isinstance(kind, pa.DictionaryType) else column


def _mean_by(codes: Codes, values: Numbers, n: int) -> Numbers:
    count = np.bincount(codes, minlength=n)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(codes, values, minlength=n) / count)


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


def _floats(values: Numbers) -> Any:
    """NaN is written as a missing value."""
    return pa.array(values, pa.float64(), mask=np.isnan(values))
