"""Of which part a row is: a pure function of its number and a seed, so that no list is held."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradus.data.partition import TEST_FRACTION, VALIDATION_FRACTION, Parts

HELD = 100_000
"""Rows of the validation part, and of the test part, at most: they stay in memory. A share of them
is known to 0.3 %, 19 times of 20."""

SAMPLE = 100_000
"""Training rows that quantiles are taken of, about: one is off by less than 0.3 % of the rows, 19
times of 20."""

TRAIN, VALIDATION, TEST, UNUSED = 0, 1, 2, 3

_TEST, _VALIDATION, _SAMPLE, _BUCKET = range(4)
"""What is drawn, each by numbers of its own."""


def uniform(first: int, n: int, seed: int, stream: int) -> NDArray[np.float64]:
    """Numbers in [0, 1) for the rows first, .., first + n - 1: the same for a row whoever asks.

    Source:
        G. Steele, D. Lea, C. Flood, Fast splittable pseudorandom number generators, OOPSLA 2014,
        fig. 17 (``mix64`` of a Weyl sequence).

    Example:
        >>> bool((uniform(0, 10, 7, 0)[4:] == uniform(4, 6, 7, 0)).all())
        True
    """
    begin = np.random.SeedSequence(seed, spawn_key=(2, stream)).generate_state(1, np.uint64)[0]
    z = np.arange(first + 1, first + 1 + n, dtype=np.uint64)
    z *= np.uint64(0x9E3779B97F4A7C15)
    z += begin
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z ^= z >> np.uint64(shift)
        z *= np.uint64(factor)
    z ^= z >> np.uint64(31)
    found: NDArray[np.float64] = (z >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return found


@dataclass(frozen=True)
class Shares:
    """How rows are dealt out.

    Attributes:
        test: share of all rows that are for testing.
        tested: share of all rows that test: the others of them stay unused.
        validation: share of the training rows that are held to choose on.
        validated: share of them that do.
        sample: share of the rows that train of which quantiles are taken.
        seed: of the draw.
    """

    test: float
    tested: float
    validation: float
    validated: float
    sample: float
    seed: int

    @classmethod
    def of(cls, parts: Parts, rows: int) -> Shares:
        """What the user wants, of about so many rows.

        Where nothing is said the parts are no larger than they may be; a share that is given is
        held out, and is drawn from once more where it is larger than that.

        Example:
            >>> shares = Shares.of(Parts(), 10_000_000)
            >>> shares.test, shares.tested, round(shares.validation, 4)
            (0.01, 0.01, 0.0101)
            >>> shares = Shares.of(Parts(test=0.5), 10_000_000)
            >>> shares.test, shares.tested
            (0.5, 0.01)
        """
        rows = max(rows, 1)
        most = min(1.0, HELD / rows)
        test = min(TEST_FRACTION, most) if parts.test is None else parts.test
        if "test" in parts.apart:
            test = 0.0
        most = min(1.0, HELD / max(rows * (1 - test), 1))
        held = parts.validation
        validation = min(VALIDATION_FRACTION, most) if held is None else held
        if "validation" in parts.apart:
            validation = 0.0
        trains = max(rows * (1 - test) * (1 - validation), 1)
        return cls(
            test,
            min(test, HELD / rows),
            validation,
            min(validation, most),
            min(1.0, SAMPLE / trains),
            parts.seed,
        )

    def dealt(self, first: int, n: int) -> NDArray[np.int8]:
        """The part of the rows first, .., first + n - 1: one of the four."""
        test = uniform(first, n, self.seed, _TEST)
        validation = uniform(first, n, self.seed, _VALIDATION)
        part = np.full(n, TRAIN, np.int8)
        part[validation < self.validation] = UNUSED
        part[validation < self.validated] = VALIDATION
        part[test < self.test] = UNUSED
        part[test < self.tested] = TEST
        return part

    def sampled(self, first: int, n: int) -> NDArray[np.bool_]:
        """Which rows stand for all in what is sorted, if they train."""
        found: NDArray[np.bool_] = uniform(first, n, self.seed, _SAMPLE) < self.sample
        return found

    def buckets(self, first: int, n: int, count: int) -> NDArray[np.int64]:
        """In which bucket each row lies, if it trains."""
        return (uniform(first, n, self.seed, _BUCKET) * count).astype(np.int64)
