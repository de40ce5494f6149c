"""Whether the loss of a run was still falling when it ended."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradus.diagnosis.evidence import Evidence

FALLING = 0.04
"""A share of the loss that is still taken off it in the last quarter of a run that is too short."""

FEW = 8
"""Steps of a quarter, fewer than which tell no slope."""


def fallen(evidence: Evidence) -> float:
    """The share of the training loss that the last quarter of the run took off it."""
    return max(_of_batches(evidence.losses), _of_sights(evidence))


def still_falls(evidence: Evidence) -> bool:
    """Whether the run ended before it had arrived."""
    return fallen(evidence) >= FALLING


def _of_batches(losses: NDArray[np.float64]) -> float:
    """Of the loss what the last quarter took off it, by the mini-batches; 0 where it is noise."""
    quarter = len(losses) // 4
    if quarter < FEW:
        return 0.0
    before, after = losses[-2 * quarter : -quarter], losses[-quarter:]
    fell = float(before.mean() - after.mean())
    error = float((before.var() / quarter + after.var() / quarter) ** 0.5)
    return 0.0 if fell < 3 * error else fell / max(abs(float(before.mean())), 1e-12)


def _of_sights(evidence: Evidence) -> float:
    """The same, by the training examples: what was seen of them last before three quarters."""
    sights, steps = evidence.sights, evidence.replay.steps
    at = [each for each in sights if each.step <= 3 * steps / 4]
    if len(at) < 2:
        return 0.0
    before = evidence.share_at(at[-1])
    quarters = 4 * (1 - at[-1].step / steps)
    return (before - evidence.end) / max(abs(before), 1e-12) / quarters
