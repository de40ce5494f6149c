"""The seeds of several nets of one run."""

from __future__ import annotations

import numpy as np


def seed_of(seed: int, net: int) -> int:
    """The seed of a net: the first has that of the run, the others are drawn from it.

    Example:
        >>> seed_of(3, 0), seed_of(3, 1) == seed_of(3, 1), seed_of(3, 1) == seed_of(3, 2)
        (3, True, False)
    """
    if net == 0:
        return seed
    return int(np.random.SeedSequence([seed, net]).generate_state(1, np.uint64)[0] >> 1)
