"""The runs of a sweep in groups: the options that vary, their values, counts and means."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gradus.errors import InputError
from gradus.runs.choices import OPTIONS
from gradus.runs.spec import RunSpec
from gradus.sweep.configurations import SEEDS
from gradus.sweep.measures import (
    STATUSES,
    Codes,
    Numbers,
    complete,
    epochs_trained,
    numbers,
    statuses,
)
from gradus.sweep.space import Panel

NO_OPTIONS = (*SEEDS, "epochs_trained")
OWNED = {option for table in OPTIONS.values() for taken in table.values() for option in taken}
"""Options that some choice does not take: where one is missing, the run has no such option."""


OWN = "config."
"""How the names of options begin that are the user's own, of loops that are not ours."""

RUN_NAME = "name"
"""The name of a run, as an option, where nothing else tells runs apart."""


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


def varied(runs: pa.Table) -> list[str]:
    """The options with more than one value, in the order of RunSpec; the seed is none of them.

    Options that some runs do not take, and that have one value in the others, do not vary.

    Example:
        >>> import pyarrow as pa
        >>> varied(pa.table({"momentum": [0.5, 0.5], "lr": [0.1, 1.0], "seed": [0, 1]}))
        ['lr']
    """
    known = [name for name in RunSpec.model_fields if name in runs.column_names]
    known += [name for name in runs.column_names if name == RUN_NAME or name.startswith(OWN)]
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


def levels(runs: pa.Table, option: str) -> tuple[list[Any], Codes]:
    """The distinct values of an option in order, a missing one last; which of them each run has.

    Example:
        >>> import pyarrow as pa
        >>> values, codes = levels(pa.table({"lr": [1.0, None, 0.1, 1.0]}), "lr")
        >>> values, codes.tolist()
        ([0.1, 1.0, None], [1, 2, 0, 1])
    """
    encoded = _decoded(runs, option).combine_chunks().dictionary_encode(null_encoding="encode")
    values: Any = encoded.dictionary
    compared = values.cast(pa.int8()) if pa.types.is_boolean(values.type) else values
    order = np.asarray(pc.sort_indices(compared))  # what is missing comes last
    place = np.empty(len(values), np.int64)
    place[order] = np.arange(len(values))
    return values.take(order).to_pylist(), place[encoded.indices.to_numpy(zero_copy_only=False)]


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

    def figures(self, measure: str) -> Numbers:
        """``[groups, seeds]``: the measure of complete runs; NaN where there is none."""
        kept = complete(self.runs, measure)
        table = np.full((len(self.first), int(self.seeds.max(initial=-1)) + 1), np.nan)
        table[self.codes[kept], self.seeds[kept]] = numbers(self.runs, measure)[kept]
        return table

    @cached_property
    def seeds(self) -> Codes:
        """``[runs]``: the seed of each, of the order and of the split, as codes from 0."""
        known = tuple(name for name in SEEDS if name in self.runs.column_names)
        return Grouped(self.runs, known).codes

    def reached(self, measure: str) -> tuple[Codes, Numbers]:
        """``[groups]`` each: epochs trained at most, and the mean of the last measures there."""
        n = len(self.first)
        values = numbers(self.runs, measure)
        epochs = epochs_trained(self.runs)
        furthest = np.zeros(n, np.int64)
        np.maximum.at(furthest, self.codes, epochs)
        there = np.isfinite(values) & (epochs == furthest[self.codes])
        return furthest, mean_by(self.codes[there], values[there], n)


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


def mean_by(codes: Codes, values: Numbers, n: int) -> Numbers:
    """``[n]``: the mean of the values of each code; NaN where there is none."""
    count = np.bincount(codes, minlength=n)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(codes, values, minlength=n) / count)


def _decoded(runs: pa.Table, name: str) -> Any:
    column = runs[name]
    kind = column.type
    return column.cast(kind.value_type) if isinstance(kind, pa.DictionaryType) else column
