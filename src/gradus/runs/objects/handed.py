"""Data that were handed over: what makes the split of a run, and what identifies them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradus.data.arrays import ReadAs
from gradus.data.dataset import Split
from gradus.errors import InputError, quoted
from gradus.runs.objects.identity import Identity

if TYPE_CHECKING:
    from gradus.data.preparation import AnyPreparation
    from gradus.runs.spec import RunSpec

Load = Callable[["RunSpec", ReadAs | None, "AnyPreparation | None"], Split]
"""Makes the split that a spec asks for; arrays are read so where that is not as usual, and its
examples are prepared as others before were, where that is given."""


OF_TABLES = (
    "target",
    "categorical",
    "drop",
    "scaling",
    "pieces",
    "group",
    "weights",
)
"""Options that only tables have."""

OF_PARTS = ("validation_fraction", "test_fraction", "split", "split_seed")
"""Options that say which rows are in which part."""

STANDARDIZED = ("standardize", "standardize_target")
"""Options that bring numbers to scale."""


@dataclass(frozen=True, eq=False)
class Data:
    """Data that were handed over.

    Attributes:
        load: makes the split.
        identity: what identifies them.
    """

    load: Load
    identity: Identity


def refuse(spec: RunSpec, names: tuple[str, ...], what: str) -> None:
    """Refuse options that have no meaning for data of a kind.

    Raises:
        InputError: one is given.
    """
    for name in names:
        value = getattr(spec, name)
        if value != type(spec).model_fields[name].default:
            given = "" if value is True else f" {quoted(value)}"
            raise InputError(
                f"--{name.replace('_', '-')}{given}: does not apply to {what}; leave the option out"
            )
