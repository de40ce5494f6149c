"""How f bends where a run stands, over some of its training examples."""

from __future__ import annotations

import numpy as np
import torch

from gradus.diagnosis.replay import Sight
from gradus.engine.job import Job
from gradus.risk import curvature
from gradus.risk.empirical import EmpiricalRisk

EXAMPLES = 500
"""Training examples over which the curvature is measured, at most."""

WORK = 3 * 10**7
"""Examples times parameters of a product with the Hessian, at most."""


def sharpness(job: Job, sight: Sight) -> float | None:
    r"""$\lambda_{\max}$ over at most ``EXAMPLES`` training examples, where the run stood.

    Fewer where the model is large; of the preconditioned Hessian where the method is adaptive. None
    where it cannot be had (:func:`gradus.risk.curvature.sharpness`).

    Args:
        job: of the run.
        sight: where it stood.
    """
    d = len(sight.w)
    if d > curvature.LARGEST:
        return None
    examples = max(16, min(EXAMPLES, WORK // d))
    drawn = np.random.default_rng(0).permutation(len(job.train))[:examples]
    data = job.train.subset(torch.from_numpy(drawn).to(job.train.x.device)).to(dtype=job.dtype)
    risk = EmpiricalRisk(sight.model(job), job.loss, data.to(device="cpu"), job.penalty)
    return curvature.sharpness(risk, sight.w, sight.preconditioner)
