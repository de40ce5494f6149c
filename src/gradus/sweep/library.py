"""The data of a sweep: read once, shared by all workers."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from gradus.data.catalogue import CATALOGUE
from gradus.data.dataset import Split
from gradus.runs.spec import RunSpec
from gradus.runs.train import load_for
from gradus.sweep.shared import SharedSplit, share

HELD = 16
"""How many data are held at a time, here and by each worker; seeds draw different test parts."""


@dataclass(frozen=True, eq=False)
class Held:
    """Data in memory, under a number that no other data get."""

    number: int
    split: Split
    shared: SharedSplit


@final
class Library:
    """The data that runs ask for.

    Args:
        data_dir: where data sets that are not embedded are looked for first.
    """

    def __init__(self, data_dir: Path | None) -> None:
        self._data_dir = data_dir
        self._held: OrderedDict[tuple[Any, ...], Held] = OrderedDict()
        self._count = 0

    def data_of(self, spec: RunSpec) -> Held:
        """The data of a run.

        Raises:
            InputError: they cannot be had as the spec says.
        """
        key = _key(spec)
        held = self._held.get(key)
        if held is None:
            split = load_for(spec, self._data_dir)
            self._count += 1
            held = self._held[key] = Held(self._count, split, share(split))
            if len(self._held) > HELD:
                self._held.popitem(last=False)[1].shared.close()
        self._held.move_to_end(key)
        return held

    def close(self) -> None:
        """Let go of everything."""
        for held in self._held.values():
            held.shared.close()
        self._held.clear()


def _key(spec: RunSpec) -> tuple[Any, ...]:
    """What the data of a run depend on."""
    own_test = spec.data in CATALOGUE or Path(spec.data).is_dir()
    seed = None if own_test else spec.seed
    return (
        spec.data, spec.target, spec.loss, spec.missing, spec.standardize, spec.test_fraction,
        spec.categorical, spec.drop, seed,
    )  # fmt: skip
