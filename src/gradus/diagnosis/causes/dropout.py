"""Dropout that is too strong, or that goes on where the model is asked what it knows."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from gradus.diagnosis.cause import LEAST_GAIN, Cause, Suspicion
from gradus.diagnosis.evidence import Evidence
from gradus.diagnosis.findings import Figure
from gradus.diagnosis.fork import Change
from gradus.engine.evaluate import outputs_on
from gradus.engine.job import Job

STRONG, USUAL = 0.45, 0.1
"""A share of dropped units that is strong, and one that is usual."""

KINDS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


def _strong(evidence: Evidence) -> Suspicion | None:
    shares = [module.p for module in evidence.job.model.modules() if isinstance(module, KINDS)]
    if evidence.end < LEAST_GAIN or max(shares, default=0.0) < STRONG:
        return None

    def apply(job: Job) -> Job:
        model = copy.deepcopy(job.model)
        for module in model.modules():
            if isinstance(module, KINDS):
                module.p = min(module.p, USUAL)
        return replace(job, model=model)

    words = f"drop a share of {USUAL:g}"
    change = Change(f"a share of {USUAL:g} dropped", apply=apply, otherwise=words)
    figure = Figure("largest share that is dropped", max(shares), "0.1 to 0.5 is usual")
    sentence = "Dropout is so strong that what the layers say hardly reaches the end of the model."
    return Suspicion(sentence, (figure,), [change], 0.6)


def _in_evaluation(evidence: Evidence) -> Suspicion | None:
    """A model that is asked the same twice says the same."""
    sight = evidence.sights[-1]
    data = evidence.sample.subset(slice(0, 200))
    model = sight.model(evidence.job)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        once, again = outputs_on(model, data).double(), outputs_on(model, data).double()
    if not bool(once.isfinite().all()) or torch.equal(once, again):
        return None
    apart = float((once - again).square().mean().sqrt() / once.std().clamp_min(1e-12))
    figure = Figure("how far two answers to the same are apart, in deviations", apart, "0")
    sentence = (
        "The model draws lots where it is asked what it knows: dropout, or noise, goes on after "
        "the training, so that its figures are worse than they need be."
    )
    words = "use torch.nn.Dropout, or functional.dropout(x, p, training=self.training)"
    change = Change("no chance in evaluation", otherwise=words)
    return Suspicion(sentence, (figure,), [change], 0.9, certain=True)


CAUSES: Sequence[Cause] = (
    Cause("dropout too strong", 35, "docs/ideas/regularization.md", _strong, "validation loss"),
    Cause("dropout in evaluation", 12, "docs/ideas/regularization.md", _in_evaluation),
)
