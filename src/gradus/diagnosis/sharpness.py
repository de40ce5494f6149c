r"""How f bends where a run stands: $\lambda_{\max}$ of its Hessian, preconditioned or not.

$$\lambda_{\max}\big(P^{-1/2}\, \nabla^2 f(w)\, P^{-1/2}\big)$$

which is that of $P^{-1} \nabla^2 f(w)$, and of a symmetric matrix.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gradus.diagnosis.replay import Sight
from gradus.engine.job import Job
from gradus.risk.curvature import eigenvalues
from gradus.risk.empirical import EmpiricalRisk

EXAMPLES = 500
"""Training examples over which the curvature is measured, at most."""

WORK = 3 * 10**7
"""Examples times parameters of a product with the Hessian, at most."""

LARGEST = 10**6
"""Parameters of a model whose curvature is measured, at most: 20 vectors as long are kept."""


def sharpness(job: Job, sight: Sight) -> float | None:
    r"""$\lambda_{\max}$ over at most ``EXAMPLES`` training examples, where the run stood.

    Fewer where the model is large. None where it has more than ``LARGEST`` parameters or cannot be
    differentiated twice, or the Hessian is not finite.

    Args:
        job: of the run.
        sight: where it stood.
    """
    d = len(sight.w)
    if d > LARGEST:
        return None
    examples = max(16, min(EXAMPLES, WORK // d))
    drawn = np.random.default_rng(0).permutation(len(job.train))[:examples]
    data = job.train.subset(torch.from_numpy(drawn).to(job.train.x.device)).to(dtype=job.dtype)
    risk = EmpiricalRisk(sight.model(job), job.loss, data.to(device="cpu"), job.penalty)
    try:
        if sight.preconditioner is None:
            found = eigenvalues(risk, sight.w, tolerance=0.05, iterations=5)
        else:
            root = sight.preconditioner.sqrt()

            def scaled(z: Tensor) -> Tensor:
                return risk.value(z / root)

            found = eigenvalues(scaled, sight.w * root, tolerance=0.05, iterations=5)
    except (RuntimeError, ValueError):  # no second derivative, not found, or not finite
        return None
    return float(found.values[-1])
