"""The splits that the runs of a sweep train on: loaded once, shared with all workers."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from gradus.data.dataset import Split
from gradus.runs.job import load_for, resolved
from gradus.runs.parts import DataPart
from gradus.runs.spec import RunSpec
from gradus.sweep.shared_memory import SharedSplit, share

CAPACITY = 16
"""How many splits are in memory at a time, here and in each worker."""


@dataclass(frozen=True, eq=False)
class CachedSplit:
    """A split in memory, with a number that no other split of the sweep gets."""

    number: int
    split: Split
    shared: SharedSplit


@final
class SplitCache:
    """Loads the splits that runs ask for, and keeps the last `CAPACITY` of them.

    Args:
        data_dir: the folder that is searched first for data sets that are not embedded.
    """

    def __init__(self, data_dir: Path | None) -> None:
        self._data_dir = data_dir
        self._cached: OrderedDict[tuple[Any, ...], CachedSplit] = OrderedDict()
        self._seen: dict[tuple[Any, ...], RunSpec] = {}
        self._count = 0

    def get(self, spec: RunSpec) -> CachedSplit:
        """The split that a run trains on.

        Raises:
            InputError: it cannot be loaded as the spec says.
        """
        key = _key(spec)
        cached = self._cached.get(key)
        if cached is None:
            split = load_for(spec, self._data_dir)
            self._count += 1
            cached = self._cached[key] = CachedSplit(self._count, split, share(split))
            if len(self._cached) > CAPACITY:
                self._cached.popitem(last=False)[1].shared.close()
        self._cached.move_to_end(key)
        return cached

    def resolved(self, spec: RunSpec) -> RunSpec:
        """A run with what follows from the size of its data, which the seed does not change.

        Raises:
            InputError: they cannot be loaded as the spec says.
        """
        if not spec.auto:
            return spec
        of_any_seed = spec if spec.group else spec.model_copy(update={"split_seed": 0})
        seen = self._seen.setdefault(_key(of_any_seed), spec)
        return resolved(spec, self.get(seen).split)

    def close(self) -> None:
        """Release all splits."""
        for cached in self._cached.values():
            cached.shared.close()
        self._cached.clear()


def _key(spec: RunSpec) -> tuple[Any, ...]:
    """The options that determine the split of a run."""
    return (*(getattr(spec, name) for name in DataPart.model_fields), spec.loss, spec.dtype)
