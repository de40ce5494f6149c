r"""Where theory says that steps are stable, over a map.

$$r = \frac{\alpha \, \lambda_{\max}(\nabla^2 f(w_0))}{c}$$

with c that of the method (:mod:`gradus.methods.stability`): below 1 steps from the initial
parameters along the sharpest direction shrink. Curvature changes as a run goes on, and so runs may
train beyond the limit and be lost before it: how well r tells them apart is measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gradus.methods.stability import stability_limit
from gradus.metrics.ranking import roc_auc
from gradus.runs.learning_rate.limit import Limit
from gradus.runs.spec import RunSpec
from gradus.trainability.asked import Asked

OF_THE_BOUND = ("momentum", "beta", "dampening")
"""Options that move the bound of a method, and leave the curvature as it is."""

PLACES = 9
"""Along an axis that changes the curvature it is measured at so many places, and between them by
its logarithm."""

Numbers = NDArray[np.float64]


def ratios(asked: Asked, limit_of: Callable[[RunSpec], Limit | None]) -> Numbers | None:
    """``[n + 1, n + 1]``: r at every point, rows along y; None where it cannot be had.

    Args:
        asked: the runs; one axis is that of lr.
        limit_of: what theory allows a run at its start.
    """
    x, y = asked.x, asked.y
    if "lr" not in (x.option, y.option):
        return None
    along_y = x.option == "lr"
    other = y if along_y else x
    specs = [asked.spec(i, 0) if along_y else asked.spec(0, i) for i in range(other.size + 1)]
    places = [0]
    if other.option not in OF_THE_BOUND:
        places = sorted({round(i * other.size / (PLACES - 1)) for i in range(PLACES)})
    limits = [limit_of(specs[place]) for place in places]
    logs = [math.log(limit.curvature) for limit in limits if limit is not None]
    bounds = [stability_limit(spec.build_equation(None)) for spec in specs]
    known = [bound.value for bound in bounds if bound is not None]
    if len(logs) < len(limits) or len(known) < len(bounds):
        return None
    slope = np.exp(np.interp(range(other.size + 1), places, logs)) / np.array(known)
    return np.outer(slope, x.values) if along_y else np.outer(y.values, slope)


def area(ratio: Numbers, lost: NDArray[np.bool_]) -> float | None:
    """The chance that a lost point has a larger r than one that trains; None without both kinds."""
    if lost.all() or not lost.any():
        return None
    return roc_auc(ratio.ravel(), lost.ravel()).value
