"""The causes that are looked for: every module here has a ``CAUSE``, or several ``CAUSES``."""

from __future__ import annotations

import importlib
import pkgutil

from gradus.diagnosis.cause import Cause


def all_causes() -> tuple[Cause, ...]:
    """Every cause, by its rank.

    Example:
        >>> names = [cause.name for cause in all_causes()]
        >>> len(names) == len(set(names)), "learning rate too high" in names
        (True, True)
    """
    found: list[Cause] = []
    for module in pkgutil.iter_modules(__path__):
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        found += getattr(loaded, "CAUSES", None) or [loaded.CAUSE]
    return tuple(sorted(found, key=lambda cause: (cause.rank, cause.name)))
