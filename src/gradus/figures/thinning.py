"""The curves of the runs of a sweep, thinned to what a picture shows of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from gradus.runs.thinning import Indices, Numbers, thin


@dataclass(frozen=True, eq=False)
class Curves:
    """The curves of many runs, one behind the other.

    Attributes:
        runs: ``[curves]``, the id of each run.
        starts: ``[curves]``, its first row.
        x: ``[rows]``, what the curves are drawn against: training examples consumed.
        loss: ``[rows]``, mini-batch loss.
    """

    runs: list[str]
    starts: Indices
    x: Numbers
    loss: Numbers

    def __getitem__(self, run: str) -> tuple[Numbers, Numbers]:
        """X and loss of one run; empty where nothing was recorded."""
        at = self._place.get(run)
        if at is None:
            return np.zeros(0), np.zeros(0)
        rows = slice(self.starts[at], self.ends[at])
        return self.x[rows], self.loss[rows]

    def __contains__(self, run: str) -> bool:
        return run in self._place

    @cached_property
    def _place(self) -> dict[str, int]:
        return {run: at for at, run in enumerate(self.runs)}

    @cached_property
    def ends(self) -> Indices:
        """``[curves]``: the row behind the last of each."""
        return np.append(self.starts[1:], len(self.loss))

    def among(self, runs: Sequence[str]) -> Curves:
        """Those of some runs."""
        at = np.array([self._place[run] for run in runs if run in self._place], np.int64)
        lengths = self.ends[at] - self.starts[at]
        starts = np.cumsum(lengths) - lengths
        rows = np.arange(lengths.sum()) + np.repeat(self.starts[at] - starts, lengths)
        return Curves([self.runs[i] for i in at.tolist()], starts, self.x[rows], self.loss[rows])

    def thinned(self, points: int) -> Curves:
        """With about so many rows each."""
        rows = thin(self.starts, self.loss, points)
        return Curves(self.runs, np.searchsorted(rows, self.starts), self.x[rows], self.loss[rows])


def curves_of(history: pa.Table, x: Numbers | None = None) -> Curves:
    """The curves in a sweep's history, whatever the order of its parts; rows of a run keep theirs.

    Args:
        history: with the columns run, samples and loss.
        x: ``[rows]``, what is drawn against; None: the samples.

    Example:
        >>> import pyarrow as pa
        >>> told = curves_of(pa.table({"run": ["b", "a", "b"], "samples": [16, 16, 32],
        ...                            "loss": [2.0, 2.5, 1.0]}))
        >>> told["b"][1].tolist(), told["nobody"][1].tolist()
        ([2.0, 1.0], [])
    """
    column: Any = history["run"]
    if not isinstance(column.type, pa.DictionaryType):
        column = column.dictionary_encode()
    column = column.unify_dictionaries().combine_chunks()
    codes = column.indices.to_numpy(zero_copy_only=False)
    if x is None:
        x = history["samples"].to_numpy()
    loss = history["loss"].to_numpy()
    starts = np.flatnonzero(np.append(True, np.diff(codes) != 0)[: len(codes)])
    if len(np.unique(codes[starts])) < len(starts):  # a run does not stand in one piece
        order = np.argsort(codes, kind="stable")
        codes, x, loss = codes[order], x[order], loss[order]
        starts = np.flatnonzero(np.append(True, np.diff(codes) != 0))
    named = column.dictionary.to_pylist()
    return Curves([named[code] for code in codes[starts]], starts, x, loss)
