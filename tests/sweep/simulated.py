"""Simulated sweeps: designs of every kind, with noise alone or with a planted effect."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Codes = NDArray[Any]

KINDS = ("grid", "grid with seeds", "random", "random with seeds", "diverged", "two methods")


def simulated(
    kind: str, random: np.random.Generator, *, planted: bool
) -> tuple[list[Numbers], Codes, Codes, Numbers]:
    """The options, seeds, configurations and worth (less is better) of the runs of one sweep.

    ``planted`` gives the first option a curved effect of twice the deviation of the noise, and the
    second a straight one of half of it; without, the loss is noise alone, a part of which all runs
    of a seed have in common.
    """
    seeds = 3 if "seeds" in kind else 1
    if kind.startswith("grid"):
        sizes = (4, 3) if seeds > 1 else (4, 3, 3)
        options = [axis.ravel().astype(float) for axis in np.meshgrid(*map(np.arange, sizes))]
    else:
        n = 16 if seeds > 1 else 30
        options = [random.uniform(-5, 1, n), random.uniform(0, 1, n)]
        if kind == "two methods":
            options.append(np.arange(n) % 2.0)
            options[1][options[2] == 1] = np.nan
    n = len(options[0])
    configuration, seed = np.repeat(np.arange(n), seeds), np.tile(np.arange(seeds), n)
    worth = random.standard_normal(n * seeds) + 2 * random.standard_normal(seeds)[seed]
    at = (options[0] - options[0].min()) / np.ptp(options[0])
    lost = random.random(n * seeds) < 0.4
    if planted:
        curved, straight = (at - 0.6) ** 2, np.nan_to_num(options[1])
        worth += (2 * _standard(curved) + 0.5 * _standard(straight))[configuration]
        lost = at[configuration] > 0.6
    if kind == "diverged":
        worth[lost] = np.inf
    return options, seed, configuration, worth


def _standard(values: Numbers) -> Numbers:
    return np.asarray((values - values.mean()) / values.std())
