"""How much a search may cost: so many trainings, or so much time."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gradus.errors import InputError, quoted

UNITS = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}
"""Seconds of each unit of time."""

TRAININGS = 10.0
"""What a search may cost, where nothing is said."""

FEWEST = 2.0
"""Trainings below which nothing is found."""


@dataclass(frozen=True)
class Budget:
    """What a search may cost; one of both is given.

    Attributes:
        trainings: of the length of the run.
        seconds: on this machine.
    """

    trainings: float | None = TRAININGS
    seconds: float | None = None

    @classmethod
    def read(cls, written: str | float) -> Budget:
        """A budget as it is written: ``10``, or ``60s``, ``5min``, ``1h``.

        Raises:
            InputError: it is neither.

        Example:
            >>> Budget.read("5min"), Budget.read(12)
            (Budget(trainings=None, seconds=300.0), Budget(trainings=12.0, seconds=None))
        """
        found = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*(s|min|m|h)?", str(written).strip())
        if found is None:
            raise InputError(
                f"--budget {quoted(written)}: give a number of trainings, as 10, or a time, as "
                "60s, 5min or 1h"
            )
        number = float(found[1])
        if found[2] is not None:
            return cls(None, number * UNITS[found[2]])
        if number < FEWEST:
            raise InputError(f"--budget {quoted(written)}: give {FEWEST:g} trainings at least")
        return cls(number)

    def in_trainings(self, seconds: float) -> float:
        """How many trainings it is, where one takes so many seconds.

        Raises:
            InputError: too few.
        """
        if self.trainings is not None:
            return self.trainings
        assert self.seconds is not None
        found = self.seconds / seconds
        if found < FEWEST:
            raise InputError(
                f"--budget {self.seconds:g}s: one training takes about {seconds:.2g} s here, and "
                f"{FEWEST:g} are needed at least; give more time, or fewer --epochs"
            )
        return found
