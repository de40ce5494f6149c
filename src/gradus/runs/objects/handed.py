"""Data that were handed over: what makes the split of a run, and what identifies them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradus.data.arrays import ReadTargets
from gradus.data.dataset import Split
from gradus.runs.objects.identity import Identity

if TYPE_CHECKING:
    from gradus.data.preparation import AnyPreparation
    from gradus.runs.spec import RunSpec

Load = Callable[["RunSpec", ReadTargets | None, "AnyPreparation | None"], Split]
"""Makes the split that a spec asks for; its targets are read so where that is not as usual, and its
examples are prepared as others before were, where that is given."""


@dataclass(frozen=True, eq=False)
class Data:
    """Data that were handed over.

    Attributes:
        load: makes the split.
        identity: what identifies them.
    """

    load: Load
    identity: Identity
