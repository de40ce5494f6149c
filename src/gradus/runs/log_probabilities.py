"""Whether a loss of log-probabilities is given such."""

from __future__ import annotations

import torch

from gradus.engine.evaluate import outputs_on
from gradus.engine.job import Job
from gradus.risk.losses import NLLLoss

AS_ONE = 1e-3
"""Probabilities sum to 1 within this."""


def remark(job: Job) -> str | None:
    """That the loss is given other outputs than it takes, in one line; None where it is not."""
    if not isinstance(job.loss, NLLLoss):
        return None
    first = job.train.subset(slice(0, 2)).to(dtype=job.dtype)
    with torch.random.fork_rng(), torch.no_grad():
        totals = outputs_on(job.model, first).double().exp().sum(dim=1)
    if bool(((totals - 1).abs() < AS_ONE).all()) or bool(totals.isnan().any()):
        return None
    return (
        "loss NLLLoss: takes log-probabilities, and the outputs of the first examples are none; "
        "end the model with torch.nn.LogSoftmax(dim=1), or give CrossEntropyLoss"
    )
