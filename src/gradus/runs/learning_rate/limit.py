r"""The learning rate that theory allows at the start, from the curvature of that very model.

$$\alpha \, \lambda_{\max}\big(P^{-1/2} \, \nabla^2 f(w) \, P^{-1/2}\big) < c$$

with c that of the method (:mod:`gradus.methods.stability`), and P the identity or, for methods that
scale their gradient, the root of its mean square.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradus.engine.job import Job
from gradus.methods.stability import stability_limit
from gradus.risk.curvature import LARGEST, sharpness
from gradus.risk.empirical import EmpiricalRisk
from gradus.runs.advice import curvature_sample
from gradus.runs.spec import RunSpec

BATCHES = 64
"""Mini-batches of which the squared gradients of an adaptive method are the mean, at most: as many
as the examples make over which the curvature is measured."""


@dataclass(frozen=True)
class Limit:
    """What theory allows at the initial parameters.

    Attributes:
        lr: the learning rate below which steps there are stable.
        curvature: the largest eigenvalue of the Hessian, scaled as the method scales its gradient.
        bound: what the product of both has to stay below.
        method: which method that is, in words.
    """

    lr: float
    curvature: float
    bound: float
    method: str


def limit_at_start(spec: RunSpec, start: Job) -> Limit | None:
    """What theory allows a job before its first step; None where it cannot be had.

    That is so of methods without such a theory, and of models that are too large, cannot be
    differentiated twice, or bend downwards in every direction there.
    """
    found = stability_limit(spec.build_equation(None))
    if found is None or sum(p.numel() for p in start.model.parameters()) > LARGEST:
        return None
    risk = EmpiricalRisk(start.model.cpu(), start.loss, curvature_sample(start), start.penalty)
    w = risk.point
    scale = _scale(spec, risk, w, start) if found.preconditioned else None
    curvature = sharpness(risk, w, scale)
    if curvature is None or curvature <= 0:
        return None
    return Limit(found.value / curvature, curvature, found.value, found.method)


def _scale(spec: RunSpec, risk: EmpiricalRisk, w: Tensor, start: Job) -> Tensor:
    """The roots of the mean squared gradients of the mini-batches, ``[d]``."""
    n = len(risk.data)
    size = min(n, int(start.sampling.sizes[0]))
    batches = [slice(at, at + size) for at in range(0, n - size + 1, size)][:BATCHES]
    squares = [risk.gradient(w, batch).square() for batch in batches]
    scale: Tensor = torch.stack(squares).mean(dim=0).sqrt() + spec.eps
    return scale
